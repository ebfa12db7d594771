//! One request's whole way.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body_util::{BodyExt, Full};
use tokio::task::JoinSet;

use crate::admission::{Admission, Meter, Metered};
use crate::answers::{Answers, Body, Found, Given, Joining, Lead};
use crate::clock;
use crate::config::{Limits, Secret, StatementForm};
use crate::identity::{Caller, Identities, Resource};
use crate::listen::{Arrived, Asked, Cors, Handler};
use crate::policy::{self, Asking, Permit, Permitted, Rules};
use crate::record::{Audit, Draft, Entry, Metrics, Outcome, Recorded, Recording, RequestId};
use crate::refusal::{Reason, Refusal, Shape};
use crate::sessions::Sessions;
use crate::statement::{self, Kept, Opinion, Reader, Seen, Understood};
use crate::upstream::{Answer, AnswerBody, QUERY_ID, Upstream};

/// Ties an answer to its record, on every answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-keyhouse-request-id");

/// Parameters of the caller that were understood and not sent on.
const IGNORED: HeaderName = HeaderName::from_static("x-keyhouse-ignored");

/// The reason for which a rule under observation would have refused.
const OBSERVED: HeaderName = HeaderName::from_static("x-keyhouse-observed");

/// Everything that one request is judged by.
pub struct Snapshot {
    /// Its number: 1 at the start, one more at every reload.
    pub generation: u64,
    /// Who may ask.
    pub identities: Identities,
    /// Who may do what.
    pub rules: Rules,
    /// Statements that were understood before.
    pub statements: Kept,
    /// Answers that are given again.
    pub answers: Answers,
    /// Sessions of ClickHouse that are open.
    pub sessions: Sessions,
    /// How many statements run and begin.
    pub admission: Admission,
    /// The way to ClickHouse.
    pub upstream: Arc<Upstream>,
    /// What a stranger may take.
    pub limits: Limits,
    /// How statements stand in the record.
    pub statement_form: StatementForm,
    /// What OAuth clients are told.
    pub resource: Resource,
    /// Which web pages may ask.
    pub cors: Cors,
    /// What the admin address asks for before it reloads.
    pub admin_token: Option<Secret>,
    /// What keeps the keys fresh and asks ClickHouse for its settings; it ends with the snapshot.
    pub tasks: JoinSet<()>,
}

/// The snapshot that the next request is judged by.
pub type Current = Arc<ArcSwap<Snapshot>>;

/// The walk. Early returns are refusals; the last line is the only way to ClickHouse.
async fn pass(
    snapshot: &Arc<Snapshot>,
    gate: &Gate,
    arrived: Box<Arrived>,
    now: SystemTime,
    entry: &mut Entry,
) -> Result<(Given, Option<Box<Meter>>), Refusal> {
    gate.audit.check()?;
    match arrived.check()? {
        Asked::Ping => return snapshot.upstream.pong().map(|pong| (pong.into(), None)),
        Asked::Metadata => return metadata(&snapshot.resource, arrived.head().uri.path()).map(|document| (document.into(), None)),
        Asked::Preflight => return preflight(&snapshot.cors, &arrived.head().headers).map(|answer| (answer.into(), None)),
        Asked::Statement => not_too_many(gate.metrics.requests_running.get(), &snapshot.limits)?,
    }
    let mut identified = snapshot.identities.identify(arrived, now).await?;
    entry.saw_caller(identified.caller());
    let mut seen = Seen::default();
    let asked_for = identified.take_rule()?;
    let asking = Asking { caller: identified.caller(), from: identified.from(), now, rule: asked_for.as_deref() };
    let choice = snapshot.rules.choose(&asking);
    let reader = Reader { kept: &snapshot.statements, values: choice.values(), form: snapshot.statement_form };
    let understood = statement::understand(identified, &snapshot.limits, reader, &mut seen).await;
    entry.saw_text(seen);
    let understood = understood?;
    entry.saw_statement(&understood);
    let permitted = policy::decide(choice, understood).map_err(|denied| {
        entry.rule = denied.rule;
        denied.refusal
    })?;
    entry.saw_permit(permitted.permit());
    let meter = snapshot.admission.count(&permitted, clock::tick())?;
    let by = ByWhom { id: entry.request_id, draft: gate.draft(snapshot, entry) };
    // What is kept needs no slot. The rest of the ways are boxed, because only rules that keep answers go them.
    let given = match snapshot.answers.find(permitted, clock::tick()) {
        Found::Nothing(permitted, passing) => {
            let answer = ask(snapshot, permitted, by, |waited| entry.waited(waited)).await?;
            passing.answered(answer)
        }
        Found::Kept(given) => *given,
        Found::Leads(lead) => Box::pin(ask_for_all(snapshot, *lead, by, entry)).await?,
        Found::Joins(joining) => Box::pin(join(snapshot, *joining, by, entry)).await?,
    };
    Ok((given, meter))
}

