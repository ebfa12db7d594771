//! A large answer: byte for byte what a direct request gives, and never held.

use aws_lc_rs::digest;

use crate::support::{
    clickhouse::{ANALYST, ClickHouse},
    client::{Caller, post},
    house::Plan,
    issuer::Issuer,
    wire::End,
};

const MIB: u64 = 1024 * 1024;

/// A little over 1 GB as text.
const SQL: &str = "SELECT number, 'a text that is as long as it takes to come to a gigabyte' FROM system.numbers LIMIT 17000000";

/// How many bytes the answer has, and their SHA-256.
async fn digest_of(mut caller: Caller, request: String) -> (u64, Vec<u8>) {
    let (mut bytes, mut context) = (0, digest::Context::new(&digest::SHA256));
    caller.send(request).await;
    let answer = caller
        .answer_into(|part| {
            bytes += part.len() as u64;
            context.update(part);
        })
        .await;
    assert_eq!((answer.status, answer.end), (200, End::Whole));
    (bytes, context.finish().as_ref().to_vec())
}

#[tokio::test]
async fn a_gigabyte_streams_through_in_little_memory_and_unchanged() {
    let clickhouse = ClickHouse::shared().await;
    let issuer = Issuer::start().await;
    let house = Plan::new(&issuer.url, &[&clickhouse.https_url()]).start().await;
    let through = digest_of(Caller::tls(house.https()).await, post("/", &issuer.token().make(), SQL)).await;
    let peak = house.peak_memory();
    let direct = post("/", "-", SQL).lines().filter(|line| !line.starts_with("Authorization")).collect::<Vec<_>>().join("\r\n").replacen(
        "\r\n",
        &format!("\r\nX-ClickHouse-User: {}\r\nX-ClickHouse-Key: {}\r\n", ANALYST.name, ANALYST.password),
        1,
    );
    let direct = digest_of(Caller::plain(clickhouse.http).await, direct).await;
    assert_eq!(through, direct);
    assert!(through.0 > 1_000_000_000, "{} bytes", through.0);
    eprintln!("{} MiB at its peak, {} bytes", peak / MIB, through.0);
    assert!(peak < 64 * MIB, "{} MiB at its peak", peak / MIB);
    let record = house.wait_records(1).await.remove(0);
    assert_eq!(record["bytes"].as_u64(), Some(through.0));
}
