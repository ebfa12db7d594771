//! The `clickhouse` crate: one JSON line for each case.

use std::{
    env,
    fmt::Write as _,
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use clickhouse::{Client, Compression, Row, error::Error, types::UInt256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const TYPES: &str = r"SELECT
    toUInt8(255) AS u8, toUInt16(65535) AS u16, toUInt32(4294967295) AS u32, toUInt64('18446744073709551615') AS u64,
    toUInt128('340282366920938463463374607431768211455') AS u128,
    toUInt256('115792089237316195423570985008687907853269984665640564039457584007913129639935') AS u256,
    toInt64('-9223372036854775808') AS i64, toFloat64(0.1) AS f64, toDecimal128('12345678901234567890.0123456789', 10) AS d128,
    'Grüße 😀 \t\n\x01' AS s, toFixedString('abc', 4) AS fs, toDate('2026-02-28') AS d,
    toDateTime64('2026-02-28 12:34:56.789012', 6, 'UTC') AS dt, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS u,
    CAST('b', 'Enum8(\'a\' = 1, \'b\' = 2)') AS e, toIPv4('192.0.2.1') AS ip4, toIPv6('2001:db8::1') AS ip6, [1, 2, 3] AS a,
    tuple(1, 'x') AS t, map('k', 1, 'l', 2) AS m, CAST(NULL, 'Nullable(Int32)') AS n, toLowCardinality('low') AS lc, true AS b";

#[derive(Debug, Row, Deserialize)]
#[allow(dead_code, reason = "read by Debug alone")]
struct Types {
    u8: u8,
    u16: u16,
    u32: u32,
    u64: u64,
    u128: u128,
    u256: UInt256,
    i64: i64,
    f64: f64,
    d128: i128,
    s: String,
    fs: [u8; 4],
    #[serde(with = "clickhouse::serde::time::date")]
    d: time::Date,
    #[serde(with = "clickhouse::serde::time::datetime64::micros")]
    dt: time::OffsetDateTime,
    #[serde(with = "clickhouse::serde::uuid")]
    u: uuid::Uuid,
    e: i8,
    #[serde(with = "clickhouse::serde::ipv4")]
    ip4: std::net::Ipv4Addr,
    ip6: std::net::Ipv6Addr,
    a: Vec<u8>,
    t: (u8, String),
    m: Vec<(String, u8)>,
    n: Option<i32>,
    lc: String,
    b: bool,
}

#[derive(Row, Serialize, Deserialize)]
struct Order {
    id: u64,
    name: String,
    // Two digits behind the point.
    amount: i64,
    at: u32,
    tags: Vec<String>,
}

#[derive(Row, Serialize, Deserialize)]
struct Named {
    id: u64,
    name: String,
}

enum No {
    Client(Error),
    NotRun(&'static str),
}

impl From<Error> for No {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

type Told = Result<Value, No>;

fn given(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn direct() -> bool {
    given("CLIENT_WAY") == "direct"
}

fn gate_only() -> Result<(), No> {
    if direct() { Err(No::NotRun("gate only")) } else { Ok(()) }
}

fn client_with(token: &str) -> Client {
    let client = Client::default().with_url(given("CLIENT_URL")).with_product_info("clients", "1");
    if direct() { client.with_user(given("CLIENT_USER")).with_password(given("CLIENT_PASSWORD")) } else { client.with_access_token(given(token)) }
}

fn client() -> Client {
    client_with("CLIENT_TOKEN")
}

fn table(name: &str) -> String {
    format!("{}{name}", given("CLIENT_TABLE_PREFIX"))
}

fn short(hash: Sha256) -> String {
    hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

async fn connect() -> Told {
    Ok(client().query("SELECT version()").fetch_one::<String>().await?.into())
}

async fn read_types() -> Told {
    let mut blocks = client().query(TYPES).fetch_native()?;
    let block = blocks.next().await?.ok_or(Error::RowNotFound)?;
    let names: Vec<_> = block.columns().iter().map(|column| column.name()).collect();
    let types: Vec<_> = block.columns().iter().map(|column| column.data_type().to_string()).collect();
    let values = client().query(TYPES).fetch_one::<Types>().await?;
    Ok(json!({"names": names, "types": types, "values": format!("{values:?}")}))
}

async fn read_table() -> Told {
    let asked = "SELECT id, region, toString(amount) FROM sales.orders ORDER BY id LIMIT 20";
    Ok(json!(client().query(asked).fetch_all::<(u64, String, String)>().await?))
}

async fn read_formats() -> Told {
    let mut value = serde_json::Map::new();
    for format in ["TabSeparated", "CSV", "JSONEachRow", "JSONCompactEachRow", "Native", "RowBinary", "Parquet", "Arrow"] {
        let asked = "SELECT id, region, amount, placed FROM sales.orders ORDER BY id LIMIT 3";
        let body = client().query(asked).fetch_bytes(format)?.collect().await?;
        let shown = String::from_utf8(body.to_vec()).ok().filter(|text| !text.contains('\0'));
        value.insert(format.to_owned(), shown.unwrap_or_else(|| short(Sha256::new_with_prefix(&body))).into());
    }
    // What JSON tells besides is how long it took.
    let body = client().query("SELECT id, region FROM sales.orders ORDER BY id LIMIT 3").fetch_bytes("JSON")?.collect().await?;
    let whole: Value = serde_json::from_slice(&body).map_err(|error| Error::Other(error.into()))?;
    value.insert("JSON".to_owned(), json!([whole["meta"], whole["data"], whole["rows"]]));
    Ok(value.into())
}

async fn summed(client: Client, asked: &str) -> Told {
    let mut cursor = client.query(asked).fetch::<(u64, String)>()?;
    let (mut rows, mut hash) = (0, Sha256::new());
    while let Some((number, text)) = cursor.next().await? {
        rows += 1;
        hash.update(number.to_le_bytes());
        hash.update(text);
    }
    Ok(json!({"rows": rows, "checksum": short(hash), "compressed": cursor.received_bytes() < cursor.decoded_bytes()}))
}

async fn read_large() -> Told {
    summed(client(), "SELECT number, toString(number) FROM numbers(2000000)").await
}

fn compressions() -> [(&'static str, Compression); 3] {
    [("none", Compression::None), ("lz4", Compression::Lz4), ("zstd", Compression::zstd())]
}

async fn read_compressed() -> Told {
    let mut value = serde_json::Map::new();
    for (name, compression) in compressions() {
        let client = client().with_compression(compression);
        value.insert(name.to_owned(), summed(client, "SELECT number, toString(number) FROM numbers(200000)").await?);
    }
    Ok(value.into())
}

async fn read_empty() -> Told {
    Ok(json!(client().query("SELECT id FROM sales.orders WHERE id < 0").fetch_all::<u64>().await?))
}

async fn headers() -> Told {
    let id = uuid::Uuid::new_v4().to_string();
    let query = client().query("SELECT number FROM numbers(1000)").with_setting("query_id", id).with_setting("wait_end_of_query", "1");
    let mut cursor = query.fetch::<u64>()?;
    while cursor.next().await?.is_some() {}
    // Of the headers this client shows the summary alone.
    Ok(json!({"read_rows": cursor.summary().and_then(|summary| summary.read_rows())}))
}

#[derive(Debug, Row, Deserialize, Serialize)]
struct Parameters {
    n: u64,
    i: i32,
    f: f64,
    s: String,
    hex: String,
    long: u64,
    a: Vec<String>,
    none: Option<String>,
    rows: Option<u64>,
}

async fn parameters() -> Told {
    let asked = "SELECT {n:UInt64} AS n, {i:Int32} AS i, {f:Float64} AS f, {s:String} AS s, hex({s:String}) AS hex,
        length({long:String}) AS long, {a:Array(String)} AS a, {none:Nullable(String)} AS none,
        (SELECT count() FROM {t:Identifier}.{o:Identifier}) AS rows";
    let query = client()
        .query(asked)
        .param("n", u64::MAX)
        .param("i", -7)
        .param("f", 0.5)
        .param("s", "quotes ' \" ` backslash \\ tab \t newline \n unicode ü 😀")
        .param("long", "x".repeat(10_000))
        .param("a", vec!["a", "b'", "c\\"])
        .param("none", None::<String>)
        .param("t", "sales")
        .param("o", "orders");
    Ok(json!(query.fetch_one::<Parameters>().await?))
}

async fn settings() -> Told {
    let query = client().query("SELECT toUInt64(getSetting('max_block_size'))").with_setting("max_block_size", "1000");
    Ok(query.fetch_one::<u64>().await?.into())
}

async fn insert_rows() -> Told {
    let client = client();
    let mut insert = client.insert_unescaped::<Order>(&table("rows")).await?;
    for id in 0..100_u32 {
        let (tags, at) = (vec!["a".to_owned(), id.to_string()], 1_772_280_000 + id);
        let name = format!("name {id} 'ü'\t\\");
        insert.write(&Order { id: id.into(), name, amount: i64::from(id) * 125, at, tags }).await?;
    }
    insert.end().await?;
    let sums = client.query(&format!("SELECT count(), sum(id), sum(toFloat64(amount)) FROM {}", table("rows")));
    let sums = sums.fetch_one::<(u64, u64, f64)>().await?;
    let one = client.query(&format!("SELECT ?fields FROM {} WHERE id = 42", table("rows"))).fetch_one::<Order>().await?;
    Ok(json!({"sums": sums, "one": one}))
}

async fn streamed(client: Client, first: u64, count: u64) -> Told {
    let mut insert = client.insert_unescaped::<Named>(&table("stream")).await?;
    for id in first..first + count {
        insert.write(&Named { id, name: format!("name {id}") }).await?;
    }
    insert.end().await?;
    let asked = format!("SELECT count(), sum(id), max(name) FROM {} WHERE id BETWEEN ? AND ?", table("stream"));
    Ok(json!(client.query(&asked).bind(first).bind(first + count - 1).fetch_one::<(u64, u64, String)>().await?))
}

async fn insert_stream() -> Told {
    streamed(client(), 0, 100_000).await
}

async fn insert_compressed() -> Told {
    let mut value = serde_json::Map::new();
    for ((name, compression), first) in compressions().into_iter().zip((1_000_000..).step_by(100_000)) {
        value.insert(name.to_owned(), streamed(client().with_compression(compression), first, 10_000).await?);
    }
    Ok(value.into())
}

async fn external() -> Told {
    Err(No::NotRun("this client sends no tables along"))
}

async fn error_table() -> Told {
    Ok(json!(client().query("SELECT id FROM sales.nothing").fetch_all::<u64>().await?))
}

async fn error_syntax() -> Told {
    Ok(json!(client().query("SELEC 1").fetch_all::<u8>().await?))
}

async fn error_mid_stream() -> Told {
    let asked = "SELECT number, throwIf(number = 3000000, 'stop here') FROM numbers(4000000)";
    let mut cursor = client().query(asked).fetch::<(u64, u8)>()?;
    let mut rows = 0;
    while cursor.next().await?.is_some() {
        rows += 1;
    }
    Ok(rows.into())
}

async fn refusal_table() -> Told {
    gate_only()?;
    Ok(json!(client().query("SELECT name, amount FROM hr.salaries").fetch_all::<(String, u32)>().await?))
}

async fn refusal_effect() -> Told {
    gate_only()?;
    client().query("DROP TABLE sales.orders").execute().await?;
    Ok("done".into())
}

async fn token_expired() -> Told {
    gate_only()?;
    Ok(client_with("CLIENT_EXPIRED_TOKEN").query("SELECT 1").fetch_one::<u8>().await?.into())
}

async fn token_refresh() -> Told {
    Err(No::NotRun("this client does not ask for another token"))
}

async fn cancel() -> Told {
    // ClickHouse ends a statement with its caller's connection only where it is told to, and reads alone.
    let query = client()
        .query("SELECT sum(sleepEachRow(0.1)) FROM numbers(100000)")
        .with_setting("readonly", "1")
        .with_setting("max_block_size", "1")
        .with_setting("function_sleep_max_microseconds_per_block", "0")
        .with_setting("cancel_http_readonly_queries_on_client_close", "1");
    let began = Instant::now();
    match tokio::time::timeout(Duration::from_millis(300), query.fetch_one::<u64>()).await {
        Ok(early) => Ok(early?.into()),
        Err(_) => Ok(json!({"back": began.elapsed() < Duration::from_secs(5)})),
    }
}

async fn session() -> Told {
    let client = client().with_setting("session_id", uuid::Uuid::new_v4().to_string());
    client.query("CREATE TEMPORARY TABLE mine (x UInt8)").execute().await?;
    client.query("INSERT INTO mine VALUES (1), (2)").execute().await?;
    let sum = client.query("SELECT sum(x) FROM mine").fetch_one::<u64>().await?;
    client.query("SET max_threads = 3").execute().await?;
    let threads = client.query("SELECT toUInt64(getSetting('max_threads'))").fetch_one::<u64>().await?;
    Ok(json!([sum, threads]))
}

async fn concurrency() -> Told {
    let client = client();
    let asked: Vec<_> =
        (0..20).map(|n| tokio::task::spawn_local(client.query(&format!("SELECT toUInt8({n}), sleep(0.1)")).fetch_one::<(u8, u8)>())).collect();
    let mut numbers = Vec::new();
    for one in asked {
        numbers.push(one.await.map_err(|error| Error::Other(error.into()))??.0);
    }
    numbers.sort_unstable();
    Ok(json!(numbers))
}

/// The number that ClickHouse gave, and what is said without what differs from run to run: version and ids.
fn told(error: &Error) -> Value {
    let text = error.to_string();
    let code = text.split_once("Code: ").and_then(|(_, rest)| rest.split('.').next()?.parse::<u32>().ok());
    let text = text.split(" (version ").next().unwrap_or_default();
    let is_id = |word: &str| word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let words = text.split(' ').map(|word| {
        let bare = word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
        if is_id(bare) { word.replace(bare, "<id>") } else { word.to_owned() }
    });
    json!({"code": code, "says": words.collect::<Vec<_>>().join(" ").replace(&given("CLIENT_TABLE_PREFIX"), "<prefix>")})
}

type Case = Pin<Box<dyn Future<Output = Told>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let cases: Vec<(&str, Case)> = vec![
        ("connect", Box::pin(connect())),
        ("read.types", Box::pin(read_types())),
        ("read.table", Box::pin(read_table())),
        ("read.formats", Box::pin(read_formats())),
        ("read.large", Box::pin(read_large())),
        ("read.compressed", Box::pin(read_compressed())),
        ("read.empty", Box::pin(read_empty())),
        ("headers", Box::pin(headers())),
        ("parameters", Box::pin(parameters())),
        ("settings", Box::pin(settings())),
        ("insert.rows", Box::pin(insert_rows())),
        ("insert.stream", Box::pin(insert_stream())),
        ("insert.compressed", Box::pin(insert_compressed())),
        ("external", Box::pin(external())),
        ("error.table", Box::pin(error_table())),
        ("error.syntax", Box::pin(error_syntax())),
        ("error.mid_stream", Box::pin(error_mid_stream())),
        ("refusal.table", Box::pin(refusal_table())),
        ("refusal.effect", Box::pin(refusal_effect())),
        ("token.expired", Box::pin(token_expired())),
        ("token.refresh", Box::pin(token_refresh())),
        ("cancel", Box::pin(cancel())),
        ("session", Box::pin(session())),
        ("concurrency", Box::pin(concurrency())),
    ];
    let local = tokio::task::LocalSet::new();
    for (name, case) in cases {
        let line = match local.run_until(case).await {
            Ok(value) => json!({"case": name, "value": value}),
            Err(No::Client(error)) => json!({"case": name, "error": told(&error)}),
            Err(No::NotRun(why)) => json!({"case": name, "not_run": why}),
        };
        println!("{line}");
    }
}
