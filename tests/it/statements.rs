//! Requests and statements that must not pass: each is one clear refusal, one record, and nothing at the upstream.

use crate::support::{
    clickhouse::{ANALYST, WRITER},
    client::{Answer, get, post, send},
    house::{House, Plan},
    issuer::Issuer,
    recorder::Recorder,
    script::Script,
};

struct Case<'a> {
    request: String,
    status: u16,
    reason: &'a str,
    says: &'a str,
}

/// Sends each, and looks at the answer, at the record and at what the upstream saw.
async fn all_are_refused(house: &House, recorder: &Recorder, cases: Vec<Case<'_>>) {
    let before = house.records().len();
    for (index, case) in cases.iter().enumerate() {
        let answer: Answer = send(house, &case.request).await;
        let context = format!("{}\n-> {} {}", case.request, answer.status, answer.text());
        assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (case.status, Some(case.reason)), "{context}");
        assert!(answer.text().contains(case.says), "{:?} is not said: {context}", case.says);
        let code = answer.header("x-clickhouse-exception-code").unwrap();
        assert!(answer.text().starts_with(&format!("Code: {code}. DB::Exception: ")), "{context}");
        let record = &house.wait_records(before + index + 1).await[before + index];
        assert_eq!(
            (&record["reason"], &record["outcome"], &record["status"]),
            (&case.reason.into(), &"refused".into(), &case.status.into()),
            "{record}"
        );
        assert_eq!(record["request_id"].as_str(), answer.header("x-keyhouse-request-id"));
    }
    assert_eq!(house.records().len(), before + cases.len(), "one record each");
    assert!(recorder.requests().is_empty(), "{:?}", recorder.requests().iter().map(|heard| heard.text()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_statement_that_may_not_or_cannot_be_read_goes_nowhere() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("no")).await);
    let house = Plan::new(&issuer.url, &[&recorder.url]).start().await;
    let token = issuer.token().make();
    let long = format!("SELECT '{}'", "x".repeat(262_144));
    let cases = [
        ("", 400, "empty-statement", "no statement"),
        ("  \n ", 400, "empty-statement", "no statement"),
        ("-- only a comment", 400, "empty-statement", "only comments"),
        (";", 400, "empty-statement", "no statement"),
        (&long, 413, "statement-too-long", "262144 bytes"),
        ("SELECT 1; DROP TABLE events", 400, "several-statements", "one statement"),
        ("SELECT 1 FRM events", 400, "not-understood", "`events` stands at line 1, column 14"),
        ("nonsense", 400, "not-understood", "nonsense"),
        ("SELECT $$ ' $$, (SELECT s FROM sec.secret), $$ ' $$", 403, "table-not-allowed", "sec.secret"),
        ("SELECT ‘ ' ’, (SELECT s FROM sec.secret), ‘ ' ’", 403, "table-not-allowed", "sec.secret"),
        ("SELECT * FROM sec.`secr\\x65t`", 403, "table-not-allowed", "sec.secret"),
        ("SELECT 1 SETTINGS select = '(select s from sec.secret)'", 403, "setting-not-allowed", "`select`"),
        ("SELECT '\\' || ' , (SELECT s FROM sec.secret) -- '", 403, "table-not-allowed", "sec.secret"),
        ("SELECT 1, /* /* */ ' */ (SELECT s FROM sec.secret) /* /* ' -- */ */\n AS x", 403, "table-not-allowed", "sec.secret"),
        ("INSERT INTO events VALUES SETTINGS a = 1 (1)", 400, "not-understood", "before FORMAT and VALUES"),
        ("INSERT INTO events FORMAT CSV SETTINGS a = 1\n1", 400, "not-understood", "before FORMAT and VALUES"),
        ("SELECT * FROM sec.secret", 403, "table-not-allowed", "Ask the data platform team."),
        ("SELECT * FROM \"sec\".\"secret\"", 403, "table-not-allowed", "sec.secret"),
        ("SELECT * FROM sec . secret", 403, "table-not-allowed", "sec.secret"),
        ("SELECT * FROM DEFAULT.events", 403, "table-not-allowed", "DEFAULT.events"),
        ("SELECT * FROM sales.salaries", 403, "table-denied", "sales.salaries"),
        ("SELECT x IN (sec.secret) FROM events", 403, "table-not-allowed", "sec.secret"),
        ("SELECT x IN sec.secret FROM events", 403, "table-not-allowed", "sec.secret"),
        ("SELECT in(x, sec.secret) FROM events", 403, "table-not-allowed", "sec.secret"),
        ("WITH secret AS (SELECT 1) SELECT * FROM sec.secret", 403, "table-not-allowed", "sec.secret"),
        ("WITH events AS (SELECT s FROM sec.secret) SELECT * FROM events", 403, "table-not-allowed", "sec.secret"),
        ("SELECT * FROM merge('sec', '.*')", 403, "table-function-not-allowed", "merge"),
        ("SELECT * FROM url('http://127.0.0.1/', CSV, 'x String')", 403, "table-function-not-allowed", "url"),
        ("SELECT * FROM remote('127.0.0.1', sec.secret)", 403, "table-function-not-allowed", "remote"),
        ("SELECT dictGet('d', 'x', 1)", 403, "function-not-allowed", "dictGet"),
        ("SELECT joinGet('j', 'x', 1)", 403, "function-not-allowed", "joinGet"),
        ("SELECT file('x')", 403, "function-not-allowed", "file"),
        ("SELECT sleep(3)", 403, "function-not-allowed", "sleep"),
        ("SHOW TABLES", 403, "table-not-allowed", "system.tables"),
        ("INSERT INTO events VALUES (1)", 403, "effect-not-allowed", "it allows read"),
        ("DROP TABLE events", 403, "effect-not-allowed", "`define`"),
        ("ALTER TABLE events DELETE WHERE 1", 403, "effect-not-allowed", "`change`"),
        ("ALTER TABLE events ADD COLUMN x Int8", 403, "effect-not-allowed", "`define`"),
        ("TRUNCATE TABLE events", 403, "effect-not-allowed", "`change`"),
        ("SYSTEM SHUTDOWN", 403, "effect-not-allowed", "`administer`"),
        ("KILL QUERY WHERE 1", 403, "effect-not-allowed", "`administer`"),
        ("SET readonly = 0", 403, "effect-not-allowed", "`session`"),
        ("GRANT SELECT ON *.* TO kh_analyst", 403, "effect-not-allowed", "`administer`"),
    ]
    .map(|(sql, status, reason, says)| Case { request: post("/", &token, sql), status, reason, says });
    all_are_refused(&house, &recorder, cases.into()).await;
}

