//! Tokens in headers of their own, as Grafana forwards a person's ID token beside the access token of the same sign-in.

use serde_json::json;

use crate::support::{
    client::{Answer, basic, get, send},
    house::{House, Plan},
    issuer::Issuer,
    key::Key,
    recorder::Recorder,
    script::Script,
    token::Token,
};

/// Two providers of which one is asked to read a header, and the house between them and a recorder.
struct Scene {
    grafana: Issuer,
    other: Issuer,
    recorder: Recorder,
    house: House,
}

impl Scene {
    async fn start() -> Self {
        let (grafana, other, recorder) = (Issuer::start().await, Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
        // Tokens of the one may be signed by the other's key only if somebody confuses them.
        other.publish(&[Key::fresh("ES256")]);
        let providers = format!(
            "
  corp:
    issuer: {}
    audiences: [clickhouse, grafana]
    from_headers: [{{name: X-Id-Token, token_types: [id]}}]
    claim_mappings: {{groups: {{claim: groups}}}}
  other: {{issuer: {}, audiences: [clickhouse], token_types: [access, id], claim_mappings: {{groups: {{claim: groups}}}}}}",
            grafana.url, other.url
        );
        let house = Plan::new(&grafana.url, &[&recorder.url]).section("identity_providers", &providers).log("debug").start().await;
        Self { grafana, other, recorder, house }
    }

    /// The ID token of alice's sign-in at Grafana.
    fn id(&self) -> Token {
        self.grafana.token().claim("aud", "grafana").claim("at_hash", "MfkCX7lkhaBkTOhSmK4ePA")
    }

    async fn ask(&self, headers: &[String]) -> Answer {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        send(&self.house, get("/?query=SELECT%201", &headers)).await
    }

    /// Asks, and gives the one record of it if it was answered.
    async fn taken(&self, what: &str, headers: &[String]) -> serde_json::Value {
        let before = self.recorder.requests().len();
        let answer = self.ask(headers).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"), "{what}");
        let heard = self.recorder.requests_since(before);
        assert_eq!(heard.len(), 1, "{what}");
        let said = format!("{:?}", heard[0].head).to_lowercase();
        assert!(!said.contains("x-id-token") && !said.contains("eyj") && !said.contains("authorization"), "{what}: {said}");
        self.house.record_of(&answer).await
    }

    async fn refused(&self, what: &str, headers: &[String], status: u16, reason: &str, words: &str) {
        let before = self.recorder.requests().len();
        let answer = self.ask(headers).await;
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (status, Some(reason)), "{what}: {}", answer.text());
        assert!(answer.text().contains(words), "{what}: {words:?} not in {}", answer.text());
        assert_eq!(self.recorder.requests().len(), before, "{what}");
    }
}

fn header(token: &Token) -> String {
    format!("X-Id-Token: {}", token.make())
}

fn bearer(token: &Token) -> String {
    format!("Authorization: Bearer {}", token.make())
}

#[tokio::test]
async fn an_id_token_in_its_header_takes_the_place_of_the_bearer_token_beside_it() {
    let scene = Scene::start().await;
    let id = scene.id();
    // Only the ID token has the person's groups here, so the record says which of the two it was.
    let access = scene.grafana.token().groups(&["nobodies"]);
    let record = scene.taken("the header alone", &[header(&id)]).await;
    assert_eq!((&record["subject"], &record["groups"]), (&json!("alice"), &json!(["analysts"])));
    let record = scene.taken("both of one sign-in", &[bearer(&access), header(&id)]).await;
    assert_eq!((&record["subject"], &record["groups"]), (&json!("alice"), &json!(["analysts"])));
    let record = scene.taken("in the other order", &[header(&id), bearer(&access)]).await;
    assert_eq!(record["groups"], json!(["analysts"]));
    scene.taken("beside an access token that nobody can read", &[header(&id), "Authorization: Bearer ya29.a0AfH6SMBx".to_owned()]).await;
    let stale = scene.grafana.token().expires_in(-600);
    scene.taken("beside one that has expired", &[header(&id), bearer(&stale)]).await;
    let of_entra = |token: Token, sub: &str| token.subject(sub).claim("oid", "690222be-ff1a-4d56-abd1-7e4f7d38e474");
    let pair = [bearer(&of_entra(access.clone(), "at the API")), header(&of_entra(id.clone(), "at Grafana"))];
    let record = scene.taken("both of one person of Entra, whose subject is another one at every application", &pair).await;
    assert_eq!((&record["subject"], &record["groups"]), (&json!("at Grafana"), &json!(["analysts"])));
    scene.taken("with the name of the caller", &[header(&id), "X-ClickHouse-User: alice".to_owned()]).await;
}

