//! From a config file to a running gate, step by step, in order.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::admin::Admin;
use crate::admission::Admission;
use crate::answers::Answers;
use crate::clock;
use crate::config::{self, Config, Listener, Problem, Problems};
use crate::gate::{Current, Gate, Snapshot};
use crate::identity::{Identities, Issuer, Resource};
use crate::listen::{self, Cors, Drain, Front, Spoken};
use crate::policy::{self, Names, Rules};
use crate::record::{Audit, Metrics};
use crate::reload::Reloader;
use crate::sessions::Sessions;
use crate::statement::{self, Kept};
use crate::upstream::Upstream;
use crate::workers::Workers;

/// Everything that can be known before a socket is opened. Making it is the whole of `keyhouse check`.
pub struct Prepared {
    file: PathBuf,
    config: Config,
    acceptors: Vec<Option<TlsAcceptor>>,
    identities: Identities,
    rules: Rules,
    upstream: Upstream,
    metrics: Arc<Metrics>,
    warnings: Vec<Problem>,
}

/// Reads and checks config, certificates, keys and policies; all mistakes are told together.
///
/// # Errors
/// Every mistake that was found.
pub fn prepare(file: &Path) -> Result<Prepared, Problems> {
    let metrics = Metrics::new().map_err(|error| Problems::one("metrics", error.to_string()))?;
    prepare_with(file, Arc::new(metrics))
}

/// The same, for numbers that are kept already.
///
/// # Errors
/// Every mistake that was found.
pub fn prepare_with(file: &Path, metrics: Arc<Metrics>) -> Result<Prepared, Problems> {
    let mut problems = Problems::default();
    let prepared = gather(file, metrics, &mut problems);
    match prepared {
        Some(prepared) if problems.is_empty() => Ok(Prepared { warnings: problems.warnings().to_vec(), ..prepared }),
        _ => Err(problems),
    }
}

