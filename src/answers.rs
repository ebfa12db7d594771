//! Answers that are given again: joined while they arrive, and kept for a while. Asked between the rates and the slots of
//! `admission`: what is given from here counts as asked, and needs no slot.
//!
//! Kept is what a rule says (`rules[].answers`), and of that what can be told to be the same for whoever asks it again: whole answers
//! of reads, without an error, whose statements call nothing that could answer otherwise the next time and read no table of `system`.
//! What a view, a dictionary or a materialized column calls is not seen here.

mod flight;
mod key;
mod marks;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use foldhash::fast::RandomState;
use http::header::AGE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use memchr::memmem;
use moka::Expiry;
use moka::sync::Cache;

use crate::clock;
use crate::config::{Config, UpstreamUser};
use crate::digest::sha256;
use crate::policy::{Keeping, Permitted, is_of_system};
use crate::record::{Metrics, RequestId, Stopped, Told};
use crate::refusal::Refusal;
use crate::statement::{Effect, Name, Via};
use crate::upstream::{self, AnswerBody};
use flight::{Budget, Flight, Reader, Why};
use key::{Key, key};
use marks::{Mark, Marks, Moment};

/// Says whether an answer was asked for this caller.
const ANSWER: HeaderName = HeaderName::from_static("x-keyhouse-answer");

/// The word for an answer that was asked, and may be kept.
const ASKED: &str = "asked";

/// What stands in the text of every error of ClickHouse. Servers before 24.11 may end an answer well that holds one.
const EXCEPTION: &[u8] = b"DB::Exception";

/// What one takes in memory beside what is counted.
const FIXED: usize = 1024;

/// What a piece of it takes beside its bytes: its place, and what the allocator adds.
const PIECE: usize = 128;

/// Where a user's statements go.
struct Target {
    cluster: Arc<str>,
    /// SHA-256 of the user's name there and of the cluster's nodes.
    digest: [u8; 32],
}

/// What is kept, by the users of one config, over a store that outlives it.
pub struct Answers {
    targets: BTreeMap<String, Target>,
    store: Arc<Store>,
}

struct Store {
    room: u64,
    kept: Cache<Key, Arc<Kept>, RandomState>,
    flights: Mutex<HashMap<Key, Airborne>>,
    marks: Marks,
    budget: Arc<Budget>,
    metrics: Arc<Metrics>,
}

/// One answer that is arriving.
struct Airborne {
    flight: Arc<Flight>,
    asked: Asked,
}

/// When an answer was asked, and what it depends on.
#[derive(Clone)]
struct Asked {
    since: Moment,
    marks: Arc<[Mark]>,
}

/// An answer as it began.
struct Head {
    status: StatusCode,
    headers: HeaderMap,
    node: Option<Arc<str>>,
    query_id: Option<HeaderValue>,
    ignored: Vec<Cow<'static, str>>,
    summary: Option<HeaderValue>,
    /// The request that asked.
    by: RequestId,
    at: Instant,
}

/// A whole answer, in memory of its own: what came is a part of larger buffers, and would keep them.
struct Kept {
    head: Head,
    body: Bytes,
    asked: Asked,
    /// How long it is given at most.
    until: Duration,
}

/// What comes of looking for an answer.
pub enum Found {
    /// It has to be asked, for this caller alone.
    Nothing(Permitted, Passing),
    /// It is kept.
    Kept(Box<Given>),
    /// It has to be asked, for whoever asks the same meanwhile too.
    Leads(Box<Lead>),
    /// It is being asked already.
    Joins(Box<Joining>),
}

/// What is given to a caller, and how it came about.
pub struct Given {
    /// What is given.
    pub answer: upstream::Answer<Body>,
    /// The word for how, where the rule keeps answers.
    pub how: Option<&'static str>,
    /// The request that asked, where it was another one.
    pub by: Option<RequestId>,
    /// The same statement, where it has to be asked again behind the caller.
    pub again: Option<Box<Lead>>,
}

impl From<upstream::Answer> for Given {
    fn from(answer: upstream::Answer) -> Self {
        Self { answer: answer.with(Body::from), how: None, by: None, again: None }
    }
}

/// A statement that is asked for its caller alone.
#[derive(Default)]
pub struct Passing {
    /// Why no answer is kept, where the rule keeps answers.
    why: Option<Cow<'static, str>>,
    changes: Option<Changes>,
}

