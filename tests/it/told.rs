//! `keyhouse statement`: the same facts for people and for tools.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

fn keyhouse(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_keyhouse"))
        .arg("statement")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // What is answered must be read while the rest is written, or both sides wait.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _left = writer.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked at"), "{said}");
    output
}

fn told(question: &Value) -> Value {
    let output = keyhouse(&["--jsonl"], &format!("{question}\n"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_tool_gets_every_fact_as_json() {
    let sql = "WITH c AS (SELECT 1 AS x) SELECT dictGet('sec.d', 'a', x), {n:UInt8} FROM sales.`ord\\x65rs` JOIN c USING (x), url(concat('a', 'b')) \
               WHERE x IN {t:Identifier} SETTINGS max_threads = 1 FORMAT JSON -- why";
    let facts = told(&json!({"sql": sql, "database": "sales", "parameters": {"t": "closed", "n": "1"}}));
    assert_eq!(
        facts,
        json!({
            "understood": true, "effect": "read", "kind": "SelectWithUnionQuery", "database": "sales",
            "tables": ["sales.orders"], "ctes": ["c"], "targets": [],
            "also": [{"name": "", "via": "url"}, {"name": "closed", "via": "IN"}, {"name": "sec.d", "via": "dictGet"}],
            "table_functions": ["url"], "functions": ["concat", "dictGet", "in"], "settings": ["max_threads"],
            "parameters": {"n": "UInt8", "t": "Identifier"}, "format": "JSON", "computed": ["url"],
            "canonical": "WITH c AS (SELECT 1 AS x) SELECT dictGet('sec.d', 'a', x), {n:UInt8} FROM sales.`orders` JOIN c USING (x), \
                          url(concat('a', 'b')) WHERE x IN `closed` SETTINGS max_threads = 1 FORMAT JSON",
        })
    );
}

#[test]
fn an_identifier_without_a_value_is_computed_and_one_with_a_value_is_a_name() {
    let sql = "SELECT * FROM {d:Identifier}.{t:Identifier}";
    let without = told(&json!({"sql": sql}));
    assert_eq!((&without["tables"], &without["computed"], &without["canonical"]), (&json!([]), &json!(["FROM"]), &json!(sql)));
    let with = told(&json!({"sql": sql, "parameters": {"d": "sec", "t": "a.b`c"}}));
    assert_eq!((&with["tables"], &with["canonical"]), (&json!(["sec.a.b`c"]), &json!("SELECT * FROM `sec`.`a.b\\`c`")));
}

#[test]
fn lines_are_answered_one_by_one_whatever_stands_in_them() {
    let lines = [json!({"sql": "SELECT 1"}), json!({"sql": "SELECT FROM WHERE x y"}), json!({"sql": ""}), json!({"sql": "DROP TABLE t"})];
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let output = keyhouse(&["--jsonl"], &input);
    let answers: Vec<Value> =
        output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect();
    let understood: Vec<&Value> = answers.iter().map(|answer| &answer["understood"]).collect();
    assert_eq!(understood, [true, false, false, true]);
    assert!(answers[1]["problem"].as_str().unwrap().contains("line 1, column"), "{}", answers[1]);
    assert_eq!(keyhouse(&["--jsonl"], "no json\n").status.code(), Some(2));
}

#[test]
fn people_get_a_page() {
    let output = keyhouse(&["INSERT INTO t FORMAT CSV\n1,2\n"], "");
    assert!(output.status.success());
    let page = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        page,
        "effect           insert (InsertQuery)\ntargets          t\nformat           CSV\n\nINSERT INTO t FORMAT CSV\n... and 5 bytes of data, as they are\n"
    );
    let output = keyhouse(&[], "SELECT 1; SELECT 2");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("not passed on (several-statements): "), "{output:?}");
}
