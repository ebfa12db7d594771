//! Which rows a caller sees, at today's ClickHouse: the filter of a rule, what would read around it, and row policies over a
//! setting with a value of the caller's.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::{
    oracle,
    support::{
        clickhouse::{ANALYST, User, WRITER},
        client::{Answer, ask, post, send, send_plain},
        embedded::{Embedded, OWNER},
        house::{House, Plan},
        issuer::Issuer,
        scene::Scene,
        script::Script,
        soon,
    },
};

/// The analyst has no row policy and the writer has one. It asks for a setting that needs no `custom_settings_prefixes`, which this
/// engine does not read: ClickHouse keeps a value of this name as one of a custom setting, as the queries' own.
const USERS: &str = r"<clickhouse>
<profiles><default/><careless><enable_multiple_prewhere_read_steps>0</enable_multiple_prewhere_read_steps></careless></profiles><quotas><default/></quotas>
<users>
<owner><password>owner-pw-3</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></owner>
<kh_analyst><password>analyst-pw-1</password><networks><ip>127.0.0.1</ip></networks><profile>careless</profile><quota>default</quota>
<grants><query>GRANT SELECT, INSERT, SHOW, CHECK, dictGet, CREATE TEMPORARY TABLE ON *.*</query></grants></kh_analyst>
<kh_writer><password>writer-pw-2</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
<grants><query>GRANT SELECT ON sales.*</query></grants>
<databases><sales>
<orders><filter>region = getSetting('merge_tree_storage_policy')</filter></orders>
<texts><filter>region = getSetting('merge_tree_storage_policy')</filter></texts>
<tenants><filter>tenant = getSetting('merge_tree_storage_policy')</filter></tenants>
</sales></databases></kh_writer>
</users></clickhouse>";

/// The setting that stands in for `SQL_tenant`.
const STAND_IN: &str = "merge_tree_storage_policy";

/// Orders of three regions, in a part each.
const ORDERS: &str = "(id UInt64, region String, amount Int64, secret String, tags Array(String), \
     INDEX by_amount amount TYPE minmax GRANULARITY 1, INDEX by_secret secret TYPE set(10) GRANULARITY 1, \
     PROJECTION by_region (SELECT region, sum(amount), count() GROUP BY region), PROJECTION sorted (SELECT * ORDER BY amount)) \
     ENGINE = MergeTree ORDER BY id SAMPLE BY id SETTINGS index_granularity = 4";

const PARTED: &str = "(id UInt64, region String, amount Int64) ENGINE = MergeTree PARTITION BY region ORDER BY id";
const VERSIONS: &str = "(id UInt64, region String, version UInt64) ENGINE = ReplacingMergeTree(version) ORDER BY id";
const TEXTS: &str = "(id UInt64, region String, text String) ENGINE = MergeTree ORDER BY id";

/// The tables that have filters.
const FILTERED: [&str; 6] = ["orders", "parted", "versions", "texts", "joined", "kept"];

