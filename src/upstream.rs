//! The only way to ClickHouse: a permitted statement, a request built from nothing, frames both ways.

mod answer;
mod form;
#[cfg(keyhouse_fuzz)]
pub mod fuzzing;
mod kill;
mod live;
mod node;
mod outgoing;
mod running;
mod settings;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;

pub use answer::{Answer, AnswerBody, QUERY_ID};
pub use live::{Seen, Unset};
pub use outgoing::{Preview, Written};

use crate::admission::{Admitted, Terms};
use crate::clock;
use crate::config::{self, Config, Endpoint, Problems, UpstreamUser};
use crate::dial::{self, Dialer};
use crate::digest::sha256;
use crate::policy::{Permitted, Rules};
use crate::record::{Draft, Metrics, RequestId};
use crate::refusal::{Reason, Refusal, chain};
use crate::sessions::Lease;
use crate::statement::Data;
use kill::Sent;
use node::{Connection, Failure, Node, Repeat};
use outgoing::OutgoingBody;
use running::Running;
use settings::{Known, Question};

/// ClickHouse, which counts whole seconds, has so much longer to say itself that the time is over.
const GRACE: Duration = Duration::from_secs(1);

/// How often a user that could not be asked for its settings is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Every cluster, and every credential that rules may act as.
pub struct Upstream {
    clusters: BTreeMap<String, Cluster>,
    users: BTreeMap<String, User>,
    running: Arc<Running>,
}

struct Cluster {
    nodes: Vec<Arc<Node>>,
    turn: AtomicUsize,
    /// Who ends statements that were given up.
    kill_as: Option<Arc<str>>,
}

/// A credential with what is known about it.
struct User {
    config: UpstreamUser,
    /// The user and its password, as every request has them.
    credential: Option<(HeaderValue, HeaderValue)>,
    question: Question,
    /// What the config says that servers would tell.
    from_file: Option<Arc<Known>>,
    /// What a server told last, by its SHA-256: all of one version tell the same.
    told_last: Mutex<Option<([u8; 32], Arc<Known>)>>,
    /// Whether some node has told which settings it has for this user.
    asked: AtomicBool,
    /// Whether a missing `log_comment` was said.
    told: AtomicBool,
}

impl Upstream {
    /// Builds clusters and users; nothing is connected yet.
    pub fn new(config: &Config, rules: &Rules, metrics: &Arc<Metrics>, problems: &mut Problems) -> Self {
        let clusters =
            config.clusters.iter().map(|(name, cluster)| (name.clone(), Cluster::new(name, cluster, config.workers, metrics, problems))).collect();
        let users = config.users.iter().map(|(name, user)| (name.clone(), User::new(user.clone(), rules, problems))).collect();
        Self { clusters, users, running: Arc::default() }
    }

    /// Knows what runs since before this config.
    pub fn inherit(&mut self, earlier: &Self) {
        self.running = Arc::clone(&earlier.running);
    }

    /// Sends an admitted statement, with the data that follows it, and returns the beginning of its answer, which holds the slot
    /// until its end. What is given up before that is killed at ClickHouse where the config names who does, with a record made of
    /// the draft.
    ///
    /// # Errors
    /// 502 and 504 where there is none, or none in time, 400, 408 and 413 where the data breaks off, always before a byte of an
    /// answer has gone out.
    pub async fn forward(self: &Arc<Self>, admitted: Admitted, id: &RequestId, draft: Option<Draft>) -> Result<Answer, Refusal> {
        let (permitted, terms) = admitted.into_parts();
        let Some(deadline) = terms.deadline else { return self.exchange(permitted, terms, id, draft).await };
        // Boxed with its timer, because only statements with a limit need one.
        let asked = Box::pin(tokio::time::timeout_at((deadline + GRACE).into(), self.exchange(permitted, terms, id, draft)));
        asked.await.unwrap_or_else(|_elapsed| Err(overdue()))
    }

