//! An upstream that passes for ClickHouse: it keeps every byte it hears, and answers by script.

use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split},
    net::TcpStream,
    select,
    sync::watch,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    certificates::Certificates,
    door::Door,
    script::{Left, Script},
    soon,
    wire::{End, Framing, Head, Wire},
};

pub struct Recorder {
    pub url: String,
    door: Door,
    stage: Arc<Stage>,
}

/// One request, as far as it has come.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Which connection it came on, counted from 0.
    pub connection: usize,
    pub head: Head,
    pub body: BytesMut,
    /// Whether the body came to its end.
    pub whole: bool,
    /// How it was over; nothing while it is not.
    pub ending: Option<Ending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As scripted, and the connection was kept.
    Answered,
    /// As scripted, and the connection was not kept.
    Closed,
    /// The caller closed or broke off before it had its answer.
    CallerGone,
}

type Play = Arc<dyn Fn(&Heard) -> Script + Send + Sync>;

struct Stage {
    play: Mutex<Play>,
    early: Mutex<Option<Script>>,
    settings: Mutex<Settings>,
    ledger: watch::Sender<Ledger>,
}

struct Settings {
    known: Vec<Value>,
    play: Option<Play>,
}

#[derive(Default)]
struct Ledger {
    heard: Vec<Heard>,
    opened: usize,
    closed: usize,
    /// Callers who broke off the TLS handshake.
    turned_away: usize,
}

impl Recorder {
    /// A plain one that answers every request like this.
    pub async fn start(script: Script) -> Self {
        let recorder = Self::refuses();
        recorder.answers(script);
        recorder.up().await;
        recorder
    }

    /// The same behind TLS.
    pub async fn start_tls(script: Script, certificates: &Certificates) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(certificates.server()));
        let recorder = Self::behind("https", move |stream, stage| {
            let accepted = acceptor.accept(stream);
            async move {
                match accepted.await {
                    Ok(stream) => converse(stream, stage).await,
                    Err(_) => stage.ledger.send_modify(|ledger| ledger.turned_away += 1),
                }
            }
        });
        recorder.answers(script);
        recorder.up().await;
        recorder
    }

    /// One whose port refuses connections, until `up`.
    pub fn refuses() -> Self {
        Self::behind("http", converse)
    }

    fn behind<F>(scheme: &str, talk: impl Fn(TcpStream, Arc<Stage>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stage = Arc::new(Stage {
            play: Mutex::new(Arc::new(|_| Script::ok("1\n"))),
            early: Mutex::default(),
            settings: Mutex::new(Settings { known: usual_settings(), play: None }),
            ledger: watch::Sender::default(),
        });
        let shared = Arc::clone(&stage);
        let door = Door::new(move |stream| talk(stream, Arc::clone(&shared)));
        Self { url: format!("{scheme}://{}", door.address()), door, stage }
    }

    pub async fn down(&self) {
        self.door.shut().await;
    }

    pub async fn up(&self) {
        self.door.open().await;
    }

    /// From now on, every request is answered like this.
    pub fn answers(&self, script: Script) {
        self.answers_by(move |_| script.clone());
    }

    /// From now on, each request is answered by what it is.
    pub fn answers_by(&self, play: impl Fn(&Heard) -> Script + Send + Sync + 'static) {
        *self.stage.play.lock().unwrap() = Arc::new(play);
    }

    /// From now on, an answer begins when the head is there, and the body is heard meanwhile.
    pub fn answers_before_the_body(&self, script: Script) {
        *self.stage.early.lock().unwrap() = Some(script);
    }

    /// The rows of `system.settings`.
    pub fn knows_settings(&self, rows: Vec<Value>) {
        self.stage.settings.lock().unwrap().known = rows;
    }

    /// Answers the question for settings like this instead of with rows.
    pub fn answers_settings(&self, script: Script) {
        self.answers_settings_by(move |_| script.clone());
    }

    /// The same, each question by what it is.
    pub fn answers_settings_by(&self, play: impl Fn(&Heard) -> Script + Send + Sync + 'static) {
        self.stage.settings.lock().unwrap().play = Some(Arc::new(play));
    }

    /// What was heard, without the questions for settings.
    pub fn requests(&self) -> Vec<Heard> {
        copies(self.stage.ledger.borrow().about_settings(false))
    }

    /// The same without the first so many.
    pub fn requests_since(&self, count: usize) -> Vec<Heard> {
        copies(self.stage.ledger.borrow().about_settings(false).split_off(count))
    }

    /// The questions for settings.
    pub fn asked(&self) -> Vec<Heard> {
        copies(self.stage.ledger.borrow().about_settings(true))
    }

    /// How many connections were opened, ever.
    pub fn connections(&self) -> usize {
        self.stage.ledger.borrow().opened
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        let ledger = self.stage.ledger.borrow();
        ledger.opened - ledger.closed
    }

    /// Waits until the requests heard are so.
    pub async fn wait(&self, what: &str, mut enough: impl FnMut(&[&Heard]) -> bool) -> Vec<Heard> {
        let mut ledger = self.stage.ledger.subscribe();
        let seen = ledger.wait_for(|ledger| enough(&ledger.about_settings(false)));
        copies(soon(what, seen).await.unwrap().about_settings(false))
    }

    /// Waits until so many requests were heard to their end.
    pub async fn wait_requests(&self, count: usize) -> Vec<Heard> {
        let whole = |heard: &[&Heard]| heard.iter().filter(|one| one.whole).count() >= count;
        self.wait("requests at the recorder", whole).await
    }

    /// Waits until a caller has broken off the TLS handshake.
    pub async fn wait_turned_away(&self) {
        let mut ledger = self.stage.ledger.subscribe();
        soon("a caller who breaks off the handshake", ledger.wait_for(|ledger| ledger.turned_away > 0)).await.unwrap();
    }

    /// Waits until a caller left before it had its answer, and gives that request.
    pub async fn wait_caller_gone(&self) -> Heard {
        let left = |one: &Heard| one.ending == Some(Ending::CallerGone);
        let heard = self.wait("a caller who leaves the recorder", |heard| heard.iter().any(|one| left(one))).await;
        heard.into_iter().find(left).unwrap()
    }
}

