//! What it costs to write the request that goes to ClickHouse, and the line that stays of it.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "criterion makes the functions, and a bench fails by panicking"
)]

#[path = "support/house.rs"]
mod house;

use std::{
    collections::BTreeMap,
    hint::black_box,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use criterion::{Criterion, criterion_group, criterion_main};
use house::prepare;
use http::{HeaderValue, Method, StatusCode, Version};
use keyhouse::{
    config::checked,
    identity::Caller,
    policy::Permitted,
    record::{CallerLine, Entry, Outcome, ReachLine, Rendered},
    start::Prepared,
    trial::{Asked, Asker, Trial},
};
use serde_json::{Map, json};

const RULES: &str = "
rules:
  - name: analysts
    whom: {groups: [analysts]}
    act_as: analyst
    allow: [{tables: ['sales.*']}]
    settings: {pin: {max_threads: 4}, cap: {max_execution_time: 60, max_result_rows: 100000}}
";

fn caller() -> Caller {
    let (name, groups) = ("alice".to_owned(), vec!["analysts".to_owned()]);
    Caller { provider: "corp".to_owned(), subject: name.clone(), username: name, display: None, groups, claims: Map::new(), line: Default::default() }
}

fn permitted(prepared: &Prepared, parameters: &str, sql: &str) -> Permitted {
    let (asker, limits) = (Asker::of(caller()), checked::usual_limits());
    let trial = Trial { rules: prepared.rules(), limits: &limits };
    let asked = Asked::statement(&Method::POST, parameters, &BTreeMap::new(), sql).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(trial.judge(&asker, asked)).result.unwrap_or_else(|refusal| panic!("{}", refusal.says()))
}

fn outgoing(criterion: &mut Criterion) {
    let prepared = prepare(RULES);
    let mut group = criterion.benchmark_group("outgoing");
    for (what, parameters, sql) in [
        ("a constant", "", "SELECT 1"),
        (
            "a panel",
            "max_result_rows=1000&default_format=JSON",
            "SELECT day, sum(amount) FROM sales.orders WHERE day > today() - 7 GROUP BY day ORDER BY day",
        ),
        (
            "five values",
            "param_a=1&param_b=2&param_c=3&param_d=4&param_e=5",
            "SELECT {a:UInt8}, {b:UInt8}, {c:UInt8}, {d:UInt8}, {e:UInt8} FROM sales.t",
        ),
    ] {
        let permitted = permitted(&prepared, parameters, sql);
        let line = prepared.upstream().written(&permitted).unwrap_or_else(|refusal| panic!("{}", refusal.says())).preview().line;
        assert!(line.contains("max_threads=4") && line.contains("max_execution_time=60"), "{line}");
        group.bench_function(what, |bencher| bencher.iter(|| prepared.upstream().written(black_box(&permitted))));
    }
    group.finish();
}

fn line(criterion: &mut Criterion) {
    let groups = vec!["analysts".to_owned(), "everybody".to_owned()];
    let (none, functions) = ([].into(), ["sum".to_owned(), "today".to_owned()].into());
    let caller = CallerLine { provider: "corp", subject: "8f3c", username: "alice", display: None, groups: &groups };
    let reach = ReachLine {
        tables: vec!["sales.orders".to_owned()],
        targets: Vec::new(),
        functions: &functions,
        table_functions: &none,
        also: Vec::new(),
        settings: Vec::new(),
        computed: &none,
        format: None,
    };
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000));
    let began = Instant::now();
    let (caller, reach, statement) =
        (Rendered::of(&caller), Rendered::of(&reach), Rendered::of(&json!("SELECT sum(amount) FROM sales.orders WHERE day > ?")));
    let (analyst, database, node) = (Arc::from("analyst"), Arc::from("sales"), Arc::from("http://127.0.0.1:8123"));
    let entry = || {
        let mut entry = Entry::open(SystemTime::now(), began, peer, &Method::POST, Version::HTTP_11);
        entry.caller.clone_from(&caller);
        entry.rule = Some(Arc::clone(&analyst));
        entry.act_as = Some(Arc::clone(&analyst));
        entry.database = Some(Arc::clone(&database));
        entry.effect = Some("read");
        entry.kind = Some("Select");
        entry.reach.clone_from(&reach);
        entry.statement.clone_from(&statement);
        entry.outcome = Outcome::Answered;
        entry.node = Some(Arc::clone(&node));
        entry.summary =
            Some(HeaderValue::from_static(r#"{"read_rows":"1000","read_bytes":"8000","written_rows":"0","result_rows":"7","elapsed_ns":"1200000"}"#));
        entry.answer_begins(StatusCode::OK, began + Duration::from_micros(900));
        entry.ended(began + Duration::from_micros(1000));
        entry
    };
    let mut text = Vec::new();
    entry().write_line(&mut text);
    let told: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((&told["rows"], &told["username"], &told["took_ms"]), (&json!(7), &json!("alice"), &json!(1.0)));
    let mut group = criterion.benchmark_group("record");
    group.bench_function("filling in", |bencher| bencher.iter(entry));
    let mut entry = entry();
    group.bench_function("its line", |bencher| {
        bencher.iter(|| {
            text.clear();
            black_box(&mut entry).write_line(&mut text);
        });
    });
    group.finish();
}

criterion_group!(benches, outgoing, line);
criterion_main!(benches);