    async fn exchange(self: &Arc<Self>, mut permitted: Permitted, terms: Terms, id: &RequestId, draft: Option<Draft>) -> Result<Answer, Refusal> {
        let Terms { slot, deadline, brake, session } = terms;
        let data = match permitted.take_data() {
            Some(data) => Some(Box::pin(data.begins()).await?.braked(brake)),
            None => None,
        };
        let (user, cluster) = self.destination(permitted.permit().act_as())?;
        let killing = permitted.permit().kills().and_then(|kill| self.running.killing(&permitted, kill));
        let instead = killing.as_ref().map(|killing| killing.text.as_str());
        // Who is named for that may end any query, and ends those alone that are the caller's.
        let user = cluster.kill_as.as_ref().filter(|_| instead.is_some()).and_then(|name| self.users.get(name.as_ref())).unwrap_or(user);
        let asked = Asked { permitted: &permitted, id, user, deadline, kill_as: cluster.kill_as.as_ref(), draft: draft.as_ref(), instead };
        let found = match killing.as_ref().and_then(|killing| killing.node.as_ref()).and_then(|name| cluster.node(name)) {
            Some(node) => (Arc::clone(node), node.connection(false).await.map_err(unreachable)?),
            None => cluster.connect(session.as_deref(), false).await?,
        };
        let until = deadline.map(|deadline| deadline + GRACE);
        let mut first = match self.attempt(&asked, data, found).await? {
            Ok(answer) => return Ok(answer.holding(slot, session, until)),
            Err(failed) => failed,
        };
        let data = first.failure.data.take();
        // A server that hangs up on a connection that had waited, or that keeps none open, gets a second and last try.
        let repeat = first.failure.repeat(permitted.understood().statement().effect());
        if !matches!(repeat, Repeat::No) {
            first.sent.ended();
        }
        let again = match repeat {
            Repeat::OnAnother => cluster.connect(session.as_deref(), true).await?,
            Repeat::OnTheNext => first.node.reconnect(first.connection).await.map(|next| (Arc::clone(&first.node), next)).map_err(unreachable)?,
            Repeat::No => return Err(first.refusal()),
        };
        self.attempt(&asked, data, again).await?.map(|answer| answer.holding(slot, session, until)).map_err(Failed::refusal)
    }

    /// One try: what it refuses is refused, what it fails at may be tried again.
    async fn attempt(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        data: Option<Box<Data>>,
        (node, mut connection): (Arc<Node>, Connection),
    ) -> Result<Result<Answer, Failed>, Refusal> {
        let Asked { permitted, id, user, deadline, kill_as, draft, instead } = *asked;
        let known = match connection.settings_of(user, &node).await {
            Ok(known) => known,
            Err(failure) => return Ok(Err(Failed { failure: failure.before_the_statement(data), node, connection, sent: Sent::default() })),
        };
        let left = match deadline.map(|deadline| deadline.saturating_duration_since(clock::tick())) {
            Some(Duration::ZERO) => return Err(overdue()),
            left => left,
        };
        let (request, ignored) = match instead {
            Some(text) => {
                (outgoing::killing(permitted, text, id, user, &node, known.comment(permitted, id))?, permitted.ignored().map(Cow::Borrowed).collect())
            }
            None => {
                let wanted = known.wanted(permitted, id, user, &node, left)?;
                (outgoing::build(permitted, data, id, user, &node, &wanted.settings)?, wanted.ignored)
            }
        };
        // From here on it may be running.
        let mut sent = Sent::new(self, kill_as, &node, id, draft).named(self.running.begins(permitted, id, &node));
        match connection.send(request, &node).await {
            Ok(response) => Answer::new(response, connection, node, id, ignored, outgoing::coding(permitted), sent).map(Ok),
            Err(failure) => {
                if failure.is_unsent() {
                    sent.ended();
                }
                Ok(Err(Failed { failure, node, connection, sent }))
            }
        }
    }

    /// The request that a node of the newest version would be sent: for those who try rules, and for benches.
    ///
    /// # Errors
    /// As [`Upstream::forward`] before it has sent anything.
    pub fn written(&self, permitted: &Permitted) -> Result<Written, Refusal> {
        let (user, cluster) = self.destination(permitted.permit().act_as())?;
        let node = cluster.nodes.first().ok_or_else(|| Refusal::new(Reason::UpstreamUnreachable, "The cluster has no node."))?;
        let id = RequestId::new();
        let wanted = user.question.all_known().wanted(permitted, &id, user, node, None)?;
        let request = outgoing::build(permitted, None, &id, user, node, &wanted.settings)?;
        Ok(Written { request, id, ignored: wanted.ignored })
    }