impl Heard {
    pub fn method(&self) -> &str {
        self.head.word(0)
    }

    pub fn target(&self) -> &str {
        self.head.word(1)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The address parameters in their order, decoded.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let (_, query) = self.target().split_once('?').unwrap_or_default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (decode(n), decode(v))).collect()
    }

    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Whether it is the house's question for settings; unknown while too little of it is there.
    fn asks_settings(&self) -> Option<bool> {
        let (path, _) = self.target().split_once('?').unwrap_or((self.target(), ""));
        if self.method() != "POST" || path != "/" || !starts_alike(&self.body, QUESTION.as_bytes()) {
            return Some(false);
        }
        let over = self.whole || self.ending.is_some();
        (over || self.body.len() >= QUESTION.len()).then_some(self.body.len() >= QUESTION.len())
    }
}

fn starts_alike(one: &[u8], other: &[u8]) -> bool {
    one.iter().zip(other).all(|(a, b)| a == b)
}

impl Ledger {
    fn about_settings(&self, asking: bool) -> Vec<&Heard> {
        self.heard.iter().filter(|heard| heard.asks_settings() == Some(asking)).collect()
    }
}

fn copies(heard: Vec<&Heard>) -> Vec<Heard> {
    heard.into_iter().cloned().collect()
}

const QUESTION: &str = "SELECT name, value, readonly FROM system.settings WHERE name IN (";

fn usual_settings() -> Vec<Value> {
    vec![
        json!({"name": "log_comment", "value": "", "readonly": 0}),
        json!({"name": "readonly", "value": "0", "readonly": 0}),
        json!({"name": "input_format_values_interpret_expressions", "value": "1", "readonly": 0}),
        json!({"name": "input_format_values_deduce_templates_of_expressions", "value": "1", "readonly": 0}),
    ]
}