fn statements() -> String {
    let mut all = vec!["CREATE DATABASE sales".to_owned()];
    for (name, columns) in [("orders", ORDERS), ("parted", PARTED), ("versions", VERSIONS), ("texts", TEXTS)] {
        all.push(format!("CREATE TABLE sales.{name} {columns}"));
    }
    for (region, first, count, amount) in [("eu", 0, 10, 0), ("us", 100, 20, 1000), ("ap", 200, 7, 5000)] {
        let tags = if region == "us" { "['b', 'c']" } else { "['a']" };
        all.push(format!(
            "INSERT INTO sales.orders SELECT {first} + number, '{region}', {amount} + number, concat('{region}-', toString(number)), {tags} FROM numbers({count})"
        ));
    }
    let rest = "INSERT INTO sales.parted SELECT id, region, amount FROM sales.orders;
        INSERT INTO sales.versions VALUES (1, 'eu', 1), (2, 'us', 1), (3, 'eu', 1);
        INSERT INTO sales.versions VALUES (1, 'us', 2), (2, 'eu', 2);
        INSERT INTO sales.texts VALUES (1, 'eu', '12'), (2, 'us', 'of-us'), (3, 'eu', '13');
        CREATE TABLE sales.own (id UInt64, region String) ENGINE = MergeTree ORDER BY id;
        CREATE TABLE sales.joined (id UInt64, region String, secret String) ENGINE = Join(ANY, LEFT, id);
        INSERT INTO sales.joined SELECT id, region, secret FROM sales.orders;
        CREATE TABLE sales.kept (id UInt64, region String) ENGINE = Memory;
        INSERT INTO sales.kept SELECT id, region FROM sales.orders;
        CREATE TABLE sales.ids (id UInt64) ENGINE = Set;
        INSERT INTO sales.ids SELECT id FROM sales.orders;
        CREATE TABLE sales.merged AS sales.orders ENGINE = Merge('sales', '^orders$');
        CREATE TABLE sales.buffered AS sales.orders ENGINE = Buffer('sales', 'orders', 1, 1, 1, 1, 1, 1, 1);
        CREATE TABLE sales.called ENGINE = Alias('sales', 'orders');
        CREATE VIEW sales.viewed AS SELECT * FROM sales.orders;
        CREATE VIEW sales.viewed_as_owner DEFINER = owner SQL SECURITY DEFINER AS SELECT * FROM sales.orders;
        CREATE MATERIALIZED VIEW sales.materialized ENGINE = MergeTree ORDER BY id POPULATE AS SELECT * FROM sales.orders;
        CREATE DICTIONARY sales.looked_up (id UInt64, region String, secret String) PRIMARY KEY id
            SOURCE(CLICKHOUSE(TABLE 'orders' DB 'sales' USER 'owner' PASSWORD 'owner-pw-3')) LAYOUT(FLAT()) LIFETIME(0);
        CREATE TABLE sales.tenants (id UInt64, tenant String) ENGINE = MergeTree ORDER BY id";
    all.extend(rest.split(';').map(str::to_owned));
    // What a caller of a region must see: databases that have nothing else.
    for region in ["eu", "us"] {
        all.push(format!("CREATE DATABASE {region}"));
        for (name, columns) in [("orders", ORDERS), ("parted", PARTED), ("versions", VERSIONS), ("texts", TEXTS)] {
            let last = if name == "versions" { "FINAL" } else { "" };
            all.push(format!("CREATE TABLE {region}.{name} {columns}"));
            all.push(format!("INSERT INTO {region}.{name} SELECT * FROM sales.{name} {last} WHERE region = '{region}'"));
        }
        all.push(format!("CREATE TABLE {region}.own AS sales.own"));
        all.push(format!("CREATE TABLE {region}.joined AS sales.joined"));
        all.push(format!("INSERT INTO {region}.joined SELECT id, region, secret FROM {region}.orders"));
        all.push(format!("CREATE TABLE {region}.kept AS sales.kept"));
        all.push(format!("INSERT INTO {region}.kept SELECT id, region FROM {region}.orders"));
        all.push(format!("CREATE VIEW {region}.viewed AS SELECT * FROM {region}.orders"));
    }
    all.join(";\n")
}

