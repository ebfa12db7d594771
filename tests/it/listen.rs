//! Where callers come in: what a stranger may send, hold and wait for, and how it ends.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::net::TcpStream;

use crate::support::{
    certificates::Certificates,
    client::{Answer, Caller, H2, ask, get, post, send_plain, whole},
    house::{Plan, run},
    recorder::Ending,
    scene::Scene,
    script::{Gate, Script},
    until,
    wire::End,
};

const SQL: &str = "SELECT 1";

/// Far longer than the limits that are set here, far shorter than their defaults: who heeds a default comes too late.
const IN_TIME: Duration = Duration::from_secs(5);

/// After so long a connection that waits has given up what it does not need.
const RESTS: Duration = Duration::from_millis(1200);

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let within = tokio::time::timeout(IN_TIME, future).await;
    within.unwrap_or_else(|_| panic!("{what}: not within {IN_TIME:?}"))
}

/// A house with these limits, in front of ClickHouse's answer 1.
async fn limited(limits: &str) -> Scene {
    Scene::start(Script::ok("1\n"), |plan| plan.section("limits", limits)).await
}

fn only(version: &'static SupportedProtocolVersion) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(Certificates::shared().authority.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider())).with_protocol_versions(&[version]).unwrap();
    builder.with_root_certificates(roots).with_no_client_auth()
}

#[tokio::test]
async fn http_1_0_is_refused_because_its_cut_answers_look_whole() {
    let scene = limited("{}").await;
    let answer = send_plain(scene.house.http(), post("/", &scene.alice, SQL).replace("HTTP/1.1", "HTTP/1.0")).await;
    let record = scene.refused(&answer, 505, "http-version").await;
    assert_eq!(record["http"], "1.0");
    assert_eq!((scene.recorder.requests().len(), scene.house.records().len()), (0, 1));
}

#[tokio::test]
async fn the_answer_is_the_same_by_every_way_in() {
    let scene = limited("{}").await;
    let same = |answer: &Answer| {
        assert_eq!((answer.status, answer.text().as_str(), &answer.end), (200, "1\n", &End::Whole));
        assert_eq!(answer.header("content-type"), Some("text/tab-separated-values; charset=UTF-8"));
    };
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut caller = Caller::tls_by(scene.house.https(), only(version)).await.unwrap();
        caller.send(post("/", &scene.alice, SQL)).await;
        same(&caller.answer().await);
    }
    same(&send_plain(scene.house.http(), post("/", &scene.alice, SQL)).await);
    same(&H2::tls(scene.house.https()).await.ask(&scene.alice, SQL).await);
    let ways = scene.house.wait_records(4).await;
    let ways: Vec<&str> = ways.iter().map(|record| record["http"].as_str().unwrap()).collect();
    assert_eq!(ways, ["1.1", "1.1", "1.1", "2"]);
    let texts: Vec<String> = scene.recorder.requests().iter().map(|heard| heard.text()).collect();
    assert_eq!(texts, [SQL; 4]);
}

#[tokio::test]
async fn plain_http_beyond_loopback_must_be_asked_for() {
    let plan = Plan::new("http://localhost:1", &["http://localhost:2"]);
    for (listen, good) in [("[{address: 0.0.0.0:8080}]", false), ("[{address: 0.0.0.0:8080, allow_plain_http_beyond_loopback: true}]", true)] {
        let folder = plan.clone().section("listen", listen).lay_out();
        let ended = run(folder.path(), &["check", "--config", "keyhouse.yaml"]).await;
        assert_eq!(ended.status.success(), good, "{ended:?}");
        assert_eq!(ended.err.contains("listen[0]") && ended.err.contains("plain HTTP"), !good, "{ended:?}");
    }
}

