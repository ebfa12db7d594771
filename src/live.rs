//! `keyhouse check --live`: what the servers really let each user do, beside what its rules need.
//!
//! An error is what Keyhouse or ClickHouse would refuse at run time although a rule allows it, or a filter of rows that would not
//! hold; a warning is what ClickHouse would allow beyond the rules.

mod granted;

use std::collections::BTreeSet;
use std::fmt;

use crate::catalog::{self, Setting};
use crate::grants::{Grant, Held, Hold, Holder, On, closed, limits, quote};
use crate::policy::{self, Means, Pattern, is_of_system};
use crate::refusal::{Reason, Refusal};
use crate::statement::quoted;
use crate::upstream::{Seen, Unset, Upstream};
use granted::{Granted, Line};

/// The oldest and the newest version that the tests ran against, as (major, minor).
const TESTED: [(u32, u32); 2] = [(24, 8), (26, 9)];

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Statements that a rule allows would be refused, or rows be seen that it hides.
    Error,
    /// ClickHouse allows more than the rules, or could not say.
    Warning,
}

/// One thing to look at.
#[derive(Debug)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Who and where: user and node.
    pub whom: String,
    /// What was seen.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// What mends it.
    pub mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{severity}: {}: {}", self.whom, self.what)?;
        writeln!(f, "    why: {}", self.why)?;
        write!(f, "    do:  {}", self.mend)
    }
}

/// What was asked, and what came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// What there is to look at, errors first within a user.
    pub findings: Vec<Finding>,
    /// One line for each user and node that answered.
    pub asked: Vec<String>,
    /// Settings of the servers, where all told them: what profiles may name.
    pub settings: Option<BTreeSet<String>>,
}

impl Report {
    /// Whether something is an error.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Asks every node of every user's cluster.
pub async fn look(upstream: &Upstream, holders: &[Holder<'_>]) -> Report {
    let mut report = Report::default();
    for holder in holders {
        for name in &holder.names {
            for (node, seen) in upstream.look(name).await {
                let whom = format!("user {} (clickhouse.users.{name}) at {node}", holder.user);
                let mut view = View { whom, holder, name, findings: Vec::new() };
                match seen {
                    Ok(mut seen) => match view.see(&mut seen, holders, &mut report.settings).await {
                        Ok(version) => report.asked.push(format!("{}: ClickHouse {version}", view.whom)),
                        Err(refusal) => view.unanswered(&refusal),
                    },
                    Err(refusal) => view.unanswered(&refusal),
                }
                view.findings.sort_by_key(|finding| finding.severity);
                report.findings.append(&mut view.findings);
            }
        }
    }
    report
}

/// One user at one node.
struct View<'a> {
    whom: String,
    holder: &'a Holder<'a>,
    name: &'a str,
    findings: Vec<Finding>,
}

impl View<'_> {
    fn find(&mut self, severity: Severity, what: String, why: &str, mend: String) {
        self.findings.push(Finding { severity, whom: self.whom.clone(), what, why: why.to_owned(), mend });
    }

    fn unanswered(&mut self, refusal: &Refusal) {
        let because = refusal.chain().map(|cause| format!(" ({cause})")).unwrap_or_default();
        let mend = if refusal.reason() == Reason::UpstreamCredentials {
            format!(
                "make the user with the password that clickhouse.users.{} names (`keyhouse check --grants` prints how), or name the right password",
                self.name
            )
        } else {
            "look at the address, the certificate authority and the server".to_owned()
        };
        self.find(
            Severity::Error,
            format!("cannot be asked: {}{because}", refusal.says()),
            "every statement of its rules would be refused with the same words",
            mend,
        );
    }

