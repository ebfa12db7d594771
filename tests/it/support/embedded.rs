//! The ClickHouse of today: 26.9's own engine and HTTP handler, run by Python from `deploy/embedded-clickhouse`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{clickhouse::User, client::Answer, program::Program};

pub struct Embedded {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    program: Program,
}

/// Who may do everything there; its other users are those of the old server's tests.
pub const OWNER: User = User { name: "owner", password: "owner-pw-3" };

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
    pub async fn ask(&self, user: User, sql: &str) -> Answer {
        user.asks(self.url.trim_start_matches("http://").parse().unwrap(), sql).await
    }

    /// The same where a failure is the test's.
    pub async fn run(&self, sql: &str) -> String {
        let answer = self.ask(OWNER, sql).await;
        assert_eq!(answer.status, 200, "{sql}: {}\n{}", answer.text(), self.program.log());
        answer.text()
    }
}
