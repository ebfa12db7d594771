//! A program beside the test: its lines are kept, and it never outlives the test.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use tokio::sync::watch;

use super::{soon, until};

pub struct Program {
    name: &'static str,
    child: Mutex<Child>,
    said: watch::Receiver<Said>,
    ears: Vec<JoinHandle<()>>,
}

/// The name of the program under test, which never panics.
pub const KEYHOUSE: &str = "keyhouse";

#[derive(Default)]
struct Said {
    lines: Vec<(Stream, String)>,
    /// Streams that can still say something.
    open: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// A program that was run to its end.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Program {
    pub fn start(name: &'static str, command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let said = Arc::new(watch::Sender::new(Said { lines: Vec::new(), open: 2 }));
        let ears = vec![
            listen(Stream::Out, child.stdout.take().unwrap(), Arc::clone(&said)),
            listen(Stream::Err, child.stderr.take().unwrap(), Arc::clone(&said)),
        ];
        Self { name, said: said.subscribe(), child: Mutex::new(child), ears }
    }

    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Everything it said until now, on both streams.
    pub fn log(&self) -> String {
        self.said.borrow().lines.iter().map(|(_, line)| format!("{line}\n")).collect()
    }

    /// What it said on one of them.
    pub fn said_on(&self, stream: Stream) -> String {
        let said = self.said.borrow();
        let lines = said.lines.iter().filter(|(of, _)| *of == stream);
        lines.map(|(_, line)| format!("{line}\n")).collect()
    }

    /// The first so many lines that contain this; a program that ends before is a failed test.
    pub async fn wait_lines(&self, count: usize, text: &str) -> Vec<String> {
        let with_text = |said: &Said| -> Vec<String> {
            let lines = said.lines.iter().map(|(_, line)| line);
            lines.filter(|line| line.contains(text)).take(count).cloned().collect()
        };
        let mut said = self.said.clone();
        let what = format!("{count} lines with {text:?} from {}", self.name);
        let seen = said.wait_for(|said| said.open == 0 || with_text(said).len() == count);
        let lines = with_text(&soon(&what, seen).await.unwrap());
        assert!(lines.len() == count, "{} ended before it said {text:?}", self.name);
        lines
    }

    pub async fn wait_line(&self, text: &str) -> String {
        self.wait_lines(1, text).await.remove(0)
    }

    /// `TERM`, `HUP` and so on, to this process alone.
    pub fn signal(&self, name: &str) {
        // The shell's own: a small Debian has no other.
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid())]).status();
        assert!(status.unwrap().success(), "{} takes no {name}", self.name);
    }

    /// Waits until it has ended and all it said was read.
    pub async fn wait_exit(&self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        let status = until(&what, async || self.child.lock().unwrap().try_wait().unwrap()).await;
        soon(&what, self.said.clone().wait_for(|said| said.open == 0)).await.unwrap();
        status
    }

    pub async fn run_to_end(self) -> Ended {
        let status = self.wait_exit().await;
        Ended { status, out: self.said_on(Stream::Out), err: self.said_on(Stream::Err) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        // It may have ended already; either way it is gone and its number is free again.
        let _ = child.kill();
        let _ = child.wait();
        if thread::panicking() {
            eprintln!("--- {} said:\n{}---", self.name, self.log());
        } else if self.name == KEYHOUSE {
            // It starts nobody who could hold its streams open, so that all it said is read in no time.
            self.ears.drain(..).for_each(|ear| ear.join().unwrap());
            let log = self.log();
            assert!(!log.contains("panicked at"), "{} panicked:\n{log}", self.name);
        }
    }
}

fn listen(of: Stream, stream: impl Read + Send + 'static, said: Arc<watch::Sender<Said>>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            said.send_modify(|said| said.lines.push((of, line)));
        }
        said.send_modify(|said| said.open -= 1);
    })
}