/// The request that a statement is asked for.
struct ByWhom {
    id: RequestId,
    /// The record of the statement's end, should Keyhouse have to bring that about.
    draft: Option<Draft>,
}

/// Its turn, and the only way to ClickHouse.
async fn ask(snapshot: &Snapshot, permitted: Permitted, by: ByWhom, waited: impl FnOnce(Duration)) -> Result<Answer, Refusal> {
    let session = permitted.permit().session().map(|session| snapshot.sessions.open(session, clock::tick())).transpose()?;
    let admitted = snapshot.admission.admit(permitted, waited).await?.in_session(session);
    snapshot.upstream.forward(admitted, &by.id, by.draft).await
}

/// The same for all who ask it meanwhile.
async fn ask_for_all(snapshot: &Arc<Snapshot>, lead: Lead, by: ByWhom, entry: &mut Entry) -> Result<Given, Refusal> {
    let (snapshot, waited) = (Arc::clone(snapshot), Arc::new(OnceLock::new()));
    let tells = Arc::clone(&waited);
    let given = lead
        .asks(by.id, |permitted| async move {
            // It waits once at most.
            ask(&snapshot, permitted, by, |time| tells.set(time).unwrap_or_default()).await
        })
        .await;
    if let Some(time) = waited.get() {
        entry.waited(*time);
    }
    given
}

/// What another asks, or the same asked alone where that fails.
async fn join(snapshot: &Snapshot, joining: Joining, by: ByWhom, entry: &mut Entry) -> Result<Given, Refusal> {
    match joining.joins().await {
        Ok(given) => Ok(given),
        Err(alone) => alone.asks(|permitted| ask(snapshot, permitted, by, |waited| entry.waited(waited))).await,
    }
}

/// Keyhouse's own health comes before any statement: those that run are not harmed by one more. This one is among them.
fn not_too_many(running: i64, limits: &Limits) -> Result<(), Refusal> {
    if running <= i64::from(limits.requests) {
        return Ok(());
    }
    let says = format!("Keyhouse has {} requests at once (limits.requests), which is all that it takes. Ask again in a second.", limits.requests);
    Err(Refusal::new(Reason::Overloaded, says).retry_after(Duration::from_secs(1)))
}

fn preflight(cors: &Cors, headers: &HeaderMap) -> Result<Answer, Refusal> {
    if cors.allowed(headers).is_none() {
        let says = "Web pages of this origin are not let in (cors.allowed_origins).";
        return Err(Refusal::new(Reason::OriginNotAllowed, says));
    }
    let mut answer = Answer::nothing();
    cors.tell_before(answer.response.headers_mut());
    Ok(answer)
}

fn metadata(resource: &Resource, path: &str) -> Result<Answer, Refusal> {
    let missing = || Refusal::new(Reason::UnknownPath, "There is no metadata here: it stands where the config's `public_url` says, if there is one.");
    resource.document(path).map(Answer::json).ok_or_else(missing)
}

/// Answers requests: the walk inside, the record around it.
#[derive(Clone)]
pub struct Gate {
    current: Current,
    audit: Arc<Audit>,
    metrics: Arc<Metrics>,
}

impl Gate {
    /// A gate that judges each request by the snapshot that is current when it arrives.
    pub fn new(current: Current, audit: Arc<Audit>, metrics: Arc<Metrics>) -> Self {
        Self { current, audit, metrics }
    }

    /// The beginning of the record of a statement's end, where the config names who brings that about.
    fn draft(&self, snapshot: &Snapshot, entry: &Entry) -> Option<Draft> {
        let kills = entry.act_as.as_ref().is_some_and(|user| snapshot.upstream.kills(user));
        kills.then(|| Draft::new(entry.clone(), Arc::clone(&self.audit), Arc::clone(&self.metrics)))
    }

    /// Asks again what was given from memory, as a request of its own behind the caller's.
    fn ask_again(&self, snapshot: &Arc<Snapshot>, lead: Lead, entry: Entry) {
        let (gate, snapshot) = (self.clone(), Arc::clone(snapshot));
        let mut recording = Recording::new(entry, Arc::clone(&self.audit), Arc::clone(&self.metrics));
        tokio::spawn(async move {
            let entry = recording.entry();
            let by = ByWhom { id: entry.request_id, draft: gate.draft(&snapshot, entry) };
            let response = match ask_for_all(&snapshot, lead, by, entry).await {
                Ok(given) => entry.saw_given(given),
                Err(refusal) => gate.refuse(&refusal, &snapshot.resource, Shape::default(), entry),
            };
            entry.answer_begins(response.status(), clock::tick());
            let mut body = Recorded::new(response.into_body(), recording);
            while let Some(Ok(_)) = body.frame().await {}
        });
    }

