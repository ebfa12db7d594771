//! Whom a rule is meant for, through the gate: groups, providers, claims, service accounts, networks, hours, an end, and the
//! rule that a caller asks for.

use serde_json::json;

use crate::support::{
    accounts::Account,
    client::{Answer, Caller, get},
    house::{Plan, run},
    issuer::Issuer,
    recorder::Recorder,
    script::Script,
};

/// Rules in order, each with the table that only it allows.
fn rules() -> String {
    let rule = |name: &str, whom: &str, more: &str| {
        format!("  - {{name: {name}, whom: {{{whom}}}, act_as: analyst, allow: [{{tables: ['by.{name}']}}]{more}}}\n")
    };
    [
        rule("over", "groups: [temps], expires: 2020-01-01T00:00:00Z", ""),
        rule("temps", "groups: [temps], expires: 2999-01-01T00:00:00Z", ""),
        rule(
            "never",
            "groups: [shifts], hours: [{from: '00:00', to: '00:01', days: [mon]}, {from: '00:00', to: '00:01', days: [tue], timezone: Asia/Tokyo}]",
            "",
        ),
        rule("always", "groups: [shifts], hours: [{from: '12:00', to: '00:00'}, {from: '00:00', to: '12:00'}]", ""),
        rule("near", "groups: [places], networks: ['127.0.0.2', '10.0.0.0/8']", ""),
        rule("anywhere", "groups: [places]", ""),
        rule("main-branch", "providers: [corp], claims: {repository: acme/etl, ref: 'refs/heads/*', protected: true, attempt: [1, 2]}", ""),
        rule("repository", "claims: {/nested/repository: [acme/etl, acme/web]}", ""),
        rule("health", "service_accounts: [health]", ""),
        rule("skippable", "groups: [many]", ", may_be_skipped: true"),
        rule("firm", "groups: [many]", ""),
        rule("behind", "groups: [many]", ""),
        rule("of-others", "groups: [others]", ""),
    ]
    .concat()
}

#[tokio::test]
async fn the_first_rule_that_fits_in_everything_judges() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let account = Account::new("health", &["--group", "many"]).await;
    let plan = Plan::new(&issuer.url, &[&recorder.url]).section("service_accounts", &format!("\n{}", account.config));
    let house = plan.policy("10-rules.yaml", &format!("rules:\n{}", rules())).start().await;
    let ask = async |source: &str, credential: &str, headers: &[&str]| -> Answer {
        let mut caller = Caller::plain_from(source, house.http()).await;
        let bearer = format!("Authorization: Bearer {credential}");
        caller.send(get("/?query=SELECT%201", &[&[bearer.as_str()], headers].concat())).await;
        caller.answer().await
    };
    let of = |groups: &[&str]| issuer.token().groups(groups);
    let ci = || of(&[]).claim("repository", "acme/etl").claim("ref", "refs/heads/main").claim("protected", true).claim("attempt", 2);
    let near = "127.0.0.2";
    let far = "127.0.0.1";
    let rows = [
        ("a rule that has ended", far, of(&["temps"]).make(), None, Some("temps")),
        ("hours", far, of(&["shifts"]).make(), None, Some("always")),
        ("a network", near, of(&["places"]).make(), None, Some("near")),
        ("another network", far, of(&["places"]).make(), None, Some("anywhere")),
        ("claims", far, ci().make(), None, Some("main-branch")),
        ("a claim of another value", far, ci().claim("ref", "refs/tags/1").make(), None, None),
        ("a claim of another type", far, ci().claim("protected", "true").make(), None, None),
        ("a claim that is missing", far, ci().without("attempt").make(), None, None),
        ("a claim by its pointer", far, of(&[]).claim("nested", json!({"repository": "acme/web"})).make(), None, Some("repository")),
        ("a claim's literal name", far, of(&[]).claim("/nested/repository", "acme/web").make(), None, None),
        ("a service account", far, account.key.clone(), None, Some("health")),
        ("a person with the account's name", far, of(&[]).subject("health").make(), None, None),
        ("the first of many", far, of(&["many"]).make(), None, Some("skippable")),
        ("another that is asked for", far, of(&["many"]).make(), Some("firm"), Some("firm")),
        ("the first that is asked for", far, of(&["many"]).make(), Some("skippable"), Some("skippable")),
        ("one behind a firm one", far, of(&["many"]).make(), Some("behind"), None),
        ("one of others", far, of(&["many"]).make(), Some("of-others"), None),
        ("one that is not there", far, of(&["many"]).make(), Some("nothing"), None),
    ];
    let mut answered = 0;
    for (what, source, credential, wanted, rule) in &rows {
        let header = wanted.map(|name| format!("X-Keyhouse-Rule: {name}"));
        let answer = ask(source, credential, &header.as_deref().into_iter().collect::<Vec<_>>()).await;
        let reason = match (rule, wanted) {
            (Some(_), _) => None,
            (None, Some(_)) => Some("rule-not-available"),
            (None, None) => Some("no-rule"),
        };
        assert_eq!(answer.header("x-keyhouse-reason"), reason, "{what}: {}", answer.text());
        answered += usize::from(rule.is_some());
    }
    let twice = ask(far, &of(&["many"]).make(), &["X-Keyhouse-Rule: firm", "X-Keyhouse-Rule: firm"]).await;
    assert_eq!((twice.status, twice.header("x-keyhouse-reason")), (400, Some("header-not-allowed")));
    let records = house.wait_records(rows.len() + 1).await;
    for (record, (what, _, _, _, rule)) in records.iter().zip(&rows) {
        assert_eq!(record["rule"], json!(rule), "{what}");
    }
    assert_eq!(recorder.wait_requests(answered).await.len(), answered);
    assert!(!format!("{:?}", recorder.requests()).to_lowercase().contains("x-keyhouse"), "our headers stay here");
}

#[tokio::test]
async fn a_whom_that_means_nobody_is_a_mistake() {
    let plan = |whom: &str| {
        let rule = format!("rules: [{{name: a, whom: {{{whom}}}, act_as: analyst, allow: [{{tables: ['a.b']}}]}}]\n");
        Plan::new("https://idp.example.com", &["http://127.0.0.1:1"]).policy("10-rules.yaml", &rule)
    };
    for (whom, says) in [
        ("", "rules[0].whom: says nobody"),
        ("networks: [10.0.0.0/8]", "rules[0].whom: says nobody"),
        ("groups: []", "whom.groups: is empty"),
        ("claims: {a: []}", "whom.claims.a: is empty"),
        ("service_accounts: [nobody]", "there is no service account `nobody`"),
        ("providers: [nobody]", "there is no provider `nobody`"),
        ("groups: [a], networks: [10.0.0.0/99]", "`10.0.0.0/99` is not a network"),
        ("groups: [a], networks: []", "whom.networks: is empty"),
        ("groups: [a], hours: []", "whom.hours: is empty"),
        ("groups: [a], hours: [{from: '8:00', to: '18:00'}]", "`8:00` is not a time of day"),
        ("groups: [a], hours: [{from: '08:00', to: '18:00', timezone: Berlin}]", "`Berlin` is no time zone"),
        ("groups: [a], expires: soon", "`soon` is not a time"),
    ] {
        let ended = run(plan(whom).lay_out().path(), &["check", "--config", "keyhouse.yaml"]).await;
        assert!(ended.status.code() == Some(1) && ended.err.contains(says), "{whom}: {}", ended.err);
    }
}