#[tokio::test]
async fn a_header_is_no_way_around_what_a_provider_is_asked_for() {
    let scene = Scene::start().await;
    let id = scene.id();
    scene.taken("from the header", &[header(&id)]).await;
    scene.refused("the same as Bearer", &[bearer(&id)], 401, "wrong_token_type", "an ID token").await;
    scene.refused("the same as a password", &[basic("", &id.make())], 401, "wrong_token_type", "an ID token").await;
    scene.taken("from the header again", &[header(&id)]).await;
    let access = scene.grafana.token().claim("typ", "Bearer");
    scene.taken("an access token as Bearer", &[bearer(&access)]).await;
    scene.refused("the same in the header", &[header(&access)], 401, "wrong_token_type", "an access token").await;
    scene.taken("the same as Bearer again", &[bearer(&access)]).await;
    let forged = id.clone().signed_by(&Key::fresh("RS256"));
    scene.refused("of a stranger's key", &[header(&forged)], 401, "unknown_key", "no signing key").await;
    scene.refused("of a stranger's key beside a good one", &[header(&forged), bearer(&access)], 401, "unknown_key", "no signing key").await;
    let other = scene.other.token();
    scene.taken("another provider's as Bearer", &[bearer(&other)]).await;
    scene.refused("another provider's in the header", &[header(&other)], 401, "unknown_issuer", "not read for tokens of provider other").await;
}

#[tokio::test]
async fn a_header_and_anything_of_another_person_is_refused() {
    let scene = Scene::start().await;
    let id = header(&scene.id());
    let bob = scene.grafana.token().subject("bob");
    let many = "multiple_credentials";
    scene.refused("another person's Bearer", &[id.clone(), bearer(&bob)], 400, many, "two tokens of two people").await;
    let forged = bob.clone().signed_by(&Key::fresh("RS256"));
    scene.refused("another person's, forged", &[id.clone(), bearer(&forged)], 400, many, "two people").await;
    let of_entra = |token: &Token, oid: &str| token.clone().claim("oid", oid);
    let pair = [header(&of_entra(&scene.id(), "1")), bearer(&of_entra(&bob, "2"))];
    scene.refused("another person of Entra", &pair, 400, many, "two people").await;
    let half = [id.clone(), bearer(&of_entra(&bob, "1"))];
    scene.refused("another person, of whom only one token says more", &half, 400, many, "two people").await;
    let account = "Authorization: Bearer khs_0123456789".to_owned();
    scene.refused("a service account's key", &[id.clone(), account], 400, many, "a service account's key").await;
    scene.refused("two of the header", &[id.clone(), id.clone()], 400, many, "two `x-id-token`").await;
    let password = basic("", &scene.grafana.token().make());
    scene.refused("a password", &[id.clone(), password], 400, many, "exactly one").await;
    let key = format!("X-ClickHouse-Key: {}", scene.grafana.token().make());
    scene.refused("a key", &[id.clone(), key], 400, many, "exactly one").await;
    scene.refused("another name", &[id, "X-ClickHouse-User: bob".to_owned()], 401, "user_mismatch", "names `bob`").await;
}

#[tokio::test]
pub async fn a_header_that_nobody_configured_is_nothing() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let house = Plan::new(&issuer.url, &[&recorder.url]).start().await;
    let (alice, bob) = (issuer.token(), issuer.token().subject("bob"));
    for name in ["X-Id-Token", "X-Grafana-Id", "X-Forwarded-User", "X-Forwarded-Access-Token", "Teleport-Jwt-Assertion", "Cookie"] {
        let line = format!("{name}: {}", bob.make());
        let answer = send(&house, get("/?query=SELECT%201", &[&line])).await;
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (401, Some("no_credentials")), "{name}: {}", answer.text());
        let before = recorder.requests().len();
        let answer = send(&house, get("/?query=SELECT%201", &[&bearer(&alice), &line])).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let heard = recorder.requests_since(before);
        assert_eq!(heard.len(), 1, "{name}");
        assert_eq!(heard[0].header(name), None, "{name} went on");
        assert!(heard[0].parameter("log_comment").unwrap().contains("corp/alice"), "{name}: {heard:?}");
    }
}