#[tokio::test]
async fn a_head_of_too_many_bytes_or_fields_is_refused_unread() {
    let scene = limited("{header_size: 8KiB, header_count: 50, http2: {header_list_size: 8KiB}}").await;
    let with = |headers: String| post("/", &scene.alice, SQL).replace("Host:", &format!("{headers}Host:"));
    let long = |size| with(format!("X-Long: {}\r\n", "x".repeat(size)));
    let many = |count| with((0..count).map(|n| format!("X-{n}: y\r\n")).collect());
    for (request, status) in [(long(6500), 200), (long(9000), 431), (many(40), 200), (many(60), 431)] {
        assert_eq!(send_plain(scene.house.http(), request).await.status, status);
    }
    let request = Request::post("https://localhost/").header("x-long", "x".repeat(9000));
    let request = request.header("authorization", format!("Bearer {}", scene.alice)).body(Full::from(SQL)).unwrap();
    let refused = H2::tls(scene.house.https()).await.send(request).await;
    assert!(refused.as_ref().map_or(true, |answer| answer.status() == 431), "{refused:?}");
    assert_eq!(scene.recorder.requests().len(), 2);
}

#[tokio::test]
async fn a_head_that_does_not_come_in_time_ends_its_connection() {
    let scene = limited("{header_timeout: 300ms}").await;
    for beginning in ["", "POST / HTTP/1.1\r\nHo"] {
        let mut caller = Caller::plain(scene.house.http()).await;
        caller.send(beginning).await;
        in_time(beginning, caller.hung_up()).await;
    }
    scene.wait_metric("keyhouse_connections_refused_total{why=\"slow-head\"}", 2).await;
    let mut again = Caller::plain(scene.house.http()).await;
    again.send(post("/", &scene.alice, SQL)).await;
    assert_eq!(again.answer().await.status, 200);
    // It has been idle for a while when its second head begins: as long as another one takes to be hung up on.
    Caller::plain(scene.house.http()).await.hung_up().await;
    again.send("POST").await;
    in_time("the second head", again.hung_up()).await;
    scene.wait_metric("keyhouse_connections_refused_total{why=\"slow-head\"}", 4).await;
}

#[tokio::test]
async fn an_idle_connection_ends_after_its_time_and_a_working_one_does_not() {
    let scene = limited("{idle_timeout: 1s}").await;
    let gate = Gate::default();
    let mut working = Caller::plain(scene.house.http()).await;
    scene.recorder.answers(Script::held(&gate));
    working.send(post("/", &scene.alice, SQL)).await;
    working.through("first").await.unwrap();
    scene.recorder.answers(Script::ok("1\n"));
    for mut caller in [Caller::plain(scene.house.http()).await, Caller::tls(scene.house.https()).await] {
        caller.send(post("/", &scene.alice, SQL)).await;
        assert_eq!(caller.answer().await.status, 200);
        let idle = Instant::now();
        caller.hung_up().await;
        assert!(idle.elapsed() > Duration::from_millis(500), "{:?}", idle.elapsed());
    }
    gate.notify_one();
    working.through("last\n\r\n0\r\n\r\n").await.unwrap();
    scene.wait_metric("keyhouse_connections_refused_total{why=\"idle\"}", 2).await;
}

#[tokio::test]
async fn a_connection_that_rested_goes_on_where_it_was() {
    let scene = limited("{}").await;
    let request = post("/", &scene.alice, SQL);
    for mut caller in [Caller::plain(scene.house.http()).await, Caller::tls(scene.house.https()).await] {
        // Before its first request, after one, within a head and within a body.
        for pieces in [
            vec![request.as_str()],
            vec![&request[..1], &request[1..]],
            vec![&request[..60], &request[60..request.len() - 3], &request[request.len() - 3..]],
        ] {
            for piece in pieces {
                tokio::time::sleep(RESTS).await;
                caller.send(piece).await;
            }
            assert_eq!(caller.answer().await.text(), "1\n");
        }
        // The next one's beginning comes with the one before.
        caller.send(format!("{request}{}", &request[..20])).await;
        assert_eq!(caller.answer().await.text(), "1\n");
        tokio::time::sleep(RESTS).await;
        caller.send(&request[20..]).await;
        assert_eq!(caller.answer().await.text(), "1\n");
    }
    assert_eq!(scene.recorder.requests().iter().map(|heard| heard.text()).collect::<Vec<_>>(), [SQL; 10]);
    assert_eq!(scene.house.wait_records(10).await.len(), 10);
}

