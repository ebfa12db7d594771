//! What holds of every rule and every statement, shown on many that nobody wrote: no permit reaches a table outside its rule, and
//! a `deny` that is added to any rule never allows more to anybody.

use std::{collections::BTreeMap, fs, path::Path};

use http::Method;
use keyhouse::{
    config::{Problems, checked},
    identity::Caller,
    policy::{self, Names, Rules},
    trial::{Asked, Asker, Trial},
};
use serde_json::Map;

use crate::generated::{Random, seed};

const EFFECTS: [&str; 5] = ["read", "insert", "change", "define", "administer"];
const DATABASES: [&str; 4] = ["sales", "sales2", "sec", "default"];
const TABLES: [&str; 5] = ["orders", "orders_old", "secret", "pub", "Orders"];

/// A statement over the tables A and B, and what is done with each: nothing stands for one that it does not name. `*` is for a
/// whole database.
type Shape = (&'static str, Option<&'static str>, Option<&'static str>);

const SHAPES: [Shape; 27] = [
    ("SELECT * FROM A", Some("read"), None),
    ("SELECT * FROM A JOIN B USING id", Some("read"), Some("read")),
    ("SELECT * FROM A WHERE id IN (SELECT id FROM B)", Some("read"), Some("read")),
    ("SELECT 1 IN A", Some("read"), None),
    ("SELECT (SELECT max(id) FROM A), b.* FROM B AS b", Some("read"), Some("read")),
    ("WITH x AS (SELECT * FROM A) SELECT * FROM x, B", Some("read"), Some("read")),
    ("SELECT * FROM A UNION ALL SELECT * FROM B", Some("read"), Some("read")),
    ("FROM A |> WHERE id IN (SELECT id FROM B)", Some("read"), Some("read")),
    ("EXPLAIN SELECT * FROM A", Some("read"), None),
    ("DESCRIBE TABLE A", Some("read"), None),
    ("EXISTS TABLE A", Some("read"), None),
    ("SHOW CREATE TABLE A", Some("read"), None),
    ("SELECT * FROM view(SELECT * FROM A)", Some("read"), None),
    ("SELECT * FROM loop(A)", Some("read"), None),
    ("SELECT joinGet('A', 'v', 1)", Some("read"), None),
    ("SELECT * FROM merge('DATABASE_A', '.*')", Some("read *"), None),
    ("INSERT INTO A SELECT * FROM B", Some("insert"), Some("read")),
    ("INSERT INTO A VALUES (1)", Some("insert"), None),
    ("ALTER TABLE A DELETE WHERE id IN (SELECT id FROM B)", Some("change"), Some("read")),
    ("TRUNCATE TABLE A", Some("change"), None),
    ("DROP TABLE A", Some("define"), None),
    ("CREATE TABLE A ENGINE = Memory AS SELECT * FROM B", Some("define"), Some("read")),
    ("CREATE VIEW A AS SELECT * FROM B", Some("define"), Some("read")),
    ("RENAME TABLE A TO B", Some("define"), Some("define")),
    ("EXCHANGE TABLES A AND B", Some("define"), Some("define")),
    ("DROP DATABASE DATABASE_A", Some("define *"), None),
    ("OPTIMIZE TABLE A", Some("change"), None),
];

/// One entry: effects, tables, and what it denies.
#[derive(Clone)]
struct Entry {
    effects: Vec<&'static str>,
    tables: Vec<String>,
    deny: Vec<String>,
}

fn pattern(random: &mut Random) -> String {
    let database = random.of(&["sales", "sales*", "sec", "default", "*"]);
    let table = random.of(&["orders", "orders*", "*", "pub", "s*t", "secret"]);
    format!("{database}.{table}")
}

fn entry(random: &mut Random) -> Entry {
    let some = |random: &mut Random, most: usize| (0..random.below(most + 1)).map(|_| pattern(random)).collect::<Vec<_>>();
    let mut tables = some(random, 2);
    tables.push(pattern(random));
    let effects = EFFECTS.into_iter().filter(|_| random.below(2) == 0).chain(["read"]).collect();
    Entry { effects, tables, deny: some(random, 1) }
}

fn rules_of(folder: &Path, entries: &[Entry]) -> Rules {
    let entries: String = entries
        .iter()
        .map(|entry| {
            format!(
                "      - {{effects: {:?}, tables: {:?}, deny: {:?}, functions: ['class:table'], table_functions: ['class:tables']}}\n",
                entry.effects, entry.tables, entry.deny
            )
        })
        .collect();
    let text = format!("rules:\n  - name: r\n    whom: {{groups: [g]}}\n    act_as: u\n    system: none\n    allow:\n{entries}");
    fs::write(folder.join("rules.yaml"), text).unwrap();
    let mut problems = Problems::default();
    let rules = policy::load(folder, Names::Any, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    rules
}

/// Another reading of a pattern than the one under test: a star by every place where it could end.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            text.strip_prefix(before).is_some_and(|rest| (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| fits(after, rest))))
        }
    }
}

