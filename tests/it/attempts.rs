//! Whoever forges has to wait, and nobody else for them.

use crate::support::{
    accounts::Account,
    client::{Answer, Caller, post},
    house::Plan,
    issuer::Issuer,
    key::Key,
    recorder::Recorder,
    script::Script,
};

#[tokio::test]
async fn an_address_that_forges_waits_but_not_with_what_was_verified_before() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let account = Account::new("health", &["--group", "analysts"]).await;
    let plan = Plan::new(&issuer.url, &[&recorder.url]).section("limits", "{failed_attempts: 5}");
    let house = plan.section("service_accounts", &format!("\n{}", account.config)).start().await;
    let ask = async |source: &str, token: &str| -> Answer {
        let mut caller = Caller::plain_from(source, house.http()).await;
        caller.send(post("/", token, "SELECT 1")).await;
        caller.answer().await
    };
    let known = issuer.token().make();
    assert_eq!(ask("127.0.0.1", &known).await.status, 200);
    let stranger = Key::fresh("RS256");
    let forged = |number: usize| issuer.token().signed_by(&stranger).header("kid", Key::rs256().kid.as_str()).subject(&format!("m{number}")).make();
    for number in 0..20 {
        let answer = ask("127.0.0.1", &issuer.token().claim("aud", format!("other-{number}")).make()).await;
        assert_eq!(answer.header("x-keyhouse-reason"), Some("audience_mismatch"), "a set-up to be mended is no forgery");
    }
    let mut reasons = Vec::new();
    for number in 0..8 {
        reasons.push(ask("127.0.0.1", &forged(number)).await.header("x-keyhouse-reason").unwrap().to_owned());
    }
    assert_eq!((&reasons[..5], &reasons[7]), (&["bad_signature"; 5].map(str::to_owned)[..], &"too_many_failures".to_owned()), "{reasons:?}");
    let waits = ask("127.0.0.1", &issuer.token().subject("carol").make()).await;
    assert_eq!((waits.status, waits.header("x-keyhouse-reason")), (429, Some("too_many_failures")), "a token that nobody has verified");
    let seconds: u64 = waits.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=12).contains(&seconds), "{seconds}");
    assert!(waits.text().contains("mend the one that fails"), "{}", waits.text());
    for _ in 0..10 {
        assert_eq!(ask("127.0.0.1", &known).await.status, 200, "a token that was verified before");
    }
    assert_eq!(ask("127.0.0.1", &account.key).await.status, 200, "a good key");
    assert_eq!(ask("127.0.0.1", "khs_guess").await.header("x-keyhouse-reason"), Some("too_many_failures"), "a guessed one");
    assert_eq!(ask("127.0.0.2", &issuer.token().subject("carol").make()).await.status, 200, "from another address");
    assert_eq!(recorder.wait_requests(13).await.len(), 13);
}

#[tokio::test]
async fn a_wrong_signature_is_looked_at_once() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let house = Plan::new(&issuer.url, &[&recorder.url]).start().await;
    let stranger = Key::fresh("RS256");
    let forged = issuer.token().signed_by(&stranger).header("kid", Key::rs256().kid.as_str()).make();
    let mut caller = Caller::plain(house.http()).await;
    let mut said = Vec::new();
    for _ in 0..3 {
        caller.send(post("/", &forged, "SELECT 1")).await;
        let answer = caller.answer().await;
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (401, Some("bad_signature")));
        said.push(answer.text().split(" [").next().unwrap().to_owned());
    }
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "the same sentence: {said:?}");
    let metrics = house.admin_get("/metrics").await.text();
    assert!(metrics.contains("keyhouse_token_cache_total{found=\"bad\"} 2"), "{metrics}");
    assert!(recorder.requests().is_empty());
}
