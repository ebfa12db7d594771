//! Every way SQL comes in: attacks 1 to 46 of the project's list, each beside a harmless twin, by exact bytes.
//!
//! What is refused reaches nobody, not even with a question for settings. What is permitted is one request that is known
//! to the byte, and in front of both real ClickHouses (`real`) it does what the same bytes do there without Keyhouse.

mod data;
mod real;
mod rows;
mod uploads;

use std::fmt::Write;

use serde_json::{Value, json};

use crate::support::{
    clickhouse::{ANALYST, User, WRITER},
    client::{Answer, Caller},
    house::{House, Plan},
    issuer::Issuer,
    raw::{Form, Raw},
    recorder::{Heard, Recorder},
    script::Script,
};

/// Analysts read one table and engineers fill any of the database but one; openers may write expressions.
const RULES: &str = r#"rules:
  - name: analysts
    whom: {groups: [analysts]}
    act_as: analyst
    allow: [{effects: [read], tables: ["default.pub"]}]
  - name: engineers
    whom: {groups: [engineers]}
    act_as: writer
    allow: [{effects: [read, insert], tables: ["default.*"], deny: ["default.hidden"]}]
  - name: openers
    whom: {groups: [openers]}
    act_as: writer
    insert_values: expressions
    allow: [{effects: [read, insert], tables: ["default.*"]}]
"#;

/// One request and what is to become of it.
pub struct Way {
    /// Of the attack that it is, or whose twin.
    number: u16,
    raw: Raw,
    group: &'static str,
    want: Want,
    /// What an attack does to a ClickHouse without Keyhouse, the old one and today's: with none it is none there.
    does: [Option<Deed>; 2],
    /// Which of the two ClickHouses, the old one and today's, take a permitted request as it came.
    taken: [bool; 2],
}

pub enum Want {
    /// Status, reason, and what the answer says.
    Refused(u16, &'static str, &'static str),
    /// The HTTP library says so, before there is a request.
    NotHttp(u16),
    Sent(Sent),
}

/// What ClickHouse is to hear: a POST to `/`.
#[derive(Default)]
pub struct Sent {
    /// Of the address, in this order, without the id and the log comment.
    parameters: Vec<(&'static str, String)>,
    encoding: Option<&'static str>,
    body: Vec<u8>,
    /// The body, where it is one.
    form: Option<Form>,
    /// Whether the length is announced.
    framed: Option<bool>,
}

#[derive(Clone, Copy)]
pub enum Deed {
    /// It tells what stands in `sec.secret`.
    Tells,
    /// It drops the table `victim`.
    Drops,
    /// It reads rows that came with it for those of `pub`.
    Falsifies,
}

pub fn refused(number: u16, raw: Raw, status: u16, reason: &'static str, says: &'static str) -> Way {
    Way::new(number, raw, Want::Refused(status, reason, says))
}

pub fn not_http(number: u16, raw: Raw, status: u16) -> Way {
    Way::new(number, raw, Want::NotHttp(status))
}

/// A read that goes on as this text.
pub fn read(number: u16, raw: Raw, sql: &str) -> Way {
    let parameters = vec![("database", "default".to_owned()), ("readonly", "2".to_owned())];
    Way::new(number, raw, Want::Sent(Sent { parameters, body: sql.as_bytes().to_vec(), ..Sent::default() }))
}

/// A read that goes on as this form.
pub fn form(number: u16, raw: Raw, form: Form) -> Way {
    let parameters = vec![("database", "default".to_owned()), ("readonly", "2".to_owned())];
    Way::new(number, raw, Want::Sent(Sent { parameters, form: Some(form), ..Sent::default() }))
}

/// An INSERT whose head and data go on as this body.
pub fn insert(number: u16, raw: Raw, body: impl AsRef<[u8]>) -> Way {
    let parameters =
        [("database", "default"), ("input_format_values_interpret_expressions", "0"), ("input_format_values_deduce_templates_of_expressions", "0")];
    let parameters = parameters.map(|(name, value)| (name, value.to_owned())).to_vec();
    let sent = Sent { parameters, body: body.as_ref().to_vec(), ..Sent::default() };
    Way { group: "engineers", ..Way::new(number, raw, Want::Sent(sent)) }
}

impl Way {
    fn new(number: u16, raw: Raw, want: Want) -> Self {
        Self { number, raw, group: "analysts", want, does: [None, None], taken: [true, true] }
    }

    pub fn by(self, group: &'static str) -> Self {
        Self { group, ..self }
    }

    /// What it does without Keyhouse on the old server and on today's.
    pub fn does(self, old: impl Into<Option<Deed>>, today: impl Into<Option<Deed>>) -> Self {
        Self { does: [old.into(), today.into()], ..self }
    }

    /// As both do.
    pub fn does_everywhere(self, deed: Deed) -> Self {
        self.does(deed, deed)
    }

