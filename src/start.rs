//! From a config file to a running gate, step by step, in order.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use crate::admin::Admin;
use crate::config::{self, Config, Problems};
use crate::gate::{Gate, Snapshot};
use crate::identity::{Identities, Issuer, Resource};
use crate::listen::{self, Drain, Front};
use crate::policy::{self, Rules};
use crate::record::{Audit, Metrics};
use crate::statement::Kept;
use crate::upstream::Upstream;

/// Everything that can be known before a socket is opened. Making it is the whole of `keyhouse check`.
pub struct Prepared {
    config: Config,
    acceptors: Vec<Option<TlsAcceptor>>,
    identities: Identities,
    rules: Rules,
    upstream: Upstream,
    metrics: Arc<Metrics>,
}

/// Reads and checks config, certificates, keys and policies; all mistakes are told together.
///
/// # Errors
/// Every mistake that was found.
pub fn prepare(file: &Path) -> Result<Prepared, Problems> {
    let mut problems = Problems::default();
    let prepared = gather(file, &mut problems);
    match prepared {
        Some(prepared) if problems.is_empty() => Ok(prepared),
        _ => Err(problems),
    }
}

fn gather(file: &Path, problems: &mut Problems) -> Option<Prepared> {
    let config = config::load(file, problems)?;
    let metrics = Metrics::new().map_err(|error| problems.add("metrics", error.to_string())).ok().map(Arc::new)?;
    let acceptors = config
        .listeners
        .iter()
        .enumerate()
        .map(|(index, listener)| {
            let made = listener.tls.as_ref().map(listen::acceptor).transpose();
            made.map_err(|says| problems.add(format!("listen[{index}].tls"), says)).ok().flatten()
        })
        .collect();
    let identities = Identities::new(&config, Arc::clone(&metrics), problems);
    let rules = policy::load(&config, problems);
    let upstream = Upstream::new(&config, &metrics, problems);
    Some(Prepared { config, acceptors, identities, rules, upstream, metrics })
}

impl Prepared {
    /// One line about what was read.
    pub fn summary(&self) -> String {
        format!(
            "{} listener(s), {} identity provider(s), {} ClickHouse user(s), {} rule(s)",
            self.config.listeners.len(),
            self.config.providers.len(),
            self.config.users.len(),
            self.rules.len()
        )
    }

    /// Who may ask.
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// Who may do what.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Serves until SIGTERM or SIGINT, then finishes what runs.
    ///
    /// # Errors
    /// Where the record cannot be opened or an address not be bound.
    pub async fn serve(self) -> Result<(), Failure> {
        let Self { config, acceptors, identities, rules, upstream, metrics } = self;
        let audit = Audit::open(&config.record_to, config.on_failure, Arc::clone(&metrics)).map_err(Failure::Record)?;
        let audit = Arc::new(audit);
        let upstream = Arc::new(upstream);
        let snapshot = Arc::new(Snapshot {
            identities,
            rules,
            statements: Kept::new(),
            upstream: Arc::clone(&upstream),
            limits: config.limits.clone(),
            statement_form: config.statement_form,
            resource: Resource::new(&config),
        });
        let admin = bind(config.admin).await?;
        let mut listeners = Vec::new();
        for listener in &config.listeners {
            listeners.push(bind(listener.address).await?);
        }
        for issuer in snapshot.identities.issuers() {
            tokio::spawn(Issuer::keep_fresh(Arc::clone(issuer)));
        }
        tokio::spawn(upstream.ask_settings());
        tracing::info!("admin on http://{}", shown(&admin)?);
        tokio::spawn(Admin::new(Arc::clone(&snapshot), Arc::clone(&metrics)).listen(admin));

        let drain = Drain::new();
        let gate = Gate::new(snapshot, Arc::clone(&audit), Arc::clone(&metrics));
        let front = Front::new(config.limits.clone(), metrics, gate);
        for (listener, acceptor) in listeners.into_iter().zip(acceptors) {
            tracing::info!("listening on {}://{}", if acceptor.is_some() { "https" } else { "http" }, shown(&listener)?);
            tokio::spawn(Arc::clone(&front).listen(listener, acceptor, &drain));
        }
        drop(front);
        told_to_stop().await.map_err(Failure::Signal)?;
        tracing::info!("stopping: running answers have {} to end", humantime::format_duration(config.limits.drain_timeout));
        if !drain.finish(config.limits.drain_timeout).await {
            tracing::warn!("some answers did not end in time and are cut off");
            audit.cuts_off();
        }
        Ok(())
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| Failure::Bind(address, error))
}

fn shown(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(Failure::Signal)
}

async fn told_to_stop() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Why the gate did not begin.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The record's target.
    #[error("the record cannot be opened (write a file that this user may append to under record.to)")]
    Record(#[source] io::Error),
    /// An address.
    #[error("{0} cannot be listened on (is something else there?)")]
    Bind(SocketAddr, #[source] io::Error),
    /// The system.
    #[error("the system refuses what every process may do")]
    Signal(#[source] io::Error),
}
