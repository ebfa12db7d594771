//! Which web pages may ask from a browser: those of the config, and what they hear of it comes from Keyhouse alone.

use crate::support::{
    client::{Answer, post, send},
    scene::Scene,
    script::Script,
};

const PAGE: &str = "https://app.example.com";

async fn scene(cors: &str) -> Scene {
    let answer = Script::answer(200, &[("Access-Control-Allow-Origin", "*"), ("Content-Type", "text/x")], "1\n");
    Scene::start(answer, |plan| if cors.is_empty() { plan } else { plan.section("cors", cors) }).await
}

async fn before(scene: &Scene, path: &str, origin: &str) -> Answer {
    let request = format!(
        "OPTIONS {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: authorization\r\nConnection: close\r\n\r\n"
    );
    send(&scene.house, request).await
}

async fn asks(scene: &Scene, token: &str, origin: &str) -> Answer {
    send(&scene.house, post("/", token, "SELECT 1").replacen("\r\n", &format!("\r\nOrigin: {origin}\r\n"), 1)).await
}

const ALLOWED: &str = "access-control-allow-origin";

#[tokio::test]
async fn pages_of_the_config_may_ask_and_read_what_clients_read() {
    let scene = scene("{allowed_origins: [\"https://app.example.com\", \"http://localhost:3000\"], max_age: 5m}").await;
    for (path, origin) in [("/?query=SELECT%201&user=default", PAGE), ("/ping", PAGE), ("/", "http://localhost:3000")] {
        let answer = before(&scene, path, origin).await;
        assert_eq!((answer.status, answer.header(ALLOWED), answer.header("access-control-max-age")), (204, Some(origin), Some("300")), "{path}");
        assert!(answer.header("access-control-allow-headers").unwrap().contains("authorization"), "{path}");
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET, HEAD, POST"));
        assert_eq!(scene.record_of(&answer).await["outcome"], "answered");
    }
    assert!(scene.recorder.requests().is_empty(), "nothing of it is asked");
    let answer = asks(&scene, &scene.alice, PAGE).await;
    assert_eq!((answer.status, answer.header(ALLOWED), answer.header("vary")), (200, Some(PAGE), Some("origin")));
    assert!(answer.header("access-control-expose-headers").unwrap().contains("x-clickhouse-exception-code"));
    assert_eq!(scene.recorder.requests()[0].header("origin"), None);
    // A page has to be able to read why it was refused.
    let refused = asks(&scene, "nonsense", PAGE).await;
    assert_eq!((refused.status, refused.header(ALLOWED)), (401, Some(PAGE)));
}

#[tokio::test]
async fn other_pages_hear_nothing() {
    let scene = scene("{allowed_origins: [\"https://app.example.com\"]}").await;
    for origin in ["https://evil.example", "https://app.example.com.evil.example", "https://app.example.com:8443", "http://app.example.com", "null"] {
        let answer = before(&scene, "/", origin).await;
        assert_eq!(answer.header(ALLOWED), None, "{origin}");
        scene.refused(&answer, 403, "origin-not-allowed").await;
        let answer = asks(&scene, &scene.alice, origin).await;
        assert_eq!((answer.status, answer.header(ALLOWED)), (200, None), "{origin}");
    }
    // Nor by what ClickHouse would be asked to say.
    let request = post("/?add_http_cors_header=1", &scene.alice, "SELECT 1").replacen("\r\n", "\r\nOrigin: https://evil.example\r\n", 1);
    let answer = send(&scene.house, request).await;
    assert_eq!((answer.header(ALLOWED), answer.header("x-keyhouse-ignored")), (None, Some("add_http_cors_header")));
    assert_eq!(scene.recorder.requests().pop().unwrap().parameter("add_http_cors_header"), None);
    let twice = asks(&scene, &scene.alice, &format!("{PAGE}\r\nOrigin: https://evil.example")).await;
    assert_eq!(twice.header(ALLOWED), None);
}

#[tokio::test]
async fn without_a_policy_there_is_none_and_any_page_is_said_by_a_star() {
    let closed = scene("").await;
    let answer = before(&closed, "/", PAGE).await;
    closed.refused(&answer, 403, "origin-not-allowed").await;
    assert_eq!(asks(&closed, &closed.alice, PAGE).await.header(ALLOWED), None);
    let open = scene("{allowed_origins: [\"*\"]}").await;
    assert_eq!(before(&open, "/", PAGE).await.header(ALLOWED), Some("*"));
    assert_eq!(asks(&open, &open.alice, PAGE).await.header(ALLOWED), Some("*"));
}
