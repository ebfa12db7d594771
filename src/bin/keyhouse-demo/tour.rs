//! The tour: what is asked, by whom, and how it must come out.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::ask::{Answer, Asker};
use crate::folder::Folder;
use crate::issuer::{Identity, Issuer};
use crate::lines::Lines;
use crate::page::{Ink, Line, Page, pairs, table, wrapped};
use crate::parts::Part;
use crate::trouble::Trouble;

/// The caller of the tour, and of the lines that are shown after it.
pub(crate) const ALICE: Identity = Identity { subject: "alice", groups: &["analysts"], audience: "clickhouse" };

/// The same person with a token that another application was given.
const ALICE_ELSEWHERE: Identity = Identity { audience: "grafana", ..ALICE };

/// A token lives no longer than the tour needs it.
const LIFE: Duration = Duration::from_secs(60);

/// For a record to stand in its file; the answer may end a little earlier.
const RECORD_WITHIN: Duration = Duration::from_secs(5);

/// For a client to start, connect and read.
const CLIENT_WITHIN: Duration = Duration::from_secs(60);

/// What the tour is shown on and asked of.
pub(crate) struct Tour<'a> {
    pub(crate) page: &'a Page,
    pub(crate) asker: &'a Asker,
    pub(crate) issuer: &'a Issuer,
    pub(crate) lines: &'a Lines,
    pub(crate) folder: &'a Folder,
}

const NO_RECORD: &str = "there is no record";

struct Step {
    title: &'static str,
    who: Option<Identity>,
    statement: &'static str,
    status: u16,
    reason: Option<&'static str>,
    /// What the answer must hold besides.
    holds: &'static [&'static str],
}

const STEPS: [Step; 8] = [
    Step {
        title: "An analyst reads a table",
        who: Some(ALICE),
        statement: "SELECT product, count() AS orders, sum(amount) AS revenue FROM sales.orders GROUP BY product ORDER BY revenue DESC FORMAT TSVWithNames",
        status: 200,
        reason: None,
        holds: &["table\t4\t1700"],
    },
    Step {
        title: "The same caller's INSERT is refused",
        who: Some(ALICE),
        statement: "INSERT INTO sales.orders VALUES (21, 1, '2026-02-06', 'gift', 1, 0)",
        status: 403,
        reason: Some("effect-not-allowed"),
        holds: &["analysts", "insert"],
    },
    Step {
        title: "And so is DROP",
        who: Some(ALICE),
        statement: "DROP TABLE sales.orders",
        status: 403,
        reason: Some("effect-not-allowed"),
        holds: &["analysts"],
    },
    Step {
        title: "A forbidden table is refused",
        who: Some(ALICE),
        statement: "SELECT name, pay FROM sales.salaries",
        status: 403,
        reason: Some("table-denied"),
        holds: &["sales.salaries"],
    },
    Step {
        title: "Also where it hides in a subquery",
        who: Some(ALICE),
        statement: "SELECT count() FROM sales.orders WHERE amount > (SELECT max(pay) FROM sales.salaries)",
        status: 403,
        reason: Some("table-denied"),
        holds: &["sales.salaries"],
    },
    Step {
        title: "A token for another application is refused",
        who: Some(ALICE_ELSEWHERE),
        statement: "SELECT count() FROM sales.orders",
        status: 401,
        reason: Some("audience_mismatch"),
        // What it had, what was expected, and what to do.
        holds: &["is [\"grafana\"]", "accepts [\"clickhouse\"]", "Ask the client to request a token for \"clickhouse\""],
    },
    Step {
        title: "No token at all is refused",
        who: None,
        statement: "SELECT count() FROM sales.orders",
        status: 401,
        reason: Some("no_credentials"),
        holds: &["Send `Authorization: Bearer <token>`"],
    },
    Step {
        title: "After all that, nothing has changed",
        who: Some(ALICE),
        statement: "SELECT count() AS orders FROM sales.orders FORMAT TSVWithNames",
        status: 200,
        reason: None,
        holds: &["orders\n20\n"],
    },
];

