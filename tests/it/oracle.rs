//! Our reading against the parser of a real ClickHouse of today: the same tokens, and the same tree of what we write.

use std::{
    fmt::Write,
    path::Path,
    process::{Command, Stdio},
};

use keyhouse::statement::{self, Parameters};
use serde_json::{Value, json};

use crate::{
    corpus::corpus,
    generated::{Random, seed},
    support::embedded::{Embedded, OWNER},
};

/// What is put between tokens: comments, blanks, quotes and symbols of every kind, each of them whole.
const WHOLE: [&str; 28] = [
    " /* c */ ",
    "/**/",
    "/* /* nested */ ' */",
    "-- c'\n",
    "--\n",
    "// \"c\n",
    "# c`\n",
    "#!c\n",
    "\u{A0}",
    "\u{85}",
    "\u{200B}",
    "\u{2003}\u{FEFF}",
    "\u{3000}",
    "\u{B}",
    "\u{C}",
    "\r\n",
    "‘it's’",
    "“na`me”",
    "$$he're$$",
    "$t$ $$ $x$ $t$",
    "x'4F'",
    "B'0101'",
    "'\\'' ''",
    "`a\\`b``c`",
    "0x1F.8p3",
    "1_000.5e-1",
    "<=>!~*|>@@\u{2212}",
    "->::\\G?^~",
];

/// What may swallow everything behind it, or be no token at all.
const STRAY: [&str; 28] = [
    "'", "\"", "`", "\\", "$", "$$", "$t$", "$1$", "‘", "’", "“", "”", "/*", "*/", "--", "#", "#c", "!", "|", "x'4", "b'2'", "1__0", "1.5a", "0x",
    "1e", ".", "é", "\0",
];

/// The real one, or nothing where it is not installed.
pub(crate) async fn embedded() -> Option<Embedded> {
    if is_there() { Some(Embedded::start().await) } else { None }
}

/// Whether the real one is installed; says so where it is not.
pub(crate) fn is_there() -> bool {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('chdb') is None)";
    let there = Command::new(python).args(["-c", look]).stdin(Stdio::null()).status().is_ok_and(|status| status.success());
    if !there {
        eprintln!("NOT RUN: there is no ClickHouse of today to ask; deploy/check installs it into .venv");
    }
    there
}

/// Puts rows into a new table of this name and these columns.
pub(crate) async fn table(embedded: &Embedded, name: &str, columns: &str, rows: impl Iterator<Item = Value>) {
    embedded.run(&format!("CREATE TABLE sales.{name} ({columns}) ENGINE = Memory")).await;
    let insert = format!("INSERT INTO sales.{name} FORMAT JSONEachRow\n");
    let mut batch = insert.clone();
    for row in rows {
        writeln!(batch, "{row}").unwrap();
        if batch.len() > 8 << 20 {
            embedded.run(&batch).await;
            batch.clone_from(&insert);
        }
    }
    embedded.run(&batch).await;
}

