//! Service accounts: callers with no person behind them.

use serde_json::json;

use crate::support::{
    accounts::Account,
    client::{basic, get, send},
    house::{Plan, run},
    issuer::Issuer,
    recorder::Recorder,
    script::Script,
};

#[tokio::test]
pub async fn a_service_account_is_known_by_its_key_alone_and_within_its_bounds() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let health = Account::new("health", &["--group", "analysts"]).await;
    let far = Account::new("far", &["--group", "analysts", "--network", "10.0.0.0/8"]).await;
    let gone = Account::new("gone", &["--group", "analysts", "--network", "127.0.0.0/8"]).await;
    let lost = Account::new("lost", &["--group", "nobodies"]).await;
    let accounts = format!("\n{}{}{}    expires: 2020-01-01T00:00:00Z\n{}", health.config, far.config, gone.config, lost.config);
    let house = Plan::new(&issuer.url, &[&recorder.url]).section("service_accounts", &accounts).log("debug").start().await;
    let bearer = |key: &str| format!("Authorization: Bearer {key}");
    let ask = |header: &str| get("/?query=SELECT%201", &[header]);
    for header in [bearer(&health.key), basic("health", &health.key), basic("default", &health.key), format!("X-ClickHouse-Key: {}", health.key)] {
        let answer = send(&house, ask(&header)).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"), "{header}");
    }
    let refused = [
        (bearer(&format!("{}x", health.key)), 401, "unknown_service_key"),
        (bearer("khs_"), 401, "unknown_service_key"),
        (basic("grafana", &health.key), 401, "user_mismatch"),
        (bearer(&far.key), 403, "network_not_allowed"),
        (bearer(&gone.key), 401, "service_account_expired"),
        (bearer(&lost.key), 403, "no-rule"),
    ];
    for (header, status, reason) in &refused {
        let answer = send(&house, ask(header)).await;
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (*status, Some(*reason)), "{header}: {}", answer.text());
    }
    let records = house.wait_records(4 + refused.len()).await;
    assert_eq!(records.len(), 4 + refused.len());
    for (record, expected) in records.iter().zip(std::iter::repeat_n(json!("answered"), 4).chain(std::iter::repeat(json!("refused")))) {
        assert_eq!(record["outcome"], expected, "{record}");
    }
    assert_eq!(json!([records[0]["provider"], records[0]["subject"], records[0]["groups"]]), json!(["service-account", "health", ["analysts"]]));
    let heard = recorder.wait_requests(4).await;
    assert_eq!(heard.len(), 4, "a refused statement reached ClickHouse");
    let said = format!("{}{}{heard:?}", house.program.log(), serde_json::to_string(&records).unwrap());
    for Account { key, .. } in [health, far, gone, lost] {
        assert!(!said.contains(&key), "a key is in the log, in the record or at ClickHouse");
    }
}

#[tokio::test]
async fn a_key_in_the_config_instead_of_its_digest_is_refused_and_not_printed() {
    let issuer = Issuer::start().await;
    let accounts = "{health: {keys: [khs_secretsecret], groups: []}, two: {keys: [], groups: [a], networks: [10.0.0.0/99], expires: soon}}";
    let folder = Plan::new(&issuer.url, &["http://127.0.0.1:1"]).section("service_accounts", accounts).lay_out();
    let ended = run(folder.path(), &["check", "--config", "keyhouse.yaml"]).await;
    assert_eq!(ended.status.code(), Some(1));
    for key in ["health.keys", "health.groups", "two.keys", "two.networks", "two.expires"] {
        assert!(ended.err.contains(&format!("service_accounts.{key}: ")), "{key}: {}", ended.err);
    }
    assert!(!ended.err.contains("secretsecret") && !ended.out.contains("secretsecret"), "{}", ended.err);
}