#[tokio::test]
async fn sql_in_two_places_is_read_as_clickhouse_joins_it() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("no")).await);
    let house = Plan::new(&issuer.url, &[&recorder.url]).start().await;
    let token = issuer.token().make();
    let cases = [
        ("/?query=SELECT%201", "\nFROM sec.secret", 403, "table-not-allowed"),
        ("/?query=SELECT%201%20%2F*", "*/, (SELECT s FROM sec.secret)", 403, "table-not-allowed"),
        ("/?query=SELECT%20%24x%24", "$x$, (SELECT s FROM sec.secret)", 403, "table-not-allowed"),
        ("/?query=SELECT%201%20--", "DROP TABLE events", 400, "not-understood"),
        ("/?query=sel", "ect 1", 400, "not-understood"),
        ("/?query=", "DROP TABLE events", 403, "effect-not-allowed"),
        ("/?qu%65ry=SELECT%20s%20FROM%20sec.secret", "", 403, "table-not-allowed"),
        ("/?query=SELECT+s+FROM+sec%2Esecret", "", 403, "table-not-allowed"),
        ("/?database=sec", "SELECT s FROM secret", 403, "table-not-allowed"),
        // What follows an INSERT that is explained is no data.
        ("/?query=EXPLAIN%20AST%20INSERT%20INTO%20events%20VALUES", "FORMAT Null SETTINGS select = '1'", 403, "setting-not-allowed"),
    ]
    .map(|(target, body, status, reason)| Case { request: post(target, &token, body), status, reason, says: "" });
    all_are_refused(&house, &recorder, cases.into()).await;
}

