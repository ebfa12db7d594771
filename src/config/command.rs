//! Secrets that a program prints: a list of words and no shell, a time limit that ends all that it started, and what it printed
//! nowhere but in the secret.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};
use secrecy::zeroize::Zeroizing;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::secret::{LONGEST, Secret};

/// Most commands that run at the same time, so that a config with many does not take the machine.
const AT_ONCE: usize = 16;

/// Most bytes that are kept of standard error, and most characters that are told of its first line.
const HEARD: usize = 1024;
const TOLD: usize = 200;

/// For what was killed to be gone, and how often that is looked at: it cannot refuse, but the system may be slow.
const GONE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);
const LOOKS: usize = 50;

/// A program whose output is a secret. `Debug` prints its name alone: arguments may say more than they should.
#[derive(Clone)]
pub struct Command {
    name: String,
    program: OsString,
    arguments: Vec<String>,
    timeout: Duration,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why there is no secret: what happened, and what to do.
struct Failure {
    happened: String,
    mend: &'static str,
}

impl Failure {
    fn new(happened: impl Into<String>, mend: &'static str) -> Self {
        Self { happened: happened.into(), mend }
    }
}

impl Command {
    /// A program of PATH, or where a `/` is in it a path from `base`; nothing where it has no name.
    pub fn new(written: &[String], timeout: Duration, base: &Path) -> Option<Self> {
        let (name, arguments) = written.split_first().filter(|(name, _)| !name.is_empty())?;
        let program = if name.contains('/') { base.join(name).into_os_string() } else { name.into() };
        Some(Self { name: name.clone(), program, arguments: arguments.to_vec(), timeout })
    }

    /// Runs it, and takes what it prints for the secret. Where this is given up before its end, the program is killed.
    ///
    /// # Errors
    /// A sentence for the operator, with the first line of its standard error and nothing of its standard output.
    pub async fn run(&self) -> Result<Secret, String> {
        let mut heard = Vec::new();
        self.printed(&mut heard).await.map_err(|Failure { happened, mend }| {
            let heard = String::from_utf8_lossy(&heard);
            let line: String = heard.trim_start().lines().next().unwrap_or_default().chars().take(TOLD).flat_map(char::escape_debug).collect();
            let saying = if line.is_empty() { String::new() } else { format!(", saying `{line}`") };
            format!("the command `{}` {happened}{saying}; {mend}", self.name.escape_debug())
        })
    }

    async fn printed(&self, heard: &mut Vec<u8>) -> Result<Secret, Failure> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command
            .spawn()
            .map_err(|error| Failure::new(format!("cannot be run ({error})"), "write a program of PATH, or a path, that this user may run"))?;
        // Dropped before the child is: its number is its own until it is waited for.
        let mut group = Group::of(&child);
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let mut text = Zeroizing::new(vec![0; LONGEST + 1]);
        let ended = timeout(self.timeout, async {
            let (length, ()) = tokio::try_join!(fill(out, &mut text), hear(err, heard))?;
            Ok((length, child.wait().await.map_err(lost)?))
        });
        let ended = ended.await.unwrap_or_else(|_elapsed| {
            let happened = format!("did not end within {} and was killed", humantime::format_duration(self.timeout));
            Err(Failure::new(happened, "run it as Keyhouse's user to see what it waits for, or write a longer timeout"))
        });
        match ended {
            Ok(_) => group.spare(),
            Err(_) => group.end(&mut child).await,
        }
        let (length, status) = ended?;
        if !status.success() {
            return Err(Failure::new(how(status), "run it as Keyhouse's user and mend what it says"));
        }
        let printed = |is: &str| Failure::new(format!("printed a secret that {is}"), "let it print the secret alone, on one line");
        let text = text.get(..length).and_then(|text| std::str::from_utf8(text).ok()).ok_or_else(|| printed("is not UTF-8"))?;
        Secret::of_text(text).map_err(|flaw| printed(flaw.is))
    }
}

