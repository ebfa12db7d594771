//! The ClickHouse of today: 26.9's own engine and HTTP handler, run by Python from `deploy/embedded-clickhouse`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{
    clickhouse::{ANALYST, User},
    client::Answer,
    program::Program,
};

pub struct Embedded {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    program: Program,
    /// Held for its drop.
    _folder: TempDir,
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
        Self::with(&read("deploy/embedded-clickhouse/users.xml"), &read("deploy/embedded-clickhouse/sample.sql")).await
    }

    /// With the user and the data of the demo; the user is the tests' analyst.
    pub async fn of_the_demo() -> Self {
        let users = read("deploy/demo-files/clickhouse-users.xml").replace("@password@", ANALYST.password);
        Self::with(&users, &read("deploy/demo-files/sales.sql")).await
    }

    /// With these users, and what these statements make.
    pub async fn with(users: &str, statements: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("users.xml"), users).unwrap();
        fs::write(folder.path().join("init.sql"), statements).unwrap();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/embedded-clickhouse/embedded_clickhouse.py");
        let mut command = Command::new(python());
        command.current_dir(&folder).arg(program).args(["--users", "users.xml", "--init", "init.sql"]);
        let program = Program::start("embedded ClickHouse", &mut command);
        let ready = program.wait_line("ready http://").await;
        Self { url: ready.trim_start_matches("ready ").to_owned(), program, _folder: folder }
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

/// A file of the project.
pub fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}
