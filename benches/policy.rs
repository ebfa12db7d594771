//! What choosing a rule and judging by it cost, by how many rules there are. The bar: at 10,000 at most 20 µs, and less than in
//! proportion.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "criterion makes the functions, and a bench fails by panicking")]

#[path = "support/house.rs"]
mod house;

use std::{
    collections::BTreeMap,
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    time::SystemTime,
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::Method;
use keyhouse::{
    config::checked,
    identity::Caller,
    policy::{self, Asking, Choice},
    start::Prepared,
    trial::{Asked, Asker, Trial},
};
use serde_json::{Map, json};

/// Rules of which each is meant for a group, or every tenth for a claim's value.
fn prepare(count: usize) -> Prepared {
    let rule = |number: usize| {
        let whom = if number % 10 == 9 { format!("claims: {{tenant: t{number}}}") } else { format!("groups: [g{number}]") };
        format!(
            "  - {{name: r{number}, whom: {{{whom}}}, act_as: analyst, allow: [{{tables: ['d{number}.*']}}], settings: {{cap: {{max_result_rows: 100}}}}}}\n"
        )
    };
    let rules: String = (0..count).map(rule).collect();
    house::prepare(&format!("rules:\n{rules}"))
}

fn caller(groups: Vec<String>, tenant: &str) -> Caller {
    let claims: Map<_, _> = [("tenant".to_owned(), json!(tenant))].into_iter().collect();
    let name = "alice".to_owned();
    Caller { provider: "corp".to_owned(), subject: name.clone(), username: name, display: None, groups, claims, line: Default::default() }
}

fn choose(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("choose");
    for count in [1, 100, 10_000] {
        let prepared = prepare(count);
        // Twelve groups, the one that counts last; nobody's are many more than that.
        let groups = |last: usize| (0..11).map(|number| format!("other-{number}")).chain([format!("g{last}")]).collect();
        let (last, now, from) = (count - 1 - usize::from(count > 1), SystemTime::now(), IpAddr::from(Ipv4Addr::LOCALHOST));
        for (what, caller, found) in [
            ("the last group", caller(groups(last), "none"), true),
            ("the last claim", caller(groups(count), &format!("t{}", count - 1)), count > 1),
            ("nobody", caller(groups(count), "none"), false),
        ] {
            let asking = Asking { caller: &caller, from, now, rule: None };
            let chosen = prepared.rules().choose(&asking);
            assert_eq!(matches!(chosen, Choice::Rule(_)), found, "{what} of {count}");
            group.bench_function(format!("{what} of {count}"), |bencher| bencher.iter(|| prepared.rules().choose(black_box(&asking))));
        }
    }
    group.finish();
}

/// The whole of the decision on a statement that was understood: its rule, the verdict, the permit.
fn decide(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let limits = checked::usual_limits();
    let mut group = criterion.benchmark_group("decide");
    for count in [1, 100, 10_000] {
        let prepared = prepare(count);
        let last = count - 1 - usize::from(count > 1);
        let asker = Asker::of(caller((0..11).map(|number| format!("other-{number}")).chain([format!("g{last}")]).collect(), "none"));
        let trial = Trial { rules: prepared.rules(), limits: &limits };
        let asking = Asking { caller: &asker.caller, from: asker.from, now: asker.at, rule: None };
        for (what, sql, good) in [
            ("a table", format!("SELECT id, count() FROM d{last}.t WHERE day > today() GROUP BY id"), true),
            ("six tables", format!("SELECT * FROM d{last}.a, d{last}.b, d{last}.c WHERE x IN (SELECT x FROM d{last}.d) AND y IN d{last}.e"), true),
            ("a refusal", "SELECT * FROM other.t".to_owned(), false),
        ] {
            let understood = || {
                let asked = Asked::statement(&Method::POST, "max_result_rows=10", &BTreeMap::new(), &sql).unwrap();
                let understood = runtime.block_on(trial.understand(&asker, asked));
                understood.map(|(_, understood)| understood).unwrap_or_else(|(_, refusal)| panic!("{}", refusal.says()))
            };
            assert_eq!(policy::decide(prepared.rules().choose(&asking), understood()).is_ok(), good, "{what} of {count}");
            group.bench_function(format!("{what} of {count}"), |bencher| {
                let judged = |understood| policy::decide(prepared.rules().choose(black_box(&asking)), understood);
                bencher.iter_batched(understood, judged, BatchSize::SmallInput);
            });
        }
    }
    group.finish();
}

criterion_group!(benches, choose, decide);
criterion_main!(benches);
