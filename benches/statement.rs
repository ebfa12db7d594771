//! What reading costs: lexer, grammar, reach and canonical text of statements as dashboards and loaders send them.

#![allow(missing_docs, reason = "criterion makes the functions")]

use criterion::{Criterion, criterion_group, criterion_main};
use keyhouse::statement::{self, Parameters};

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
        group.bench_function(name, |bencher| bencher.iter(|| statement::read(std::hint::black_box(sql), &Parameters::new())));
    }
    group.finish();
}

criterion_group!(benches, read);
criterion_main!(benches);
