//! Secrets that commands print, asked for again and again: where one is another now, everything is read anew.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::config::{Config, Refresh};
use crate::record::Metrics;

/// The secrets of one config that are asked for again.
pub(super) struct Refreshes {
    differ: mpsc::Receiver<()>,
    /// Held for its drop, which ends them, and the commands that run.
    _tasks: JoinSet<()>,
}

impl Refreshes {
    /// Asks for the secrets of this config from now on.
    pub(super) fn of(config: &Config, metrics: &Arc<Metrics>) -> Self {
        let (sender, differ) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        for refresh in &config.refreshes {
            metrics.secret_is_refreshed(&refresh.key);
            tasks.spawn(keep(refresh.clone(), Arc::clone(metrics), sender.clone()));
        }
        Self { differ, _tasks: tasks }
    }

    /// Returns when a command has printed another secret than the one that runs.
    pub(super) async fn differ(&mut self) {
        if self.differ.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

async fn keep(refresh: Refresh, metrics: Arc<Metrics>, differs: mpsc::Sender<()>) {
    loop {
        sleep(refresh.every).await;
        // What it prints is compared and wiped: the reload asks for itself, as it reads files itself.
        let same = refresh.command.run().await.map(|printed| printed.is(&refresh.secret));
        metrics.secret_refresh_ended(&refresh.key, same.is_ok());
        match same {
            Ok(true) => {}
            Ok(false) => {
                // A full channel is as good: one reload that waits is enough.
                if differs.try_send(()).is_err() {
                    tracing::trace!("a reload waits already");
                }
            }
            Err(says) => tracing::warn!("{}: {says}; until then the secret that was good serves on", refresh.key),
        }
    }
}