    /// Whether what this user asks and nobody waits for any more is ended at ClickHouse.
    pub fn kills(&self, act_as: &str) -> bool {
        self.destination(act_as).is_ok_and(|(_, cluster)| cluster.kill_as.is_some())
    }

    fn destination(&self, act_as: &str) -> Result<(&User, &Cluster), Refusal> {
        let user = self.users.get(act_as);
        let cluster = user.and_then(|user| self.clusters.get(&user.config.cluster));
        user.zip(cluster).ok_or_else(|| Refusal::new(Reason::Internal, "The rule acts as a user that is not there."))
    }

    /// The answer to `/ping`, given here: ClickHouse's would say nothing of the way to it.
    ///
    /// # Errors
    /// 502 while not every user's settings are known.
    pub fn pong(&self) -> Result<Answer, Refusal> {
        match self.is_ready() {
            true => Ok(Answer::pong()),
            false => Err(Refusal::new(Reason::UpstreamUnreachable, "Keyhouse has not reached ClickHouse yet. Try again shortly.")),
        }
    }

    /// Whether some node has told its settings for every user.
    pub fn is_ready(&self) -> bool {
        self.users.values().all(|user| user.asked.load(Ordering::Relaxed))
    }

    /// The users that no node has told its settings for.
    pub fn waiting_for(&self) -> Vec<&str> {
        self.users.values().filter(|user| !user.asked.load(Ordering::Relaxed)).map(|user| user.config.name.as_str()).collect()
    }

