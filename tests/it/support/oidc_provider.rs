//! A certified OpenID provider of the world outside, run by node.

use std::{path::Path, process::Command};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::{
    client::{Answer, get, send_plain},
    node,
    program::Program,
};

pub struct OidcProvider {
    pub url: String,
    /// Held for its drop: it ends the provider, and shows what it said when the test failed.
    _program: Program,
}

impl OidcProvider {
    pub async fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/idp");
        assert!(folder.join("node_modules").is_dir(), "run `npm ci` in tests/idp first (deploy/check does)");
        let program = Program::start("oidc-provider", Command::new(node()).arg("idp.mjs").current_dir(folder).env("PORT", "0"));
        let ready = program.wait_line("ready http://").await;
        Self { url: ready.trim_start_matches("ready ").to_owned(), _program: program }
    }

    /// An access token of the client `ci`, in the group analysts, signed with `RS256`, `ES256` or `EdDSA`.
    pub async fn token(&self, alg: &str) -> String {
        let form = format!("grant_type=client_credentials&resource=urn:clickhouse:{alg}");
        let request = format!(
            "POST /token HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            BASE64_STANDARD.encode("ci:secret"),
            form.len(),
        );
        let answer = self.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// New keys sign from now on; the old ones stay published.
    pub async fn rotate(&self) {
        self.test("rotate").await;
    }

    /// New keys, and the old ones are gone.
    pub async fn rotate_and_drop(&self) {
        self.test("rotate?drop=1").await;
    }

    /// From now on its key set fails with this status (0: not at all) after so many milliseconds.
    pub async fn key_set_fails(&self, status: u16, delay: u64) {
        self.test(&format!("jwks?fail={status}&delay={delay}")).await;
    }

    /// From now on this stands where its key set should: `html`, `empty`, `huge`, or a `redirect` to the address; nothing is the
    /// truth again.
    pub async fn key_set_is(&self, lie: &str, to: &str) {
        self.test(&format!("jwks?as={lie}&to={to}")).await;
    }

    /// The same for its discovery, which can also name another `issuer`, or `keys_elsewhere`.
    pub async fn discovery_is(&self, lie: &str, to: &str) {
        self.test(&format!("discovery?as={lie}&to={to}")).await;
    }

    /// From now on its discovery fails with this status (0: not at all).
    pub async fn discovery_fails(&self, status: u16) {
        self.test(&format!("discovery?fail={status}")).await;
    }

    /// How often `discovery`, `jwks` and `token` were asked for.
    pub async fn hits(&self) -> Value {
        self.test("hits").await
    }

    async fn test(&self, what: &str) -> Value {
        self.send(get(&format!("/_test/{what}"), &["Connection: close"])).await.json()
    }

    async fn send(&self, request: String) -> Answer {
        send_plain(self.url.trim_start_matches("http://").parse().unwrap(), request).await
    }
}
