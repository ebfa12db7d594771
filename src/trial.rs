//! Rules tried without a server: what the gate would make of a request, by the same rooms and nothing else.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::clock;
use crate::config::{Limits, Problems, SERVICE_ACCOUNT, Scalar, StatementForm, checked};
use crate::identity::{Caller, Identified};
use crate::listen::Arriving;
use crate::policy::{self, Asking, Choice, Denied, Permitted, Rules};
use crate::refusal::{Reason, Refusal};
use crate::statement::{self, Kept, Reader, Seen, Understood};

/// Who asks, from where and when, as it is written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WrittenCaller {
    /// The provider's name in the config.
    #[serde(default)]
    pub provider: String,
    /// The token's `sub`; the user's name where it is left out.
    pub subject: Option<String>,
    /// The name.
    #[serde(default)]
    pub username: String,
    /// A service account instead, by its name.
    pub service_account: Option<String>,
    /// The groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Claims of the token that rules ask for.
    #[serde(default)]
    pub claims: Map<String, Value>,
    /// The address that the request comes from; 127.0.0.1 where it is left out.
    pub from: Option<IpAddr>,
    /// When, as `2027-01-31T09:00:00Z`; now where it is left out.
    pub at: Option<String>,
}

/// Who asks, from where and when.
#[derive(Debug, Clone)]
pub struct Asker {
    /// Who.
    pub caller: Caller,
    /// From where.
    pub from: IpAddr,
    /// When.
    pub at: SystemTime,
}

impl Asker {
    /// Somebody who asks now, on this machine.
    pub fn of(caller: Caller) -> Self {
        Self { caller, from: IpAddr::from(Ipv4Addr::LOCALHOST), at: clock::now() }
    }

    /// Checks what is written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(written: WrittenCaller) -> Result<Self, String> {
        let mut problems = Problems::default();
        let at = written.at.map(|text| checked::moment("at".to_owned(), &text, &mut problems));
        if let Some(problem) = problems.iter().next() {
            return Err(problem.to_string());
        }
        let (provider, username) = match written.service_account {
            Some(name) => (SERVICE_ACCOUNT.to_owned(), name),
            None => (written.provider, written.username),
        };
        if username.is_empty() {
            return Err("names nobody; write username, or service_account".to_owned());
        }
        let caller = Caller {
            provider,
            subject: written.subject.unwrap_or_else(|| username.clone()),
            username,
            display: None,
            groups: written.groups,
            claims: written.claims,
            line: Default::default(),
        };
        let asker = Self::of(caller);
        Ok(Self { from: written.from.unwrap_or(asker.from), at: at.flatten().unwrap_or(asker.at), ..asker })
    }
}

/// A file of tests.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct WrittenTests {
    /// Who asks, by the names that the tests use.
    #[serde(default)]
    pub callers: BTreeMap<String, WrittenCaller>,
    /// What they ask, and what is to come of it.
    pub tests: Vec<WrittenTest>,
}

/// One request and what is to come of it.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct WrittenTest {
    /// What it shows.
    pub name: Option<String>,
    /// Who asks: one of the callers.
    #[serde(rename = "as")]
    pub caller: String,
    /// The statement.
    #[serde(default)]
    pub statement: String,
    /// The address parameters besides it, as `max_threads=2&database=sales`.
    #[serde(default)]
    pub query: String,
    /// The method.
    #[serde(default = "post")]
    pub method: String,
    /// Header fields.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What is to come of it.
    pub verdict: Verdict,
    /// The rule that judges.
    pub rule: Option<String>,
    /// The reason of a refusal, or of what is only observed.
    pub reason: Option<String>,
    /// What the refused caller is told, or a part of it.
    pub says: Option<String>,
    /// The credential.
    pub act_as: Option<String>,
    /// The roles that are active.
    pub roles: Option<Vec<String>>,
    /// By what ClickHouse counts.
    pub quota_key: Option<String>,
    /// Settings that are sent, besides those that Keyhouse always sends: all of them.
    pub settings: Option<BTreeMap<String, Scalar>>,
    /// The text that ClickHouse gets.
    pub sends: Option<String>,
}

fn post() -> String {
    Method::POST.to_string()
}

/// What is to come of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It passes.
    Permit,
    /// It does not.
    Refuse,
    /// It passes, and a rule that only observes would refuse it.
    Observe,
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Permit => "permit",
            Verdict::Refuse => "refuse",
            Verdict::Observe => "observe",
        }
    }
}

/// What an address cannot hold as it is; the rest stands as people write it, and `%` for itself.
const UNREADABLE: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// A request, whole.
#[derive(Debug, Clone)]
pub struct Asked {
    head: Parts,
    body: Bytes,
}