/// Rows of a SELECT.
pub(crate) async fn rows(embedded: &Embedded, select: &str) -> Vec<Value> {
    let answer = embedded.run(&format!("{select} FORMAT JSONEachRow SETTINGS output_format_json_quote_64bit_integers = 0")).await;
    answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Kind and end of each token; they begin where the one before ends.
fn ours(text: &str) -> String {
    let (mut shown, mut end) = (String::new(), 0);
    for (kind, range) in statement::tokens(text) {
        assert_eq!(range.start, end, "{text:?}");
        end = range.end;
        write!(shown, "{kind} {end},").unwrap();
    }
    assert_eq!(end, text.len(), "{text:?}");
    shown
}

/// The text with something put between some of its tokens, once in a while within one.
fn mutated(text: &str, random: &mut Random) -> String {
    let mut ends: Vec<usize> = statement::tokens(text).into_iter().map(|(_, range)| range.end).collect();
    let within = random.below(text.len() + 1);
    ends.extend(text.is_char_boundary(within).then_some(within));
    let mut places: Vec<usize> = (0..1 + random.below(4)).map(|_| random.of(&ends)).collect();
    places.sort_unstable();
    let stray = random.below(2 * places.len());
    let (mut out, mut from) = (String::new(), 0);
    for (number, place) in places.into_iter().enumerate() {
        out.push_str(&text[from..place]);
        out.push_str(if number == stray { random.of(&STRAY) } else { random.of(&WHOLE) });
        from = place;
    }
    out + &text[from..]
}

#[tokio::test]
async fn tokens_are_those_of_clickhouse() {
    let Some(corpus) = corpus() else { return };
    let Some(embedded) = embedded().await else { return };
    let seed = seed();
    let mut random = Random::new(seed);
    let row = |text: &str| json!({"text": text, "ours": ours(text)});
    let texts = corpus.iter().flat_map(|statement| [row(&statement.sql), row(&mutated(&statement.sql, &mut random))]);
    table(&embedded, "tokens", "text String, ours String", texts).await;
    let theirs = "arrayStringConcat(arrayMap(token -> concat(toString(token.type), ' ', toString(token.end), ','), tokenizeQuery(text))) AS theirs";
    let count = embedded.run("SELECT count(), sum(length(tokenizeQuery(text))) FROM sales.tokens").await;
    eprintln!("texts and tokens compared: {count}");
    assert!(count.starts_with(&format!("{}\t", corpus.len() * 2)), "{count}");
    let differ = rows(&embedded, &format!("SELECT text, ours, {theirs} FROM sales.tokens WHERE ours != theirs ORDER BY length(text) LIMIT 10")).await;
    assert!(differ.is_empty(), "seed {seed}: {differ:#?}");
}

/// How much of the corpus is compared: every 20th statement, or every `KEYHOUSE_EVERY`th. 1 takes all of it, for minutes.
fn every() -> usize {
    std::env::var("KEYHOUSE_EVERY").map_or(20, |every| every.parse().unwrap())
}

/// The tree that ClickHouse makes of a text, or nothing where it refuses it.
async fn tree(embedded: &Embedded, text: &str) -> Option<String> {
    let answer = embedded.ask(OWNER, &format!("EXPLAIN AST {text}")).await;
    (answer.status == 200).then(|| answer.text())
}

/// What ClickHouse makes of `text` and of the `canonical` text in one line, and whether that one has what must not be in it.
const LINES: &str = "SELECT text, canonical, formatQuerySingleLineOrNull(text) AS line, formatQuerySingleLineOrNull(canonical) AS canonical_line, \
                     arrayExists(token -> token.type IN ('Comment', 'HereDoc'), tokenizeQuery(canonical)) AS marked FROM sales.canonical";

#[tokio::test]
async fn the_canonical_text_means_the_same() {
    let Some(corpus) = corpus() else { return };
    let Some(embedded) = embedded().await else { return };
    let accepted = corpus.iter().filter(|row| row.accepted).step_by(every());
    let read = accepted.filter_map(|row| {
        let statement = statement::read(&row.sql, &Parameters::new()).ok()?;
        Some(json!({"text": row.sql, "canonical": statement.canonical()}))
    });
    table(&embedded, "canonical", "text String, canonical String", read).await;
    let (mut compared, mut refused, mut wrong) = (0, 0, Vec::new());
    for row in rows(&embedded, LINES).await {
        let [text, canonical] = ["text", "canonical"].map(|column| row[column].as_str().unwrap());
        let original = tree(&embedded, text).await;
        if row["line"].is_null() || original.is_none() {
            refused += 1;
            continue;
        }
        compared += 1;
        let same = row["line"] == row["canonical_line"] && original == tree(&embedded, canonical).await;
        if !same || row["marked"] != 0 {
            wrong.push((text.to_owned(), canonical.to_owned()));
        }
    }
    eprintln!("compared: {compared}; refused by ClickHouse as they came: {refused}");
    wrong.sort_by_key(|(text, _)| text.len());
    assert!(wrong.is_empty(), "{} differ: {:#?}", wrong.len(), &wrong[..wrong.len().min(10)]);
    assert!(compared * every() > 50_000, "{compared}");
}
