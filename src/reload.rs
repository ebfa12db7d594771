//! A new config under running requests: read and built aside, then swapped whole, or kept out whole and told why.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::Signal;

use crate::clock;
use crate::config::{Config, Problems};
use crate::gate::{Current, Gate, Snapshot};
use crate::listen::{Front, Spoken};
use crate::record::Metrics;
use crate::start;

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

impl Reloader {
    /// Reloads at every SIGHUP, one after the other.
    pub async fn at(mut self, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            let result = self.reload().await;
            self.metrics.reload_ended(result.is_ok());
            match result {
                Ok(summary) => tracing::info!("reloaded: {summary}"),
                Err(problems) => {
                    for problem in problems.iter() {
                        tracing::error!("{problem}");
                    }
                    tracing::error!("nothing was reloaded, {} mistake(s): the config that was good serves on", problems.len());
                }
            }
        }
    }

    async fn reload(&mut self) -> Result<String, Problems> {
        let (file, metrics) = (self.file.clone(), Arc::clone(&self.metrics));
        let prepared = tokio::task::spawn_blocking(move || start::prepare_with(&file, metrics));
        let prepared =
            prepared.await.map_err(|error| Problems::one("reload", format!("broke off ({error}); tell the log to those who make Keyhouse")))??;
        self.takes_no_restart(prepared.config())?;
        let (summary, earlier) = (prepared.summary(), self.current.load_full());
        prepared.identities().inherit(&earlier.identities);
        let (config, spoken, snapshot) = prepared.into_snapshot(earlier.statements.clone());
        settled(&snapshot).await;
        self.front.reload(&config);
        for (listener, spoken) in self.spoken.iter().zip(spoken) {
            listener.store(Arc::new(spoken));
        }
        self.current.store(Arc::new(snapshot));
        self.metrics.config_runs(clock::now());
        self.running = config;
        Ok(summary)
    }

    /// What is bound or opened once cannot change under running requests, and half a reload is none.
    fn takes_no_restart(&self, next: &Config) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let addresses = |config: &Config| config.listeners.iter().map(|listener| (listener.address, listener.tls.is_some())).collect::<Vec<_>>();
        for (key, same) in [
            ("listen", addresses(&self.running) == addresses(next)),
            ("admin.address", self.running.admin == next.admin),
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