/// Runs them beside each other, each under its key; blocks until the last has ended, which is no later than the longest may
/// take, for every sixteen of them.
pub fn run_all(commands: Vec<(String, Command)>) -> BTreeMap<String, Result<Secret, String>> {
    if commands.is_empty() {
        return BTreeMap::new();
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let says = format!("its command cannot be run: the system refuses what every process may do ({error}); mend that and try again");
            return commands.into_iter().map(|(key, _)| (key, Err(says.clone()))).collect();
        }
    };
    runtime.block_on(async {
        let (mut running, mut ended) = (JoinSet::new(), BTreeMap::new());
        for (key, command) in commands {
            if running.len() >= AT_ONCE {
                ended.extend(running.join_next().await.and_then(Result::ok));
            }
            running.spawn(async move {
                let printed = command.run().await;
                (key, printed)
            });
        }
        while let Some(next) = running.join_next().await {
            ended.extend(next.ok());
        }
        ended
    })
}

/// Reads all there is, and no more than a secret may have.
async fn fill(from: Option<impl AsyncRead + Unpin>, to: &mut [u8]) -> Result<usize, Failure> {
    let (Some(mut from), mut filled) = (from, 0) else { return Ok(0) };
    while let Some(room) = to.get_mut(filled..).filter(|room| !room.is_empty()) {
        match from.read(room).await.map_err(lost)? {
            0 => return Ok(filled),
            read => filled += read,
        }
    }
    Err(Failure::new("printed more than 64 KiB and was killed", "let it print the secret alone"))
}

/// Keeps the beginning, and takes the rest so that nobody waits for it to be taken.
async fn hear(from: Option<impl AsyncRead + Unpin>, to: &mut Vec<u8>) -> Result<(), Failure> {
    let Some(mut from) = from else { return Ok(()) };
    (&mut from).take(HEARD as u64).read_to_end(to).await.map_err(lost)?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await.map_err(lost)?;
    Ok(())
}

fn lost(error: io::Error) -> Failure {
    Failure::new(format!("cannot be followed ({error}) and was killed"), "try again, and look at the system's log where that does not help")
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended in no way that is known".to_owned(),
    }
}

