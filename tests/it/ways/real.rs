//! The same requests in front of both ClickHouses, the old one (18.16) and today's (26.9): what goes through means there
//! what the request means without Keyhouse, and what is refused does there what the attack says.
//!
//! What a server does not take as it came is compared with what Keyhouse makes of it, sent by hand. The old server does not
//! take: br, zstd and lz4; codings in capitals; heredocs; `true` of `decompress`; an empty name in an address; and of forms,
//! parameters for the statement. Each such row says so, and the test fails where the server does take it.

use std::net::SocketAddr;

use super::{Deed, RULES, Sent, Tokens, Want, Way, data, rows, uploads};
use crate::support::{
    clickhouse::{self, ClickHouse, User},
    client::{Answer, Caller, send_plain},
    embedded::{self, Embedded},
    house::Plan,
    issuer::Issuer,
    raw::Raw,
};

/// Users like those of the old server: they may do more than the rules say.
const USERS: &str = "<clickhouse>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
    <users>
        <owner><password>owner-pw-3</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></owner>
        <kh_analyst>
            <password>analyst-pw-1</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
            <grants><query>GRANT SELECT ON *.*</query></grants>
        </kh_analyst>
        <kh_writer>
            <password>writer-pw-2</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
            <grants><query>GRANT SELECT, INSERT ON *.*</query><query>GRANT CREATE TEMPORARY TABLE ON *.*</query></grants>
        </kh_writer>
    </users>
</clickhouse>
";

const TABLES: [&str; 6] = [
    "CREATE DATABASE IF NOT EXISTS sec",
    "CREATE TABLE IF NOT EXISTS sec.secret (s String) ENGINE = Memory",
    "INSERT INTO sec.secret VALUES ('TOP-SECRET')",
    "CREATE TABLE IF NOT EXISTS default.pub (a UInt64, s String) ENGINE = Memory",
    "INSERT INTO default.pub VALUES (1, 'one'), (2, 'two')",
    "CREATE TABLE IF NOT EXISTS default.log (id UInt64, s String) ENGINE = Memory",
];

/// One of the two, by its place in what a way says of them.
struct Server {
    which: usize,
    address: SocketAddr,
    owner: User,
    /// Held for its drop.
    _embedded: Option<Embedded>,
}

impl Server {
    async fn old() -> Self {
        let shared = ClickHouse::shared().await;
        Self { which: 0, address: shared.http, owner: clickhouse::OWNER, _embedded: None }.furnished().await
    }

    async fn today() -> Self {
        let embedded = Embedded::with(USERS, "SELECT 1;").await;
        let address = embedded.url.trim_start_matches("http://").parse().unwrap();
        Self { which: 1, address, owner: embedded::OWNER, _embedded: Some(embedded) }.furnished().await
    }

    async fn furnished(self) -> Self {
        for sql in TABLES {
            self.run(sql).await;
        }
        self
    }

    async fn run(&self, sql: &str) -> String {
        let answer = self.owner.asks(self.address, sql).await;
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
        answer.text()
    }

    async fn takes(&self, raw: &Raw, user: User) -> Answer {
        send_plain(self.address, raw.of_user(user)).await
    }

    /// What stands in the table that is written to.
    async fn written(&self) -> String {
        self.run("SELECT id, s FROM default.log ORDER BY id, s").await
    }

    async fn emptied(&self) {
        self.run("TRUNCATE TABLE default.log").await;
    }
}

fn permitted() -> impl Iterator<Item = Way> {
    let ways = [rows::all(), data::inserts(), data::expressions(), uploads::all()].into_iter().flatten();
    ways.filter(|way| matches!(way.want, Want::Sent(_)))
}

/// What Keyhouse makes of it, to be sent by hand.
fn by_hand(sent: &Sent) -> Raw {
    let of_the_statement = |name: &str| name == "query" || name == "decompress" || name.starts_with("param_");
    let parameters: Vec<String> =
        sent.parameters.iter().filter(|(name, _)| of_the_statement(name)).map(|(name, value)| format!("{name}={value}")).collect();
    let raw = Raw::post(&format!("/?{}", parameters.join("&")));
    let raw = sent.encoding.iter().fold(raw, |raw, token| raw.header(&format!("Content-Encoding: {token}")));
    match &sent.form {
        Some(form) => raw.form("by-hand", form),
        None => raw.body(&sent.body),
    }
}

/// Status, what was answered, and what was written.
#[derive(PartialEq, Debug)]
struct Meant(u16, String, String);