impl Asked {
    /// A statement as clients send it: in the body of a POST, or in the address of a GET.
    ///
    /// # Errors
    /// What is wrong with a header or the address.
    pub fn statement(method: &Method, query: &str, headers: &BTreeMap<String, String>, sql: &str) -> Result<Self, String> {
        let in_address = *method != Method::POST;
        let mut target = format!("/?{}", utf8_percent_encode(query, UNREADABLE));
        if in_address && !sql.is_empty() {
            target.push_str(if query.is_empty() { "query=" } else { "&query=" });
            target.extend(utf8_percent_encode(sql, NON_ALPHANUMERIC));
        }
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let body = if in_address { Bytes::new() } else { Bytes::copy_from_slice(sql.as_bytes()) };
        let (head, ()) = request.body(()).map_err(|error| error.to_string())?.into_parts();
        Ok(Self { head, body })
    }

    /// A whole request of HTTP/1.1 as it stands in a file; its body is what stands behind the empty line, in no chunks.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn http(bytes: &Bytes) -> Result<Self, String> {
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut parsed = httparse::Request::new(&mut fields);
        let begins = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(begins)) => begins,
            Ok(httparse::Status::Partial) => return Err("the request's head has no end; an empty line ends it".to_owned()),
            Err(error) => return Err(format!("the request cannot be read: {error}")),
        };
        let mut request = Request::builder().method(parsed.method.unwrap_or_default()).uri(parsed.path.unwrap_or_default());
        for field in parsed.headers.iter().filter(|field| !field.name.eq_ignore_ascii_case("content-length")) {
            if field.name.eq_ignore_ascii_case("transfer-encoding") {
                return Err("the request comes in chunks; write its body as it is, without Transfer-Encoding".to_owned());
            }
            let (name, value) = (HeaderName::try_from(field.name), HeaderValue::from_bytes(field.value));
            let (Ok(name), Ok(value)) = (name, value) else { return Err(format!("the header {} cannot be read", field.name)) };
            request = request.header(name, value);
        }
        let (head, ()) = request.body(()).map_err(|error| error.to_string())?.into_parts();
        Ok(Self { head, body: bytes.slice(begins..) })
    }
}

/// What the gate would make of a request.
pub struct Judged {
    /// The rule that judged, with its file and line.
    pub rule: Option<(String, String)>,
    /// What the statement is to ClickHouse, and what it does; nothing where it could not be read.
    pub statement: Option<(&'static str, &'static str)>,
    /// The yes with what it was given for, or the no.
    pub result: Result<Permitted, Refusal>,
}

/// A rule's name, and its file and line.
fn named(choice: Choice<'_>) -> Option<(String, String)> {
    match choice {
        Choice::Rule(rule) => Some((rule.name().to_owned(), rule.place().to_owned())),
        Choice::Nobody | Choice::NotAvailable => None,
    }
}

/// Rules, and what requests may take.
pub struct Trial<'a> {
    /// The rules.
    pub rules: &'a Rules,
    /// The bounds.
    pub limits: &'a Limits,
}

impl Trial<'_> {
    /// Judges a request as the gate would, whose walk this is from where the caller is known to where ClickHouse is asked.
    pub async fn judge(&self, asker: &Asker, asked: Asked) -> Judged {
        let (choice, understood) = match self.understand(asker, asked).await {
            Ok(understood) => understood,
            Err((choice, refusal)) => return Judged { rule: choice.and_then(named), statement: None, result: Err(refusal) },
        };
        let statement = Some((understood.statement().kind(), understood.statement().effect().word()));
        let result = policy::decide(choice, understood).map_err(|Denied { refusal, .. }| refusal);
        Judged { rule: named(choice), statement, result }
    }

    /// The rule that would judge a request, and what is to be judged.
    ///
    /// # Errors
    /// Why the request cannot be read, with the rule where it was chosen by then.
    pub async fn understand(&self, asker: &Asker, asked: Asked) -> Result<(Choice<'_>, Understood), (Option<Choice<'_>>, Refusal)> {
        let Asked { head, body } = asked;
        if head.uri.path() != "/" {
            let says = "Statements go to the path `/`; there is nothing else to try.";
            return Err((None, Refusal::new(Reason::UnknownPath, says)));
        }
        let mut identified = Identified::assumed(asker.caller.clone(), asker.from, head, Arriving::of(body));
        let asked_for = identified.take_rule().map_err(|refusal| (None, refusal))?;
        let asking = Asking { caller: &asker.caller, from: asker.from, now: asker.at, rule: asked_for.as_deref() };
        let choice = self.rules.choose(&asking);
        let kept = Kept::new(1024 * 1024);
        let reader = Reader { kept: &kept, values: choice.values(), form: StatementForm::Digest };
        let understood = statement::understand(identified, self.limits, reader, &mut Seen::default()).await;
        understood.map(|understood| (choice, understood)).map_err(|refusal| (Some(choice), refusal))
    }
}
