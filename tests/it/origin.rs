//! Where a request comes from: proxies are believed that the config trusts, and nobody else. An account that is good from one
//! address alone shows who is believed.

use serde_json::json;

use crate::support::{
    accounts::Account,
    client::{Answer, Caller, get},
    house::{House, Plan},
    issuer::Issuer,
    program::Stream,
    recorder::Recorder,
    script::Script,
    until,
};

/// The address that the account is good from, and another.
const ITS: &str = "203.0.113.9";
const OTHER: &str = "203.0.113.10";

/// Where proxies stand: a caller of these tests at 127.0.0.1 is none.
const PROXY: &str = "127.0.0.2";

struct Scene {
    house: House,
    recorder: Recorder,
    account: Account,
    /// Held for its drop.
    _issuer: Issuer,
}

impl Scene {
    async fn start(shape: impl FnOnce(Plan) -> Plan) -> Self {
        let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
        let account = Account::new("health", &["--group", "analysts", "--network", ITS]).await;
        let plan = Plan::new(&issuer.url, &[&recorder.url]).section("service_accounts", &format!("\n{}", account.config));
        Self { house: shape(plan).start().await, recorder, account, _issuer: issuer }
    }

    fn request(&self, headers: &[&str]) -> String {
        let key = format!("Authorization: Bearer {}", self.account.key);
        get("/?query=SELECT%201", &[&[key.as_str()], headers].concat())
    }

    async fn ask_from(&self, source: &str, headers: &[&str]) -> Answer {
        let mut caller = Caller::plain_from(source, self.house.http()).await;
        caller.send(self.request(headers)).await;
        caller.answer().await
    }
}

/// Who connects, with which headers; status, reason, and the address that the record must have.
type Row<'a> = (&'a str, Vec<String>, u16, Option<&'a str>, &'a str);

#[tokio::test]
async fn a_forwarded_address_is_believed_from_trusted_proxies_alone() {
    let scene = Scene::start(|plan| plan.section("trusted_proxies", "[127.0.0.2, 10.0.0.0/8]")).await;
    let its = format!("X-Forwarded-For: {ITS}");
    let rows: [Row<'_>; 9] = [
        (PROXY, vec![its.clone()], 200, None, ITS),
        (PROXY, vec![format!("X-Forwarded-For: {OTHER}, {ITS}, 10.1.1.1")], 200, None, ITS),
        (PROXY, vec![format!("X-Forwarded-For: {OTHER}"), format!("X-Forwarded-For: {ITS}:4711")], 200, None, ITS),
        (PROXY, vec![format!("X-Forwarded-For: {ITS}, {OTHER}")], 403, Some("network_not_allowed"), OTHER),
        (PROXY, vec![format!("Forwarded: for={ITS}"), format!("X-Real-IP: {ITS}")], 403, Some("network_not_allowed"), PROXY),
        (PROXY, vec![format!("X-Forwarded-For: {ITS}, nonsense")], 400, Some("malformed-forwarded"), PROXY),
        (PROXY, vec![], 403, Some("network_not_allowed"), PROXY),
        ("127.0.0.1", vec![its.clone()], 403, Some("network_not_allowed"), "127.0.0.1"),
        ("127.0.0.3", vec![its], 403, Some("network_not_allowed"), "127.0.0.3"),
    ];
    for (number, (source, headers, status, reason, address)) in rows.iter().enumerate() {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let answer = scene.ask_from(source, &headers).await;
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (*status, *reason), "{source} {headers:?}: {}", answer.text());
        let record = scene.house.wait_records(number + 1).await.remove(number);
        assert!(record["peer"].as_str().unwrap().starts_with(&format!("{source}:")), "{record}");
        let told = if address == source { json!(null) } else { json!(address) };
        assert_eq!(record["address"], told, "{source} {headers:?}");
    }
    assert_eq!(scene.recorder.wait_requests(3).await.len(), 3, "as many as come from the account's address");
    let heard = format!("{:?}", scene.recorder.requests());
    assert!(!heard.to_lowercase().contains("forwarded"), "{heard}");
}

