//! What a caller may be called, and which scopes are asked for.

use serde_json::json;

use crate::support::{
    clickhouse::{ANALYST, WRITER},
    client::ask,
    house::Plan,
    issuer::Issuer,
    recorder::Recorder,
    script::Script,
};

/// The usual house, whose provider has this instead of the usual mappings.
async fn scene(mappings: &str) -> (Issuer, Recorder, crate::support::house::House) {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let usual = "claim_mappings: {username: {claim: sub}, groups: {claim: groups}}";
    let house = Plan::new(&issuer.url, &[&recorder.url]).edit(usual, mappings).start().await;
    (issuer, recorder, house)
}

#[tokio::test]
pub async fn nobody_is_called_as_a_user_of_clickhouse_is() {
    let (issuer, recorder, house) = scene("claim_mappings: {groups: {claim: groups}}").await;
    for name in ["default", ANALYST.name, WRITER.name] {
        let answer = ask(&house, &issuer.token().subject(name).make(), "SELECT 1").await;
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (403, Some("reserved_username")), "{name}: {}", answer.text());
        assert_eq!((answer.header("x-clickhouse-exception-code"), answer.header("www-authenticate")), (Some("497"), None), "{name}");
        assert!(answer.text().contains(&format!("`{name}`")) && answer.text().contains("prefix"), "{name}: {}", answer.text());
    }
    assert!(recorder.requests().is_empty(), "somebody came in under another's name");
    assert_eq!(house.wait_records(3).await.len(), 3);
}

#[tokio::test]
async fn a_prefix_keeps_names_and_groups_of_one_provider_apart() {
    let mappings = "claim_mappings: {username: {claim: sub, prefix: 'corp:'}, groups: {claim: groups, prefix: 'corp/'}}";
    let (issuer, recorder, house) = scene(mappings).await;
    let rules = "a group of the same name without the prefix";
    let answer = ask(&house, &issuer.token().make(), "SELECT 1").await;
    assert_eq!(answer.header("x-keyhouse-reason"), Some("no-rule"), "{rules}: {}", answer.text());
    assert!(answer.text().contains("corp/analysts"), "{}", answer.text());
    // A name that says the prefix itself gets another one before it.
    ask(&house, &issuer.token().groups(&["corp/analysts"]).make(), "SELECT 1").await;
    ask(&house, &issuer.token().subject("default").make(), "SELECT 1").await;
    let records = house.wait_records(3).await;
    let who: Vec<_> = records.iter().map(|record| json!([record["subject"], record["username"], record["groups"], record["reason"]])).collect();
    assert_eq!(
        json!(who),
        json!([
            ["alice", "corp:alice", ["corp/analysts"], "no-rule"],
            ["alice", "corp:alice", ["corp/corp/analysts"], "no-rule"],
            ["default", "corp:default", ["corp/analysts"], "no-rule"]
        ])
    );
    assert!(recorder.requests().is_empty());
}

#[tokio::test]
async fn a_prefixed_group_is_what_rules_name() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let plan = Plan::new(&issuer.url, &[&recorder.url]).edit("groups: {claim: groups}", "groups: {claim: groups, prefix: 'corp/'}");
    let rules = "rules: [{name: analysts, whom: {groups: [corp/analysts]}, act_as: analyst, allow: [{tables: ['system.one']}]}]\n";
    let house = plan.policy("10-rules.yaml", rules).start().await;
    assert_eq!(ask(&house, &issuer.token().make(), "SELECT 1").await.text(), "1\n");
    assert_eq!(recorder.requests().len(), 1);
}

#[tokio::test]
pub async fn a_token_without_the_scopes_that_are_asked_for_is_told_which() {
    let asked = "required_scopes: ['clickhouse:read', sales]\n    claim_mappings: {groups: {claim: groups}}";
    let (issuer, recorder, house) = scene(asked).await;
    let both = json!("openid clickhouse:read sales");
    for (claim, value, missing) in [
        ("scope", both.clone(), None),
        ("scp", both, None),
        ("scp", json!(["sales", "clickhouse:read"]), None),
        ("scope", json!("openid"), Some("clickhouse:read sales")),
        ("scope", json!("sales clickhouse:readonly"), Some("clickhouse:read")),
        ("scope", json!("sales,clickhouse:read"), Some("clickhouse:read sales")),
        ("scope", json!({"sales": 1, "clickhouse:read": 1}), Some("clickhouse:read sales")),
        ("scp", json!(["sales clickhouse:read"]), Some("clickhouse:read sales")),
        ("nothing", json!(1), Some("clickhouse:read sales")),
    ] {
        let before = recorder.requests().len();
        let answer = ask(&house, &issuer.token().claim(claim, value.clone()).make(), "SELECT 1").await;
        let Some(missing) = missing else {
            assert_eq!((answer.status, recorder.requests().len()), (200, before + 1), "{claim} {value}: {}", answer.text());
            continue;
        };
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (403, Some("insufficient_scope")), "{claim} {value}: {}", answer.text());
        assert!(answer.text().contains(&format!("lacks the scope {missing};")), "{claim} {value}: {}", answer.text());
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"insufficient_scope\"") && challenge.ends_with("scope=\"clickhouse:read sales\""), "{challenge}");
        assert_eq!((answer.header("x-clickhouse-exception-code"), recorder.requests().len()), (Some("497"), before), "{claim} {value}");
    }
}
