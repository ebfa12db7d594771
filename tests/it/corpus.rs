//! ClickHouse's own tests against the statement room, by what ClickHouse's own parser made of them.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Command, Stdio},
};

use keyhouse::statement::{self, Effect};
use serde_json::Value;

/// Roots of ClickHouse's AST that are reads.
const READS: [&str; 5] = ["SelectWithUnionQuery", "Explain", "DescribeQuery", "Exists", "Show"];

/// The statements, or nothing where the corpus is not there.
fn corpus() -> Option<Vec<Value>> {
    let folder = std::env::var_os("KEYHOUSE_CORPUS").map_or_else(|| PathBuf::from("../shared/corpus"), PathBuf::from);
    let file = folder.join("clickhouse-statements.jsonl.gz");
    if !file.exists() {
        eprintln!("NOT RUN: there is no corpus at {}; say where it is with KEYHOUSE_CORPUS", file.display());
        return None;
    }
    let unpacked = Command::new("gzip").arg("-dc").arg(file).stdin(Stdio::null()).output().unwrap();
    assert!(unpacked.status.success());
    Some(String::from_utf8(unpacked.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn nothing_that_writes_is_called_a_read_and_no_table_of_a_read_is_missed() {
    let Some(corpus) = corpus() else { return };
    let (mut reads, mut understood) = (0, 0);
    let (mut false_reads, mut missed) = (Vec::new(), Vec::new());
    for row in corpus.iter().filter(|row| row["accepted"] == true) {
        let (sql, root) = (row["sql"].as_str().unwrap(), row["root"].as_str().unwrap());
        let is_read = READS.iter().any(|read| root.starts_with(read));
        reads += usize::from(is_read);
        let Ok(statement) = statement::read(sql) else { continue };
        if statement.effect() != Effect::Read {
            continue;
        }
        understood += 1;
        if !is_read {
            false_reads.push(sql);
        }
        let ours: BTreeSet<String> = statement.reach().tables.iter().map(ToString::to_string).collect();
        // The oracle lists references to CTEs among the tables; where there is no WITH there is none.
        let theirs = row["tables"].as_array().unwrap().iter().map(|table| table.as_str().unwrap());
        if !sql.to_ascii_uppercase().contains("WITH") && theirs.clone().any(|table| !ours.contains(table)) {
            missed.push(sql);
        }
    }
    eprintln!("{understood} of {reads} reads are understood");
    assert!(false_reads.is_empty(), "called reads: {false_reads:#?}");
    assert!(missed.is_empty(), "tables missed: {missed:#?}");
    assert!(understood * 2 > reads, "{understood} of {reads}: too few for this test to say anything");
}