    /// 18.16 cannot read it as it came.
    pub fn not_old(self) -> Self {
        Self { taken: [false, self.taken[1]], ..self }
    }

    /// 26.9 cannot.
    pub fn not_today(self) -> Self {
        Self { taken: [self.taken[0], false], ..self }
    }

    /// With this parameter besides, the last one.
    pub fn with(self, name: &'static str, value: &str) -> Self {
        self.sent(|sent| sent.parameters.push((name, value.to_owned())))
    }

    /// Values are expressions: without the settings that make them data.
    pub fn opened(self) -> Self {
        self.by("openers").sent(|sent| sent.parameters.truncate(1))
    }

    /// By one who may write, as an INSERT.
    pub fn writes(self) -> Self {
        let Want::Sent(sent) = insert(self.number, self.raw.clone(), "").want else { return self };
        self.by("engineers").sent(|own| own.parameters = sent.parameters)
    }

    /// In this coding.
    pub fn coded(self, token: &'static str) -> Self {
        self.sent(|sent| sent.encoding = Some(token))
    }

    /// With its length announced, or in chunks.
    pub fn framed(self, length: bool) -> Self {
        self.sent(|sent| sent.framed = Some(length))
    }

    fn sent(mut self, change: impl FnOnce(&mut Sent)) -> Self {
        match &mut self.want {
            Want::Sent(sent) => change(sent),
            Want::Refused(..) | Want::NotHttp(_) => panic!("{} is not sent at all", self.number),
        }
        self
    }

    /// Whose credential carries it.
    fn user(&self) -> User {
        if self.group == "analysts" { ANALYST } else { WRITER }
    }

