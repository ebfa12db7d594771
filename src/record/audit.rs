//! Where lines go: a thread of their own writes them, so that a slow disk holds up no request that does not ask for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::entry::Outcome;
use super::metrics::Metrics;
use crate::config::{OnFailure, RecordTarget};
use crate::refusal::{Reason, Refusal};

/// Most lines that wait for the writer.
const WAITING: usize = 4096;

/// How long an answer waits for its line.
const PATIENCE: Duration = Duration::from_secs(5);

/// A record that was not written.
#[derive(Debug, thiserror::Error)]
#[error("the record of this request cannot be written")]
pub struct Lost;

/// A line, and whoever waits for it.
struct Line(Vec<u8>, Option<oneshot::Sender<bool>>);

/// Where lines go. Dropped, it waits until what it was handed is written: the records of answers that are cut off at
/// the very end come when nobody can flush any more.
pub struct Audit {
    sender: Option<SyncSender<Line>>,
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
        let (sender, receiver) = sync_channel(WAITING);
        let writable = Arc::new(AtomicBool::new(true));
        let writer = Writer { out, receiver, writable: Arc::clone(&writable), metrics: Arc::clone(&metrics), torn: false };
        let (ending, ended) = channel();
        std::thread::Builder::new().name("record".to_owned()).spawn(move || {
            writer.run();
            drop(ending);
        })?;
        Ok(Self { sender: Some(sender), ended: Mutex::new(ended), on_failure, writable, stopping: AtomicBool::new(false), metrics })
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

    /// Hands over a line. With `on_failure: refuse` there is something to wait for.
    pub(super) fn write(&self, line: Vec<u8>) -> Option<Ack> {
        let (ack, written) = match self.on_failure {
            OnFailure::Refuse => {
                let (ack, written) = oneshot::channel();
                (Some(ack), Some(Ack::new(written)))
            }
            OnFailure::Count => (None, None),
        };
        let handed_over = self.sender.as_ref().is_some_and(|sender| sender.try_send(Line(line, ack)).is_ok());
        if !handed_over {
            // The acknowledgement was dropped with the line, which its receiver takes for a no.
            self.metrics.records_lost.inc();
        }
        written
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        drop(self.sender.take());
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
    receiver: Receiver<Line>,
    writable: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    /// The last line may stand there half: the next one begins on a line of its own.
    torn: bool,
}

impl Writer {
    fn run(mut self) {
        while let Ok(Line(line, ack)) = self.receiver.recv() {
            let written = self.write(&line);
            if let Some(ack) = ack {
                // Whoever waited may have left.
                ack.send(written).unwrap_or_default();
            }
        }
    }

    fn write(&mut self, line: &[u8]) -> bool {
        let begin: &[u8] = if self.torn { b"\n" } else { b"" };
        match self.out.write_all(&[begin, line].concat()).and_then(|()| self.out.flush()) {
            Ok(()) => {
                self.torn = false;
                self.tell(true, None);
                true
            }
            Err(error) => {
                self.torn = true;
                self.metrics.records_lost.inc();
                self.tell(false, Some(&error));
                false
            }
        }
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