    /// Asks for every user's settings until all are known.
    pub async fn ask_settings(self: Arc<Self>) {
        loop {
            for user in self.users.values().filter(|user| !user.asked.load(Ordering::Relaxed)) {
                self.ask(user).await;
            }
            if self.is_ready() {
                return;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    async fn ask(&self, user: &User) {
        let Some(cluster) = self.clusters.get(&user.config.cluster) else { return };
        let asked = async {
            let (node, mut connection) = cluster.connect(None, false).await?;
            connection.settings_of(user, &node).await.map_err(|failure| failure.refusal(&node))?;
            Ok::<_, Refusal>(())
        };
        if let Err(refusal) = asked.await {
            tracing::warn!(user = user.config.name, reason = refusal.reason().code(), cause = refusal.chain(), "{}", refusal.says());
        }
    }
}

impl Cluster {
    fn new(name: &str, config: &config::Cluster, workers: NonZeroUsize, metrics: &Arc<Metrics>, problems: &mut Problems) -> Self {
        let nodes = match Dialer::new(config.ca_file.as_deref(), config.connect_timeout) {
            Ok(dialer) => {
                let node = |endpoint: &Endpoint| Node::new(endpoint.clone(), dialer.clone(), config, workers, Arc::clone(metrics));
                config.nodes.iter().map(|endpoint| Arc::new(node(endpoint))).collect()
            }
            Err(says) => {
                problems.add(format!("clickhouse.clusters.{name}.ca_file"), says);
                Vec::new()
            }
        };
        Self { nodes, turn: AtomicUsize::new(0), kill_as: config.kill_as.as_deref().map(Arc::from) }
    }

    fn node(&self, shown: &Arc<str>) -> Option<&Arc<Node>> {
        self.nodes.iter().find(|node| node.shown() == shown)
    }

    /// A connection to the node that has the session, or to one that has it from now on.
    async fn connect(&self, session: Option<&Lease>, fresh: bool) -> Result<(Arc<Node>, Connection), Refusal> {
        let Some(session) = session else { return self.connect_in_turn(fresh).await };
        let Some(node) = session.node().and_then(|name| self.node(&name)) else {
            let found = self.connect_in_turn(fresh).await?;
            session.begins_at(found.0.shown());
            return Ok(found);
        };
        match node.connection(fresh).await {
            Ok(connection) => Ok((Arc::clone(node), connection)),
            Err(error) => {
                session.is_lost();
                Err(unreachable(error))
            }
        }
    }

    /// A connection to the node whose turn it is, or to the next one that takes one.
    async fn connect_in_turn(&self, fresh: bool) -> Result<(Arc<Node>, Connection), Refusal> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut last = None;
        for offset in 0..self.nodes.len() {
            let Some(node) = self.nodes.get(turn.wrapping_add(offset) % self.nodes.len()) else { continue };
            match node.connection(fresh).await {
                Ok(connection) => return Ok((Arc::clone(node), connection)),
                Err(error) => {
                    tracing::warn!(node = %node, cause = chain(&error), "no connection; the next node is tried");
                    last = Some(error);
                }
            }
        }
        // A cluster has at least one node; the config is not good without.
        Err(last.map_or_else(|| Refusal::new(Reason::UpstreamUnreachable, "The cluster has no node."), unreachable))
    }
}

impl User {
    fn new(config: UpstreamUser, rules: &Rules, problems: &mut Problems) -> Self {
        let question = Question::new(rules.settings_of(&config.name).into_iter());
        let from_file = config.settings_file.as_ref().and_then(|file| {
            let known = Known::from_file(file).map_err(|says| problems.add(format!("clickhouse.users.{}.settings_file", config.name), says));
            known.ok().map(Arc::new)
        });
        let credential = credential(&config).map_err(|error| problems.add(format!("clickhouse.users.{}.password", config.name), error)).ok();
        Self { config, credential, question, from_file, told_last: Mutex::new(None), asked: AtomicBool::new(false), told: AtomicBool::new(false) }
    }

    /// What a server told, kept once for all connections to servers that tell the same.
    fn known(&self, body: &[u8]) -> Result<Arc<Known>, Failure> {
        let digest = sha256(body);
        let mut last = self.told_last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = last.as_ref().filter(|(known, _)| *known == digest) {
            return Ok(Arc::clone(known));
        }
        let known = Arc::new(Known::read(body)?);
        *last = Some((digest, Arc::clone(&known)));
        Ok(known)
    }
}

fn credential(config: &UpstreamUser) -> Result<(HeaderValue, HeaderValue), String> {
    let value =
        |text: &str| HeaderValue::from_str(text).map_err(|_not_shown| "holds control characters; ClickHouse takes none in a header".to_owned());
    let mut key = value(config.password.expose())?;
    key.set_sensitive(true);
    Ok((value(&config.user)?, key))
}

/// What is asked, and whose credential asks it.
struct Asked<'a> {
    permitted: &'a Permitted,
    id: &'a RequestId,
    user: &'a User,
    deadline: Option<Instant>,
    kill_as: Option<&'a Arc<str>>,
    draft: Option<&'a Draft>,
    /// What is sent in place of the statement: one that ends queries of the caller's.
    instead: Option<&'a str>,
}

/// A try that gave no answer.
struct Failed {
    failure: Failure,
    node: Arc<Node>,
    connection: Connection,
    sent: Sent,
}

impl Failed {
    fn refusal(self) -> Refusal {
        self.failure.refusal(&self.node)
    }
}

fn unreachable(error: dial::Error) -> Refusal {
    Refusal::new(Reason::UpstreamUnreachable, "No ClickHouse node takes a connection at the moment. Try again shortly.").because(error)
}

fn overdue() -> Refusal {
    let says = "The statement took longer than it may (statement_timeout, or what was left of a window's running_time). Ask for less, or ask whoever runs Keyhouse.";
    Refusal::new(Reason::StatementTimeout, says)
}

/// What is sent and what comes back, in short.
type Outgoing = Request<OutgoingBody>;
type Incomings = Response<Incoming>;

impl Failure {
    /// What the caller is told.
    fn refusal(self, node: &Node) -> Refusal {
        if let Some(cut) = self.cut {
            return *cut;
        }
        let refusal = Refusal::new(self.reason, self.says);
        match self.cause {
            Some(cause) => refusal.because(cause),
            None => refusal.because(format!("node {node}")),
        }
    }
}
