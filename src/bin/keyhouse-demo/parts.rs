//! The processes beside the demo: started, waited for within a time, and ended whatever happens.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout};

use crate::trouble::Trouble;

/// Between two looks at a part.
const LOOK: Duration = Duration::from_millis(50);

/// For a part to end by itself before it is ended.
const GOODBYE: Duration = Duration::from_secs(10);

/// Lines of a log that are told when a part ends too early.
const LAST_LINES: usize = 12;

/// One process of ours.
pub(crate) struct Part {
    name: &'static str,
    /// Its standard input is open as long as the demo lives: a part that reads it ends also when the demo was killed.
    child: Child,
    log: PathBuf,
}

impl Part {
    /// Starts it in a process group of its own, so that Ctrl-C reaches the demo alone, which ends its parts in order.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: PathBuf) -> Result<Self, Trouble> {
        let program = command.get_program().to_string_lossy().into_owned();
        let failed = |error| Trouble::new(format!("{name} does not start: {program} cannot be run")).because(error);
        let said = File::create(&log).map_err(failed)?;
        let child = command.stdin(Stdio::piped()).stdout(said.try_clone().map_err(failed)?).stderr(said).process_group(0).spawn().map_err(failed)?;
        Ok(Self { name, child, log })
    }

    /// What `find` finds in the lines that the part has written, as soon as it does.
    pub(crate) async fn says<T>(&mut self, within: Duration, find: impl Fn(&str) -> Option<T>) -> Result<T, Trouble> {
        let end = Instant::now() + within;
        loop {
            // Asked before reading: what a part said last is read all the same.
            let ended = self.child.try_wait().ok().flatten();
            let text = self.text();
            // A line counts when it is whole.
            if let Some(found) = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).find_map(|line| find(line.trim_end())) {
                return Ok(found);
            }
            if let Some(status) = ended {
                return Err(self.ended_early(status));
            }
            if Instant::now() >= end {
                return Err(Trouble::new(format!("{} is not up after {} s; it said:{}", self.name, within.as_secs(), self.last_lines())));
            }
            sleep(LOOK).await;
        }
    }

    /// How it ends by itself, and all that it has written until then.
    pub(crate) async fn runs(mut self, within: Duration) -> Result<(ExitStatus, String), Trouble> {
        let ended = timeout(within, self.gone()).await;
        let failed = || Trouble::new(format!("{} does not end within {} s; it said:{}", self.name, within.as_secs(), self.last_lines()));
        let status = ended.map_err(|_elapsed| failed())?.map_err(|error| failed().because(error))?;
        Ok((status, self.text()))
    }

    /// Waits until it ends by itself, which no part should.
    pub(crate) async fn ends(&mut self) -> Trouble {
        match self.gone().await {
            Ok(status) => self.ended_early(status),
            Err(error) => Trouble::new(format!("{} cannot be watched", self.name)).because(error),
        }
    }

    /// Ends it with a word first; what does not listen is ended by dropping it.
    pub(crate) async fn stop(mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // One that is gone already needs no word, and its number may be another's.
        let here = matches!(self.child.try_wait(), Ok(None));
        if here && pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok()) {
            drop(timeout(GOODBYE, self.gone()).await);
        }
    }

    async fn gone(&mut self) -> io::Result<ExitStatus> {
        loop {
            match self.child.try_wait()? {
                Some(status) => return Ok(status),
                None => sleep(LOOK).await,
            }
        }
    }

    fn ended_early(&self, status: ExitStatus) -> Trouble {
        Trouble::new(format!("{} ended too early ({status}); it said:{}", self.name, self.last_lines()))
    }

    fn text(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// What it said last, and where the rest is.
    fn last_lines(&self) -> String {
        let text = self.text();
        let skipped = text.lines().count().saturating_sub(LAST_LINES);
        let lines: String = text.lines().skip(skipped).map(|line| format!("\n  {line}")).collect();
        format!("{}\n({})", if lines.is_empty() { " nothing" } else { &lines }, self.log.display())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Either fails only where it has ended already, and then there is nothing to do.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
