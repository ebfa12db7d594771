//! The lines to try: one for curl and one for clickhouse-connect. Each reads the token from the environment.

use std::path::{Path, PathBuf};

const STATEMENT: &str = "SELECT product, sum(quantity) AS sold FROM sales.orders GROUP BY product ORDER BY sold DESC";

/// What the lines name.
pub(crate) struct Lines {
    pub(crate) ca_file: PathBuf,
    pub(crate) python: PathBuf,
    pub(crate) keyhouse: String,
}

impl Lines {
    pub(crate) fn token(token: &str) -> String {
        format!("export TOKEN={token}")
    }

    pub(crate) fn curl(&self) -> String {
        let ca_file = self.ca_file.display();
        format!("curl -sS --cacert \"{ca_file}\" {} -H \"Authorization: Bearer $TOKEN\" -d '{STATEMENT}'", self.keyhouse)
    }

    pub(crate) fn python(&self) -> String {
        format!("\"{}\" -c '{}'", absolute(&self.python).display(), self.program())
    }

    /// What Python is to run; it stands between single quotes, so it has none.
    fn program(&self) -> String {
        let (ca_file, port) = (self.ca_file.display(), self.keyhouse.rsplit(':').next().unwrap_or_default());
        format!(
            "import os, clickhouse_connect; client = clickhouse_connect.get_client(host=\"localhost\", port={port}, secure=True, \
             ca_cert=\"{ca_file}\", access_token=os.environ[\"TOKEN\"]); print(client.query(\"{STATEMENT}\").result_rows)"
        )
    }
}

/// Without following links: a venv's Python is one, and knows its venv by where the link stands.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_error| path.to_owned())
}