async fn means_the_same(server: &Server) {
    let issuer = Issuer::start().await;
    let house = Plan::new(&issuer.url, &[&format!("http://{}", server.address)]).policy("10-rules.yaml", RULES).start().await;
    let (tokens, mut wrong, mut count) = (Tokens::of(&issuer), String::new(), 0);
    for way in permitted() {
        let Want::Sent(sent) = &way.want else { continue };
        let writes = sent.parameters.iter().all(|(name, _)| *name != "readonly");
        let meant = async |answer: Answer| Meant(answer.status, answer.text(), if writes { server.written().await } else { String::new() });
        if writes {
            server.emptied().await;
        }
        let direct = meant(server.takes(&way.raw, way.user()).await).await;
        let reference = match way.taken[server.which] {
            true => direct,
            false => {
                if writes {
                    server.emptied().await;
                }
                let reference = meant(server.takes(&by_hand(sent), way.user()).await).await;
                if reference.0 == 200 && reference == direct {
                    way.complains(&mut wrong, &format!("the server takes it as it is: {direct:?}"));
                }
                reference
            }
        };
        if writes {
            server.emptied().await;
        }
        let mut caller = Caller::plain(house.http()).await;
        caller.send(way.raw.with_token(tokens.of_group(way.group))).await;
        let through = meant(caller.answer().await).await;
        let right = match reference.0 {
            200 => through == reference,
            // The server's own no, in words that name places and times.
            status => !way.taken[server.which] && (through.0, &through.2) == (status, &reference.2) && reference.2.is_empty(),
        };
        if !right {
            way.complains(&mut wrong, &format!("{through:?}\n   want {reference:?}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 200, "{count} permitted requests");
}

/// Values are code to ClickHouse, and data behind Keyhouse: the same rows go in, or none.
async fn values_stay_data(server: &Server) {
    let issuer = Issuer::start().await;
    let house = Plan::new(&issuer.url, &[&format!("http://{}", server.address)]).policy("10-rules.yaml", RULES).start().await;
    let token = issuer.token().groups(&["engineers"]).make();
    for (sql, code) in [
        ("INSERT INTO log VALUES (1, concat('TOP-', 'SECRET'))", [true, true]),
        ("INSERT INTO log VALUES (1, (SELECT max(s) FROM sec.secret))", [false, true]),
        ("INSERT INTO log FORMAT Values (1, (SELECT max(s) FROM sec.secret))", [false, true]),
    ] {
        server.emptied().await;
        let raw = Raw::post("/").body(sql);
        let direct = server.takes(&raw, server.owner).await;
        assert_eq!(server.written().await == "1\tTOP-SECRET\n", code[server.which], "{sql}: {}", direct.text());
        server.emptied().await;
        let mut caller = Caller::plain(house.http()).await;
        caller.send(raw.with_token(&token)).await;
        let answer = caller.answer().await;
        assert_ne!(answer.status, 200, "{sql}");
        assert_eq!(server.written().await, "", "{sql}: {}", answer.text());
    }
}

async fn does_what_it_says(server: &Server) {
    let mut wrong = String::new();
    let attacks = [rows::all(), data::inserts(), uploads::all()].into_iter().flatten();
    for way in attacks.filter(|way| way.does.iter().any(Option::is_some)) {
        let Some(deed) = way.does.iter().flatten().next() else { continue };
        if matches!(deed, Deed::Drops) {
            server.run("CREATE TABLE IF NOT EXISTS default.victim (a UInt8) ENGINE = Memory").await;
        }
        let answer = server.takes(&way.raw, server.owner).await;
        let done = match deed {
            Deed::Tells => answer.text().contains("TOP-SECRET"),
            Deed::Drops => server.run("EXISTS TABLE default.victim").await == "0\n",
            Deed::Falsifies => answer.text().contains("three"),
        };
        if done != way.does[server.which].is_some() {
            let text: String = answer.text().chars().take(300).collect();
            way.complains(&mut wrong, &format!("{} {}: {}", if done { "done" } else { "not done" }, answer.status, text.trim_end()));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

async fn before_and_behind_keyhouse(server: &Server) {
    does_what_it_says(server).await;
    means_the_same(server).await;
    values_stay_data(server).await;
}

#[tokio::test]
async fn what_goes_through_means_the_same_to_the_old_server_and_attacks_are_attacks() {
    before_and_behind_keyhouse(&Server::old().await).await;
}

#[tokio::test]
async fn what_goes_through_means_the_same_to_todays_server_and_attacks_are_attacks() {
    before_and_behind_keyhouse(&Server::today().await).await;
}
