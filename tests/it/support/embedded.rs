//! The ClickHouse of today: 26.9's own engine and HTTP handler, run by Python from `deploy/embedded-clickhouse`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    client::{Answer, send_plain},
    program::Program,
};

pub struct Embedded {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    program: Program,
}

/// Users of its `users.xml`.
pub const OWNER: (&str, &str) = ("owner", "owner-pw-3");
pub const READER: (&str, &str) = ("kh_analyst", "analyst-pw-1");
pub const LOADER: (&str, &str) = ("kh_writer", "writer-pw-2");

/// The Python that has what the tests need.
pub fn python() -> PathBuf {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    assert!(python.exists(), "there is no .venv; deploy/check makes it");
    python
}

impl Embedded {
    /// With its sample data.
    pub async fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/embedded-clickhouse");
        let mut command = Command::new(python());
        command.current_dir(folder).args(["embedded_clickhouse.py", "--users", "users.xml", "--init", "sample.sql"]);
        let program = Program::start("embedded ClickHouse", &mut command);
        let ready = program.wait_line("ready http://").await;
        Self { url: ready.trim_start_matches("ready ").to_owned(), program }
    }

    /// What it answers itself.
    pub async fn ask(&self, (user, password): (&str, &str), sql: &str) -> Answer {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nX-ClickHouse-User: {user}\r\nX-ClickHouse-Key: {password}\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{sql}",
            sql.len()
        );
        send_plain(self.url.trim_start_matches("http://").parse().unwrap(), request).await
    }

    /// The same where a failure is the test's.
    pub async fn run(&self, sql: &str) -> String {
        let answer = self.ask(OWNER, sql).await;
        assert_eq!(answer.status, 200, "{sql}: {}\n{}", answer.text(), self.program.log());
        answer.text()
    }
}
