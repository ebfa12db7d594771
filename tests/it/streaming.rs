//! Large answers and large INSERTs: byte for byte, and never held.

use aws_lc_rs::digest;

use crate::support::{
    clickhouse::{ANALYST, ClickHouse, OWNER},
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

/// Rows of `UInt64` in RowBinary from `first` on, one piece of an INSERT's data.
fn rows(first: u64, count: u64) -> Vec<u8> {
    (first..first + count).flat_map(u64::to_le_bytes).collect()
}

const ROWS: u64 = 130_000_000;
const PIECE: u64 = 16 * 1024;

#[tokio::test]
async fn a_gigabyte_of_data_streams_to_clickhouse_in_little_memory() {
    let (clickhouse, issuer) = (ClickHouse::shared().await, Issuer::start().await);
    for sql in [
        "CREATE TABLE default.sink (id UInt64) ENGINE = Null",
        "CREATE MATERIALIZED VIEW default.sunk ENGINE = Log AS SELECT count() AS rows, sum(id) AS total, max(id) AS last FROM default.sink",
    ] {
        clickhouse.run(OWNER, sql).await;
    }
    let house = Plan::new(&issuer.url, &[&clickhouse.https_url()]).start().await;
    let token = issuer.token().groups(&["engineers"]).make();
    let mut caller = Caller::tls(house.https()).await;
    // The head stands in the body, before data that is no text.
    let head = "INSERT INTO default.sink FORMAT RowBinary\n";
    let length = head.len() as u64 + ROWS * 8;
    caller.send(format!("POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{head}")).await;
    let mut first = 0;
    while first < ROWS {
        let count = PIECE.min(ROWS - first);
        caller.send(rows(first, count)).await;
        first += count;
    }
    let answer = caller.answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let peak = house.peak_memory();
    eprintln!("{} MiB at its peak, {length} bytes", peak / MIB);
    assert!(peak < 64 * MIB, "{} MiB at its peak", peak / MIB);
    let sum = "SELECT sum(rows), sum(total), max(last) FROM default.sunk";
    assert_eq!(clickhouse.run(OWNER, sum).await, format!("{ROWS}\t{}\t{}\n", ROWS * (ROWS - 1) / 2, ROWS - 1));
    // With the line feed that ends the head.
    assert_eq!(house.wait_records(1).await[0]["data_bytes"].as_u64(), Some(ROWS * 8 + 1));
}