/// Tables that a statement writes to: what was read from them is given no more, once when its answer begins and once when it is over,
/// in whatever way.
pub struct Changes {
    store: Arc<Store>,
    marks: Vec<Mark>,
}

/// A statement that is to be asked for all who ask it meanwhile. Dropped, nobody joins it any more.
pub struct Lead {
    /// What is asked.
    permitted: Permitted,
    reader: Reader,
    flying: Flying,
}

/// What a statement that is asked for others too is known by. Dropped, it is over.
struct Flying {
    key: Key,
    flight: Arc<Flight>,
    asked: Asked,
    keeping: Arc<Keeping>,
    store: Arc<Store>,
}

/// A caller who waits for what another asked.
pub struct Joining {
    permitted: Permitted,
    reader: Reader,
    store: Arc<Store>,
}

/// A caller who waited for what another asked, in vain.
pub struct Alone {
    permitted: Permitted,
    store: Arc<Store>,
}

impl Answers {
    /// Nothing is kept yet.
    pub fn new(config: &Config, metrics: Arc<Metrics>) -> Self {
        Self::over(config, Arc::new(Store::new(config.limits.kept_answers, metrics)))
    }

    /// What is kept, for the users of another config; nothing of it where there is another room for it.
    pub fn reloaded(&self, config: &Config) -> Self {
        match self.store.room == config.limits.kept_answers {
            true => Self::over(config, Arc::clone(&self.store)),
            false => Self::new(config, Arc::clone(&self.store.metrics)),
        }
    }

    fn over(config: &Config, store: Arc<Store>) -> Self {
        let target = |user: &UpstreamUser| {
            let nodes = config.clusters.get(&user.cluster).map(|cluster| &cluster.nodes);
            Target { cluster: user.cluster.as_str().into(), digest: sha256(format!("{:?}{:?}{nodes:?}", user.user, user.cluster).as_bytes()) }
        };
        Self { targets: config.users.iter().map(|(name, user)| (name.clone(), target(user))).collect(), store }
    }

    /// Looks for the answer to a permitted statement.
    pub fn find(&self, permitted: Permitted, now: Instant) -> Found {
        let is_read = permitted.understood().statement().effect() == Effect::Read;
        let keeping = permitted.permit().answers().filter(|_| is_read).map(Arc::clone);
        if is_read && keeping.is_none() {
            return Found::Nothing(permitted, Passing::default());
        }
        let Some(target) = self.targets.get(permitted.permit().act_as().as_ref()) else {
            return Found::Nothing(permitted, Passing::default());
        };
        let Some(keeping) = keeping else {
            let changes = self.changes(&permitted, target);
            return Found::Nothing(permitted, Passing { why: None, changes });
        };
        if let Some(why) = bypassed(&permitted, &keeping) {
            self.store.metrics.answers_bypassed.inc();
            return Found::Nothing(permitted, Passing { why: Some(why), changes: None });
        }
        self.store.find(permitted, keeping, target, now)
    }

    /// What the answer to this statement changes.
    fn changes(&self, permitted: &Permitted, target: &Target) -> Option<Changes> {
        let (permit, statement) = (permitted.permit(), permitted.understood().statement());
        let reach = statement.reach();
        let mut marks = Vec::new();
        for name in &reach.targets {
            marks.push(table(&target.cluster, name, permit.database()));
            if name.database.is_none() {
                // It may be the name of a database.
                marks.push(Mark::Database(Arc::clone(&target.cluster), name.table.as_str().into()));
            }
        }
        if statement.effect() != Effect::Insert {
            marks.extend(reach.also.iter().map(|(name, _)| table(&target.cluster, name, permit.database())));
        }
        if !reach.computed.is_empty() || !reach.target_functions.is_empty() {
            marks.push(Mark::All);
        }
        (!marks.is_empty()).then(|| Changes { store: Arc::clone(&self.store), marks })
    }

