//! What reading costs: lexer, grammar, reach and canonical text, of statements as dashboards and loaders send them, and of
//! ClickHouse's own tests beside what another parser takes for the same texts. The bar there: at most half of its time.

#![allow(missing_docs, clippy::unwrap_used, reason = "criterion makes the functions, and a bench fails by panicking")]

use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keyhouse::statement::{self, Parameters};
use serde_json::Value;
use sqlparser::{dialect::ClickHouseDialect, parser::Parser};

const STATEMENTS: [(&str, &str); 3] = [
    ("ping", "SELECT 1"),
    (
        "dashboard",
        "SELECT toStartOfInterval(time, INTERVAL 60 second) AS t, host, quantile(0.99)(latency) AS p99, countIf(status >= 500) AS errors \
         FROM sales.requests WHERE time BETWEEN toDateTime(1700000000) AND toDateTime(1700003600) AND host IN ('a', 'b', 'c') \
         GROUP BY t, host ORDER BY t LIMIT 10000 FORMAT JSONCompact",
    ),
    (
        "report",
        "WITH daily AS (SELECT toDate(time) AS day, customer, sum(amount) AS total FROM sales.orders GROUP BY day, customer) \
         SELECT c.name, d.day, d.total, (SELECT avg(total) FROM daily) AS mean FROM daily AS d \
         LEFT JOIN sales.customers AS c ON c.id = d.customer WHERE d.total > 100 AND c.country NOT IN (SELECT code FROM sales.closed) \
         ORDER BY d.day DESC, d.total DESC LIMIT 5 BY d.day",
    ),
];

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    for (name, sql) in STATEMENTS {
        assert!(statement::read(sql, &Parameters::new()).is_ok(), "{name} must be read for its time to mean anything");
        group.bench_function(name, |bencher| bencher.iter(|| statement::read(black_box(sql), &Parameters::new())));
    }
    group.finish();
}

/// ClickHouse's own statements, or nothing where they are not there.
fn texts() -> Option<Vec<String>> {
    let folder = std::env::var_os("KEYHOUSE_CORPUS").map_or_else(|| PathBuf::from("../shared/corpus"), PathBuf::from);
    let file = folder.join("clickhouse-statements.jsonl.gz");
    if !file.exists() {
        eprintln!("NOT RUN: there is no corpus at {}; say where it is with KEYHOUSE_CORPUS", file.display());
        return None;
    }
    let unpacked = Command::new("gzip").arg("-dc").arg(file).stdin(Stdio::null()).output().unwrap();
    let sql = |line: &str| serde_json::from_str::<Value>(line).unwrap().get("sql").and_then(Value::as_str).map(str::to_owned);
    Some(String::from_utf8(unpacked.stdout).unwrap().lines().filter_map(sql).collect())
}

/// The whole corpus, one statement after the other; both refuse some of it.
fn corpus(criterion: &mut Criterion) {
    let Some(texts) = texts() else { return };
    let mut group = criterion.benchmark_group("corpus");
    group.sample_size(10).measurement_time(Duration::from_secs(12));
    group.throughput(Throughput::Bytes(texts.iter().map(|text| text.len() as u64).sum()));
    let none = Parameters::new();
    group.bench_function("ours", |bencher| bencher.iter(|| texts.iter().filter(|text| statement::read(black_box(text), &none).is_ok()).count()));
    group.bench_function("sqlparser", |bencher| {
        bencher.iter(|| texts.iter().filter(|text| Parser::parse_sql(&ClickHouseDialect {}, black_box(text)).is_ok()).count());
    });
    group.finish();
}

criterion_group!(benches, read, corpus);
criterion_main!(benches);