    fn refuse(&self, refusal: &Refusal, resource: &Resource, shape: Shape, entry: &mut Entry) -> Response<Body> {
        if let Some(cause) = refusal.chain() {
            let (request_id, reason) = (entry.request_id.as_str(), refusal.reason().code());
            // What a stranger can cause at will must not fill the log.
            match refusal.reason().status().is_server_error() {
                true => tracing::warn!(request_id, reason, cause, "refused"),
                false => tracing::debug!(request_id, reason, cause, "refused"),
            }
        }
        entry.outcome = Outcome::Refused;
        entry.reason = Some(refusal.reason().code());
        entry.message = entry.caller.is_none().then(|| refusal.says().to_owned());
        entry.clickhouse_code = Some(refusal.reason().clickhouse().number);
        refusal.answer(shape, resource.realm(), entry.request_id.as_str()).map(|body| AnswerBody::Whole(Full::new(body)).into())
    }
}

impl Handler for Gate {
    type Body = Recorded<Metered<Body>>;

    async fn answer(&self, arrived: Box<Arrived>) -> Response<Self::Body> {
        let now = clock::now();
        let head = arrived.head();
        let shape = Shape::wanted(head);
        let is_head = head.method == Method::HEAD;
        let mut entry = Entry::open(now, clock::tick(), arrived.peer(), &head.method, head.version);
        entry.address = Some(arrived.from()).filter(|from| *from != arrived.peer().ip().to_canonical());
        let snapshot = self.current.load_full();
        let page = snapshot.cors.allowed(&head.headers);
        entry.generation = snapshot.generation;
        let mut recording = Recording::new(entry, Arc::clone(&self.audit), Arc::clone(&self.metrics));
        let entry = recording.entry();
        let mut meter = None;
        let mut response = match pass(&snapshot, self, arrived, now, entry).await {
            Ok((mut given, counts)) => {
                meter = counts;
                let again = given.again.take().filter(|_| self.metrics.requests_running.get() < i64::from(snapshot.limits.requests));
                if let Some(lead) = again {
                    self.ask_again(&snapshot, *lead, entry.asked_again(now, clock::tick()));
                }
                entry.saw_given(given)
            }
            Err(refusal) => self.refuse(&refusal, &snapshot.resource, shape, entry),
        };
        if is_head {
            // Dropping what follows ends the statement, too.
            response = response.map(|_body| AnswerBody::Whole(Full::default()).into());
        }
        entry.answer_begins(response.status(), clock::tick());
        if let Ok(id) = HeaderValue::from_str(entry.request_id.as_str()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        // The caller's own, whatever ClickHouse calls it: ids of callers who do not know of each other may be the same.
        if let Some(id) = &entry.client_query_id {
            response.headers_mut().insert(QUERY_ID, id.clone());
        }
        if !entry.ignored.is_empty()
            && let Ok(names) = HeaderValue::from_str(&entry.ignored.join(", "))
        {
            response.headers_mut().insert(IGNORED, names);
        }
        if let Some(origin) = page {
            Cors::tell(origin, response.headers_mut());
        }
        if let Some(reason) = entry.observed {
            response.headers_mut().insert(OBSERVED, HeaderValue::from_static(reason));
        }
        response.map(|body| Recorded::new(Metered::new(body, meter), recording))
    }
}

/// From the rooms' own words to the record's.
impl Entry {
    fn saw_caller(&mut self, caller: &Caller) {
        self.caller = caller.rendered();
    }

    fn saw_text(&mut self, seen: Seen) {
        self.statement = seen.statement;
        self.statement_digest = seen.digest;
        self.comments = seen.comments;
        self.second_opinion = seen.opinion.map(Opinion::word);
    }

    fn saw_statement(&mut self, understood: &Understood) {
        let statement = understood.statement();
        self.uploads = understood.uploads().iter().map(|upload| upload.name.clone()).collect();
        self.data_passed = understood.data_passed();
        self.effect = Some(statement.effect().word());
        self.kind = Some(statement.kind());
        self.reach = understood.reach_rendered();
        self.client_query_id = understood.address().query_id().cloned();
    }

    fn saw_permit(&mut self, permit: &Permit) {
        self.rule = Some(Arc::clone(permit.rule()));
        self.act_as = Some(Arc::clone(permit.act_as()));
        self.database = Some(Arc::clone(permit.database()));
        self.observed = permit.observed().map(|refusal| refusal.reason().code());
    }

    fn saw_given(&mut self, given: Given) -> Response<Body> {
        let Given { answer, how, by, again: _ } = given;
        (self.answer, self.answer_of) = (how, by);
        self.outcome = Outcome::Answered;
        self.node = answer.node;
        self.query_id = answer.query_id;
        self.ignored = answer.ignored;
        self.summary = answer.summary;
        answer.response
    }
}