fn rules() -> String {
    let filters = |tables: &[&str]| -> String {
        let lines = tables.iter().map(|table| format!("      sales.{table}: \"region IN {{claims.regions}}\"\n"));
        lines.collect()
    };
    // All else is open, so that nothing but the filters can be why a statement is refused.
    let open = r#"allow:
      - effects: [read, insert]
        tables: ["sales.*"]
        dictionaries: ["sales.*"]
        functions: ["class:table", "class:dictionary", "class:error"]
        table_functions: ["class:tables", "class:servers", "class:data"]
        computed_names: true
    settings: {allow: ["enable_*", "short_circuit_*", "optimize_*"]}
    system: all"#;
    let indirect = ["orders", "merged", "buffered", "called", "viewed_as_owner", "materialized", "looked_up"];
    format!(
        "rules:
  - name: regions
    whom: {{groups: [analysts]}}
    act_as: analyst
    {open}
    rows:
{}
  - name: each-by-its-name
    whom: {{groups: [careful]}}
    act_as: analyst
    {open}
    rows:
{}
  - name: tenants
    whom: {{groups: [tenants]}}
    act_as: analyst
    {open}
    rows: {{sales.tenants: \"tenant = {{claims.tenant}}\"}}
  - name: any-of-tenants
    whom: {{groups: [many]}}
    act_as: analyst
    {open}
    rows: {{sales.tenants: \"tenant IN {{claims.tenants}}\"}}
  - name: policy
    whom: {{groups: [policy]}}
    act_as: writer
    allow: [{{tables: ['sales.*']}}]
    session_settings: {{{STAND_IN}: \"{{claims.tenant}}\"}}
",
        filters(&FILTERED),
        filters(&indirect)
    )
}

struct Stage {
    embedded: Embedded,
    issuer: Issuer,
    house: House,
}

impl Stage {
    /// Nothing where the engine is not installed, which is said.
    async fn start() -> Option<Self> {
        if !oracle::is_there() {
            return None;
        }
        let (embedded, issuer) = (Embedded::with(USERS, &statements()).await, Issuer::start().await);
        let house = Plan::new(&issuer.url, &[&embedded.url]).policy("10-rules.yaml", &rules()).start().await;
        Some(Self { embedded, issuer, house })
    }

    /// What the gate answers to somebody of this group with this claim.
    async fn gate(&self, group: &str, claim: (&str, impl Into<Value>), sql: &str) -> Answer {
        let token = self.issuer.token().groups(&[group]).claim(claim.0, claim.1).make();
        ask(&self.house, &token, sql).await
    }

    /// What ClickHouse answers to this user itself, under these settings.
    async fn direct(&self, user: User, settings: &[(&str, &str)], sql: &str) -> Answer {
        let pairs: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))).collect();
        let (User { name, password }, target, length) = (user, pairs.join("&"), sql.len());
        let request = format!(
            "POST /?{target} HTTP/1.1\r\nHost: localhost\r\nX-ClickHouse-User: {name}\r\nX-ClickHouse-Key: {password}\r\n\
             Connection: close\r\nContent-Length: {length}\r\n\r\n{sql}"
        );
        send_plain(self.embedded.url.trim_start_matches("http://").parse().unwrap(), request).await
    }

    /// The same as the analyst with filters for one region.
    async fn filtered(&self, sql: &str) -> Answer {
        let filters: Vec<String> = FILTERED.iter().map(|table| format!("'sales.{table}':'(region IN (\\'eu\\'))'")).collect();
        self.direct(ANALYST, &[("additional_table_filters", &format!("{{{}}}", filters.join(","))), ("readonly", "2")], sql).await
    }
}

/// Settings under which 26.9 works out the caller's conditions together with the filter.
const TOGETHER: [&str; 2] = ["enable_multiple_prewhere_read_steps", "short_circuit_function_evaluation"];

impl Stage {
    /// Rules may allow settings that change when conditions are worked out; not to callers with filters.
    async fn are_refused_with_their_settings(&self) {
        let [steps, short] = TOGETHER;
        let sql = "SELECT count() FROM sales.texts WHERE toUInt8(text) > 1";
        let with = format!("{sql} SETTINGS {steps} = 0, {short} = 'disable'");
        let told = self.filtered(&with).await;
        assert!(told.text().contains("'of-us'"), "26.9 told of a hidden row: {}", told.text());
        assert_eq!(self.gate("analysts", ("regions", json!(["eu"])), sql).await.text(), "2\n");
        for setting in [format!("{steps} = 0"), format!("{short} = 'disable'"), "optimize_move_to_prewhere = 0".to_owned()] {
            let refused = self.gate("analysts", ("regions", json!(["eu"])), &format!("{sql} SETTINGS {setting}")).await;
            assert_eq!((refused.status, refused.header("x-keyhouse-reason")), (403, Some("row-filter")), "{setting}: {}", refused.text());
        }
        // The analyst's own profile has the steps off.
        let grouped = "SELECT toUInt8(text) AS x FROM sales.texts GROUP BY x HAVING x > 1 ORDER BY x";
        assert!(self.filtered(grouped).await.text().contains("'of-us'"), "26.9 told of a hidden row");
        assert_eq!(self.gate("analysts", ("regions", json!(["eu"])), grouped).await.text(), "12\n13\n");
        let token = self.issuer.token().claim("regions", json!(["eu"])).make();
        let refused = send(&self.house, post(&format!("/?{steps}=0"), &token, sql)).await;
        assert_eq!((refused.status, refused.header("x-keyhouse-reason")), (403, Some("row-filter")), "{}", refused.text());
        let policy = self.direct(WRITER, &[(STAND_IN, "eu"), (steps, "0"), (short, "disable")], sql).await;
        assert_eq!(policy.text(), "2\n", "a row policy is worked out first whatever is set");
    }
}

/// Reads that are permitted. Asked of a database that has a region's rows alone, each answers what that region's caller must get.
const READS: &[&str] = &[
    "SELECT count() FROM sales.orders",
    "SELECT * FROM sales.orders ORDER BY id",
    "SELECT count(), arraySort(groupUniqArray(region)) FROM sales.orders AS o",
    "SELECT count() FROM `sales`.`orders`",
    "SELECT count() FROM \"sales\".\"ord\\x65rs\"",
    "FROM sales.orders SELECT max(secret)",
    "SELECT sales.orders.secret FROM sales.orders ORDER BY id DESC LIMIT 1",
    "SELECT o.region, count() FROM sales.own r RIGHT JOIN sales.orders o USING (id) GROUP BY 1 ORDER BY 1",
    "SELECT o.region, count() FROM sales.orders o LEFT JOIN sales.own r USING (id) GROUP BY 1 ORDER BY 1",
    "SELECT count() FROM sales.orders a JOIN sales.orders b ON a.id = b.id",
    "SELECT count() FROM sales.orders a, sales.orders b",
    "SELECT count() FROM numbers(300) n LEFT ANTI JOIN sales.orders o ON n.number = o.id",
    "SELECT count(), countIf(o.region != '') FROM numbers(300) n FULL JOIN sales.orders o ON n.number = o.id",
    "SELECT count() FROM numbers(300) n SEMI LEFT JOIN sales.orders o ON n.number = o.id",
    "SELECT number, secret FROM (SELECT number AS id, number FROM numbers(300)) n ANY LEFT JOIN sales.joined USING (id) ORDER BY number",
    "SELECT count() FROM (SELECT * FROM sales.orders)",
    "WITH x AS (SELECT * FROM sales.orders) SELECT count() FROM x",
    "WITH RECURSIVE r AS (SELECT toUInt64(100) AS id UNION ALL SELECT o.id FROM sales.orders o JOIN r ON o.id = r.id + 1 WHERE o.id < 105) SELECT count() FROM r",
    "SELECT count() FROM (SELECT id FROM sales.orders UNION ALL SELECT id FROM sales.orders)",
    "SELECT count() FROM (SELECT id FROM sales.orders INTERSECT SELECT number FROM numbers(300))",
    "SELECT count() FROM (SELECT number FROM numbers(300) EXCEPT SELECT id FROM sales.orders)",
    "SELECT count() FROM numbers(300) WHERE number IN (SELECT id FROM sales.orders)",
    "SELECT count() FROM numbers(300) WHERE number GLOBAL IN (SELECT id FROM sales.orders)",
    "SELECT count() FROM numbers(300) n WHERE EXISTS (SELECT 1 FROM sales.orders o WHERE o.id = n.number)",
    "SELECT 'us' = ANY(SELECT region FROM sales.orders)",
    "SELECT (SELECT max(secret) FROM sales.orders)",
    "SELECT min(id), max(id), min(amount), max(amount), max(region) FROM sales.orders",
    "SELECT min(region), max(region), count() FROM sales.parted",
    "SELECT count() FROM sales.parted WHERE region = 'us'",
    "SELECT region, sum(amount), count() FROM sales.orders GROUP BY region ORDER BY region",
    "SELECT count() FROM sales.orders WHERE amount > 900",
    "SELECT count() FROM sales.orders WHERE NOT ignore(region)",
    "SELECT id, region, version FROM sales.versions FINAL ORDER BY id",
    "SELECT count() FROM sales.versions FINAL",
    "SELECT count() FROM sales.orders SAMPLE 1",
    "SELECT * FROM sales.orders ORDER BY id DESC LIMIT 1",
    "SELECT secret FROM sales.orders ORDER BY amount DESC LIMIT 1",
    "SELECT * EXCEPT (tags) FROM sales.orders ORDER BY amount DESC LIMIT 2",
    "SELECT COLUMNS('reg'), count() FROM sales.orders GROUP BY 1 ORDER BY 1",
    "SELECT DISTINCT region FROM sales.orders ORDER BY region",
    "SELECT _table, count() FROM sales.orders GROUP BY 1",
    "SELECT arraySort(groupUniqArray(tag)), count() FROM sales.orders ARRAY JOIN tags AS tag",
    "SELECT tags.size0, count() FROM sales.orders GROUP BY 1",
    "SELECT region, count() FROM sales.orders GROUP BY region WITH TOTALS ORDER BY region",
    "SELECT region, count() FROM sales.orders GROUP BY region WITH ROLLUP ORDER BY region",
    "SELECT id FROM sales.orders ORDER BY id WITH FILL TO 12",
    "SELECT max(id) OVER () FROM sales.orders LIMIT 1",
    "SELECT region, id FROM sales.orders ORDER BY id DESC LIMIT 1 BY region",
    "SELECT id FROM sales.orders QUALIFY row_number() OVER (ORDER BY id DESC) = 1",
    "SELECT uniqExact(secret), any(region) FROM sales.orders",
    "SELECT 'eu' AS region, count() FROM sales.orders",
    "WITH 'eu' AS region SELECT count(), max(id) FROM sales.orders",
    "SELECT count() FROM (SELECT 'eu' AS region, * EXCEPT (region) FROM sales.orders)",
    "SELECT count() FROM sales.kept",
    "SELECT count() FROM sales.joined",
    "SELECT arraySort(groupUniqArray(region)) FROM sales.viewed",
    // What is worked out before the filter would tell by an error.
    "SELECT count() FROM sales.texts WHERE intDiv(1, id - if(region = 'eu', 2, 1)) = 1",
    "SELECT count() FROM sales.texts WHERE throwIf(region NOT IN ('eu', 'us')) = 0",
    "SELECT sum(length(text)) FROM sales.texts WHERE region = 'us' OR toUInt8(text) > 1",
    "SELECT toUInt8(if(region = 'eu', text, '1')) AS x FROM sales.texts GROUP BY x HAVING x > 0 ORDER BY x",
];

#[tokio::test]
async fn every_caller_reads_the_rows_of_the_caller_alone() {
    let Some(stage) = Stage::start().await else { return };
    let mut wrong = Vec::new();
    for sql in READS {
        let mut answers = Vec::new();
        for region in ["eu", "us"] {
            let seen = stage.gate("analysts", ("regions", json!([region])), sql).await;
            let own = stage.direct(OWNER, &[], &sql.replace("sales", region)).await;
            if (seen.status, seen.text()) != (own.status, own.text()) {
                wrong.push(format!("{sql}\n  {region} sees {} {}\n  and has {} {}", seen.status, seen.text(), own.status, own.text()));
            }
            answers.push((own.status, own.text()));
        }
        let all = stage.direct(OWNER, &[], sql).await;
        // Some show a thing of one region that another has too; none shows both the same as what all have.
        if answers.iter().all(|answer| *answer == (all.status, all.text())) {
            wrong.push(format!("{sql}\n  shows nothing: it is {} {} for all", all.status, all.text()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (regions, count) in [(json!(["eu", "us"]), "30\n"), (json!(["ap", "nowhere"]), "7\n"), (json!(["nowhere"]), "0\n")] {
        assert_eq!(stage.gate("analysts", ("regions", regions), "SELECT count() FROM sales.orders").await.text(), count);
    }
}

#[tokio::test]
async fn names_without_a_database_and_caches_keep_the_filter() {
    let Some(stage) = Stage::start().await else { return };
    for (region, count) in [("us", "20\n"), ("eu", "10\n"), ("us", "20\n")] {
        let token = stage.issuer.token().claim("regions", json!([region])).make();
        for target in ["/?database=sales", "/?database=sales&param_table=orders", "/?database=sales&use_query_cache=1"] {
            let sql =
                if target.contains("param") { "SELECT count() FROM {table:Identifier}" } else { "SELECT count() FROM orders WHERE amount >= 0" };
            let answer = send(&stage.house, post(target, &token, sql)).await;
            let is_closed = target.contains("cache") && answer.status == 403;
            assert!(is_closed || (answer.status == 200 && answer.text() == count), "{target} {region}: {}", answer.text());
        }
    }
    let own = "INSERT INTO sales.own SELECT id, region FROM sales.orders";
    assert_eq!(stage.gate("analysts", ("regions", json!(["eu"])), own).await.status, 200);
    assert_eq!(stage.embedded.run("SELECT count(), groupUniqArray(region) FROM sales.own").await, "10\t['eu']\n");
}

/// How a way around the filter goes at 26.9 itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Goes {
    /// It answers what it would without the filter.
    Around,
    /// The filter holds today; that it always does is nothing that ClickHouse says.
    Nowhere,
}

use Goes::{Around, Nowhere};

const AROUND: &[(Goes, &str)] = &[
    (Around, "SELECT count() FROM merge('sales', '^orders$')"),
    (Around, "SELECT arraySort(groupUniqArray(region)) FROM merge('sales', '^orders$')"),
    (Around, "SELECT max(id) FROM mergeTreeIndex('sales', 'orders')"),
    (Around, "SELECT max(amount) FROM mergeTreeProjection('sales', 'orders', 'sorted')"),
    (Around, "SELECT count() FROM mergeTreeCodecBlockCounts('sales', 'orders')"),
    (Around, "SELECT count() FROM mergeTreeAnalyzeIndexes('sales', 'orders', amount > 1000)"),
    (Around, "SELECT count() FROM dictionary('sales.looked_up')"),
    (Around, "SELECT joinGet('sales.joined', 'secret', toUInt64(100))"),
    (Around, "SELECT joinGetOrNull('sales.joined', 'secret', toUInt64(100))"),
    (Around, "SELECT hasColumnInTable('sales', 'orders', 'secret')"),
    (Around, "SELECT count() FROM sales.texts PREWHERE toUInt8(text) > 1"),
    (Around, "SELECT count() FROM sales.parted WHERE toUInt8(_partition_value.1) > 1"),
    (Around, "SELECT count() FROM sales.parted AS p WHERE toUInt8(p.`_p\\x61rtition_value`.1) > 1"),
    (Around, "SELECT count() FROM sales.parted WHERE toUInt8(_partition_id) > 1"),
    (Around, "SELECT count() FROM sales.orders WHERE toUInt8(concat(_part, 'x')) > 1"),
    (Around, "EXPLAIN ESTIMATE SELECT * FROM sales.orders"),
    (Around, "EXPLAIN ESTIMATE SELECT * FROM sales.orders WHERE id = 110"),
    (Around, "SELECT * FROM (EXPLAIN ESTIMATE SELECT * FROM sales.orders)"),
    (Around, "CHECK TABLE sales.orders"),
    (Around, "SHOW TABLES FROM sales WHERE total_rows = 37"),
    (Around, "SELECT total_rows FROM system.tables WHERE database = 'sales' AND name = 'orders'"),
    (Around, "SELECT sum(rows) FROM system.parts WHERE database = 'sales' AND table = 'orders'"),
    (Around, "SELECT groupArray(partition) FROM (SELECT partition FROM system.parts WHERE table = 'parted' AND database = 'sales' ORDER BY 1)"),
    (Around, "SELECT table_rows FROM information_schema.tables WHERE table_schema = 'sales' AND table_name = 'orders'"),
    (Around, "SHOW INDEX FROM sales.orders"),
    (Nowhere, "SELECT count() FROM numbers(300) WHERE (number, 'us') IN sales.kept"),
    (Nowhere, "SELECT count() FROM view(SELECT * FROM sales.orders)"),
    (Nowhere, "SELECT count() FROM viewIfPermitted(SELECT id FROM sales.orders ELSE null('id UInt64'))"),
    (Nowhere, "SELECT arraySort(groupUniqArray(region)) FROM (SELECT region FROM loop(sales.orders) LIMIT 100)"),
    (Nowhere, "SELECT count() FROM (SELECT * FROM sales.orders SETTINGS output_format_json_quote_64bit_integers = 1)"),
    (Nowhere, "SELECT count() FROM sales.orders PREWHERE region = 'us'"),
    (Nowhere, "SELECT max(_part_offset) FROM sales.orders"),
    (Nowhere, "EXPLAIN SELECT (SELECT max(secret) FROM sales.orders)"),
];

/// What an answer tells, whatever the order of its lines; in an error, without the plan's numbers.
fn shown(answer: &Answer) -> (u16, Vec<String>) {
    let text = answer.text();
    let mut lines: Vec<String> = text.split("while executing").next().unwrap_or_default().lines().map(str::to_owned).collect();
    lines.sort();
    (answer.status, lines)
}

#[tokio::test]
async fn what_reads_around_the_filter_is_refused() {
    let Some(stage) = Stage::start().await else { return };
    let mut wrong = Vec::new();
    for (goes, sql) in AROUND {
        let (all, filtered) = (stage.direct(ANALYST, &[("readonly", "2")], sql).await, stage.filtered(sql).await);
        let same = shown(&all) == shown(&filtered);
        if same != (*goes == Around) {
            wrong.push(format!("{sql}\n  {goes:?} is not so\n  all: {}\n  filtered: {}", all.text(), filtered.text()));
        }
        // An error is a way around where it tells of a row, or of a part of hidden rows alone.
        let tells = filtered.status == 200 || ["of-us", "'ap'", "as UInt8"].iter().any(|text| filtered.text().contains(text));
        if !tells {
            wrong.push(format!("{sql}\n  tells nothing: {}", filtered.text()));
        }
        let refused = stage.gate("analysts", ("regions", json!(["eu"])), sql).await;
        if (refused.status, refused.header("x-keyhouse-reason")) != (403, Some("row-filter")) {
            wrong.push(format!("{sql}\n  is not refused: {} {}", refused.status, refused.text()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    stage.are_refused_with_their_settings().await;
    // Closed to all callers, so not by the filters.
    let dropped = "SELECT count() FROM (SELECT * FROM sales.orders SETTINGS additional_table_filters = {})";
    assert_eq!(stage.filtered(dropped).await.text(), "37\n");
    let refused = stage.gate("analysts", ("regions", json!(["eu"])), dropped).await;
    assert_eq!(refused.header("x-keyhouse-reason"), Some("setting-not-allowed"), "{}", refused.text());
}

/// Tables that read another by themselves: only a filter of their own holds, and a dictionary's only where it is read as a table.
#[tokio::test]
async fn a_table_that_reads_another_needs_a_filter_of_its_own() {
    let Some(stage) = Stage::start().await else { return };
    for table in ["merged", "buffered", "called", "viewed_as_owner", "materialized", "looked_up"] {
        let sql = format!("SELECT count(), arraySort(groupUniqArray(region)) FROM sales.{table}");
        let without = stage.gate("analysts", ("regions", json!(["eu"])), &sql).await;
        assert_eq!(without.text(), "37\t['ap','eu','us']\n", "{table}: 26.9 read it around the filter of another name");
        let with = stage.gate("careful", ("regions", json!(["eu"])), &sql).await;
        assert_eq!((with.status, with.text().as_str()), (200, "10\t['eu']\n"), "{table}");
    }
    let set = "SELECT count() FROM numbers(300) WHERE number IN sales.ids";
    assert_eq!(stage.gate("analysts", ("regions", json!(["eu"])), set).await.text(), "37\n");
    let value = "SELECT dictGet('sales.looked_up', 'secret', toUInt64(100))";
    assert_eq!(stage.gate("analysts", ("regions", json!(["eu"])), value).await.text(), "us-0\n");
    let refused = stage.gate("careful", ("regions", json!(["eu"])), value).await;
    assert_eq!((refused.status, refused.header("x-keyhouse-reason")), (403, Some("row-filter")), "{}", refused.text());
    let direct = stage.direct(ANALYST, &[("additional_table_filters", "{'sales.looked_up':'(region = \\'eu\\')'}")], value).await;
    assert_eq!(direct.text(), "us-0\n", "26.9 filters no dictGet");
}

/// What no refusal closes, with a filter as with a row policy; a ClickHouse in which this fails has mended it.
#[tokio::test]
async fn a_skip_index_tells_of_hidden_rows() {
    let Some(stage) = Stage::start().await else { return };
    let sql = "SELECT count() FROM sales.orders WHERE toUInt8(secret) > 1 AND id BETWEEN 100 AND 199";
    for answer in [stage.gate("analysts", ("regions", json!(["eu"])), sql).await, stage.gate("policy", ("tenant", "eu"), sql).await] {
        assert!(
            answer.status != 200 && answer.text().contains("'us-0'"),
            "an index of the type `set` is worked out over all rows: {}",
            answer.text()
        );
    }
    let read = |answer: Answer| answer.json()["statistics"]["rows_read"].as_u64().unwrap();
    for (there, rows) in [("us-3", 4), ("us-none", 0)] {
        let sql = format!("SELECT count() FROM sales.orders WHERE secret = '{there}' FORMAT JSON");
        assert_eq!(read(stage.gate("analysts", ("regions", json!(["eu"])), &sql).await), rows, "{there}");
        assert_eq!(read(stage.gate("policy", ("tenant", "eu"), &sql).await), rows, "{there}");
    }
}

/// Values that would be SQL, or end a literal, if they were not one.
const TENANTS: &[&str] = &[
    "a",
    "b",
    "a') OR 1=1 --",
    "a' OR '1'='1",
    "a') OR 1=1 --\\",
    "\\') OR 1=1 --",
    "\\\\') OR (1=1",
    "'})",
    "','sales.tenants':'1",
    "o'brien",
    "''",
    "\\",
    "\\'",
    "back\\slash",
    "\\x61",
    "\\0",
    "a\\nb",
    "\"",
    "`a`",
    "{claims.tenant}",
    "{x:String}",
    "%27",
    "+",
    "a&SQL_tenant=b",
    "a#b",
    "$1",
    "/*",
    "-- a",
    ";",
    "ünïcødé ☃ 𝄞",
    "e\u{301}",
    "\u{202e}a",
    " a",
    "a ",
];

#[tokio::test]
async fn a_value_of_the_caller_stays_a_value() {
    let Some(stage) = Stage::start().await else { return };
    let mut insert = "INSERT INTO sales.tenants FORMAT JSONEachRow\n".to_owned();
    for (id, tenant) in TENANTS.iter().enumerate() {
        insert.push_str(&format!("{}\n", json!({"id": id, "tenant": tenant})));
    }
    stage.embedded.run(&insert).await;
    let sql = "SELECT groupArray(id) FROM sales.tenants";
    for (id, tenant) in TENANTS.iter().enumerate() {
        let own = format!("[{id}]\n");
        for answer in [
            stage.gate("tenants", ("tenant", *tenant), sql).await,
            stage.gate("many", ("tenants", json!([tenant])), sql).await,
            stage.gate("policy", ("tenant", *tenant), sql).await,
        ] {
            assert_eq!((answer.status, answer.text()), (200, own.clone()), "{tenant}");
        }
    }
    assert_eq!(stage.gate("many", ("tenants", json!(TENANTS)), "SELECT count() FROM sales.tenants").await.text(), format!("{}\n", TENANTS.len()));
}

#[tokio::test]
async fn without_a_value_of_the_caller_nothing_is_asked() {
    let Some(stage) = Stage::start().await else { return };
    let sql = "SELECT count() FROM sales.tenants";
    let long = "x".repeat(1025);
    for bad in [json!(null), json!(""), json!(1), json!(true), json!(["a"]), json!({"a": "b"}), json!([]), json!("a\nb"), json!("a\0"), json!(long)] {
        for group in ["tenants", "policy"] {
            let refused = stage.gate(group, ("tenant", bad.clone()), sql).await;
            assert_eq!((refused.status, refused.header("x-keyhouse-reason")), (403, Some("claim-not-usable")), "{group} {bad}: {}", refused.text());
        }
    }
    let many: Vec<String> = (0..501).map(|n| n.to_string()).collect();
    for bad in
        [json!(null), json!(""), json!("a"), json!(1), json!([]), json!([""]), json!(["a", 1]), json!(["a", null]), json!([["a"]]), json!(many)]
    {
        let refused = stage.gate("many", ("tenants", bad.clone()), sql).await;
        assert_eq!((refused.status, refused.header("x-keyhouse-reason")), (403, Some("claim-not-usable")), "{bad}: {}", refused.text());
    }
    for group in ["tenants", "many", "policy", "analysts"] {
        let refused = stage.gate(group, ("another", "a"), sql).await;
        assert_eq!((refused.status, refused.header("x-keyhouse-reason")), (403, Some("claim-not-usable")), "{group}: {}", refused.text());
    }
}

#[tokio::test]
async fn a_row_policy_is_fed_by_the_gate_alone() {
    let Some(stage) = Stage::start().await else { return };
    let sql = "SELECT count(), arraySort(groupUniqArray(region)) FROM sales.orders";
    for (tenant, rows) in [("eu", "10\t['eu']\n"), ("us", "20\t['us']\n"), ("ap", "7\t['ap']\n"), ("nobody", "0\t[]\n")] {
        assert_eq!(stage.gate("policy", ("tenant", tenant), sql).await.text(), rows);
        // It holds where a filter needs a refusal.
        for around in [
            "SELECT count(), arraySort(groupUniqArray(region)) FROM sales.merged",
            "SELECT count(), arraySort(groupUniqArray(region)) FROM sales.called",
        ] {
            assert_eq!(stage.gate("policy", ("tenant", tenant), around).await.text(), rows, "{around}");
        }
    }
    let missing = stage.direct(WRITER, &[], sql).await;
    assert!(missing.status != 200 && missing.text().contains("UNKNOWN_SETTING"), "without a value a policy gives no rows: {}", missing.text());
    // What the gate has to refuse, because ClickHouse does not.
    for forged in [format!("{sql} SETTINGS {STAND_IN} = 'us'"), format!("SELECT * FROM ({sql} SETTINGS {STAND_IN} = 'us')")] {
        let answer = stage.direct(WRITER, &[(STAND_IN, "eu"), ("readonly", "2")], &forged).await;
        assert_eq!(answer.text(), "20\t['us']\n", "{forged}");
        let refused = stage.gate("policy", ("tenant", "eu"), &forged).await;
        assert_eq!((refused.status, refused.header("x-keyhouse-reason")), (403, Some("setting-not-allowed")), "{forged}: {}", refused.text());
    }
}

/// Ways to write one's own tenant: the place, and what is written there.
const FORGED: &[(&str, &str)] = &[
    ("/?SQL_tenant=b", "SELECT 1"),
    ("/?SQL%5Ftenant=b", "SELECT 1"),
    ("/?SQL_tenant=a", "SELECT 1"),
    ("/?SQL_tenant=", "SELECT 1"),
    ("/?SQL_tenant", "SELECT 1"),
    ("/?sql_tenant=b", "SELECT 1"),
    ("/?%53QL_tenant=b&SQL_tenant=c", "SELECT 1"),
    ("/?query=SELECT+1+SETTINGS+SQL_tenant%3D%27b%27", ""),
    ("/", "SELECT 1 SETTINGS SQL_tenant = 'b'"),
    ("/", "SELECT 1 SETTINGS max_block_size = 1, SQL_tenant = 'b'"),
    ("/", "SELECT 1 SETTINGS SQL_tenant = DEFAULT"),
    ("/", "SELECT 1 SETTINGS SQL_tenant = CAST('b', 'String')"),
    ("/", "SELECT 1 SETTINGS `SQL_tenant` = 'b'"),
    ("/", "SELECT 1 SETTINGS \"SQL_tenant\" = 'b'"),
    ("/", "SELECT 1 SETTINGS `SQL\\x5ftenant` = 'b'"),
    ("/", "SELECT 1 SETTINGS /**/SQL_tenant/**/ = 'b'"),
    ("/", "SELECT 1 FORMAT CSV SETTINGS SQL_tenant = 'b'"),
    ("/", "SELECT 1 SETTINGS SQL_tenant = 'b' UNION ALL SELECT 2"),
    ("/", "SELECT * FROM (SELECT 1 SETTINGS SQL_tenant = 'b')"),
    ("/", "WITH x AS (SELECT 1 SETTINGS SQL_tenant = 'b') SELECT * FROM x"),
    ("/", "SELECT (SELECT (SELECT 1 SETTINGS SQL_tenant = 'b'))"),
    ("/", "SELECT 1 WHERE 1 IN (SELECT 1 SETTINGS SQL_tenant = 'b')"),
    ("/", "SELECT * FROM (EXPLAIN SELECT 1 SETTINGS SQL_tenant = 'b')"),
    ("/", "EXPLAIN SELECT 1 SETTINGS SQL_tenant = 'b'"),
    ("/", "INSERT INTO default.t SETTINGS SQL_tenant = 'b' SELECT 1"),
    ("/", "SET SQL_tenant = 'b'"),
    ("/", "SET `SQL_tenant` = 'b'"),
    ("/", "SET max_threads = 1, SQL_tenant = 'b'"),
    ("/", "SET SQL_tenant = DEFAULT"),
    ("/", "SELECT 1 SETTINGS profile = 'other'"),
    ("/?profile=other", "SELECT 1"),
];

#[tokio::test]
async fn nobody_writes_a_setting_that_the_gate_writes() {
    let rules = "rules:
  - name: tenants
    whom: {groups: [analysts]}
    act_as: analyst
    allow: [{effects: [read, insert, session], tables: ['default.*'], computed_names: true}]
    session_settings: {SQL_tenant: '{claims.tenant}'}
    settings: {allow: ['*']}
";
    let scene = Scene::start(Script::ok("1\n"), |plan| plan.policy("10-rules.yaml", rules)).await;
    let token = scene.token().claim("tenant", "o'brien\\&x=1").make();
    for (target, sql) in FORGED {
        let refused = send(&scene.house, post(target, &token, sql)).await;
        let reason = refused.header("x-keyhouse-reason").map(str::to_owned);
        assert!((400..=403).contains(&refused.status) && reason.is_some(), "{target} {sql}: {} {}", refused.status, refused.text());
        assert!(scene.recorder.requests().is_empty(), "{target} {sql} was heard");
    }
    let answer = soon("an answer", send(&scene.house, post("/", &token, "SELECT 1"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let heard = scene.recorder.wait_requests(1).await;
    let sent: Vec<String> = heard[0].parameters().into_iter().filter(|(name, _)| name == "SQL_tenant").map(|(_, value)| value).collect();
    assert_eq!(sent, ["o'brien\\&x=1"], "as it is, once, and without quotes");
}
