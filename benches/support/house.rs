//! What benches are prepared from: one provider, one user of ClickHouse, and rules.

use std::fs;

use keyhouse::start::{self, Prepared};

const CONFIG: &str = "
listen: [{address: 127.0.0.1:0}]
identity_providers:
  corp: {issuer: 'https://login.example.com', audiences: [clickhouse]}
clickhouse:
  clusters: {main: {nodes: ['http://127.0.0.1:8123']}}
  users: {analyst: {cluster: main, user: analyst, password: {file: password}}}
policies: policies/
";

/// A house with this policy file.
pub(crate) fn prepare(rules: &str) -> Prepared {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("policies")).unwrap();
    fs::write(folder.path().join("password"), "secret").unwrap();
    fs::write(folder.path().join("keyhouse.yaml"), CONFIG).unwrap();
    fs::write(folder.path().join("policies/rules.yaml"), rules).unwrap();
    start::prepare(&folder.path().join("keyhouse.yaml")).unwrap_or_else(|problems| panic!("{problems}"))
}