    /// Lets go of answers: all of them, or those of a rule, a caller (`provider/subject`) or a table. Tells how many were kept.
    ///
    /// # Errors
    /// A sentence for whoever asks.
    pub fn purge(&self, what: Purge<'_>) -> Result<usize, String> {
        let marks: Vec<Mark> = match what {
            Purge::All => vec![Mark::All],
            Purge::Rule(name) => vec![Mark::Rule(name.into())],
            Purge::Caller(key) => vec![Mark::Caller(key.into())],
            Purge::Table(name) => {
                let Some((database, table)) = name.split_once('.').filter(|(database, table)| !database.is_empty() && !table.is_empty()) else {
                    return Err(format!("`{}` is no table; write database.table", name.escape_debug()));
                };
                let of = |target: &Target| Mark::Table(Arc::clone(&target.cluster), database.into(), table.into());
                self.targets.values().map(of).collect()
            }
        };
        Ok(self.store.purge(&marks))
    }
}

/// What is to be let go of.
#[derive(Debug, Clone, Copy)]
pub enum Purge<'a> {
    /// Everything.
    All,
    /// What callers of this rule asked.
    Rule(&'a str),
    /// What this caller asked: provider, slash, subject.
    Caller(&'a str),
    /// What read this table, as database.table, of any cluster.
    Table(&'a str),
}

/// Why the answer to this read is not kept, by a rule that keeps answers.
pub fn bypassed(permitted: &Permitted, keeping: &Keeping) -> Option<Cow<'static, str>> {
    let (permit, understood) = (permitted.permit(), permitted.understood());
    let (statement, reach) = (understood.statement(), understood.statement().reach());
    let system = |name: &Name| is_of_system(name.database.as_deref().unwrap_or(permit.database()));
    let is_system_table = |(name, via): &(Name, Via)| matches!(via, Via::Table(_) | Via::View(_)) && system(name);
    let why = if understood.method() == Method::HEAD {
        "head"
    } else if understood.cache_control().no_store {
        "no-store"
    } else if permit.session().is_some() {
        "session"
    } else if understood.address().wants_blocks() {
        "compressed-blocks"
    } else if !understood.uploads().is_empty() {
        "external-tables"
    } else if permit.observed().is_some() {
        "observed"
    } else if statement.kind() != "SelectWithUnionQuery" {
        "not-a-select"
    } else if !reach.computed.is_empty() {
        "computed-name"
    } else if reach.tables.iter().any(system) || reach.also.iter().any(is_system_table) {
        "system-table"
    } else {
        let unstable = understood.unstable().iter().find(|name| !keeping.takes(name))?;
        return Some(format!("function {}", unstable.escape_debug()).into());
    };
    Some(why.into())
}

/// By whom and by which rule this is asked.
fn who(permitted: &Permitted) -> [Mark; 2] {
    [Mark::Rule(Arc::clone(permitted.permit().rule())), Mark::Caller(Arc::clone(permitted.understood().caller().key()))]
}

/// What this read depends on.
fn marks(permitted: &Permitted, target: &Target) -> Arc<[Mark]> {
    let (permit, reach) = (permitted.permit(), permitted.understood().statement().reach());
    let mut marks = Vec::from(who(permitted));
    for name in reach.tables.iter().chain(reach.also.iter().map(|(name, _)| name)) {
        marks.push(table(&target.cluster, name, permit.database()));
        marks.push(Mark::Database(Arc::clone(&target.cluster), name.database.as_deref().unwrap_or(permit.database()).into()));
    }
    marks.into()
}

fn table(cluster: &Arc<str>, name: &Name, database: &str) -> Mark {
    Mark::Table(Arc::clone(cluster), name.database.as_deref().unwrap_or(database).into(), name.table.as_str().into())
}

impl Store {
    fn new(room: u64, metrics: Arc<Metrics>) -> Self {
        let weigh = |_: &Key, kept: &Arc<Kept>| u32::try_from(kept.weight()).unwrap_or(u32::MAX);
        let kept = Cache::builder().max_capacity(room).weigher(weigh).expire_after(Until).build_with_hasher(RandomState::default());
        Self { room, kept, flights: Mutex::default(), marks: Marks::default(), budget: Budget::new(room), metrics }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Key, Airborne>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(self: &Arc<Self>, permitted: Permitted, keeping: Arc<Keeping>, target: &Target, now: Instant) -> Found {
        let (key, asks) = (key(&permitted, &keeping, target), permitted.understood().cache_control());
        let most = keeping.ttl + keeping.stale_while_refreshing;
        // The tables are the same under one key, and stand with what was asked.
        let who = who(&permitted);
        let kept = || {
            let kept = self.kept.get(&key).filter(|_| !asks.no_cache)?;
            let age = now.saturating_duration_since(kept.head.at);
            let is_young = age <= most && asks.max_age.is_none_or(|most| age <= most);
            (is_young && self.is_good(&kept.asked, &who)).then_some((kept, age))
        };
        let fresh = |(kept, age): &(Arc<Kept>, Duration)| {
            (*age <= keeping.ttl).then(|| {
                self.metrics.answers_kept.inc();
                Found::Kept(Box::new(kept.given(&permitted, *age, false)))
            })
        };
        if let Some(found) = kept().as_ref().and_then(fresh) {
            return found;
        }
        let mut flights = self.flights();
        // What arrived meanwhile is kept by now.
        let kept = kept();
        if let Some(found) = kept.as_ref().and_then(fresh) {
            return found;
        }
        let airborne = flights.get(&key).filter(|airborne| !asks.no_cache && self.is_good(&airborne.asked, &who));
        if let Some((kept, age)) = kept {
            self.metrics.answers_stale.inc();
            let mut given = Box::new(kept.given(&permitted, age, true));
            // One of those who come now asks again.
            if airborne.is_none() {
                given.again = Some(Box::new(self.lead(&mut flights, key, permitted, keeping, target)));
            }
            return Found::Kept(given);
        }
        match airborne.and_then(|airborne| airborne.flight.join()) {
            Some(reader) => Found::Joins(Box::new(Joining { permitted, reader, store: Arc::clone(self) })),
            None => Found::Leads(Box::new(self.lead(&mut flights, key, permitted, keeping, target))),
        }
    }

    /// Whether nothing has changed since this was asked, of what it depends on, nor for who is given it.
    fn is_good(&self, asked: &Asked, marks: &[Mark]) -> bool {
        self.marks.is_unchanged(asked.since, asked.marks.iter().chain(marks))
    }

    fn lead(self: &Arc<Self>, flights: &mut HashMap<Key, Airborne>, key: Key, permitted: Permitted, keeping: Arc<Keeping>, target: &Target) -> Lead {
        let (flight, reader) = Flight::new(keeping.max_entry_bytes, Arc::clone(&self.budget));
        let asked = Asked { since: self.marks.now(), marks: marks(&permitted, target) };
        flights.insert(key, Airborne { flight: Arc::clone(&flight), asked: asked.clone() });
        let flying = Flying { key, flight, asked, keeping, store: Arc::clone(self) };
        Lead { permitted, reader, flying }
    }

    fn purge(&self, marks: &[Mark]) -> usize {
        self.marks.change(marks.iter().cloned());
        let gone: Vec<Key> = self.kept.iter().filter(|(_, kept)| !self.is_good(&kept.asked, &[])).map(|(key, _)| *key).collect();
        for key in &gone {
            self.kept.invalidate(key);
        }
        gone.len()
    }
}

/// Kept no longer than it is given.
struct Until;

impl Expiry<Key, Arc<Kept>> for Until {
    fn expire_after_create(&self, _key: &Key, kept: &Arc<Kept>, _at: Instant) -> Option<Duration> {
        Some(kept.until)
    }

    fn expire_after_update(&self, _key: &Key, kept: &Arc<Kept>, _at: Instant, _left: Option<Duration>) -> Option<Duration> {
        Some(kept.until)
    }
}

impl Given {
    /// What is given by a rule that keeps answers: the word for how, for the record, and what the caller is told of it.
    fn marked(mut answer: upstream::Answer<Body>, how: &'static str, says: HeaderValue, by: Option<RequestId>) -> Self {
        answer.response.headers_mut().insert(ANSWER, says);
        Self { answer, how: Some(how), by, again: None }
    }
}

impl Kept {
    fn new(head: &Head, pieces: &[Bytes], asked: &Asked, until: Duration) -> Self {
        Self { head: head.apart(), body: pieces.concat().into(), asked: asked.clone(), until }
    }

    /// What it takes in memory, in bytes.
    fn weight(&self) -> usize {
        let Self { head: Head { headers, query_id, ignored, summary, .. }, body, asked, .. } = self;
        let values = headers.values().chain(query_id).chain(summary).map(HeaderValue::len);
        let names = ignored.iter().map(|name| size_of_val(name) + name.len());
        let marks = asked.marks.iter().map(Mark::weight);
        FIXED + values.chain(names).chain(marks).chain([body.len()]).map(|length| length + PIECE).sum::<usize>()
    }

    fn given(&self, permitted: &Permitted, age: Duration, is_stale: bool) -> Given {
        let mut answer = self.head.again(permitted, AnswerBody::Whole(Full::new(self.body.clone())).into());
        answer.response.headers_mut().insert(AGE, HeaderValue::from(age.as_secs()));
        let (how, says) = if is_stale { ("stale", "kept; stale") } else { ("kept", "kept") };
        Given::marked(answer, how, HeaderValue::from_static(says), Some(self.head.by))
    }
}

impl Head {
    /// The same in memory of its own.
    fn apart(&self) -> Self {
        // What was a value is one.
        let apart = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
        let values = self.headers.iter().filter_map(|(name, value)| Some((name.clone(), apart(value)?)));
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        headers.extend(values);
        Self {
            headers,
            query_id: self.query_id.as_ref().and_then(apart),
            summary: self.summary.as_ref().and_then(apart),
            ignored: self.ignored.clone(),
            node: self.node.clone(),
            ..*self
        }
    }

    /// The answer for who asked it.
    fn first(&self, body: Body) -> upstream::Answer<Body> {
        upstream::Answer { node: self.node.clone(), summary: self.summary.clone(), ..self.answer(self.ignored.clone(), body) }
    }

    /// The same for another caller: nothing that was done for the first counts as done for this one.
    fn again(&self, permitted: &Permitted, body: Body) -> upstream::Answer<Body> {
        let settings = permitted.permit().settings();
        let left_out = self.ignored.iter().filter(|name| settings.iter().any(|sent| sent.name == **name)).cloned();
        let ignored = permitted.ignored().map(Cow::Borrowed);
        self.answer(ignored.chain(left_out).collect(), body)
    }

    fn answer(&self, ignored: Vec<Cow<'static, str>>, body: Body) -> upstream::Answer<Body> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        upstream::Answer { response, node: None, query_id: self.query_id.clone(), ignored, summary: None }
    }
}

impl Passing {
    /// The answer that was asked for its caller alone.
    pub fn answered(self, answer: upstream::Answer) -> Given {
        let Self { why, changes } = self;
        if let Some(changes) = &changes {
            changes.mark();
        }
        let answer = answer.with(|body| Body::Own(body, changes));
        let Some(why) = why else { return Given { answer, how: None, by: None, again: None } };
        let says = HeaderValue::try_from(format!("bypassed; {why}")).unwrap_or(HeaderValue::from_static("bypassed"));
        Given::marked(answer, "bypassed", says, None)
    }
}

impl Changes {
    fn mark(&self) {
        self.store.marks.change(self.marks.iter().cloned());
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.mark();
    }
}

impl Lead {
    /// Asks, on a task of its own: the statement lives as long as one reads, whoever came first.
    ///
    /// # Errors
    /// As asking.
    pub async fn asks<F>(self, by: RequestId, ask: impl FnOnce(Permitted) -> F) -> Result<Given, Refusal>
    where
        F: Future<Output = Result<upstream::Answer, Refusal>> + Send + 'static,
    {
        let Self { permitted, reader, flying } = self;
        flying.store.metrics.answers_asked.inc();
        tokio::spawn(flying.fly(by, ask(permitted)));
        let head = reader.answered().await?;
        Ok(Given::marked(head.first(Body::Shared(reader)), ASKED, HeaderValue::from_static(ASKED), None))
    }
}

impl Flying {
    async fn fly(self, by: RequestId, work: impl Future<Output = Result<upstream::Answer, Refusal>>) {
        let all = async {
            match work.await {
                Ok(answer) => self.pass_on(by, answer).await,
                Err(refusal) => self.flight.fails(refusal),
            }
        };
        tokio::select! {
            () = self.flight.deserted() => {}
            () = all => {}
        }
    }

    async fn pass_on(&self, by: RequestId, answer: upstream::Answer) {
        let upstream::Answer { response, node, query_id, ignored, summary } = answer;
        let (parts, mut body) = response.into_parts();
        let http::response::Parts { status, headers, .. } = parts;
        let head = Arc::new(Head { status, headers, node, query_id, ignored, summary, by, at: clock::tick() });
        let length = body.size_hint().exact();
        self.flight.begins(Arc::clone(&head), body.clickhouse_code(), body.take_slot(), length);
        let mut last = None;
        while !body.is_end_stream() {
            self.flight.room().await;
            match body.frame().await {
                Some(Ok(frame)) => {
                    let Ok(piece) = frame.into_data() else { continue };
                    if body.is_end_stream() {
                        last = Some(piece);
                    } else {
                        self.flight.push(piece, body.clickhouse_code());
                    }
                }
                Some(Err(error)) => return self.flight.breaks(why(&*error)),
                None => break,
            }
        }
        // Kept before its readers know that it is over: who asks then finds it.
        if let Some(pieces) = self.flight.push_last(last, body.clickhouse_code()) {
            self.keep(&head, &pieces);
        }
        self.flight.ends();
    }

    fn keep(&self, head: &Head, pieces: &[Bytes]) {
        let until = self.keeping.ttl + self.keeping.stale_while_refreshing;
        let kept = Kept::new(head, pieces, &self.asked, until);
        if self.store.room > 0 && memmem::find(&kept.body, EXCEPTION).is_none() && self.store.is_good(&self.asked, &[]) {
            self.store.kept.insert(self.key, Arc::new(kept));
        }
    }
}

fn why(error: &(dyn std::error::Error + 'static)) -> Why {
    error.downcast_ref::<Stopped>().map_or_else(|| Why::Else(error.to_string().into()), |stopped| Why::Stopped(stopped.clone()))
}

impl Drop for Flying {
    fn drop(&mut self) {
        self.flight.breaks(Why::Else("the statement was given up".into()));
        let mut flights = self.store.flights();
        // Another may fly under the same key by now.
        if flights.get(&self.key).is_some_and(|airborne| Arc::ptr_eq(&airborne.flight, &self.flight)) {
            flights.remove(&self.key);
        }
    }
}

impl Joining {
    /// Waits for the beginning of what another asked.
    ///
    /// # Errors
    /// The statement, which is to be asked for this caller alone: the other one's failed before a byte of it.
    pub async fn joins(self) -> Result<Given, Alone> {
        let Self { permitted, reader, store } = self;
        let Some(head) = reader.joined().await else { return Err(Alone { permitted, store }) };
        store.metrics.answers_joined.inc();
        Ok(Given::marked(head.again(&permitted, Body::Shared(reader)), "joined", HeaderValue::from_static("joined"), Some(head.by)))
    }
}

impl Alone {
    /// Asks it, for nobody else and to keep nothing.
    ///
    /// # Errors
    /// As asking.
    pub async fn asks<F>(self, ask: impl FnOnce(Permitted) -> F) -> Result<Given, Refusal>
    where
        F: Future<Output = Result<upstream::Answer, Refusal>>,
    {
        self.store.metrics.answers_asked.inc();
        let answer = ask(self.permitted).await?.with(Body::from);
        Ok(Given::marked(answer, ASKED, HeaderValue::from_static(ASKED), None))
    }
}

/// A body for callers.
pub enum Body {
    /// Of this caller alone, and what it changes.
    Own(AnswerBody, Option<Changes>),
    /// Of all who asked.
    Shared(Reader),
}

impl From<AnswerBody> for Body {
    fn from(body: AnswerBody) -> Self {
        Self::Own(body, None)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Own(body, changes) => {
                let polled = Pin::new(&mut *body).poll_frame(context);
                // Before the caller knows that the statement is over.
                if changes.is_some() && (body.is_end_stream() || matches!(polled, Poll::Ready(None | Some(Err(_))))) {
                    *changes = None;
                }
                polled
            }
            Self::Shared(reader) => Pin::new(reader).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body, _) => body.is_end_stream(),
            Self::Shared(reader) => reader.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body, _) => body.size_hint(),
            Self::Shared(reader) => reader.size_hint(),
        }
    }
}

impl Told for Body {
    fn clickhouse_code(&self) -> Option<u16> {
        match self {
            Self::Own(body, _) => body.clickhouse_code(),
            Self::Shared(reader) => reader.code(),
        }
    }
}
