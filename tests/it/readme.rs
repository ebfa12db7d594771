//! The README's tables say what the code does: they are made from it here, and must stand there word for word.

use keyhouse::{config::written::Config, policy::WrittenRules, refusal::Reason};
use schemars::schema_for;
use serde_json::Value;

const README: &str = include_str!("../../README.md");

fn stands_there(name: &str, table: &str) {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let there = README.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)).map(|(table, _)| table);
    assert!(there == Some(table), "between {begin}and {end} the README must say:\n{table}");
}

/// One row for every key, with its default and its meaning, down to the leaves.
fn rows(schema: &Value, root: &Value, path: &str, out: &mut String) {
    let schema = resolve(schema, root);
    if let Some(properties) = schema["properties"].as_object() {
        let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in properties {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            row(name, property, root, &path, required.contains(&name.as_str()), out);
        }
    }
}

fn row(name: &str, property: &Value, root: &Value, path: &str, required: bool, out: &mut String) {
    let inner = resolve(property, root);
    let nested = |value: &Value| resolve(value, root)["properties"].is_object();
    if nested(&inner["items"]) {
        return rows(&inner["items"], root, &format!("{path}[]"), out);
    }
    if nested(&inner["additionalProperties"]) {
        return rows(&inner["additionalProperties"], root, &format!("{path}.NAME"), out);
    }
    if inner["properties"].is_object() {
        return rows(inner, root, path, out);
    }
    let default = match &property["default"] {
        Value::Null if required => "required".to_owned(),
        Value::Null => String::new(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    };
    let meaning = property["description"].as_str().unwrap_or_else(|| panic!("{name} has no description")).replace('\n', " ");
    out.push_str(&format!("| `{path}` | {default} | {meaning} |\n"));
}

/// Follows a reference, also where it stands beside `null`.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    let reference = alternatives.chain([schema]).find_map(|schema| schema["$ref"].as_str());
    match reference.and_then(|reference| reference.strip_prefix('#')).and_then(|pointer| root.pointer(pointer)) {
        Some(target) => resolve(target, root),
        None => schema,
    }
}

fn table_of(schema: &Value) -> String {
    let mut table = "| key | default | meaning |\n| --- | --- | --- |\n".to_owned();
    rows(schema, schema, "", &mut table);
    table
}

#[test]
fn every_key_of_the_config_stands_in_the_readme() {
    stands_there("config", &table_of(schema_for!(Config).as_value()));
}

#[test]
fn every_key_of_a_rule_stands_in_the_readme() {
    stands_there("policy", &table_of(schema_for!(WrittenRules).as_value()));
}

#[test]
fn every_reason_stands_in_the_readme() {
    let mut table = "| reason | status | code | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for reason in Reason::ALL {
        let error = reason.clickhouse();
        table.push_str(&format!("| `{reason}` | {} | {} | {} |\n", reason.status().as_u16(), error.number, reason.meaning()));
    }
    stands_there("reasons", &table);
}