fn means(pattern: &str, (database, table): (&str, &str)) -> bool {
    let (of_database, of_table) = pattern.split_once('.').unwrap();
    fits(of_database, database) && fits(of_table, table)
}

/// What the rule says by its words alone.
fn is_allowed(entries: &[Entry], object: (&str, &str), done: &str) -> bool {
    let (effect, whole) = done.strip_suffix(" *").map_or((done, false), |effect| (effect, true));
    let denied = |pattern: &String| if whole { fits(pattern.split_once('.').unwrap().0, object.0) } else { means(pattern, object) };
    let allowed = |pattern: &String| if whole { means(pattern, (object.0, "any \u{2} name")) } else { means(pattern, object) };
    !entries.iter().flat_map(|entry| &entry.deny).any(denied)
        && entries.iter().any(|entry| entry.effects.contains(&effect) && entry.tables.iter().any(allowed))
}

#[tokio::test]
async fn no_permit_reaches_beyond_its_rule_and_a_deny_never_allows_more() {
    let mut random = Random::new(seed());
    let folder = tempfile::tempdir().unwrap();
    let limits = checked::usual_limits();
    let name = "alice".to_owned();
    let caller = Caller {
        provider: "corp".to_owned(),
        subject: name.clone(),
        username: name,
        display: None,
        groups: vec!["g".to_owned()],
        claims: Map::new(),
        line: Default::default(),
    };
    let asker = Asker::of(caller);
    let (mut permits, mut taken, mut refusals) = (0, 0, 0);
    for _ in 0..300 {
        let entries: Vec<Entry> = (0..=random.below(3)).map(|_| entry(&mut random)).collect();
        let rules = rules_of(folder.path(), &entries);
        let mut stricter = entries.clone();
        let at = random.below(stricter.len());
        stricter[at].deny.push(pattern(&mut random));
        let stricter_rules = rules_of(folder.path(), &stricter);
        for _ in 0..40 {
            let (text, does_a, does_b) = random.of(&SHAPES);
            let (a, b) = ((random.of(&DATABASES), random.of(&TABLES)), (random.of(&DATABASES), random.of(&TABLES)));
            let sql = text.replace("DATABASE_A", a.0);
            let sql = replaced(&sql, 'B', &format!("{}.{}", b.0, b.1));
            let sql = replaced(&sql, 'A', &format!("{}.{}", a.0, a.1));
            let judge = async |rules: &Rules| {
                let asked = Asked::statement(&Method::POST, "", &BTreeMap::new(), &sql).unwrap();
                Trial { rules, limits: &limits }.judge(&asker, asked).await.result.map(drop).map_err(|refusal| refusal.reason())
            };
            let (before, after) = (judge(&rules).await, judge(&stricter_rules).await);
            let wanted =
                |entries: &[Entry]| does_a.is_none_or(|done| is_allowed(entries, a, done)) && does_b.is_none_or(|done| is_allowed(entries, b, done));
            assert!(before.is_err() || wanted(&entries), "permitted beyond the rule: {sql}\n{}", shown(&entries));
            assert!(after.is_err() || (wanted(&stricter) && before.is_ok()), "a deny allowed it: {sql}\n{}", shown(&stricter));
            match (before, after) {
                (Ok(()), Ok(())) => permits += 1,
                (Ok(()), Err(_)) => taken += 1,
                (Err(_), _) => refusals += 1,
            }
        }
    }
    println!("{permits} permitted, {taken} taken away by the deny, {refusals} refused");
    assert!(permits > 500 && taken > 100 && refusals > 2000, "{permits} {taken} {refusals}");
}

/// The letter where it stands as a word.
fn replaced(sql: &str, letter: char, name: &str) -> String {
    let mut out = String::new();
    let signs: Vec<char> = sql.chars().collect();
    let is_word = |at: Option<&char>| at.is_some_and(|sign| sign.is_alphanumeric() || *sign == '_');
    for (at, sign) in signs.iter().enumerate() {
        let alone = *sign == letter && !is_word(at.checked_sub(1).and_then(|before| signs.get(before))) && !is_word(signs.get(at + 1));
        if alone { out.push_str(name) } else { out.push(*sign) }
    }
    out
}

fn shown(entries: &[Entry]) -> String {
    entries.iter().map(|entry| format!("{:?} {:?} deny {:?}\n", entry.effects, entry.tables, entry.deny)).collect()
}