/// curl, on HTTP/2, cuts a body short that is refused before it was sent, and loses the refusal to the error that this is.
#[tokio::test]
async fn a_refusal_waits_for_a_body_that_is_on_its_way() {
    let scene = limited("{}").await;
    let request = post("/", "nonsense", SQL);
    let (head, body) = request.split_at(request.len() - SQL.len());
    let mut waited = 0;
    for _ in 0..20 {
        let mut caller = Caller::tls(scene.house.https()).await;
        caller.send(head).await;
        let early = tokio::time::timeout(Duration::from_millis(30), caller.through("\r\n")).await;
        if early.is_err() {
            caller.send(body).await;
            assert_eq!(caller.answer().await.status, 401);
            // All of it was read, so that the connection goes on.
            caller.send(post("/", &scene.alice, SQL)).await;
            assert_eq!(caller.answer().await.text(), "1\n");
            waited += 1;
        }
    }
    // Where this machine stands still for a moment, the wait is over before the body comes.
    assert!(waited > 0, "no refusal has waited");
    let mut caller = Caller::tls(scene.house.https()).await;
    caller.send(head).await;
    assert_eq!(in_time("a refusal without the body", caller.answer()).await.status, 401);
}

#[tokio::test]
async fn what_is_left_of_a_refused_body_is_no_request_after_a_rest() {
    let scene = limited("{}").await;
    let hidden = post("/", &scene.alice, "SELECT 2");
    let length = format!("Content-Length: {}", hidden.len() + 8);
    let chunks = format!("8\r\n{SQL}\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    for (framing, body, rest) in [
        (length.as_str(), SQL, hidden.as_str()),
        ("Transfer-Encoding: chunked", &chunks[..13], &chunks[13..]),
        (&length, "", &format!("{SQL}{hidden}")),
    ] {
        for credential in ["Bearer none", "Basic bm9uZTpub25l"] {
            let mut caller = Caller::plain(scene.house.http()).await;
            caller.send(format!("POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {credential}\r\n{framing}\r\n\r\n{body}")).await;
            assert_eq!(caller.answer().await.status, 401);
            tokio::time::sleep(RESTS).await;
            // It may be closed by now; what comes is this body's, whoever reads it.
            let _ = caller.try_send(rest).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    assert_eq!((scene.recorder.requests().len(), scene.house.wait_records(6).await.len()), (0, 6));
}

#[tokio::test]
async fn a_connection_that_rests_ends_with_its_caller_and_with_the_house() {
    let scene = limited("{}").await;
    let mut callers = [Caller::plain(scene.house.http()).await, Caller::tls(scene.house.https()).await, Caller::tls(scene.house.https()).await];
    for caller in &mut callers {
        caller.send(post("/", &scene.alice, SQL)).await;
        assert_eq!(caller.answer().await.status, 200);
    }
    tokio::time::sleep(RESTS).await;
    let [mut plain, mut tls, leaves] = callers;
    drop(leaves);
    scene.wait_metric("keyhouse_connections", 2).await;
    scene.house.program.signal("TERM");
    assert_eq!((plain.hung_up().await, tls.hung_up().await), (End::Cut, End::Cut));
    assert!(in_time("the end", scene.house.program.wait_exit()).await.success());
}

#[tokio::test]
async fn a_handshake_that_does_not_come_ends_its_connection() {
    let scene = limited("{handshake_timeout: 300ms}").await;
    // A record that is announced and does not come: TLS, a handshake, 512 bytes.
    for beginning in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut caller = Caller::plain(scene.house.https()).await;
        caller.send(beginning).await;
        in_time("the end of a handshake", caller.hung_up()).await;
    }
    scene.wait_metric("keyhouse_connections_refused_total{why=\"handshake\"}", 2).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_until_one_is_free() {
    let scene = limited("{connections: 2}").await;
    let mut callers = [Caller::plain(scene.house.http()).await, Caller::tls(scene.house.https()).await];
    for caller in &mut callers {
        caller.send(post("/", &scene.alice, SQL)).await;
        assert_eq!(caller.answer().await.status, 200);
    }
    Caller::plain(scene.house.http()).await.hung_up().await;
    scene.wait_metric("keyhouse_connections_refused_total{why=\"connections\"}", 1).await;
    assert_eq!(scene.metric("keyhouse_connections").await, 2);
    let [first, _second] = callers;
    drop(first);
    until("a free slot", async || {
        let mut caller = Caller::plain(scene.house.http()).await;
        caller.try_send(post("/", &scene.alice, SQL)).await.ok()?;
        caller.through("HTTP/1.1 200").await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_refused() {
    let scene = limited("{body_timeout: 300ms}").await;
    let half = post("/", &scene.alice, SQL).replace("Length: 8", "Length: 80");
    let answer = in_time("a refusal", send_plain(scene.house.http(), half)).await;
    scene.refused(&answer, 408, "body-timeout").await;
    assert!(scene.recorder.requests().is_empty());
}

#[tokio::test]
async fn a_caller_who_does_not_read_is_let_go() {
    const LARGE: u64 = 1 << 30;
    let scene = Scene::start(Script::streams(LARGE), |plan| plan.section("limits", "{write_timeout: 500ms}")).await;
    let mut deaf = Caller::plain(scene.house.http()).await;
    deaf.send(post("/", &scene.alice, SQL)).await;
    scene.recorder.wait_caller_gone().await;
    let h2 = H2::tls(scene.house.https()).await;
    let request = Request::post("https://localhost/").header("authorization", format!("Bearer {}", scene.alice));
    let _unread = h2.send(request.body(Full::from(SQL)).unwrap()).await.unwrap();
    let gone = |one: &&&_| matches!(one, crate::support::recorder::Heard { ending: Some(Ending::CallerGone), .. });
    scene.recorder.wait("two callers who are gone", |heard| heard.iter().filter(gone).count() == 2).await;
    for record in scene.house.wait_records(2).await {
        assert_eq!((&record["outcome"], &record["status"]), (&"caller-left".into(), &200.into()), "{record}");
        assert!(record["bytes"].as_u64().unwrap() < LARGE, "{record}");
    }
    scene.wait_metric("keyhouse_connections_refused_total{why=\"slow-taking\"}", 2).await;
}

#[tokio::test]
async fn streams_beyond_the_limit_wait_for_their_turn() {
    let scene = limited("{http2: {streams: 2}}").await;
    let h2 = H2::tls(scene.house.https()).await;
    h2.ask(&scene.alice, SQL).await;
    let gate = Gate::default();
    scene.recorder.answers(Script::held(&gate));
    let three = async {
        tokio::join!(h2.ask(&scene.alice, SQL), h2.ask(&scene.alice, SQL), h2.ask(&scene.alice, SQL));
    };
    let watch = async {
        scene.recorder.wait_requests(3).await;
        // Whoever came later, by another connection, is not held up.
        scene.recorder.answers(Script::ok("1\n"));
        ask(&scene.house, &scene.alice, "SELECT 2").await;
        assert_eq!(scene.recorder.requests().len(), 4);
        gate.notify_one();
        scene.recorder.wait_requests(5).await;
        gate.notify_one();
    };
    tokio::join!(three, watch);
}

#[tokio::test]
async fn an_idle_http2_connection_ends_after_its_time_whatever_comes_but_requests() {
    let scene = limited("{idle_timeout: 1s}").await;
    let gate = Gate::default();
    let working = H2::tls(scene.house.https()).await;
    scene.recorder.answers(Script::held(&gate));
    let request = Request::post("https://localhost/").header("authorization", format!("Bearer {}", scene.alice));
    let running = working.send(request.body(Full::from(SQL)).unwrap()).await.unwrap();
    scene.recorder.answers(Script::ok("1\n"));
    let half_a_head = frame(HEADERS, 0, 1, b"\x83");
    for beginning in [Vec::new(), half_a_head] {
        let mut caller = speaks_h2(&scene).await;
        caller.send(beginning).await;
        in_time("the end of a silent connection", caller.hung_up()).await;
    }
    let mut pinging = speaks_h2(&scene).await;
    let pings = async { while pinging.try_send(ping()).await.is_ok() && pinging.through(PONG).await.is_ok() {} };
    in_time("the end of a connection that only pings", pings).await;
    let answered = H2::tls(scene.house.https()).await;
    assert_eq!(answered.ask(&scene.alice, SQL).await.status, 200);
    let idle = Instant::now();
    in_time("the end after an answer", until("a hang-up", async || answered.requests.is_closed().then_some(()))).await;
    assert!(idle.elapsed() > Duration::from_millis(500), "{:?}", idle.elapsed());
    scene.wait_metric("keyhouse_connections_refused_total{why=\"idle\"}", 4).await;
    gate.notify_one();
    assert_eq!(whole(running).await.text(), "first\nlast\n");
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// What a ping says, and its answer says again.
const PONG: &str = "are-you?";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, payload.len() as u8, kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

fn ping() -> Vec<u8> {
    frame(PING, 0, 0, PONG.as_bytes())
}

/// What the function makes of the numbers of so many streams.
fn streams(count: u32, of: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|index| of(2 * index + 1)).collect()
}

/// A caller who has begun HTTP/2 and writes its frames by hand.
async fn speaks_h2(scene: &Scene) -> Caller {
    let mut caller = Caller::tls_by(scene.house.https(), Certificates::shared().client(&["h2"])).await.unwrap();
    caller.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    caller
}

/// POST https / to localhost, with a body to come; then CANCEL.
fn reset(stream: u32) -> Vec<u8> {
    [frame(HEADERS, END_HEADERS, stream, b"\x83\x87\x84\x41\x09localhost"), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
}

/// The same without a path, which is a fault that Keyhouse itself answers with a reset.
fn faulty(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, b"\x83\x87\x41\x09localhost")
}

/// Sends these frames and a ping; the connection goes on, or is ended with this word.
async fn goes_on_or_ends(scene: &Scene, frames: Vec<u8>, ends: Option<&str>) {
    let mut caller = speaks_h2(scene).await;
    // It may hang up before it has taken them all.
    let _ = caller.try_send([frames, ping()].concat()).await;
    caller.through(ends.unwrap_or(PONG)).await.unwrap();
    match ends {
        Some(_) => drop(caller.hung_up().await),
        None => drop(caller),
    }
    scene.wait_metric("keyhouse_connections", 0).await;
    assert!(scene.recorder.requests().is_empty());
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let scene = limited("{}").await;
    goes_on_or_ends(&scene, streams(500, reset), Some("too_many_resets")).await;
}

#[tokio::test]
async fn a_caller_may_reset_as_many_streams_as_the_config_says_and_no_more() {
    // 20 is the default here and in the library below, so that neither would do as these say.
    for (limit, resets, ends) in [(5, 10, Some("too_many_resets")), (5, 5, None), (200, 100, None)] {
        let scene = limited(&format!("{{http2: {{pending_resets: {limit}}}}}")).await;
        goes_on_or_ends(&scene, streams(resets, reset), ends).await;
    }
}

#[tokio::test]
async fn a_caller_may_be_at_fault_as_often_as_the_config_says_and_no_more() {
    // 1024 is the default here and in the library below.
    for (limit, faults, ends) in [(5, 10, Some("too_many_internal_resets")), (5, 5, None), (2000, 1500, None)] {
        let scene = limited(&format!("{{http2: {{local_resets: {limit}}}}}")).await;
        goes_on_or_ends(&scene, streams(faults, faulty), ends).await;
        assert!(scene.house.records_in_the_end().await.is_empty(), "no request came to be");
    }
}

#[tokio::test]
async fn endless_continuations_end_the_connection() {
    let scene = limited("{}").await;
    // The head of stream 1, and after it frames that never end it.
    let frames = [frame(HEADERS, 0, 1, b"\x83"), frame(CONTINUATION, 0, 1, b"\0\x01a\x02bb").repeat(1000)].concat();
    goes_on_or_ends(&scene, frames, Some("too_many_continuations")).await;
    assert!(scene.house.records_in_the_end().await.is_empty(), "no request came to be");
}

#[tokio::test]
async fn a_request_cannot_hide_in_another_ones_body() {
    let scene = limited("{idle_timeout: 200ms, header_timeout: 200ms, body_timeout: 200ms}").await;
    let (token, hidden) = (&scene.alice, post("/", &scene.alice, "SELECT 2"));
    let chunked = format!("8\r\n{SQL}\r\n0\r\n\r\n");
    for (framing, body) in [
        (format!("Content-Length: 8\r\nContent-Length: {}", 8 + hidden.len()), SQL),
        (format!("Content-Length: {}\r\nContent-Length: 8", 8 + hidden.len()), SQL),
        ("Content-Length: 8, 9".to_owned(), SQL),
        ("Content-Length: +8".to_owned(), SQL),
        ("Content-Length: 0x8".to_owned(), SQL),
        (format!("Content-Length: {}\r\nTransfer-Encoding: chunked", chunked.len() + hidden.len()), &chunked),
        (format!("Transfer-Encoding: chunked\r\nContent-Length: {}", chunked.len() + hidden.len()), &chunked),
        ("Transfer-Encoding: chunked, identity".to_owned(), &chunked),
        ("Transfer-Encoding: identity\r\nContent-Length: 8".to_owned(), SQL),
        ("Transfer-Encoding : chunked".to_owned(), &chunked),
        ("Transfer-Encoding: xchunked".to_owned(), &chunked),
        ("X: y\r\n Transfer-Encoding: chunked".to_owned(), &chunked),
        ("Transfer-Encoding: chunked".to_owned(), "8;\n\r\nSELECT 1\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked".to_owned(), "10000000000000008\r\nSELECT 1\r\n0\r\n\r\n"),
    ] {
        let before = scene.recorder.requests().len();
        let mut caller = Caller::plain(scene.house.http()).await;
        let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{framing}\r\n\r\n");
        let _ = caller.try_send(format!("{head}{body}{hidden}")).await;
        caller.hung_up().await;
        let heard = scene.recorder.requests();
        assert!(heard.len() <= before + 1, "{framing}: {heard:?}");
        assert!(heard.iter().all(|one| one.text() == SQL), "{framing}: {heard:?}");
    }
    assert!(!scene.recorder.requests().is_empty(), "none of them was taken, so that nothing was tried");
}

#[tokio::test]
async fn a_running_answer_is_finished_when_the_house_is_told_to_stop() {
    let gate = Gate::default();
    let scene = Scene::start(Script::held(&gate), |plan| plan).await;
    let mut running = Caller::tls(scene.house.https()).await;
    running.send(post("/", &scene.alice, SQL)).await;
    running.through("first").await.unwrap();
    let mut idle = Caller::plain(scene.house.http()).await;
    scene.house.program.signal("TERM");
    idle.hung_up().await;
    let closed = async |address: SocketAddr| until("a closed door", async || TcpStream::connect(address).await.err()).await;
    closed(scene.house.http()).await;
    closed(scene.house.https()).await;
    gate.notify_one();
    running.through("last\n\r\n0\r\n\r\n").await.unwrap();
    running.hung_up().await;
    assert!(scene.house.program.wait_exit().await.success());
    let records = scene.house.records();
    assert_eq!((records.len(), &records[0]["outcome"]), (1, &"answered".into()));
}

#[tokio::test]
async fn a_stuck_answer_holds_up_the_end_no_longer_than_the_drain_and_is_on_record() {
    let scene = Scene::start(Script::stalls_after("first\n"), |plan| plan.section("limits", "{drain_timeout: 300ms}")).await;
    let mut stuck = Caller::tls(scene.house.https()).await;
    stuck.send(post("/", &scene.alice, SQL)).await;
    stuck.through("first").await.unwrap();
    let h2 = H2::tls(scene.house.https()).await;
    let request = Request::post("https://localhost/").header("authorization", format!("Bearer {}", scene.alice));
    let _stuck = h2.send(request.body(Full::<Bytes>::from(SQL)).unwrap()).await.unwrap();
    let _no_handshake = Caller::plain(scene.house.https()).await;
    let told = Instant::now();
    assert!(in_time("the end of the drain", scene.house.stop()).await.success());
    assert!(told.elapsed() >= Duration::from_millis(300), "{:?}", told.elapsed());
    assert_ne!(stuck.hung_up().await, End::Whole);
    assert!(scene.house.program.log().contains("did not end in time"));
    let outcomes: Vec<_> = scene.house.records().iter().map(|record| record["outcome"].clone()).collect();
    assert_eq!(outcomes.len(), 2, "{outcomes:?}");
}

#[tokio::test]
async fn the_admin_address_tells_three_things_and_callers_are_told_none_of_them() {
    let scene = limited("{}").await;
    for (target, status) in
        [("/-/healthy", 200), ("/-/ready", 200), ("/metrics", 200), ("/", 404), ("/metrics/", 404), ("/-/", 404), ("/?query=SELECT%201", 404)]
    {
        assert_eq!(scene.house.admin_get(target).await.status, status, "{target}");
    }
    let posted = send_plain(scene.house.admin, post("/-/ready", &scene.alice, SQL)).await;
    assert_eq!(posted.status, 405);
    for target in ["/-/healthy", "/-/ready", "/metrics"] {
        let authorization = format!("Authorization: Bearer {}", scene.alice);
        let answer = send_plain(scene.house.http(), get(target, &[&authorization])).await;
        scene.refused(&answer, 404, "unknown-path").await;
    }
    assert!(scene.recorder.requests().is_empty());
}

#[tokio::test]
async fn every_request_of_a_connection_leaves_one_record_of_its_own() {
    let scene = limited("{}").await;
    let mut caller = Caller::plain(scene.house.http()).await;
    let bad = post("/", "no.token.here", SQL);
    caller.send([post("/", &scene.alice, SQL), bad.clone(), post("/", &scene.bob, SQL)].concat()).await;
    let mut statuses = vec![caller.answer().await.status, caller.answer().await.status, caller.answer().await.status];
    for request in [post("/", &scene.alice, SQL), bad] {
        caller.send(request).await;
        statuses.push(caller.answer().await.status);
    }
    assert_eq!(statuses, [200, 401, 200, 200, 401]);
    let records = scene.house.wait_records(5).await;
    let who: Vec<_> = records.iter().map(|record| record["username"].as_str().unwrap_or("-")).collect();
    assert_eq!(who, ["alice", "-", "bob", "alice", "-"]);
    let forwarded: Vec<_> = scene.recorder.requests().iter().map(|heard| heard.parameter("query_id").unwrap()).collect();
    let answered: Vec<_> = records.iter().filter(|record| record["outcome"] == "answered").map(|record| record["request_id"].clone()).collect();
    assert_eq!(forwarded, answered);
}