#[tokio::test]
async fn forms_that_are_not_plain_are_refused_by_name() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("no")).await);
    let house = Plan::new(&issuer.url, &[&recorder.url]).start().await;
    let token = issuer.token().make();
    let with = |header: &str| post("/", &token, "SELECT 1").replacen("\r\n", &format!("\r\n{header}\r\n"), 1);
    let to = |target: &str| post(target, &token, "SELECT 1");
    let authorization = format!("Authorization: Bearer {token}");
    let by = |method: &str| get("/?query=SELECT+1", &[&authorization]).replacen("GET", method, 1);
    let with_body = get("/?query=SELECT+1", &[&authorization, "Content-Length: 8"]) + " FROM sec";
    let not_utf8 = "/?query=SELECT%20%27%FF%27";
    let cases = vec![
        (to("/?query=SELECT+1&query=SELECT+2"), 400, "malformed-parameter", "`query`"),
        (to("/?QUERY=SELECT+1"), 400, "parameter-not-allowed", "`QUERY`"),
        (to("/?%EF%BB%BFquery=SELECT+1"), 400, "parameter-not-allowed", "query"),
        (to("/?query=%zz"), 400, "malformed-parameter", "%25"),
        (to(not_utf8), 400, "malformed-parameter", "UTF-8"),
        (to("/?readonly=3"), 400, "parameter-not-allowed", "`readonly`"),
        (to("/?select=1"), 400, "parameter-not-allowed", "`select`"),
        (to("/?compression=gz"), 400, "parameter-not-allowed", "`compression`"),
        (to("/?max_threads=1"), 403, "setting-not-allowed", "max_threads"),
        (to("/ping"), 405, "method-not-allowed", "GET"),
        (to("/?http_allow_filters_as_unrecognized_url_parameters=1&throwIf(1)%3E0"), 400, "parameter-not-allowed", "http_allow"),
        (to("/?param_x=1&param_x=2"), 400, "malformed-parameter", "`param_x`"),
        (to("/?param_=1"), 400, "malformed-parameter", "param_"),
        (to("/?param_a%00=1"), 400, "malformed-parameter", "a NUL"),
        (to("/?PARAM_x=1"), 400, "parameter-not-allowed", "`PARAM_x`"),
        (to("/sec/secret.CSV"), 404, "unknown-path", "path `/`"),
        (to("/play"), 404, "unknown-path", "path `/`"),
        (to("/%2e"), 404, "unknown-path", "path `/`"),
        (to("//"), 404, "unknown-path", "path `/`"),
        (to("/-/healthy"), 404, "unknown-path", "path `/`"),
        (by("PUT"), 405, "method-not-allowed", "POST"),
        (by("DELETE"), 405, "method-not-allowed", "POST"),
        (by("OPTIONS"), 405, "method-not-allowed", "POST"),
        (by("FOO"), 405, "method-not-allowed", "POST"),
        (by("post"), 405, "method-not-allowed", "POST"),
        (with_body, 405, "method-not-allowed", "with a body"),
        (with("Content-Encoding: gzip"), 400, "malformed-body", "gzip"),
        (with("Content-Encoding: zstd"), 400, "malformed-body", "zstd"),
        (with("Content-Encoding: xz"), 415, "content-encoding", "`xz`"),
        (with("Content-Type: multipart/form-data; boundary=x"), 400, "malformed-body", "boundary"),
        (with("Content-Type: multipart/form-data"), 415, "content-type", "boundary"),
        (with("Content-Type: Multipart/Form-Data; boundary=x"), 415, "content-type", "multipart"),
        (with("Content-Type: multipart/form-data-x; boundary=x"), 415, "content-type", "multipart"),
        (with("Content-Type: =?utf-8?q?multipart/form-data?=; boundary=x"), 400, "header-not-allowed", "content-type"),
        (with("X-ClickHouse-Database: sec\r\nX-ClickHouse-Database: sales"), 400, "header-not-allowed", "twice"),
        (to("/?database=sales").replacen("\r\n", "\r\nX-ClickHouse-Database: sec\r\n", 1), 400, "malformed-parameter", "in one place"),
        (with("X-ClickHouse-Database: =?utf-8?q?sec?="), 400, "header-not-allowed", "x-clickhouse-database"),
        (with("X-ClickHouse-Database: s\u{e9}c"), 400, "header-not-allowed", "plain text"),
        (with("X-ClickHouse-Format: ../Values"), 400, "malformed-parameter", "X-ClickHouse-Format"),
        (with("X-ClickHouse-Format: CSV\r\nX-ClickHouse-Format: JSON"), 400, "header-not-allowed", "twice"),
        (
            post("/", &token, "SELECT 1 FORMAT JSON").replacen("\r\n", "\r\nX-ClickHouse-Format: CSV\r\n", 1),
            400,
            "malformed-parameter",
            "FORMAT JSON",
        ),
        (to("/?default_format=JSON").replacen("\r\n", "\r\nX-ClickHouse-Format: CSV\r\n", 1), 400, "malformed-parameter", "in one place"),
        (to("/?query_id=a").replacen("\r\n", "\r\nX-ClickHouse-Query-Id: b\r\n", 1), 400, "malformed-parameter", "two ids"),
        (to("/?client_protocol_version=x"), 400, "malformed-parameter", "client_protocol_version"),
        (to("/?client_protocol_version=1&client_protocol_version=2"), 400, "malformed-parameter", "twice"),
        (with("X-ClickHouse-100-Continue: defer"), 400, "header-not-allowed", "x-clickhouse-100-continue"),
        (with("X-ClickHouse-Quota: x"), 400, "header-not-allowed", "x-clickhouse-quota"),
        (with("X-Keyhouse-Caller: bob"), 400, "header-not-allowed", "x-keyhouse-caller"),
    ];
    let cases = cases.into_iter().map(|(request, status, reason, says)| Case { request, status, reason, says }).collect();
    all_are_refused(&house, &recorder, cases).await;
}