impl Settings {
    fn answer(&self, heard: &Heard) -> Script {
        if let Some(play) = &self.play {
            return play(heard);
        }
        let question = heard.text();
        let asked: Vec<&str> = question.split('\'').skip(1).step_by(2).collect();
        let rows = self.known.iter().filter(|row| asked.contains(&row["name"].as_str().unwrap()));
        let rows: String = rows.map(|row| format!("{row}\n")).collect();
        Script::begin(200, &[]).chunk(rows).end()
    }
}

impl Stage {
    fn note(&self, index: usize, write: impl FnOnce(&mut Heard)) {
        self.ledger.send_modify(|ledger| write(&mut ledger.heard[index]));
    }

    fn hear(&self, connection: usize, head: Head) -> usize {
        let heard = Heard { connection, head, body: BytesMut::new(), whole: false, ending: None };
        let mut index = 0;
        self.ledger.send_modify(|ledger| {
            index = ledger.heard.len();
            ledger.heard.push(heard);
        });
        index
    }

    /// The number of a new connection.
    fn open(&self) -> usize {
        let mut connection = 0;
        self.ledger.send_modify(|ledger| {
            connection = ledger.opened;
            ledger.opened += 1;
        });
        connection
    }

    fn script(&self, index: usize) -> Script {
        let heard = self.ledger.borrow().heard[index].clone();
        if heard.asks_settings() == Some(true) {
            return self.settings.lock().unwrap().answer(&heard);
        }
        let play = Arc::clone(&self.play.lock().unwrap());
        play(&heard)
    }
}

/// A connection that can be reset under whatever wraps it.
trait Peer: AsyncRead + AsyncWrite + Send + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Peer for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Peer for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

async fn converse<S: Peer>(stream: S, stage: Arc<Stage>) {
    let connection = stage.open();
    let (read, mut write) = split(stream);
    let mut wire = Wire::new(read);
    while let Ok(Some(head)) = wire.head().await {
        match exchange(&mut wire, &mut write, &stage, stage.hear(connection, head)).await {
            Left::Open => {}
            Left::Closed => break,
            Left::ToReset => {
                wire.into_stream().unsplit(write).tcp().set_zero_linger().unwrap();
                break;
            }
        }
    }
    stage.ledger.send_modify(|ledger| ledger.closed += 1);
}

async fn exchange<S: Peer>(wire: &mut Wire<ReadHalf<S>>, write: &mut WriteHalf<S>, stage: &Stage, index: usize) -> Left {
    let early = stage.early.lock().unwrap().clone();
    let left = match early {
        Some(script) => select! {
            biased;
            () = async { hear_body(wire, stage, index).await; wire.gone().await; } => None,
            // The rest of the body stays unread, so nothing can follow on this connection.
            left = script.play(write) => left.ok().map(|left| if left == Left::Open { Left::Closed } else { left }),
        },
        None => {
            expect_continue(write, stage, index).await;
            if hear_body(wire, stage, index).await == End::Whole {
                let script = stage.script(index);
                select! {
                    biased;
                    _ = wire.gone() => None,
                    left = script.play(write) => left.ok(),
                }
            } else {
                None
            }
        }
    };
    let ending = match left {
        Some(Left::Open) => Ending::Answered,
        Some(_) => Ending::Closed,
        None => Ending::CallerGone,
    };
    stage.note(index, |heard| heard.ending = Some(ending));
    left.unwrap_or(Left::Closed)
}

async fn hear_body<S: Peer>(wire: &mut Wire<ReadHalf<S>>, stage: &Stage, index: usize) -> End {
    let framing = stage.ledger.borrow().heard[index].head.framing().unwrap_or(Framing::Length(0));
    let mut keep = |bytes: &[u8]| stage.note(index, |heard| heard.body.extend_from_slice(bytes));
    let end = wire.body(framing, &mut keep).await;
    stage.note(index, |heard| heard.whole = end == End::Whole);
    end
}

async fn expect_continue(write: &mut (impl AsyncWrite + Unpin), stage: &Stage, index: usize) {
    let expected = stage.ledger.borrow().heard[index].header("expect").is_some();
    if expected {
        // A caller who is gone already is found out when its body is read.
        let _ = write.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
    }
}