fn gather(file: &Path, metrics: Arc<Metrics>, problems: &mut Problems) -> Option<Prepared> {
    let config = config::load(file, problems)?;
    let acceptors = config
        .listeners
        .iter()
        .enumerate()
        .map(|(index, listener)| {
            let made = listener.tls.as_ref().map(listen::acceptor).transpose();
            made.map_err(|says| problems.add(format!("listen[{index}].tls"), says)).ok().flatten()
        })
        .collect();
    let mut identities = Identities::new(&config, Arc::clone(&metrics), problems);
    let rules = policy::load(&config.policies, Names::Of(&config), problems);
    identities.keep_claims(rules.claims());
    let upstream = Upstream::new(&config, &rules, &metrics, problems);
    Some(Prepared { file: file.to_owned(), config, acceptors, identities, rules, upstream, metrics, warnings: Vec::new() })
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

    /// What is allowed and seldom meant.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// What was written.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Who may ask.
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// Goes on from what ran before: what callers may end, whatever config it began under.
    pub fn inherit(&mut self, upstream: &Upstream) {
        self.upstream.inherit(upstream);
    }

    /// The way to ClickHouse.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// How many statements may run and begin, with nothing that does.
    pub fn admission(&self) -> Admission {
        Admission::new(&self.config, Arc::clone(&self.metrics))
    }

    /// Who may do what.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What requests are judged by, with the tasks that keep it true, and what listeners speak.
    pub fn into_snapshot(
        self,
        generation: u64,
        statements: Kept,
        answers: Answers,
        sessions: Sessions,
        admission: Admission,
    ) -> (Config, Vec<Spoken>, Snapshot) {
        let Self { config, acceptors, identities, rules, upstream, .. } = self;
        let upstream = Arc::new(upstream);
        let mut tasks = JoinSet::new();
        for issuer in identities.issuers().iter().filter(|issuer| issuer.fetches()) {
            tasks.spawn(Issuer::keep_fresh(Arc::clone(issuer)));
        }
        tasks.spawn(Arc::clone(&upstream).ask_settings());
        let snapshot = Snapshot {
            generation,
            identities,
            rules,
            statements,
            answers,
            sessions,
            admission,
            upstream,
            limits: config.limits.clone(),
            statement_form: config.statement_form,
            resource: Resource::new(&config),
            cors: Cors::new(&config),
            admin_token: config.admin_token.clone(),
            tasks,
        };
        let spoken = acceptors.into_iter().zip(&config.listeners).map(|(tls, listener)| Spoken { proxy_protocol: listener.proxy_protocol, tls });
        let spoken = spoken.collect();
        (config, spoken, snapshot)
    }

    /// Serves until SIGTERM or SIGINT, then finishes what runs; SIGHUP reads the files anew.
    ///
    /// # Errors
    /// Where the record cannot be opened or an address not be bound.
    pub async fn serve(self) -> Result<(), Failure> {
        let (file, metrics) = (self.file.clone(), Arc::clone(&self.metrics));
        let hangups = signal(SignalKind::hangup()).map_err(Failure::System)?;
        let audit = Audit::open(&self.config.record_to, self.config.on_failure, Arc::clone(&metrics)).map_err(Failure::Record)?;
        let audit = Arc::new(audit);
        let admin = TcpListener::bind(self.config.admin).await.map_err(|error| Failure::Bind(self.config.admin, error))?;
        let workers = Workers::start(self.config.workers, statement::STACK).map_err(Failure::System)?;
        let mut listeners = Vec::new();
        for Listener { address, .. } in &self.config.listeners {
            listeners.push(workers.bind(*address).map_err(|error| Failure::Bind(*address, error))?);
        }
        let statements = Kept::new(self.config.limits.kept_statements);
        let answers = Answers::new(&self.config, Arc::clone(&metrics));
        let admission = Admission::new(&self.config, Arc::clone(&metrics));
        let sessions = Sessions::new(&self.config);
        let (config, spoken, snapshot) = self.into_snapshot(1, statements, answers, sessions, admission);
        let current: Current = Arc::new(ArcSwap::from_pointee(snapshot));
        metrics.config_runs(1, clock::now());
        tracing::info!("admin on http://{}", shown(&admin)?);
        let (asks, asked) = mpsc::channel(1);
        tokio::spawn(Admin::new(Arc::clone(&current), Arc::clone(&metrics), asks).listen(admin));

        let (drain, drain_timeout) = (Drain::new(), config.limits.drain_timeout);
        let gate = Gate::new(Arc::clone(&current), Arc::clone(&audit), Arc::clone(&metrics));
        let front = Front::new(&config, Arc::clone(&metrics), gate);
        let spoken: Vec<_> = spoken.into_iter().map(|spoken| Arc::new(ArcSwap::from_pointee(spoken))).collect();
        for (listeners, spoken) in listeners.into_iter().zip(&spoken) {
            if let Some(listener) = listeners.first() {
                tracing::info!("listening on {}://{}", if spoken.load().tls.is_some() { "https" } else { "http" }, shown(listener)?);
            }
            workers.spawn(listeners.into_iter().map(|listener| Arc::clone(&front).listen(listener, Arc::clone(spoken), &drain)));
        }
        let reloads = tokio::spawn(Reloader { file, running: config, current, front, spoken, metrics }.serve(hangups, asked));
        told_to_stop().await.map_err(Failure::System)?;
        reloads.abort();
        tracing::info!("stopping: running answers have {} to end", humantime::format_duration(drain_timeout));
        if !drain.finish(drain_timeout).await {
            tracing::warn!("some answers did not end in time and are cut off");
        }
        // Also what Keyhouse asks of itself, which no connection waits for.
        audit.cuts_off();
        drop(workers);
        Ok(())
    }
}

fn shown(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(Failure::System)
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
    System(#[source] io::Error),
}
