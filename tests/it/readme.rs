//! The README says what the code does: its tables are made from it here and must stand there word for word, and its way
//! to try Keyhouse out is walked.

use std::{
    fs,
    net::SocketAddr,
    os::unix::{fs::PermissionsExt, fs::symlink, process::CommandExt},
    path::Path,
    process::Command,
};

use keyhouse::{
    config::{Preset, preset::fills, written::Config},
    policy::WrittenRules,
    refusal::Reason,
};
use schemars::schema_for;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::support::{house::run, node, program::Program};

const README: &str = include_str!("../../README.md");

/// What stands between two marks.
fn part(name: &str) -> &'static str {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let part = README.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)).map(|(part, _)| part);
    part.unwrap_or_else(|| panic!("there is no {begin}"))
}

fn stands_there(name: &str, table: &str) {
    assert!(part(name) == table, "between the marks `{name}` the README must say:\n{table}");
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
        Value::String(text) if text.is_empty() => String::new(),
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

#[tokio::test]
async fn the_schemas_for_editors_are_those_of_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["config", "policy", "test"] {
        let printed = run(root, &["schema", name]).await;
        let shipped = fs::read_to_string(root.join(format!("deploy/{name}.schema.json"))).unwrap();
        assert!(printed.out == shipped, "write it anew: keyhouse schema {name} > deploy/{name}.schema.json");
    }
}

#[test]
fn every_preset_stands_in_the_readme() {
    let name = |preset: Preset| serde_json::to_value(preset).unwrap().as_str().unwrap().to_owned();
    let rows = Preset::ALL.map(|preset| format!("| `{}` | {} |\n", name(preset), fills(preset)));
    stands_there("presets", &format!("| preset | fills |\n| --- | --- |\n{}", rows.concat()));
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

#[test]
fn what_was_measured_beside_peers_stands_in_the_readme() {
    let results = include_str!("../../benches/peers/results.md");
    stands_there("peers", results.split_once("\nRatios").unwrap().0);
}

/// The ports that the README and deploy/example name. Here each is another, a free one, so that nothing that runs on
/// this machine is in the way.
const PORTS: [&str; 5] = ["8124", "8443", "8444", "9363", "9400"];

/// Ends what the lines started, by its id and in order; and all of it where this process is gone before that.
const BEFORE: &str = "exec 3<&0\n{ cat <&3; kill -KILL 0; } >/dev/null 2>&1 & watchdog=$!\nset -e\n";
const AFTER: &str = "\nkill $(jobs -p | grep -vx $watchdog)\nwait $(jobs -p | grep -vx $watchdog) || true\n";

/// A folder like this one, in which the lines find what they name. Two commands are taken as done: `cargo build
/// --release`, for which the program under test stands in, and `npm ci`, which deploy/check has done.
fn lay_out(renumbered: impl Fn(&str) -> String) -> TempDir {
    let (here, folder) = (Path::new(env!("CARGO_MANIFEST_DIR")), TempDir::new().unwrap());
    let there = |name: &str| folder.path().join(name);
    for name in ["deploy/example/policies", "target/release", "tests", "bin"] {
        fs::create_dir_all(there(name)).unwrap();
    }
    for name in ["clickhouse.xml", "clickhouse-users.xml", "keyhouse.yaml", "policies/10-analysts.yaml"] {
        let name = format!("deploy/example/{name}");
        fs::write(there(&name), renumbered(&fs::read_to_string(here.join(&name)).unwrap())).unwrap();
    }
    symlink(env!("CARGO_BIN_EXE_keyhouse"), there("target/release/keyhouse")).unwrap();
    assert!(here.join("tests/idp/node_modules").is_dir(), "run `npm ci` in tests/idp first (deploy/check does)");
    symlink(here.join("tests/idp"), there("tests/idp")).unwrap();
    for (name, does) in [
        ("cargo", "[ \"$*\" = 'build --release' ]".to_owned()),
        ("npm", "[ \"$*\" = ci ]".to_owned()),
        ("node", format!("exec {} \"$@\"", node().display())),
    ] {
        let file = there("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\nPATH=${{PATH#*:}}\n{does}\n")).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

#[tokio::test]
async fn the_lines_to_try_it_out_do_what_the_readme_says() {
    if !Path::new("/usr/sbin/clickhouse-server").exists() {
        eprintln!("NOT RUN: the README's lines need Debian's clickhouse-server; apt-get install clickhouse-server");
        return;
    }
    // Bound until the end, so that nobody else gets them; those who listen there share them.
    let sockets = PORTS.map(|_| TcpSocket::new_v4().unwrap());
    for socket in &sockets {
        socket.set_reuseaddr(true).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    }
    let free = sockets.each_ref().map(|socket| socket.local_addr().unwrap().port().to_string());
    // In two steps: a free port may have another's digits in it.
    let marks = [0, 1, 2, 3, 4].map(|number| format!("<port {number}>"));
    let swapped = |text: &str, from: &[&str], to: &[String]| from.iter().zip(to).fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let renumbered = |text: &str| swapped(&swapped(text, &PORTS, &marks), &marks.each_ref().map(String::as_str), &free);
    let folder = lay_out(renumbered);
    // The example leaves the admin address at its default, which is one of the ports.
    let config = folder.path().join("deploy/example/keyhouse.yaml");
    fs::write(&config, fs::read_to_string(&config).unwrap() + &renumbered("admin: {address: \"127.0.0.1:9363\"}\n")).unwrap();

    let lines = part("try").trim().trim_start_matches("```sh").trim_end_matches("```");
    let path = format!("{}:{}", folder.path().join("bin").display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("{BEFORE}{}{AFTER}", renumbered(lines))]).current_dir(&folder).env("PATH", path).process_group(0);
    let ended = Program::start("the README's lines", &mut shell).run_to_end().await;
    assert!(ended.status.success(), "{ended:?}");

    let mut rest = ended.out.as_str();
    for said in [
        "Ok.\n",
        "\"ready\":true",
        "1\t9.5\n2\t20\n",
        "Code: 497. DB::Exception: ",
        "[table-denied, ",
        "Code: 497. DB::Exception: ",
        "[effect-not-allowed, ",
        "Code: 516. DB::Exception: ",
        "[opaque_token, ",
        r#"["ci","analysts","read","SELECT id, amount FROM sales.orders ORDER BY id","answered",null]"#,
        r#""refused","table-denied"]"#,
        r#""refused","effect-not-allowed"]"#,
        r#""refused","opaque_token"]"#,
    ] {
        let after = rest.split_once(said).unwrap_or_else(|| panic!("{said:?} is not said in its turn:\n{}\n{}", ended.out, ended.err));
        rest = after.1;
    }
}
