//! A new config under running requests: read and built aside, then swapped whole, or kept out whole and told why.

mod refresh;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use refresh::Refreshes;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};
use watch::Watch;

use crate::clock;
use crate::config::{Config, Problems};
use crate::gate::{Current, Gate, Snapshot};
use crate::listen::{Front, Spoken};
use crate::record::Metrics;
use crate::start::{self, Prepared};
use crate::statement::Kept;

/// How long a new snapshot may take to know its keys and ClickHouse's settings before it is swapped in all the same: what it
/// takes away must not wait for a server that is down.
const SETTLE: Duration = Duration::from_secs(2);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What a reload reads, and what it changes.
pub struct Reloader {
    /// The config file.
    pub file: PathBuf,
    /// The config that runs.
    pub running: Config,
    /// What the next request is judged by.
    pub current: Current,
    /// What connections are held to.
    pub front: Arc<Front<Gate>>,
    /// What each listener speaks, in the order of the config.
    pub spoken: Vec<Arc<ArcSwap<Spoken>>>,
    /// Where reloads are counted.
    pub metrics: Arc<Metrics>,
}

/// Somebody asks for a reload, and waits for what comes of it.
pub type Ask = oneshot::Sender<Result<String, Problems>>;

impl Reloader {
    /// Reloads when it is told to, when files have changed, or when a command prints another secret, one after the other.
    pub async fn serve(mut self, mut hangups: Signal, mut asked: mpsc::Receiver<Ask>) {
        let mut watch = self.running.reload_on_change.then(|| Watch::new(&self.file, &self.running));
        let mut refreshes = Refreshes::of(&self.running, &self.metrics);
        loop {
            let changed = async {
                match &mut watch {
                    Some(watch) => watch.changed().await,
                    None => std::future::pending().await,
                }
            };
            let (why, ask) = tokio::select! {
                Some(()) = hangups.recv() => ("SIGHUP", None),
                Some(ask) = asked.recv() => ("the admin address", Some(ask)),
                () = changed => ("changed files", None),
                () = refreshes.differ() => ("another secret of a command", None),
                else => return,
            };
            let result = self.reload(&mut watch).await;
            self.metrics.reload_ended(result.is_ok());
            match &result {
                Ok(summary) => {
                    tracing::info!(why, "reloaded: {summary}");
                    refreshes = Refreshes::of(&self.running, &self.metrics);
                }
                Err(problems) => {
                    for problem in problems.iter() {
                        tracing::error!("{problem}");
                    }
                    tracing::error!(why, "nothing was reloaded, {} mistake(s): the config that was good serves on", problems.len());
                }
            }
            // Whoever does not wait any more has it in the log.
            if ask.is_some_and(|ask| ask.send(result).is_err()) {
                tracing::debug!("nobody waits for the reload any more");
            }
        }
    }

    async fn reload(&mut self, watch: &mut Option<Watch>) -> Result<String, Problems> {
        let mut prepared = self.read(watch).await?;
        self.takes_no_restart(prepared.config())?;
        let (summary, earlier) = (prepared.summary(), self.current.load_full());
        prepared.identities().inherit(&earlier.identities);
        prepared.inherit(&earlier.upstream);
        let room = prepared.config().limits.kept_statements;
        let statements = if room == self.running.limits.kept_statements { earlier.statements.clone() } else { Kept::new(room) };
        let admission = earlier.admission.reloaded(prepared.config());
        let answers = earlier.answers.reloaded(prepared.config());
        let sessions = earlier.sessions.reloaded(prepared.config());
        let (config, spoken, snapshot) = prepared.into_snapshot(earlier.generation + 1, statements, answers, sessions, admission);
        settled(&snapshot).await;
        self.front.reload(&config);
        for (listener, spoken) in self.spoken.iter().zip(spoken) {
            listener.store(Arc::new(spoken));
        }
        self.metrics.config_runs(snapshot.generation, clock::now());
        self.current.store(Arc::new(snapshot));
        self.running = config;
        Ok(summary)
    }

    /// Reads everything, while all that it is read from is being watched: a change that comes meanwhile is the next one.
    async fn read(&self, watch: &mut Option<Watch>) -> Result<Prepared, Problems> {
        loop {
            if let Some(watch) = watch.as_mut() {
                watch.note();
            }
            let (file, metrics) = (self.file.clone(), Arc::clone(&self.metrics));
            let prepared = tokio::task::spawn_blocking(move || start::prepare_with(&file, metrics)).await;
            let prepared = prepared.map_err(|error| Problems::one("reload", format!("broke off ({error}); report it with the log")))??;
            let config = prepared.config();
            if !config.reload_on_change {
                *watch = None;
            } else if !watch.as_ref().is_some_and(|watch| watch.is_of(&self.file, config)) {
                *watch = Some(Watch::new(&self.file, config));
                continue;
            }
            return Ok(prepared);
        }
    }

    /// What is bound or opened once cannot change under running requests, and half a reload is none.
    fn takes_no_restart(&self, next: &Config) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let addresses = |config: &Config| config.listeners.iter().map(|listener| (listener.address, listener.tls.is_some())).collect::<Vec<_>>();
        for (key, same) in [
            ("listen", addresses(&self.running) == addresses(next)),
            ("admin.address", self.running.admin == next.admin),
            ("workers", self.running.workers == next.workers),
            ("record.to", self.running.record_to == next.record_to),
            ("record.on_failure", self.running.on_failure == next.on_failure),
            ("limits.connections", self.running.limits.connections == next.limits.connections),
            ("limits.drain_timeout", self.running.limits.drain_timeout == next.limits.drain_timeout),
        ] {
            if !same {
                problems.add(key, "has changed, which only a restart can do; write what it was, or restart Keyhouse");
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// Waits until the snapshot can judge and ask, or has had its time.
async fn settled(snapshot: &Snapshot) {
    let ready = async {
        while !(snapshot.upstream.is_ready() && snapshot.identities.issuers().iter().all(|issuer| issuer.is_ready())) {
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(SETTLE, ready).await.is_err() {
        tracing::warn!("the new config is swapped in although a provider's keys or ClickHouse's settings are not known yet");
    }
}