#[tokio::test]
async fn a_body_that_is_not_utf8_is_refused() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("no")).await);
    let house = Plan::new(&issuer.url, &[&recorder.url]).start().await;
    let mut request = post("/", &issuer.token().make(), "SELECT 'xx'").into_bytes();
    let at = request.len() - 3;
    request[at] = 0xff;
    let answer = send(&house, request).await;
    assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (400, Some("not-utf8")), "{}", answer.text());
    let records = house.records_in_the_end().await;
    assert_eq!((records.len(), &records[0]["outcome"], &records[0]["reason"]), (1, &"refused".into(), &"not-utf8".into()), "{records:?}");
    assert!(recorder.requests().is_empty());
}

#[tokio::test]
async fn a_write_by_get_is_refused_whatever_the_rule_allows() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("no")).await);
    let house = Plan::new(&issuer.url, &[&recorder.url]).start().await;
    let authorization = format!("Authorization: Bearer {}", issuer.token().groups(&["engineers"]).make());
    let answer = send(&house, get("/?query=INSERT+INTO+events+VALUES+(1)", &[&authorization])).await;
    assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (403, Some("write-by-get")), "{}", answer.text());
    let records = house.records_in_the_end().await;
    assert_eq!((records.len(), &records[0]["effect"], &records[0]["reason"]), (1, &"insert".into(), &"write-by-get".into()), "{records:?}");
    assert!(recorder.requests().is_empty());
}

/// Two rules that both fit who is in both groups.
const TWO_RULES: [(&str, &str); 2] = [
    (
        "10-rules.yaml",
        r#"rules:
  - name: analysts
    whom: {groups: [analysts]}
    act_as: analyst
    allow:
      - {tables: ["sales.*"], deny: ["sales.salaries"]}
"#,
    ),
    (
        "20-payroll.yaml",
        r#"rules:
  - name: payroll
    whom: {groups: [payroll]}
    act_as: writer
    allow:
      - {effects: [read, insert], tables: ["sales.*", "hr.*"]}
"#,
    ),
];

