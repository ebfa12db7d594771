//! Keys that are given only to those who have a token, and audiences that `keyhouse check` knows to be wrong.

use crate::support::{
    client::ask,
    house::{Plan, run},
    issuer::{Asked, Hits, Issuer},
    recorder::Recorder,
    script::Script,
    until,
};

#[tokio::test]
async fn who_asks_for_keys_shows_the_token_of_its_file_as_it_is_then() {
    for source in ["discovery_url: URL/.well-known/openid-configuration", "jwks_uri: URL/jwks"] {
        let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
        let more = format!(
            "audiences: [clickhouse]\n    {}\n    bearer_token_file: pod.token\n    jwks_cache: {{refresh: 300ms}}",
            source.replace("URL", &issuer.url)
        );
        let plan = Plan::new(&issuer.url, &[&recorder.url]).edit("audiences: [clickhouse]", &more).file("pod.token", "first.of.pod\n");
        let house = plan.log("debug").start().await;
        assert_eq!(ask(&house, &issuer.token().make(), "SELECT 1").await.text(), "1\n");
        let by = |token: &str, path: &str| Asked { path: path.to_owned(), authorization: Some(format!("Bearer {token}")), known: None };
        let first = issuer.asked();
        assert!(first.contains(&by("first.of.pod", "/jwks")), "{source}: {first:?}");
        assert_eq!(first.contains(&by("first.of.pod", "/.well-known/openid-configuration")), source.starts_with("discovery"), "{first:?}");
        assert!(first.iter().all(|asked| asked.authorization.as_deref() == Some("Bearer first.of.pod")), "{source}: {first:?}");
        std::fs::write(house.folder.path().join("pod.token"), "second.of.pod").unwrap();
        let second = async || issuer.asked().contains(&by("second.of.pod", "/jwks")).then_some(());
        until("a fetch with the new token", second).await;
        let heard = format!("{:?}{}", recorder.requests(), house.program.log());
        assert!(!heard.contains("of.pod"), "the pod's token is in the log or at ClickHouse: {heard}");
    }
}

#[tokio::test]
async fn the_keys_of_grafana_are_where_grafana_has_them() {
    let grafana = Issuer::start().await;
    for (slash, below) in [("/", ""), ("", "/grafana")] {
        let providers = format!("{{grafana: {{preset: grafana, issuer: '{}{below}{slash}', audiences: ['org:1']}}}}", grafana.url);
        let plan = Plan::new(&grafana.url, &["http://127.0.0.1:1"]).section("identity_providers", &providers);
        let _house = plan.start_unready().await;
        let asked = Asked { path: format!("{below}/api/signing-keys/keys"), authorization: None, known: None };
        until("a question for Grafana's keys", async || grafana.asked().contains(&asked).then_some(())).await;
    }
    assert_eq!(grafana.hits(), Hits::default(), "Grafana has no discovery");
}

#[tokio::test]
async fn audiences_that_cannot_be_meant_for_keyhouse_alone_are_told_at_the_check() {
    for (audience, refused, words) in [
        ("account", false, "other applications of this provider receive `account` too"),
        ("'api://default'", false, "other applications of this provider receive `api://default` too"),
        ("00000003-0000-0000-c000-000000000000", true, "is Microsoft Graph, whose tokens only Graph can verify"),
        ("https://graph.microsoft.com", true, "is Microsoft Graph"),
        ("https://graph.microsoft.com/", true, "have clients request api://<it>/.default"),
        ("clickhouse", false, ""),
    ] {
        let plan = Plan::new("https://idp.example.com", &["http://127.0.0.1:1"]).edit("[clickhouse]", &format!("[{audience}]"));
        let ended = run(plan.lay_out().path(), &["check", "--config", "keyhouse.yaml"]).await;
        assert_eq!(ended.status.code(), Some(i32::from(refused)), "{audience}: {}", ended.err);
        assert!(ended.err.contains(words), "{audience}: {words:?} not in {}", ended.err);
        assert_eq!(ended.err.contains("identity_providers.corp.audiences: "), !words.is_empty(), "{audience}: {}", ended.err);
    }
}

#[tokio::test]
async fn names_that_change_hands_at_entra_are_told_at_the_check() {
    for (issuer, claim, told) in [
        ("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", "email", true),
        ("https://sts.windows.net/9188040d-6c67-4c5b-b112-36a304b66dad/", "upn", true),
        ("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", "oid", false),
        ("https://idp.example.com", "email", false),
    ] {
        let plan = Plan::new(issuer, &["http://127.0.0.1:1"]).edit("{claim: sub}", &format!("{{claim: {claim}}}"));
        let ended = run(plan.lay_out().path(), &["check", "--config", "keyhouse.yaml"]).await;
        assert!(ended.status.success(), "{issuer}: {}", ended.err);
        let warning = format!("warning: identity_providers.corp.claim_mappings.username: `{claim}` can be changed at Entra");
        assert_eq!(ended.err.contains(&warning), told, "{issuer} {claim}: {}", ended.err);
    }
}
