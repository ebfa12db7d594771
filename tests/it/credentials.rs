//! Credentials of ClickHouse that a command prints: another one is in force with the next request, and one that cannot be had
//! changes nothing.

use std::{fs, path::Path};

use serde_json::json;

use crate::support::{
    client::{Caller, post},
    house::{House, Plan},
    issuer::Issuer,
    recorder::Recorder,
    script::Script,
    until,
};

/// A house whose analysts' password is what a command prints, with one caller's connection that stays open.
struct Scene {
    house: House,
    recorder: Recorder,
    issuer: Issuer,
    caller: Caller,
    answers: usize,
}

impl Scene {
    /// The command finds `secret`, a file that the config does not name, in the folder it runs in.
    async fn start(password: &str) -> Self {
        let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
        let plan = Plan::new(&issuer.url, &[&recorder.url]).edit("{file: analyst.password}", password).section("reload_on_change", "false");
        let house = plan.file("secret", "the-first-secret\n").log("trace").start().await;
        let caller = Caller::plain(house.http()).await;
        Self { house, recorder, issuer, caller, answers: 0 }
    }

    fn tells(&self, secret: &str) {
        fs::write(self.house.folder.path().join("new"), format!("{secret}\n")).unwrap();
        fs::rename(self.house.folder.path().join("new"), self.house.folder.path().join("secret")).unwrap();
    }

    /// What ClickHouse is sent for the next statement on the same connection.
    async fn sent(&mut self) -> String {
        self.caller.send(post("/", &self.issuer.token().make(), "SELECT 1")).await;
        assert_eq!(self.caller.answer().await.status, 200);
        self.answers += 1;
        let heard = self.recorder.wait_requests(self.answers).await.pop().unwrap();
        heard.header("x-clickhouse-key").unwrap().to_owned()
    }

    async fn counted(&self, result: &str) -> u64 {
        let metrics = self.house.admin_get("/metrics").await.text();
        let name = format!("keyhouse_secret_refreshes_total{{result=\"{result}\",secret=\"clickhouse.users.analyst.password\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
    }

    fn tells_no_secret(&self) {
        for (what, text) in [("log", self.house.program.log()), ("record", json!(self.house.records()).to_string())] {
            assert!(!text.contains("-secret"), "the {what} tells it:\n{text}");
        }
    }
}

#[tokio::test]
async fn another_secret_of_a_command_is_in_force_with_the_next_request() {
    let mut scene = Scene::start("{command: [cat, secret], refresh: 100ms}").await;
    assert_eq!(scene.sent().await, "the-first-secret");
    until("runs of the command", async || (scene.counted("ok").await > 2).then_some(())).await;
    assert!(!scene.house.program.log().contains("reloaded: "), "the same secret is no reason to reload");
    scene.tells("another-secret");
    scene.house.program.wait_line("reloaded: ").await;
    assert_eq!(scene.sent().await, "another-secret");
    // The config that runs now is asked for, too.
    scene.tells("a-third-secret");
    scene.house.program.wait_lines(2, "reloaded: ").await;
    assert_eq!(scene.sent().await, "a-third-secret");
    assert_eq!(scene.counted("failed").await, 0);
    scene.house.wait_records(3).await;
    scene.tells_no_secret();
}

#[tokio::test]
async fn a_command_that_fails_leaves_the_secret_that_was_good() {
    let mut scene = Scene::start("{command: [sh, -c, 'cat secret; test ! -e sealed || { echo it is sealed >&2; exit 2; }'], refresh: 100ms}").await;
    assert_eq!(scene.sent().await, "the-first-secret");
    let folder = scene.house.folder.path().to_owned();
    fs::write(folder.join("sealed"), "").unwrap();
    scene.tells("another-secret");
    until("failures that are counted", async || (scene.counted("failed").await > 1).then_some(())).await;
    let told = "clickhouse.users.analyst.password: the command `sh` ended with exit code 2, saying `it is sealed`;";
    assert!(scene.house.program.wait_line(told).await.contains("the secret that was good serves on"));
    assert_eq!(scene.sent().await, "the-first-secret");
    assert!(scene.house.admin_get("/metrics").await.text().contains("keyhouse_config_last_reload_successful 1"));
    // A reload needs it, and is none without.
    scene.house.program.signal("HUP");
    scene.house.program.wait_line("nothing was reloaded").await;
    assert_eq!(scene.sent().await, "the-first-secret");
    fs::remove_file(folder.join("sealed")).unwrap();
    scene.house.program.wait_line("reloaded: ").await;
    assert_eq!(scene.sent().await, "another-secret");
    scene.house.wait_records(4).await;
    scene.tells_no_secret();
}

#[tokio::test]
async fn without_refresh_a_command_runs_at_reloads_alone() {
    let mut scene = Scene::start("{command: [cat, secret]}").await;
    scene.tells("another-secret");
    assert_eq!(scene.sent().await, "the-first-secret");
    scene.house.program.signal("HUP");
    scene.house.program.wait_line("reloaded: ").await;
    assert_eq!(scene.sent().await, "another-secret");
    assert!(!scene.house.admin_get("/metrics").await.text().contains("secret_refreshes_total"));
    scene.tells_no_secret();
}

#[tokio::test]
async fn a_command_does_not_outlive_the_house() {
    let script = "test ! -e hang || { echo $$ > pid; sleep 600; }; cat secret";
    let scene = Scene::start(&format!("{{command: [sh, -c, '{script}'], refresh: 50ms, timeout: 1m}}")).await;
    let folder = scene.house.folder.path();
    fs::write(folder.join("hang"), "").unwrap();
    let pid = async || fs::read_to_string(folder.join("pid")).ok().filter(|text| text.ends_with('\n'));
    let pid = until("a command that hangs", pid).await;
    assert!(scene.house.stop().await.success());
    // Whoever inherits it may not have taken note of its end.
    let stat = format!("/proc/{}/stat", pid.trim());
    until("its end", async || fs::read_to_string(Path::new(&stat)).map_or(true, |stat| stat.contains(") Z ")).then_some(())).await;
}
