//! `keyhouse test`: rules tried on the statements of their tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use http::Method;

use crate::config::{Limits, Problems, checked, read_yaml};
use crate::policy::{self, Names, Rules};
use crate::start;
use crate::trial::{Asked, Asker, Judged, Trial, Verdict, WrittenCaller, WrittenTest, WrittenTests};

/// What `keyhouse test` takes.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A folder with policies, and with their tests (*.test.yaml) beside them.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The config file that the rules are for: names of users, providers and service accounts have to be in it then.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Exit code 0 where all came out as written, 1 where one did not, 2 where there is nothing to try.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let mut problems = Problems::default();
    let prepared = match arguments.config.as_deref().map(start::prepare).transpose() {
        Ok(prepared) => prepared,
        Err(problems) => {
            super::tell(&problems);
            return ExitCode::from(2);
        }
    };
    let names = prepared.as_ref().map_or(Names::Any, |prepared| Names::Of(prepared.config()));
    let rules = policy::load(&arguments.folder, names, &mut problems);
    let limits = prepared.as_ref().map_or_else(checked::usual_limits, |prepared| prepared.config().limits.clone());
    let files = tests_of(&arguments.folder, &mut problems);
    if !problems.is_empty() {
        super::tell(&problems);
        return ExitCode::from(2);
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return ExitCode::from(2) };
    let (mut good, mut bad) = (0, 0);
    for (file, tests) in &files {
        for (number, test) in tests.tests.iter().enumerate() {
            match runtime.block_on(differences(test, &tests.callers, &rules, &limits)) {
                differences if differences.is_empty() => good += 1,
                differences => {
                    bad += 1;
                    let name = test.name.as_deref().unwrap_or(&test.statement);
                    println!("{}: tests[{number}] {}", file.display(), name.escape_debug());
                    for (what, written, came) in differences {
                        println!("  - {what}: {written}\n  + {what}: {came}");
                    }
                }
            }
        }
    }
    println!("{} of {} as written, {} rule(s), {} ms", good, good + bad, rules.len(), began.elapsed().as_millis());
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tests_of(folder: &Path, problems: &mut Problems) -> Vec<(PathBuf, WrittenTests)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut files: Vec<PathBuf> = entries.filter(|path| policy::is_test(path)).collect();
    files.sort();
    if files.is_empty() {
        problems.add(folder.display(), "has no *.test.yaml; write one beside the policies");
    }
    files.into_iter().filter_map(|file| read_yaml(&file, problems).map(|tests| (file, tests))).collect()
}

/// What came out otherwise: what it is, what is written, what came.
type Difference = (&'static str, String, String);

async fn differences(test: &WrittenTest, callers: &BTreeMap<String, WrittenCaller>, rules: &Rules, limits: &Limits) -> Vec<Difference> {
    let mistake = |says: String| vec![("test", "one that can be tried".to_owned(), says)];
    let Some(written) = callers.get(&test.caller) else { return mistake(format!("there is no caller `{}`", test.caller)) };
    let asker = match Asker::read(written.clone()) {
        Ok(asker) => asker,
        Err(says) => return mistake(format!("callers.{}: {says}", test.caller)),
    };
    let Ok(method) = test.method.parse::<Method>() else { return mistake(format!("`{}` is no method", test.method)) };
    match Asked::statement(&method, &test.query, &test.headers, &test.statement) {
        Ok(asked) => compare(test, &Trial { rules, limits }.judge(&asker, asked).await),
        Err(says) => mistake(says),
    }
}

fn compare(test: &WrittenTest, judged: &Judged) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut is = |what: &'static str, written: Option<String>, came: String| {
        if let Some(written) = written.filter(|written| *written != came) {
            differences.push((what, written, came));
        }
    };
    let refusal = match &judged.result {
        Ok(permitted) => permitted.permit().observed(),
        Err(refusal) => Some(refusal),
    };
    let came = match (&judged.result, refusal) {
        (Ok(_), None) => Verdict::Permit,
        (Ok(_), Some(_)) => Verdict::Observe,
        (Err(_), _) => Verdict::Refuse,
    };
    let why = refusal.map(|refusal| format!(" ({}): {}", refusal.reason(), refusal.says())).unwrap_or_default();
    if came != test.verdict {
        is("verdict", Some(test.verdict.word().to_owned()), format!("{}{why}", came.word()));
    }
    is("rule", test.rule.clone(), judged.rule.as_ref().map_or("none", |(name, _)| name).to_owned());
    is("reason", test.reason.clone(), refusal.map_or("none", |refusal| refusal.reason().code()).to_owned());
    let told = refusal.map_or("", |refusal| refusal.says());
    if let Some(part) = test.says.as_ref().filter(|part| !told.contains(part.as_str())) {
        is("says", Some(part.clone()), told.to_owned());
    }
    let Ok(permitted) = &judged.result else { return differences };
    let permit = permitted.permit();
    is("act_as", test.act_as.clone(), permit.act_as().to_string());
    is("roles", test.roles.as_ref().map(|roles| roles.join(", ")), permit.roles().join(", "));
    is("quota_key", test.quota_key.clone(), permit.quota_key().unwrap_or("none").to_owned());
    is("sends", test.sends.clone(), permitted.understood().statement().canonical().to_owned());
    let shown = |pairs: BTreeMap<&str, String>| pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ");
    let written = test.settings.as_ref().map(|settings| shown(settings.iter().map(|(name, value)| (name.as_str(), value.to_string())).collect()));
    is("settings", written, shown(permit.settings().iter().map(|sent| (sent.name.as_str(), sent.value.clone())).collect()));
    differences
}
