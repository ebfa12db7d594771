//! Where lines go: a thread of their own writes them, so that a slow disk holds up no request that does not ask for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::entry::{Entry, Outcome};
use super::metrics::Metrics;
use crate::config::{OnFailure, RecordTarget};
use crate::refusal::{Reason, Refusal};

/// Most lines that wait for the writer.
const WAITING: usize = 4096;

/// What the writer keeps of the room that many lines at once took, in bytes.
const LARGEST_BUFFER: usize = 1024 * 1024;

/// How long an answer waits for its line.
const PATIENCE: Duration = Duration::from_secs(5);

/// A record that was not written.
#[derive(Debug, thiserror::Error)]
#[error("the record of this request cannot be written")]
pub struct Lost;

/// How long the writer lets lines come together, where nobody waits for one: a busy gate writes a hundred at once.
const TOGETHER: Duration = Duration::from_millis(10);

/// A record that is closed, and whoever waits for its line.
struct Line(Box<Entry>, Option<oneshot::Sender<bool>>);

/// What waits for the writer.
#[derive(Default)]
struct Waiting {
    lines: Vec<Line>,
    /// Somebody waits for a line, or nothing comes any more: no time to let more come.
    hurry: bool,
    over: bool,
}

/// The way of lines to the writer.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was room for the line.
    fn push(&self, line: Line) -> bool {
        let mut waiting = self.lock();
        if waiting.lines.len() >= WAITING {
            return false;
        }
        let hurry = line.1.is_some();
        let wakes = waiting.lines.is_empty() || (hurry && !waiting.hurry);
        waiting.hurry |= hurry;
        waiting.lines.push(line);
        drop(waiting);
        if wakes {
            self.came.notify_one();
        }
        true
    }

    fn end(&self) {
        let mut waiting = self.lock();
        (waiting.hurry, waiting.over) = (true, true);
        drop(waiting);
        self.came.notify_one();
    }

    /// Everything that came, in exchange for this empty list; nothing where nothing comes any more.
    fn take(&self, lines: &mut Vec<Line>) -> bool {
        let waiting = self.lock();
        let waiting = self.came.wait_while(waiting, |waiting| waiting.lines.is_empty() && !waiting.over).unwrap_or_else(PoisonError::into_inner);
        let waited = self.came.wait_timeout_while(waiting, TOGETHER, |waiting| !waiting.hurry).unwrap_or_else(PoisonError::into_inner);
        let mut waiting = waited.0;
        waiting.hurry = waiting.over;
        std::mem::swap(&mut waiting.lines, lines);
        !lines.is_empty()
    }
}

/// Where lines go. Dropped, it waits until what it was handed is written: the records of answers that are cut off at
/// the very end come when nobody can flush any more.
pub struct Audit {
    queue: Arc<Queue>,
    /// Closed by the writer when it has ended.
    ended: Mutex<Receiver<()>>,
    on_failure: OnFailure,
    writable: Arc<AtomicBool>,
    /// Keyhouse stops: what ends now was ended by it.
    stopping: AtomicBool,
    metrics: Arc<Metrics>,
}

