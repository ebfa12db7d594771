//! The lists of what is known of ClickHouse, against the tables in which a real one tells its functions, formats and settings.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use crate::{
    oracle::{embedded, rows},
    support::clickhouse::{ClickHouse, OWNER},
};

/// Where the lists are, as messages name it.
const ROOM: &str = "src/catalog";

#[derive(Default)]
struct List {
    /// What ClickHouse 26.9 has.
    names: Vec<String>,
    /// What only other versions and builds have.
    others: Vec<String>,
}

/// The lists of a folder by their files' names.
fn lists(folder: &str) -> BTreeMap<String, List> {
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(ROOM).join(folder)).unwrap();
    files
        .map(|file| {
            let path = file.unwrap().path();
            let (mut list, mut other) = (List::default(), false);
            for line in fs::read_to_string(&path).unwrap().lines() {
                other |= line == "# other versions";
                if !line.starts_with('#') {
                    (if other { &mut list.others } else { &mut list.names }).push(line.to_owned());
                }
            }
            (path.file_name().unwrap().to_str().unwrap().to_owned(), list)
        })
        .collect()
}

/// What is wrong with the lists, each line with the names it is about.
#[derive(Default)]
struct Complaints(Vec<String>);

impl Complaints {
    fn about<'a>(&mut self, names: impl IntoIterator<Item = &'a String>, says: &str) {
        let names: BTreeSet<_> = names.into_iter().map(String::as_str).collect();
        if !names.is_empty() {
            self.0.push(format!("{says}: {}", names.into_iter().collect::<Vec<_>>().join(" ")));
        }
    }

    /// Every name stands in one of the lists and once, and none stands there that ClickHouse lacks.
    fn one_list_each(&mut self, folder: &str, lists: &BTreeMap<String, List>, engine: &BTreeSet<String>, fold: fn(&str) -> String) {
        let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let known: BTreeSet<_> = engine.iter().map(|name| fold(name)).collect();
        for (file, list) in lists {
            for name in list.names.iter().chain(&list.others) {
                places.entry(fold(name)).or_default().push(file);
            }
            let path = format!("{ROOM}/{folder}/{file}");
            self.about(
                list.names.iter().filter(|name| !known.contains(&fold(name))),
                &format!("{path} has what ClickHouse has not; write it behind `# other versions`"),
            );
            self.about(
                list.others.iter().filter(|name| known.contains(&fold(name))),
                &format!("{path} has behind `# other versions` what this one has too; write it before"),
            );
        }
        let missing = engine.iter().filter(|name| !places.contains_key(&fold(name)));
        let files = lists.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        self.about(missing, &format!("ClickHouse has what is in no list; read what it does and write it into one of {ROOM}/{folder}/: {files}"));
        for (name, files) in places.iter().filter(|(_, files)| files.len() > 1) {
            self.about([name], &format!("twice in {ROOM}/{folder}/, in {}", files.join(" and ")));
        }
    }

    fn none(self) {
        assert!(self.0.is_empty(), "\n{}\n", self.0.join("\n"));
    }
}

fn names(rows: &[Value]) -> BTreeSet<String> {
    let names: BTreeSet<_> = rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
    assert!(!names.is_empty());
    names
}

/// Lists of the folder that sort, and the one that does not.
fn functions() -> (BTreeMap<String, List>, List) {
    let mut lists = lists("functions");
    let nondeterministic = lists.remove("nondeterministic.txt").unwrap();
    (lists, nondeterministic)
}

#[tokio::test]
async fn every_function_of_clickhouse_has_one_class() {
    let Some(embedded) = embedded().await else { return };
    let ((lists, nondeterministic), mut complaints) = (functions(), Complaints::default());
    let engine = names(&rows(&embedded, "SELECT name FROM system.functions WHERE origin = 'System'").await);
    complaints.one_list_each("functions", &lists, &engine, |name| name.to_lowercase());
    let sql = "SELECT name FROM system.functions WHERE NOT is_aggregate AND ifNull(deterministic, 0) = 0";
    let computing = [&lists["computing.txt"], &lists["connect.txt"]];
    let is_listed = |name: &String| computing.iter().any(|list| list.names.iter().any(|listed| listed.eq_ignore_ascii_case(name)));
    let open: BTreeSet<_> = names(&rows(&embedded, sql).await).into_iter().filter(is_listed).collect();
    let told: BTreeSet<_> = nondeterministic.names.into_iter().collect();
    complaints.about(open.difference(&told), &format!("not deterministic; write it into {ROOM}/functions/nondeterministic.txt"));
    complaints.about(told.difference(&open), &format!("deterministic or of another class, but in {ROOM}/functions/nondeterministic.txt"));
    complaints.none();
}