    async fn see(&mut self, seen: &mut Seen<'_>, holders: &[Holder<'_>], settings: &mut Option<BTreeSet<String>>) -> Result<String, Refusal> {
        let version = self.answer(seen, "SELECT version()", None, "its version").await?.unwrap_or_default().trim().to_owned();
        self.version(&version);
        let (holder, name) = (self.holder, self.name);
        for means in holder.rules.iter().filter(|means| means.act_as == name) {
            self.settings_of_rule(seen, means);
            self.roles(seen, means).await?;
            self.rows(seen, means).await?;
        }
        self.constraints(seen, holders, settings).await?;
        self.grants(seen).await?;
        Ok(version)
    }

    /// What the server says; where it answers an error, that is told, and nothing comes of it.
    async fn answer(&mut self, seen: &mut Seen<'_>, sql: &str, role: Option<&str>, of: &str) -> Result<Option<String>, Refusal> {
        match seen.ask(sql, role).await? {
            Ok(text) => Ok(Some(text)),
            Err((code, text)) => {
                let text: String = text.chars().take(200).collect();
                self.find(
                    Severity::Warning,
                    format!("cannot be asked for {of}: {}", text.trim()),
                    "what was not told was not compared",
                    format!("look at it by hand: {sql} (code {code})"),
                );
                Ok(None)
            }
        }
    }

    fn version(&mut self, version: &str) {
        let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
        let (Some(Some(major)), Some(Some(minor))) = (parts.next(), parts.next()) else { return };
        let [oldest, newest] = TESTED;
        if (major, minor) < oldest {
            self.find(
                Severity::Warning,
                format!("is ClickHouse {version}, older than {}.{}", oldest.0, oldest.1),
                "grants, constraints and settings of rules are weaker or missing there, and answers may end cleanly although the statement failed",
                "upgrade; before 20.4 print `keyhouse check --grants --form allow-databases`".to_owned(),
            );
        } else if (major, minor) > newest {
            self.find(
                Severity::Warning,
                format!("is ClickHouse {version}, newer than {}.{}, which Keyhouse was tested with", newest.0, newest.1),
                "its new statements are refused, and its new settings are in no list of Keyhouse",
                "look for a newer Keyhouse; run the tests of your rules against this version".to_owned(),
            );
        }
    }

    fn settings_of_rule(&mut self, seen: &Seen<'_>, means: &Means<'_>) {
        let inserts = means.effects.contains("insert") && !means.expressions;
        for Unset { name, value, is_known } in seen.cannot_be_set(&means.always_sent, means.effects.contains("read"), inserts) {
            let (what, mend) = match is_known {
                true => (
                    format!("may not change `{name}`, which has to be {value} (code 164 or 452)"),
                    format!("ALTER SETTINGS PROFILE of the user: let `{name}` be changed, or set it to {value} (`keyhouse check --grants`)"),
                ),
                false => (
                    format!("does not have the setting `{name}`, which has to be {value} (code 115)"),
                    format!("take `{name}` out of the rule, or upgrade"),
                ),
            };
            self.find(Severity::Error, what, &format!("rule `{}` refuses every statement that it goes with (upstream-settings)", means.name), mend);
        }
        if !seen.names_callers() && !means.effects.is_empty() {
            self.find(
                Severity::Warning,
                "does not have `log_comment`, or may not change it".to_owned(),
                "system.query_log does not tell which caller a statement was for; Keyhouse's record does, by query_id",
                "let it be changed".to_owned(),
            );
        }
    }

    async fn roles(&mut self, seen: &mut Seen<'_>, means: &Means<'_>) -> Result<(), Refusal> {
        for role in means.roles {
            if let Err((code, text)) = seen.ask("SELECT 1", Some(role)).await? {
                self.find(
                    Severity::Error,
                    format!("does not have the role `{}`: {}", role.escape_debug(), text.trim()),
                    &format!("rule `{}` asks for it with every statement (code {code})", means.name),
                    format!("GRANT `{role}` TO `{}`", self.holder.user),
                );
            }
        }
        Ok(())
    }

    /// A filter that comes with the query holds only where its own engine reads the table.
    async fn rows(&mut self, seen: &mut Seen<'_>, means: &Means<'_>) -> Result<(), Refusal> {
        for (table, _) in &means.rows {
            let Some((database, name)) = table.split_once('.') else { continue };
            let sql = format!("SELECT engine FROM system.tables WHERE database = {} AND name = {}", quoted(database), quoted(name));
            let role = means.roles.first().map(String::as_str);
            let Some(engine) = self.answer(seen, &sql, role, "the engines of filtered tables").await? else { continue };
            let engine = engine.trim();
            let stronger =
                format!("filter it in ClickHouse: CREATE ROW POLICY ... ON {table} over session_settings, or filter the tables that it reads");
            if engine.is_empty() {
                self.find(
                    Severity::Error,
                    format!("does not see the table {table} that rule `{}` filters", means.name),
                    "nothing can be said of its filter, and reads of it are refused",
                    format!("GRANT SELECT ON {table}, or take the table out of `rows`"),
                );
            } else if !policy::is_filtered_engine(engine) {
                self.find(
                    Severity::Error,
                    format!("{table}, which rule `{}` filters, is a {engine} and no table of the MergeTree family", means.name),
                    "additional_table_filters are not known to hold there: what it reads is read without them",
                    stronger,
                );
            }
        }
        Ok(())
    }

    /// What callers must not set should be constant in ClickHouse too.
    async fn constraints(&mut self, seen: &mut Seen<'_>, holders: &[Holder<'_>], settings: &mut Option<BTreeSet<String>>) -> Result<(), Refusal> {
        let all = match seen.ask("SELECT name, readonly, value FROM system.settings FORMAT TabSeparated", None).await? {
            Ok(text) => text,
            Err(_) => {
                let sql = "SELECT name, 0, value FROM system.settings FORMAT TabSeparated";
                let told = self.answer(seen, sql, None, "its settings").await?.unwrap_or_default();
                let says = "cannot say which settings are constant (its system.settings has no column `readonly`)";
                self.find(Severity::Warning, says.to_owned(), "constraints were not compared", "look at the profile in users.xml by hand".to_owned());
                *settings = Some(told.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect());
                return Ok(());
            }
        };
        let rows: Vec<(&str, bool, &str)> = all
            .lines()
            .filter_map(|line| {
                let mut cells = line.split('\t');
                Some((cells.next()?, cells.next()? != "0", cells.next().unwrap_or_default()))
            })
            .collect();
        let has: BTreeSet<String> = rows.iter().map(|(name, ..)| (*name).to_owned()).collect();
        let row = |name: &str| rows.iter().find(|(known, ..)| *known == name);
        let constant: Vec<String> = closed(holders, |name| has.contains(name)).into_iter().map(str::to_owned).collect();
        let own = limits(self.holder, holders, |name| has.contains(name));
        let forbidden = |name: &str| catalog::setting(name) == Setting::Forbidden;
        let own = own.iter().filter(|limit| limit.hold == Hold::Const && forbidden(&limit.name)).map(|limit| limit.name.clone());
        let open: Vec<String> = own.chain(constant).filter(|name| row(name).is_some_and(|(_, constant, _)| !constant)).collect();
        if !open.is_empty() {
            let shown: Vec<&str> = open.iter().map(String::as_str).take(6).collect();
            let more = open.len().saturating_sub(shown.len());
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            self.find(
                Severity::Warning,
                format!("may change settings that no rule gives: {}{more}", shown.join(", ")),
                "Keyhouse refuses them; where it erred, ClickHouse would not (they hold SQL, files, addresses, or what is logged)",
                "give the user the profile that `keyhouse check --grants --live` prints".to_owned(),
            );
        }
        let only_reads = self.holder.only_reads() && !self.holder.rules.is_empty();
        if only_reads && row("readonly").is_some_and(|(_, _, value)| *value == "0") {
            self.find(
                Severity::Warning,
                "has readonly = 0, and its rules only read".to_owned(),
                "Keyhouse sends readonly = 2 with reads; in the profile it holds without Keyhouse",
                "readonly = 2 in the user's profile".to_owned(),
            );
        }
        settings.get_or_insert_with(|| has.clone()).retain(|name| has.contains(name));
        Ok(())
    }

    async fn grants(&mut self, seen: &mut Seen<'_>) -> Result<(), Refusal> {
        let text = match seen.ask("SHOW GRANTS FINAL", None).await? {
            Ok(text) => text,
            Err(_) => match seen.ask("SHOW GRANTS", None).await? {
                Ok(text) => text,
                Err((code, _)) => return self.without_grants(seen, code).await,
            },
        };
        let granted = Granted::read(&text);
        for line in &granted.unread {
            let what = format!("has a grant that Keyhouse cannot read: {}", line.escape_debug());
            self.find(Severity::Warning, what, "it was not compared", "compare it by hand".to_owned());
        }
        let held = self.holder.all_held();
        // Where rules have roles of their own, FINAL tells the default ones alone.
        let mut all = granted.lines;
        let roles: BTreeSet<&str> = self.holder.rules.iter().flat_map(|rule| rule.roles).map(String::as_str).collect();
        for role in roles {
            if let Ok(text) = seen.ask("SHOW GRANTS FINAL", Some(role)).await? {
                all.extend(Granted::read(&text).lines);
            }
        }
        self.beyond(&all, &held);
        // What is the same on every server is open without a grant.
        if let Ok(text) = seen.ask("SHOW GRANTS WITH IMPLICIT FINAL", None).await? {
            all.extend(Granted::read(&text).lines);
        }
        self.missing(&all, &held);
        Ok(())
    }

    /// Servers before 20.4 have databases instead of grants, and tell them only by what is seen.
    async fn without_grants(&mut self, seen: &mut Seen<'_>, code: u16) -> Result<(), Refusal> {
        self.find(
            Severity::Warning,
            format!("cannot be asked for its grants: SHOW GRANTS is an error there (code {code})"),
            "what it may do beyond its rules is not known; such servers have allow_databases and readonly in users.xml instead",
            "compare users.xml with `keyhouse check --grants --form allow-databases`".to_owned(),
        );
        let Some(told) = self.answer(seen, "SELECT name FROM system.databases", None, "the databases that it sees").await? else { return Ok(()) };
        let patterns = || self.holder.rules.iter().flat_map(|rule| &rule.tables).map(|(_, pattern)| *pattern);
        let more: Vec<&str> = told
            .lines()
            .filter(|name| !is_of_system(name) && !patterns().any(|pattern| Pattern::whole(name).is_some_and(|whole| whole.meets(pattern))))
            .collect();
        let missing: BTreeSet<&str> = patterns()
            .map(|pattern| pattern.parts().0)
            .filter(|name| !name.contains('*') && !is_of_system(name) && !told.lines().any(|seen| seen == *name))
            .collect();
        if !more.is_empty() {
            let what = format!("sees databases that none of its rules names: {}", more.join(", "));
            self.find(
                Severity::Warning,
                what,
                "where it may also read them, only Keyhouse keeps callers out",
                "list the others under allow_databases of the user in users.xml".to_owned(),
            );
        }
        for name in missing {
            self.find(
                Severity::Error,
                format!("does not see the database `{name}` that a rule allows"),
                "statements that the rule allows are refused by ClickHouse, or the database is not there",
                "write it under allow_databases of the user in users.xml, or make it".to_owned(),
            );
        }
        Ok(())
    }

    /// What ClickHouse would allow and no rule does.
    fn beyond(&mut self, all: &[Line], held: &Held) {
        let user = quote(self.holder.user);
        let means = |line: &Line| held.grants.iter().chain(&held.base).any(|grant| line.is_within(grant));
        let mut more: Vec<&Line> = all.iter().filter(|line| !line.is_revoke && !means(line)).collect();
        more.dedup();
        for line in more {
            self.find(
                Severity::Warning,
                format!("may {} ON {}, and no rule that acts as it does", line.privilege, line.on),
                line.danger(),
                format!("REVOKE {} ON {} FROM {user}; (or from its role; a user of users.xml: there)", line.privilege, line.on),
            );
        }
        for line in all.iter().filter(|line| line.grant_option) {
            self.find(
                Severity::Warning,
                format!("may give {} ON {} to others (WITH GRANT OPTION)", line.privilege, line.on),
                "who gets past Keyhouse could make it last",
                format!("REVOKE GRANT OPTION FOR {} ON {} FROM {user}", line.privilege, line.on),
            );
        }
        for revoke in held.revokes.iter().filter(|revoke| !is_inner(revoke)) {
            let reaches = all.iter().any(|line| !line.is_revoke && line.is_of(revoke) && line.meets(revoke));
            let is_taken_back = all.iter().any(|line| line.is_revoke && line.is_of(revoke) && line.covers(revoke));
            if reaches && !is_taken_back {
                self.find(
                    Severity::Warning,
                    format!("may {} ON {}, which its rule denies", revoke.privilege, revoke.on),
                    "only Keyhouse keeps callers out of it",
                    format!("REVOKE {} ON {} FROM {user}; (or from its role)", revoke.privilege, revoke.on),
                );
            }
        }
    }

    /// What a rule allows and ClickHouse would refuse.
    fn missing(&mut self, all: &[Line], held: &Held) {
        let user = quote(self.holder.user);
        for grant in &held.grants {
            let has = |line: &Line| !line.is_revoke && line.is_of(grant);
            if all.iter().any(|line| has(line) && line.covers(grant)) {
                continue;
            }
            let some = all.iter().any(|line| has(line) && line.meets(grant));
            let of_all = if some { "of all of it" } else { "at all" };
            self.find(
                if some { Severity::Warning } else { Severity::Error },
                format!("may not {} ON {} {of_all}, which a rule allows", grant.privilege, grant.on),
                "statements that the rule allows are refused by ClickHouse (code 497)",
                format!("GRANT {} ON {} TO {user}; or say less in the rule", grant.privilege, grant.on),
            );
        }
        let holder = self.holder;
        for rule in &holder.rules {
            for (effect, pattern) in &rule.tables {
                let (database, table) = pattern.parts();
                let on = On::Table(database.to_owned(), table.to_owned());
                let privilege = match effect.word() {
                    "read" => "SELECT",
                    "insert" => "INSERT",
                    _ => continue,
                };
                let wanted = Grant { privilege, on };
                let told = held.grants.contains(&wanted) || all.iter().any(|line| !line.is_revoke && line.is_of(&wanted) && line.meets(&wanted));
                if !told {
                    self.find(
                        Severity::Error,
                        format!("may not {privilege} anything that `{pattern}` means, which rule `{}` allows", rule.name),
                        "statements that the rule allows are refused by ClickHouse (code 497)",
                        format!("GRANT {privilege} on the tables that are meant TO {user}"),
                    );
                }
            }
        }
    }
}

fn is_inner(grant: &Grant) -> bool {
    matches!(&grant.on, On::Table(_, table) if table.starts_with(".inner"))
}