impl Audit {
    /// Opens the target.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub fn open(target: &RecordTarget, on_failure: OnFailure, metrics: Arc<Metrics>) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match target {
            RecordTarget::Stdout => Box::new(io::stdout()),
            RecordTarget::File(file) => Box::new(append_to(file)?),
        };
        let queue = Arc::new(Queue::default());
        let writable = Arc::new(AtomicBool::new(true));
        let writer = Writer { out, queue: Arc::clone(&queue), writable: Arc::clone(&writable), metrics: Arc::clone(&metrics), torn: false };
        let (ending, ended) = channel();
        std::thread::Builder::new().name("record".to_owned()).spawn(move || {
            writer.run();
            drop(ending);
        })?;
        Ok(Self { queue, ended: Mutex::new(ended), on_failure, writable, stopping: AtomicBool::new(false), metrics })
    }

    /// Whether a new request may be taken on: with `on_failure: refuse` only while lines can be written. The line of
    /// the refusal itself is the try that ends the refusing.
    ///
    /// # Errors
    /// 503 `record-unavailable`.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.on_failure == OnFailure::Count || self.writable.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::RecordUnavailable,
            "Requests are refused while their record cannot be written. Tell those who run Keyhouse; try again shortly.",
        )
        .retry_after(PATIENCE))
    }

    /// From now on, what is dropped before its end is cut off by Keyhouse and not left by its caller.
    pub fn cuts_off(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// How a request ended that was dropped.
    pub(super) fn outcome_of_dropped(&self) -> Outcome {
        if self.stopping.load(Ordering::Relaxed) { Outcome::CutOff } else { Outcome::CallerLeft }
    }

    /// Hands over a record for its line. With `on_failure: refuse` there is something to wait for.
    pub(super) fn write(&self, entry: Box<Entry>) -> Option<Ack> {
        let (ack, written) = match self.on_failure {
            OnFailure::Refuse => {
                let (ack, written) = oneshot::channel();
                (Some(ack), Some(Ack::new(written)))
            }
            OnFailure::Count => (None, None),
        };
        if !self.queue.push(Line(entry, ack)) {
            // The acknowledgement was dropped with the line, which its receiver takes for a no.
            self.metrics.records_lost.inc();
        }
        written
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.queue.end();
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the last records could not be written in time");
        }
    }
}

/// The promise of a written line.
pub(super) struct Ack {
    written: oneshot::Receiver<bool>,
    patience: std::pin::Pin<Box<tokio::time::Sleep>>,
}

impl Ack {
    fn new(written: oneshot::Receiver<bool>) -> Self {
        Self { written, patience: Box::pin(tokio::time::sleep(PATIENCE)) }
    }

    /// Whether the line was written; no answer in time is a no.
    pub(super) fn poll(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<bool> {
        use std::future::Future;
        use std::pin::Pin;
        use std::task::Poll;
        if let Poll::Ready(written) = Pin::new(&mut self.written).poll(context) {
            return Poll::Ready(written.unwrap_or(false));
        }
        self.patience.as_mut().poll(context).map(|()| false)
    }
}

fn append_to(file: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(file)
}

struct Writer {
    out: Box<dyn Write + Send>,
    queue: Arc<Queue>,
    writable: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    /// The last line may stand there half: the next one begins on a line of its own.
    torn: bool,
}

impl Writer {
    fn run(mut self) {
        let (mut lines, mut text, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        while self.queue.take(&mut lines) {
            for Line(entry, _) in &mut lines {
                entry.write_line(&mut text);
                ends.push(text.len());
            }
            let written = self.write(&text);
            for (Line(_, ack), end) in lines.drain(..).zip(ends.drain(..)) {
                let whole = end <= written;
                if !whole {
                    self.metrics.records_lost.inc();
                }
                if let Some(ack) = ack {
                    // Whoever waited may have left.
                    ack.send(whole).unwrap_or_default();
                }
            }
            text.clear();
            text.shrink_to(LARGEST_BUFFER);
        }
    }

    /// How much of it was written.
    fn write(&mut self, text: &[u8]) -> usize {
        let mut left = text;
        let tried = self.mend().and_then(|()| {
            while !left.is_empty() {
                match self.out.write(left) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => left = left.get(written..).unwrap_or_default(),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.out.flush()
        });
        self.tell(tried.is_ok(), tried.err().as_ref());
        let written = text.len() - left.len();
        self.torn |= written > 0 && !text.get(..written).is_some_and(|written| written.ends_with(b"\n"));
        written
    }

    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.out.write_all(b"\n")?;
            self.torn = false;
        }
        Ok(())
    }

    /// Says once that it went wrong, and once that it is well again.
    fn tell(&self, writable: bool, error: Option<&io::Error>) {
        if self.writable.swap(writable, Ordering::Relaxed) == writable {
            return;
        }
        match error {
            Some(error) => tracing::error!(%error, "records cannot be written"),
            None => tracing::info!("records can be written again"),
        }
    }
}