#[tokio::test]
async fn without_trusted_proxies_no_address_is_forwarded() {
    let scene = Scene::start(|plan| plan).await;
    let answer = scene.ask_from("127.0.0.1", &[&format!("X-Forwarded-For: {ITS}")]).await;
    assert_eq!(answer.header("x-keyhouse-reason"), Some("network_not_allowed"));
    let nonsense = scene.ask_from("127.0.0.1", &["X-Forwarded-For: nonsense"]).await;
    assert_eq!(nonsense.header("x-keyhouse-reason"), Some("network_not_allowed"), "what is not believed is not read");
    assert!(scene.recorder.requests().is_empty());
}

/// A PROXY header, version 2, by its specification: for TCP over IPv4, with one field of a load balancer.
fn introduction(command: u8, source: &str) -> Vec<u8> {
    let source: std::net::Ipv4Addr = source.parse().unwrap();
    let field = [0xea, 0, 3, 1, b'v', b'p'];
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[0x20 | command, 0x11, 0, 12 + 6], &source.octets(), &[192, 0, 2, 1, 0x12, 0x34, 0, 80], &field].concat()
}

#[tokio::test]
async fn a_proxy_header_tells_the_address_and_a_connection_without_one_is_closed() {
    let scene = Scene::start(|plan| {
        let trusted = plan.section("trusted_proxies", "[127.0.0.1]").section("limits", "{handshake_timeout: 1s}");
        trusted.edit("- address: 127.0.0.1:0", "- address: 127.0.0.1:0\n    proxy_protocol: true")
    })
    .await;
    let [proxy, local] = [1, 0];
    let rows = [(proxy, ITS, 200, json!(ITS)), (proxy, OTHER, 403, json!(OTHER)), (local, ITS, 403, json!(null))];
    for (number, (command, source, status, address)) in rows.into_iter().enumerate() {
        let mut caller = Caller::plain(scene.house.http()).await;
        caller.send([introduction(command, source), scene.request(&[]).into_bytes()].concat()).await;
        assert_eq!(caller.answer().await.status, status, "{source} by command {command}");
        caller.send(scene.request(&[])).await;
        assert_eq!(caller.answer().await.status, status, "the next request of the connection");
        let records = scene.house.wait_records(2 * number + 2).await;
        assert_eq!([&records[2 * number]["address"], &records[2 * number + 1]["address"]], [&address, &address]);
    }
    let mut caller = Caller::tls_after(scene.house.https(), &introduction(proxy, ITS)).await;
    caller.send(scene.request(&[])).await;
    assert_eq!(caller.answer().await.status, 200, "before TLS");
    let served = scene.recorder.wait_requests(3).await.len();
    let version_1 = format!("PROXY TCP4 {ITS} 192.0.2.1 1 80\r\n").into_bytes();
    let cut = introduction(proxy, ITS)[..20].to_vec();
    for bytes in [scene.request(&[]).into_bytes(), version_1, cut] {
        let mut caller = Caller::plain(scene.house.http()).await;
        if caller.try_send(&bytes).await.is_ok() {
            caller.hung_up().await;
        }
    }
    let mut stranger = Caller::plain_from(PROXY, scene.house.http()).await;
    if stranger.try_send([introduction(proxy, ITS), scene.request(&[]).into_bytes()].concat()).await.is_ok() {
        stranger.hung_up().await;
    }
    let refused = "keyhouse_connections_refused_total{why=\"proxy-header\"} 4";
    until(refused, async || scene.house.admin_get("/metrics").await.text().contains(refused).then_some(())).await;
    assert!(scene.house.program.said_on(Stream::Err).contains("none of trusted_proxies"));
    assert_eq!((served, scene.recorder.requests().len(), scene.house.records().len()), (3, 3, 7));
}

#[tokio::test]
async fn a_proxy_header_from_nobody_is_a_mistake_of_the_config() {
    let issuer = Issuer::start().await;
    let plan = Plan::new(&issuer.url, &["http://127.0.0.1:1"]).edit("- address: 127.0.0.1:0", "- address: 127.0.0.1:0\n    proxy_protocol: true");
    for (networks, says) in [("[]", "trusted_proxies: is empty"), ("[10.0.0.0/99]", "`10.0.0.0/99` is not a network")] {
        let folder = plan.clone().section("trusted_proxies", networks).lay_out();
        let ended = crate::support::house::run(folder.path(), &["check", "--config", "keyhouse.yaml"]).await;
        assert!(ended.status.code() == Some(1) && ended.err.contains(says), "{}", ended.err);
    }
}