/// A program and all that it started, killed where nobody says otherwise.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// What it may have left behind is its own business.
    fn spare(&mut self) {
        self.0 = None;
    }

    fn kill(&mut self) -> Option<Pid> {
        let group = self.0.take()?;
        if let Err(error) = kill_process_group(group, Signal::KILL) {
            tracing::debug!(%error, "a command cannot be killed");
        }
        Some(group)
    }

    /// Kills it, and waits until it is gone.
    async fn end(&mut self, child: &mut Child) {
        let Some(group) = self.kill() else { return };
        if !matches!(timeout(GONE, child.wait()).await, Ok(Ok(_))) {
            tracing::debug!("a command that was killed is not gone yet");
            return;
        }
        // In a container Keyhouse may be the process that inherits what it started.
        for _ in 0..LOOKS {
            match waitpgid(group, WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => sleep(LOOK).await,
                Err(_none_left) => return,
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]
    use std::fs;

    use super::*;

    fn command(words: &[&str], timeout: Duration) -> Command {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Command::new(&words, timeout, Path::new("")).unwrap()
    }

    async fn shell(script: &str) -> Result<Secret, String> {
        command(&["sh", "-c", script], Duration::from_secs(60)).run().await
    }

    /// Waits until this process is no more than an entry that its parent has yet to take.
    async fn gone(pid: &str) {
        let runs = || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z "));
        for _ in 0..500 {
            if !runs() {
                return;
            }
            sleep(LOOK).await;
        }
        assert!(!runs(), "{pid} runs still");
    }

    /// What a script has written there, as soon as it has.
    async fn written(file: &Path) -> String {
        for _ in 0..500 {
            if let Some(text) = fs::read_to_string(file).ok().filter(|text| text.ends_with('\n')) {
                return text;
            }
            sleep(LOOK).await;
        }
        String::new()
    }

    #[tokio::test]
    async fn what_it_prints_is_the_secret() {
        assert_eq!(shell("echo hunter2; echo warned >&2").await.unwrap().expose(), "hunter2");
        assert_eq!(shell("printf 'hunter2\\r\\n'").await.unwrap().expose(), "hunter2");
        let longest = shell("head -c 65536 /dev/zero | tr '\\0' a").await.unwrap();
        assert_eq!(longest.expose().len(), LONGEST);
        assert!(longest.is(&longest.clone()) && !longest.is(&shell("echo a").await.unwrap()));
        let no_shell = command(&["printf", "%s", "$HOME; `id`"], Duration::from_secs(60)).run().await.unwrap();
        assert_eq!(no_shell.expose(), "$HOME; `id`");
    }

    #[tokio::test]
    async fn a_program_is_one_of_path_or_a_path_from_the_config() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/bin/echo", folder.path().join("tell")).unwrap();
        let words = ["./tell".to_owned(), "hunter2".to_owned()];
        let command = Command::new(&words, Duration::from_secs(60), folder.path()).unwrap();
        assert_eq!(command.run().await.unwrap().expose(), "hunter2");
        assert!(!format!("{command:?}").contains("hunter2"), "{command:?}");
        assert!(Command::new(&[], LOOK, folder.path()).is_none() && Command::new(&[String::new()], LOOK, folder.path()).is_none());
    }

    #[tokio::test]
    async fn a_failure_is_told_by_program_code_and_first_line_of_standard_error() {
        let said = shell("echo hunter2; printf 'sealed\\033[31m\\nsecond\\n' >&2; exit 3").await.unwrap_err();
        assert!(said.starts_with("the command `sh` ended with exit code 3, saying `sealed\\u{1b}[31m`; "), "{said}");
        assert!(!said.contains("hunter2") && !said.contains("second"), "{said}");
        let said = shell("head -c 300000 /dev/zero | tr '\\0' e >&2; exit 1").await.unwrap_err();
        assert_eq!(
            said.matches('e').count(),
            TOLD + "the command ended with exit code; run it as Keyhouse's user and mend what it says".matches('e').count()
        );
        for (script, says) in [
            ("kill -9 $$", "was ended by signal 9"),
            ("echo no >&2", "printed a secret that is empty, saying `no`"),
            ("cat", "printed a secret that is empty"),
            ("echo hunter2; echo hunter3", "printed a secret that holds a line break"),
            ("printf 'hunter2\\377'", "printed a secret that is not UTF-8"),
            ("printf hunter2; head -c 65536 /dev/zero | tr '\\0' a", "printed more than 64 KiB"),
            ("trap '' PIPE; while :; do echo hunter2; done 2>/dev/null", "printed more than 64 KiB"),
        ] {
            let said = shell(script).await.unwrap_err();
            assert!(said.contains(says) && !said.contains("hunter"), "{script}: {said}");
        }
        for program in ["no-such-program-anywhere", "/dev/null", "./nowhere"] {
            let said = command(&[program, "hunter2"], Duration::from_secs(60)).run().await.unwrap_err();
            assert!(said.starts_with(&format!("the command `{program}` cannot be run (")) && !said.contains("hunter"), "{said}");
        }
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pids");
        let note = format!("trap '' TERM; sleep 600 & echo $$ $! > {}; echo waits >&2;", file.display());
        for rest in ["wait", "exit 0", "exec >/dev/null 2>&1; wait"] {
            let script = format!("{note} {rest}");
            let said = command(&["sh", "-c", &script], Duration::from_millis(500)).run().await.unwrap_err();
            assert!(said.contains("did not end within 500ms and was killed, saying `waits`"), "{rest}: {said}");
            let pids = written(&file).await;
            let (itself, started) = pids.split_once(' ').unwrap();
            assert!(!fs::exists(format!("/proc/{itself}")).unwrap(), "{rest}: reaped");
            gone(started).await;
        }
    }

    #[tokio::test]
    async fn one_that_is_given_up_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pids");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let running = tokio::spawn(async move { shell(&script).await.map(|_| ()) });
        let started = written(&file).await;
        running.abort();
        gone(&started).await;
    }

    #[test]
    fn many_run_beside_each_other() {
        let commands =
            (0..40).map(|number| (number.to_string(), command(&["sh", "-c", &format!("sleep 0.2; echo {number}")], Duration::from_secs(60))));
        let ended = run_all(commands.collect());
        assert_eq!(ended.len(), 40);
        assert!(ended.iter().all(|(key, secret)| secret.as_ref().unwrap().expose() == key));
    }
}
