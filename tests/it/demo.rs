//! The demo: a step that goes wrong is told, and it stays until it is told to end.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::support::{
    embedded::python,
    program::{Ended, Program},
    until,
};

const STEPS: usize = 10;

fn demo(folder: &TempDir, keyhouse: &Path, more: &[&str]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyhouse-demo"));
    command.arg("--folder").arg(folder.path().join("run")).arg("--keyhouse").arg(keyhouse).arg("--python").arg(python()).args(more);
    Program::start("the demo", command.current_dir(env!("CARGO_MANIFEST_DIR")))
}

async fn once(folder: &TempDir, keyhouse: &Path) -> Ended {
    demo(folder, keyhouse, &["--once"]).run_to_end().await
}

fn keyhouse() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_keyhouse"))
}

#[tokio::test]
async fn the_tour_comes_out_as_it_must() {
    let ended = once(&TempDir::new().unwrap(), &keyhouse()).await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.out.matches("as it must be").count() + ended.out.matches("NOT RUN").count(), STEPS, "{}", ended.out);
    assert!(ended.out.contains("Every step came out as it must."), "{}", ended.out);
}

/// A Keyhouse whose rule denies another table than the demo's.
fn keyhouse_that_errs(folder: &TempDir) -> PathBuf {
    let file = folder.path().join("keyhouse-that-errs");
    let text = format!("#!/bin/sh\nsed -i s/sales.salaries/sales.others/ \"${{3%/*}}\"/policies/*.yaml\nexec {} \"$@\"\n", keyhouse().display());
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

#[tokio::test]
async fn a_step_that_goes_wrong_is_told_and_makes_the_whole_fail() {
    let folder = TempDir::new().unwrap();
    let ended = once(&folder, &keyhouse_that_errs(&folder)).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    // The forbidden table and the subquery; ClickHouse's own grants refuse them, so that nothing else comes of it.
    assert_eq!(ended.out.matches("not as it must be").count(), 2, "{}", ended.out);
    assert!(ended.out.contains("the reason is `` and not `table-denied`"), "{}", ended.out);
    assert!(ended.out.contains("2 steps did not come out as they must."), "{}", ended.out);
}

/// The processes below this one, however deep.
fn below(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children: Vec<u32> = children.split_whitespace().map(|child| child.parse().unwrap()).collect();
    children.iter().flat_map(|child| [vec![*child], below(*child)].concat()).collect()
}

fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn it_stays_until_ctrl_c_and_takes_its_parts_along() {
    let folder = TempDir::new().unwrap();
    let demo = demo(&folder, &keyhouse(), &[]);
    demo.wait_line("Ctrl-C ends it all.").await;
    let parts = below(demo.pid());
    // Keyhouse, what starts ClickHouse, and ClickHouse.
    assert!(parts.len() >= 3 && parts.iter().all(|part| is_alive(*part)), "{parts:?}");
    // The line for curl works as it was printed, in a shell of one's own.
    let log = demo.log();
    let line = |start: &str| log.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start} in {log}"));
    let tried = format!("{}\n{}", line("export TOKEN="), line("curl -sS "));
    let tried = Program::start("curl", Command::new("sh").args(["-c", &tried])).run_to_end().await;
    assert!(tried.status.success() && tried.out.contains("mug\t62\n"), "{tried:?}");
    demo.signal("INT");
    assert!(demo.wait_exit().await.success());
    until("the end of all parts", async || (!parts.iter().any(|part| is_alive(*part))).then_some(())).await;
}