/// A line that is shown after the tour, taken here as it stands.
struct Client {
    title: &'static str,
    name: &'static str,
    line: fn(&Lines) -> String,
    prints: &'static str,
    /// Whether it comes with the demo; what does not may be missing.
    ours: bool,
}

const CLIENTS: [Client; 2] = [
    Client { title: "One line of curl does it too", name: "curl", line: Lines::curl, prints: "mug\t62\n", ours: false },
    Client {
        title: "An ordinary client changes its URL and nothing else",
        name: "clickhouse-connect",
        line: Lines::python,
        prints: "('mug', 62)",
        ours: true,
    },
];

/// What a shell says of a command that is not there.
const NOT_FOUND: i32 = 127;

impl Tour<'_> {
    /// Walks all of it; the number of steps that did not come out as they should.
    pub(crate) async fn walk(&self) -> Result<usize, Trouble> {
        let mut wrong = 0;
        for (index, step) in STEPS.iter().enumerate() {
            self.heading(index + 1, step.title)?;
            wrong += usize::from(!self.take(step).await?);
        }
        let mut ran = 0;
        for (index, client) in CLIENTS.iter().enumerate() {
            self.heading(STEPS.len() + index + 1, client.title)?;
            wrong += usize::from(!self.take_client(client, &mut ran).await?);
        }
        Ok(wrong)
    }

    fn heading(&self, number: usize, title: &str) -> Result<(), Trouble> {
        let all = STEPS.len() + CLIENTS.len();
        self.page.show(&[Line::new(), self.page.heading(&format!("{number}/{all}  {title}")), Line::new()])
    }

    async fn take(&self, step: &Step) -> Result<bool, Trouble> {
        let token = step.who.map(|who| self.issuer.token(&who, LIFE)).transpose()?;
        let answer = self.asker.post(&self.lines.keyhouse, token.as_deref(), step.statement).await?;
        let id = answer.header("x-keyhouse-request-id").unwrap_or_default();
        let record = self.record(|entry| text_of(entry, "/request_id") == id).await;
        let left = |room| [request(step, &self.lines.keyhouse, token.as_deref(), room), answered(&answer, room)].concat();
        self.page.show(&self.page.beside(left, |room| recorded(record.as_ref(), room)))?;
        let differences = step.differences(&answer, record.as_ref());
        self.page.show(&[Line::new(), self.verdict(step.reason.is_some(), &differences)])?;
        Ok(differences.is_empty())
    }

    /// The line does what it says; `ran` counts those before it, which asked the same.
    async fn take_client(&self, client: &Client, ran: &mut usize) -> Result<bool, Trouble> {
        let line = (client.line)(self.lines);
        let mut command = Command::new("sh");
        command.arg("-c").arg(&line).env("TOKEN", self.issuer.token(&ALICE, LIFE)?);
        let part = Part::start(client.name, &mut command, self.folder.file(&format!("{}.log", client.name)))?;
        let (status, printed) = part.runs(CLIENT_WITHIN).await?;
        if status.code() == Some(NOT_FOUND) && !client.ours {
            self.page.show(&[vec![(Ink::Strong, format!("  NOT RUN: there is no {} here", client.name))]])?;
            return Ok(true);
        }
        let record = self.nth_record(*ran, |entry| text_of(entry, "/statement").contains("AS sold")).await;
        *ran += 1;
        let left = |room| {
            let line = wrapped(Ink::Code, &line.replace("; ", "\n"), room);
            let printed = wrapped(Ink::Good, &table(&printed), room);
            [heading("line"), line, vec![Line::new()], heading("prints"), printed].concat()
        };
        self.page.show(&self.page.beside(left, |room| recorded(record.as_ref(), room)))?;
        let mut differences = Vec::new();
        if !status.success() {
            differences.push(format!("it ended with {status}"));
        }
        if !printed.contains(client.prints) {
            differences.push("the sold mugs are not 62".to_owned());
        }
        if record.is_none() {
            differences.push(NO_RECORD.to_owned());
        }
        self.page.show(&[Line::new(), self.verdict(false, &differences)])?;
        Ok(differences.is_empty())
    }

    fn verdict(&self, refused: bool, differences: &[String]) -> Line {
        if differences.is_empty() {
            let what = if refused { "refused, as it must be" } else { "answered, as it must be" };
            return vec![(Ink::Good, format!("  {} {what}", self.page.tick(true)))];
        }
        vec![(Ink::Bad, format!("  {} not as it must be: {}", self.page.tick(false), differences.join("; ")))]
    }

    /// The first line of the record that fits.
    async fn record(&self, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        self.nth_record(0, fits).await
    }

    async fn nth_record(&self, index: usize, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let end = Instant::now() + RECORD_WITHIN;
        loop {
            let text = std::fs::read_to_string(self.folder.file("record.jsonl")).unwrap_or_default();
            let found = text.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(&fits).nth(index);
            if found.is_some() || Instant::now() >= end {
                return found;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Step {
    /// Everything that did not come out as said, in the answer and in the record.
    fn differences(&self, answer: &Answer, record: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        let mut must = |what: &str, seen: &str, wanted: &str| {
            if seen != wanted {
                found.push(format!("{what} is `{seen}` and not `{wanted}`"));
            }
        };
        let (status, reason) = (self.status.to_string(), self.reason.unwrap_or_default());
        must("the status", answer.status.as_str(), &status);
        must("the reason", answer.header("x-keyhouse-reason").unwrap_or_default(), reason);
        match record {
            Some(entry) => {
                must("the record's status", &text_of(entry, "/status"), &status);
                must("the record's reason", &text_of(entry, "/reason"), reason);
                must("the record's outcome", &text_of(entry, "/outcome"), if self.reason.is_some() { "refused" } else { "answered" });
            }
            None => found.push(NO_RECORD.to_owned()),
        }
        found.extend(self.holds.iter().filter(|words| !answer.body.contains(*words)).map(|words| format!("the answer lacks {words:?}")));
        found
    }
}

fn heading(text: &str) -> Vec<Line> {
    vec![vec![(Ink::Quiet, text.to_owned())]]
}

fn request(step: &Step, url: &str, token: Option<&str>, room: usize) -> Vec<Line> {
    let mut lines = heading("request");
    lines.push(vec![(Ink::Plain, format!("POST {url}/"))]);
    if let (Some(who), Some(token)) = (step.who, token) {
        let start: String = token.chars().take(16).collect();
        lines.extend(wrapped(Ink::Plain, &format!("Authorization: Bearer {start}..."), room));
        let says = format!("({} of {}, for {})", who.subject, who.groups.join(", "), who.audience);
        lines.extend(wrapped(Ink::Quiet, &says, room));
    }
    lines.extend(wrapped(Ink::Code, step.statement, room));
    lines.push(Line::new());
    lines
}

fn answered(answer: &Answer, room: usize) -> Vec<Line> {
    let ink = if answer.status.is_success() { Ink::Good } else { Ink::Bad };
    let body = if answer.status.is_success() { table(&answer.body) } else { answer.body.clone() };
    [heading("answer"), vec![vec![(ink, answer.status.to_string())]], wrapped(Ink::Plain, &body, room)].concat()
}

fn recorded(record: Option<&Value>, room: usize) -> Vec<Line> {
    let Some(entry) = record else { return vec![vec![(Ink::Bad, NO_RECORD.to_owned())]] };
    let shown = [
        ("subject", "/subject"),
        ("groups", "/groups"),
        ("rule", "/rule"),
        ("act_as", "/act_as"),
        ("effect", "/effect"),
        ("reads", "/reach/tables"),
        ("writes", "/reach/targets"),
        ("statement", "/statement"),
        ("outcome", "/outcome"),
        ("status", "/status"),
        ("reason", "/reason"),
        ("rows", "/rows"),
        ("took_ms", "/took_ms"),
        ("request_id", "/request_id"),
    ];
    let there: Vec<_> = shown.iter().map(|(name, place)| (*name, text_of(entry, place))).filter(|(_, text)| !text.is_empty()).collect();
    [heading("record"), pairs(&there, room)].concat()
}

/// A member of the record as text; nothing where it is not there.
fn text_of(entry: &Value, place: &str) -> String {
    match entry.pointer(place) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}