    fn complains(&self, wrong: &mut String, came: &str) {
        writeln!(wrong, "{}: {}\n   came {came}", self.number, self.raw.shown()).unwrap();
    }
}

/// One token of each group, made once.
pub struct Tokens(Vec<(&'static str, String)>);

impl Tokens {
    pub fn of(issuer: &Issuer) -> Self {
        Self(["analysts", "engineers", "openers", "nobody"].map(|group| (group, issuer.token().groups(&[group]).make())).to_vec())
    }

    pub fn of_group(&self, group: &str) -> &str {
        let (_, token) = self.0.iter().find(|(of, _)| *of == group).expect("a group that has a token");
        token
    }
}

/// An issuer, a recorder and a house between them.
pub struct Scene {
    /// Held for its drop: without it nobody knows the callers.
    _issuer: Issuer,
    tokens: Tokens,
    pub recorder: Recorder,
    pub house: House,
}

impl Scene {
    pub async fn begin(shape: impl FnOnce(Plan) -> Plan) -> Self {
        let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
        let house = shape(Plan::new(&issuer.url, &[&recorder.url]).policy("10-rules.yaml", RULES)).start().await;
        Self { tokens: Tokens::of(&issuer), _issuer: issuer, recorder, house }
    }

    pub fn token(&self, group: &str) -> &str {
        self.tokens.of_group(group)
    }

    pub async fn caller(&self) -> Caller {
        Caller::plain(self.house.http()).await
    }

    pub async fn ask(&self, raw: &Raw, group: &str) -> Answer {
        let mut caller = self.caller().await;
        caller.send(raw.with_token(self.token(group))).await;
        caller.answer().await
    }

    /// The one record of this answer.
    pub async fn record_of(&self, answer: &Answer) -> Value {
        let id = answer.header("x-keyhouse-request-id").expect("an answer with its request's id");
        self.house.wait_record(id, |record| record["request_id"] == id).await
    }

    /// Sends each on a connection of its own; all that is wrong is told at once.
    pub async fn goes(&self, ways: &[Way]) {
        let (before, begun) = (self.recorder.requests().len(), self.house.records().len());
        let (mut wrong, mut heard, mut told) = (String::new(), before, Vec::new());
        for way in ways {
            let asked = self.recorder.asked().len();
            let answer = self.ask(&way.raw, way.group).await;
            let requests = self.recorder.requests_since(heard);
            heard += requests.len();
            match &way.want {
                Want::Sent(sent) => {
                    if answer.status != 200 || requests.len() != 1 {
                        way.complains(&mut wrong, &format!("{} {}, {} heard", answer.status, answer.text().trim_end(), requests.len()));
                    } else if let Err(differs) = sent.is(&requests[0], way, &answer) {
                        way.complains(&mut wrong, &differs);
                    }
                }
                want => {
                    if let Err(differs) = want.is(&answer) {
                        way.complains(&mut wrong, &differs);
                    }
                    if !requests.is_empty() || self.recorder.asked().len() > asked {
                        way.complains(&mut wrong, "and the upstream heard of it");
                    }
                }
            }
            if !matches!(way.want, Want::NotHttp(_)) {
                told.push((way, answer));
            }
        }
        let records = self.house.wait_records(begun + told.len()).await.split_off(begun);
        for (way, answer) in &told {
            let of: Vec<_> = records.iter().filter(|record| record["request_id"].as_str() == answer.header("x-keyhouse-request-id")).collect();
            let (outcome, reason) = match way.want {
                Want::Refused(_, reason, _) => ("refused", json!(reason)),
                Want::Sent(_) | Want::NotHttp(_) => ("answered", Value::Null),
            };
            let right =
                |record: &Value| (&record["outcome"], &record["reason"], &record["status"]) == (&json!(outcome), &reason, &json!(answer.status));
            if of.len() != 1 || !right(of[0]) {
                way.complains(&mut wrong, &format!("the records {of:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
        assert_eq!(self.house.records().len(), begun + told.len(), "one record each");
    }
}

impl Want {
    fn is(&self, answer: &Answer) -> Result<(), String> {
        let (status, reason, text) = (answer.status, answer.header("x-keyhouse-reason"), answer.text());
        let right = match *self {
            Want::Refused(wanted, of, says) => {
                let code = format!("Code: {}. DB::Exception: ", answer.header("x-clickhouse-exception-code").unwrap_or_default());
                (status, reason) == (wanted, Some(of)) && text.contains(says) && (text.is_empty() || text.starts_with(&code))
            }
            Want::NotHttp(wanted) => (status, reason, answer.header("x-keyhouse-request-id")) == (wanted, None, None),
            Want::Sent(_) => status == 200,
        };
        let want = match *self {
            Want::Refused(status, reason, says) => format!("{status} {reason} {says:?}"),
            Want::NotHttp(status) => format!("{status} of the HTTP library"),
            Want::Sent(_) => "200".to_owned(),
        };
        if right { Ok(()) } else { Err(format!("{status} {reason:?} {}\n   want {want}", text.trim_end())) }
    }
}

impl Sent {
    /// Whether this is what was heard, to the byte.
    fn is(&self, heard: &Heard, way: &Way, answer: &Answer) -> Result<(), String> {
        let id = answer.header("x-keyhouse-request-id").unwrap_or_default();
        let (path, _) = heard.target().split_once('?').unwrap_or_default();
        same("the request", &(heard.method(), path, heard.whole), &("POST", "/", true))?;
        let (of_the_house, parameters): (Vec<_>, Vec<_>) =
            heard.parameters().into_iter().partition(|(name, _)| name == "query_id" || name == "log_comment");
        let comment = json!({"keyhouse": {"request_id": id, "caller": "corp/alice", "rule": way.group}}).to_string();
        same("the house's own", &of_the_house, &[("query_id".to_owned(), id.to_owned()), ("log_comment".to_owned(), comment)].to_vec())?;
        let wanted: Vec<_> = self.parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        same("the parameters", &parameters, &wanted)?;
        let mut names: Vec<String> = heard.head.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
        names.sort();
        let framing = names.iter().position(|name| name == "content-length" || name == "transfer-encoding").map(|at| names.remove(at));
        if self.framed.is_some_and(|length| framing.as_deref() != Some(if length { "content-length" } else { "transfer-encoding" })) {
            return Err(format!("framed by {framing:?}"));
        }
        let mut wanted = vec!["content-type", "host", "user-agent", "x-clickhouse-key", "x-clickhouse-user"];
        wanted.splice(0..0, self.encoding.map(|_| "content-encoding"));
        same("the headers", &names, &wanted.iter().map(|name| (*name).to_owned()).collect())?;
        same("the coding", &heard.header("content-encoding"), &self.encoding)?;
        same("the user", &heard.header("x-clickhouse-user"), &Some(way.user().name))?;
        let boundary = format!("keyhouse-{id}");
        let (content_type, body) = match &self.form {
            Some(form) => (format!("multipart/form-data; boundary={boundary}"), form.written(&boundary)),
            None => ("text/plain; charset=utf-8".to_owned(), self.body.clone()),
        };
        same("the type", &heard.header("content-type"), &Some(content_type.as_str()))?;
        let shown = |body: &[u8]| String::from_utf8_lossy(&body[..body.len().min(600)]).into_owned();
        if heard.body == body { Ok(()) } else { Err(format!("the body {:?}\n   want {:?}", shown(&heard.body), shown(&body))) }
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, came: &T, wanted: &T) -> Result<(), String> {
    if came == wanted { Ok(()) } else { Err(format!("{what} {came:?}\n   want {wanted:?}")) }
}

#[tokio::test]
async fn what_is_no_plain_statement_goes_nowhere_and_its_twin_goes_as_it_was_understood() {
    let scene = Scene::begin(|plan| plan).await;
    scene.goes(&rows::all()).await;
}
