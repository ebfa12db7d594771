//! Service accounts: callers with no person behind them.

use serde_json::json;

use crate::support::{
    client::{basic, get, send},
    house::{Plan, run},
    issuer::Issuer,
    recorder::Recorder,
    script::Script,
};

/// What `keyhouse service-account new` says for this name: the key, and the lines for the config without their first.
async fn new_account(arguments: &[&str]) -> (String, String) {
    let folder = tempfile::TempDir::new().unwrap();
    let ended = run(folder.path(), &[&["service-account", "new"], arguments].concat()).await;
    assert!(ended.status.success(), "{}", ended.err);
    let key = ended.out.lines().find_map(|line| line.strip_prefix("# khs_")).map(|rest| format!("khs_{rest}"));
    let (_, config) = ended.out.split_once("service_accounts:\n").unwrap();
    (key.unwrap(), config.to_owned())
}

#[tokio::test]
pub async fn a_service_account_is_known_by_its_key_alone_and_within_its_bounds() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let (health, health_lines) = new_account(&["health", "--group", "analysts"]).await;
    let (far, far_lines) = new_account(&["far", "--group", "analysts", "--network", "10.0.0.0/8"]).await;
    let (gone, gone_lines) = new_account(&["gone", "--group", "analysts", "--network", "127.0.0.0/8"]).await;
    let (lost, lost_lines) = new_account(&["lost", "--group", "nobodies"]).await;
    let accounts = format!("\n{health_lines}{far_lines}{gone_lines}    expires: 2020-01-01T00:00:00Z\n{lost_lines}");
    let house = Plan::new(&issuer.url, &[&recorder.url]).section("service_accounts", &accounts).log("debug").start().await;
    let bearer = |key: &str| format!("Authorization: Bearer {key}");
    let ask = |header: &str| get("/?query=SELECT%201", &[header]);
    for header in [bearer(&health), basic("health", &health), basic("default", &health), format!("X-ClickHouse-Key: {health}")] {
        let answer = send(&house, ask(&header)).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"), "{header}");
    }
    let refused = [
        (bearer(&format!("{health}x")), 401, "unknown_service_key"),
        (bearer("khs_"), 401, "unknown_service_key"),
        (basic("grafana", &health), 401, "user_mismatch"),
        (bearer(&far), 403, "network_not_allowed"),
        (bearer(&gone), 401, "service_account_expired"),
        (bearer(&lost), 403, "no-rule"),
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
    for key in [health, far, gone, lost] {
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