#[tokio::test]
async fn the_no_of_the_first_rule_that_fits_is_final() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let plan = Plan::new(&issuer.url, &[&recorder.url]);
    let house = TWO_RULES.iter().fold(plan, |plan, (name, rules)| plan.policy(name, rules)).start().await;
    // The order of the groups in the token is not the order of the rules.
    let both = issuer.token().groups(&["payroll", "analysts"]).make();
    let cases = [
        ("SELECT pay FROM sales.salaries", "table-denied"),
        ("SELECT name FROM hr.people", "table-not-allowed"),
        ("INSERT INTO sales.orders VALUES (1)", "effect-not-allowed"),
    ];
    let of = |(sql, reason)| Case { request: post("/", &both, sql), status: 403, reason, says: "Rule `analysts`" };
    all_are_refused(&house, &recorder, cases.map(of).into()).await;
    assert!(house.records().iter().all(|record| record["rule"] == "analysts"), "{:?}", house.records());
    // Whom only the second fits may do all of it, so that it was the first that refused.
    let payroll = issuer.token().groups(&["payroll"]).make();
    for (sql, _) in cases {
        assert_eq!(send(&house, post("/", &payroll, sql)).await.status, 200, "{sql}");
    }
    assert_eq!(send(&house, post("/", &both, "SELECT id FROM sales.orders")).await.status, 200);
    let users: Vec<_> = recorder.requests().iter().map(|heard| heard.header("x-clickhouse-user").unwrap().to_owned()).collect();
    assert_eq!(users, [WRITER.name, WRITER.name, WRITER.name, ANALYST.name]);
}

#[tokio::test]
async fn a_statement_that_was_understood_before_is_judged_anew() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let house = Plan::new(&issuer.url, &[&recorder.url]).start().await;
    let (analyst, engineer) = (issuer.token().make(), issuer.token().groups(&["strangers"]).make());
    let sql = "SELECT * FROM {t:Identifier} WHERE x = {x:String}";
    for (token, target, status) in [
        (&analyst, "/?param_t=events&param_x=a", 200),
        (&analyst, "/?param_t=events&param_x=b", 200),
        (&analyst, "/?param_t=events&param_x=a&database=sec", 403),
        (&analyst, "/?param_t=sec.secret&param_x=a&database=sec", 403),
        (&engineer, "/?param_t=events&param_x=a", 403),
        (&analyst, "/?param_t=events&param_x=a", 200),
    ] {
        let answer = send(&house, post(target, token, sql)).await;
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
    }
    let heard: Vec<(String, String)> =
        recorder.requests().iter().map(|heard| (heard.text(), heard.parameter("param_x").unwrap_or_default())).collect();
    let want = |x: &str| ("SELECT * FROM `events` WHERE x = {x:String}".to_owned(), x.to_owned());
    assert_eq!(heard, [want("a"), want("b"), want("a")]);
}

#[tokio::test]
async fn the_database_of_a_header_is_the_one_that_is_judged_and_sent() {
    let (issuer, recorder) = (Issuer::start().await, Recorder::start(Script::ok("1\n")).await);
    let house = Plan::new(&issuer.url, &[&recorder.url]).start().await;
    let token = issuer.token().make();
    for (target, database, table, status) in
        [("/", "sales", "orders", 200), ("/?database=sales", "sales", "orders", 200), ("/", "sec", "secret", 403), ("/", "sales", "salaries", 403)]
    {
        let request =
            post(target, &token, &format!("SELECT * FROM {table}")).replacen("\r\n", &format!("\r\nX-ClickHouse-Database: {database}\r\n"), 1);
        let answer = send(&house, request).await;
        assert_eq!(answer.status, status, "{target} {database}.{table}: {}", answer.text());
    }
    let heard: Vec<Option<String>> = recorder.requests().iter().map(|heard| heard.parameter("database")).collect();
    assert_eq!(heard, [Some("sales".to_owned()), Some("sales".to_owned())]);
}