#[tokio::test]
async fn every_function_of_the_old_server_has_a_class() {
    let server = ClickHouse::shared().await;
    if !server.run(OWNER, "SELECT version()").await.starts_with("18.16.") {
        eprintln!("NOT RUN: the ClickHouse of the other tests is not Debian's 18.16");
        return;
    }
    let mut complaints = Complaints::default();
    for (folder, table) in [("functions", "functions"), ("table_functions", "table_functions"), ("formats", "formats")] {
        let lists = lists(folder);
        let listed: BTreeSet<_> = lists.values().flat_map(|list| list.names.iter().chain(&list.others)).map(|name| name.to_lowercase()).collect();
        let told = server.run(OWNER, &format!("SELECT name FROM system.{table}")).await;
        let missing: Vec<_> = told.lines().map(str::to_owned).filter(|name| !listed.contains(&name.to_lowercase())).collect();
        complaints.about(&missing, &format!("of 18.16; write it behind `# other versions` of a list in {ROOM}/{folder}"));
    }
    complaints.none();
}

#[tokio::test]
async fn every_table_function_of_clickhouse_has_one_class() {
    let Some(embedded) = embedded().await else { return };
    let (lists, mut complaints) = (lists("table_functions"), Complaints::default());
    let engine = names(&rows(&embedded, "SELECT name FROM system.table_functions").await);
    complaints.one_list_each("table_functions", &lists, &engine, str::to_owned);
    // Within the arguments of another one, a table function is reported as a function.
    let (functions, _) = functions();
    let base =
        ["computing.txt", "aggregates.txt", "connect.txt"].into_iter().flat_map(|file| functions[file].names.iter().chain(&functions[file].others));
    let both = base.filter(|name| engine.iter().any(|function| function.eq_ignore_ascii_case(name)));
    complaints.about(both, &format!("also a table function; write it into {ROOM}/functions/table.txt"));
    complaints.none();
}

#[tokio::test]
async fn every_format_of_clickhouse_is_in_one_list_for_each_way() {
    let Some(embedded) = embedded().await else { return };
    let (lists, mut complaints) = (lists("formats"), Complaints::default());
    for (way, files) in [("is_output", ["output.txt", "server.txt"].as_slice()), ("is_input", &["input.txt", "code.txt", "server.txt"])] {
        let engine = names(&rows(&embedded, &format!("SELECT name FROM system.formats WHERE {way}")).await);
        let both = names(&rows(&embedded, "SELECT name FROM system.formats").await);
        let of_this_way = files.iter().map(|file| {
            // What needs the server is in one list for both ways.
            let there = |name: &&String| *file != "server.txt" || engine.contains(*name) || !both.contains(*name);
            let list = &lists[*file];
            ((*file).to_owned(), List { names: list.names.iter().filter(there).cloned().collect(), others: list.others.clone() })
        });
        complaints.one_list_each("formats", &of_this_way.collect(), &engine, |name| name.to_lowercase());
    }
    complaints.none();
}

#[tokio::test]
async fn every_setting_of_clickhouse_is_known_and_no_alias_means_something_else() {
    let Some(embedded) = embedded().await else { return };
    let (mut lists, mut complaints) = (lists("settings"), Complaints::default());
    let settings = rows(&embedded, "SELECT name, alias_for FROM system.settings").await;
    let engine = names(&settings);
    let known = BTreeMap::from([("known.txt".to_owned(), lists.remove("known.txt").unwrap())]);
    complaints.one_list_each("settings", &known, &engine, str::to_owned);
    // What is in none of these is known and no more, which is right for most.
    let mut place: BTreeMap<&String, &String> = BTreeMap::new();
    for (file, list) in &lists {
        complaints.about(list.names.iter().filter(|name| !engine.contains(*name)), &format!("{ROOM}/settings/{file} has what ClickHouse has not"));
        for name in list.names.iter().chain(&list.others) {
            if let Some(before) = place.insert(name, file) {
                complaints.about([name], &format!("in two of {ROOM}/settings, {before} and {file}"));
            }
        }
    }
    for row in &settings {
        let [name, meant] = ["name", "alias_for"].map(|column| row[column].as_str().unwrap().to_owned());
        if !meant.is_empty() && place.get(&name) != place.get(&meant) {
            complaints.about([&name, &meant], &format!("one setting by two names, in different lists of {ROOM}/settings"));
        }
    }
    let modes = engine.iter().filter(|name| name.contains("_overflow_mode") && !lists["overflow.txt"].names.contains(name));
    complaints.about(modes, &format!("what happens at a limit; write it into {ROOM}/settings/overflow.txt"));
    complaints.none();
}
