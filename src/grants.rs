//! What ClickHouse has to hold a rule to, should Keyhouse err: users, roles, grants, constraints (`keyhouse check --grants`).
//!
//! Rules judge names; a grant is judged where ClickHouse reads a table, whatever led to it. So each user that rules act as
//! gets what those rules allow together and nothing more, nothing that leaves the server, and no setting that Keyhouse does not
//! send itself.

mod held;
mod limits;
mod sql;
mod users_xml;

use std::collections::BTreeSet;

pub use held::{Grant, Held, On};
pub use limits::{Hold, Limit, closed, limits};

use crate::config::Config;
use crate::policy::{Means, Rule, Rules};
use crate::statement::quoted;
pub use crate::statement::written_name as quote;

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Statements, for ClickHouse 24.8 and later.
    Sql,
    /// Users and grants of a file in users.d, for the same versions.
    UsersXml,
    /// A file in users.d for servers before 20.4, which have databases instead of grants.
    AllowDatabases,
}

/// One user of one cluster, and the rules that act as it.
#[derive(Debug)]
pub struct Holder<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The user's name in ClickHouse.
    pub user: &'a str,
    /// Its names under `clickhouse.users`.
    pub names: Vec<&'a str>,
    /// The databases of names without one, which go with every statement.
    pub databases: Vec<&'a str>,
    /// The rules.
    pub rules: Vec<Means<'a>>,
    /// Whether it ends statements of others (`kill_as`).
    pub kills: bool,
}

/// Every user that rules act as. Two names for one user of one server share what they may do.
pub fn holders<'a>(config: &'a Config, rules: &'a Rules) -> Vec<Holder<'a>> {
    let mut holders: Vec<Holder<'a>> = Vec::new();
    for (name, user) in &config.users {
        let means = rules.iter().filter(|rule| rule.act_as() == name).map(Rule::means);
        let kills = config.clusters.get(&user.cluster).is_some_and(|cluster| cluster.kill_as.as_ref() == Some(name));
        match holders.iter_mut().find(|holder| holder.cluster == user.cluster && holder.user == user.user) {
            Some(holder) => {
                holder.names.push(name);
                holder.databases.push(&user.database);
                holder.rules.extend(means);
                holder.kills |= kills;
            }
            None => {
                let databases = vec![user.database.as_str()];
                holders.push(Holder { cluster: &user.cluster, user: &user.user, names: vec![name], databases, rules: means.collect(), kills });
            }
        }
    }
    holders.sort_by_key(|holder| holder.cluster);
    holders
}

impl Holder<'_> {
    /// The name of what is made for it.
    pub fn own_name(&self) -> String {
        format!("keyhouse_{}", self.names.first().unwrap_or(&self.user))
    }

    /// What it holds under rules without roles.
    pub fn held(&self) -> Held {
        Held::of(&self.rules.iter().filter(|rule| rule.roles.is_empty()).collect::<Vec<_>>())
    }

    /// Each role that rules name, with what it holds.
    pub fn roles(&self) -> Vec<(&str, Held)> {
        let names: BTreeSet<&str> = self.rules.iter().flat_map(|rule| rule.roles).map(String::as_str).collect();
        let held = |role: &str| Held::of(&self.rules.iter().filter(|rule| rule.roles.iter().any(|name| name == role)).collect::<Vec<_>>());
        names.into_iter().map(|role| (role, held(role))).collect()
    }

    /// Everything that it may ever do, by whatever role.
    pub fn all_held(&self) -> Held {
        Held::of(&self.rules.iter().collect::<Vec<_>>())
    }

    /// Whether none of its rules allows more than reads.
    pub fn only_reads(&self) -> bool {
        self.rules.iter().flat_map(|rule| &rule.effects).all(|effect| *effect == "read")
    }

    /// What a person has to know beside it.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.kills {
            notes.push(format!(
                "{} ends statements (kill_as): GRANT KILL QUERY ON *.* TO {}, by hand, and a profile without readonly.",
                quote(self.user),
                quote(self.user)
            ));
        }
        for rule in &self.rules {
            let name = rule.name;
            if rule.computed_names {
                notes.push(format!("Rule `{name}` allows names that are worked out at run time: what they reach is held by these grants alone."));
            }
            if rule.observe {
                notes.push(format!("Rule `{name}` only observes: what it would refuse passes Keyhouse, and stops at these grants."));
            }
            if rule.effects.contains("administer") {
                notes.push(format!("Rule `{name}` allows `administer`: grant by hand what is meant (KILL QUERY, SYSTEM ..., BACKUP)."));
            }
            if rule.effects.contains("session") {
                notes.push(format!("Rule `{name}` allows `session`: temporary tables need GRANT CREATE TEMPORARY TABLE ON *.*, by hand."));
            }
            if rule.functions.iter().any(|function| function == "file" || function == "class:outside") {
                notes.push(format!(
                    "Rule `{name}` allows the function file(): no grant holds it, it reads what lies under the server's user_files_path."
                ));
            }
            let custom: Vec<String> = rule.session_settings.iter().map(|(setting, from)| format!("{setting} = {from}")).collect();
            if !custom.is_empty() {
                notes.push(format!(
                    "Rule `{name}` sends {}: the server needs their prefix in custom_settings_prefixes. A row policy reads them: CREATE ROW POLICY \
                     IF NOT EXISTS {} ON DATABASE.TABLE USING COLUMN = getSetting({}) TO {}",
                    custom.join(", "),
                    quote(&format!("keyhouse_{name}")),
                    rule.session_settings.first().map(|(setting, _)| quoted(setting)).unwrap_or_default(),
                    quote(self.user),
                ));
            }
            for (table, filter) in &rule.rows {
                notes.push(format!(
                    "Rule `{name}` filters {table} by `{filter}`, which is sent as additional_table_filters and holds only in plain reads of \
                     MergeTree tables. Stronger: the value under session_settings, and CREATE ROW POLICY IF NOT EXISTS {} ON {table} USING \
                     (the filter with getSetting('SQL_...') for the value) TO {}",
                    quote(&format!("keyhouse_{name}")),
                    quote(self.user),
                ));
            }
        }
        notes
    }
}

/// Writes it for these users, each cluster by itself; `has` are the settings that the servers have, where they were asked.
pub fn write(form: Form, holders: &[Holder<'_>], has: Option<&BTreeSet<String>>) -> String {
    let clusters = holders.chunk_by(|one, other| one.cluster == other.cluster);
    let written = clusters.map(|holders| match form {
        Form::Sql => sql::write(holders, has),
        Form::UsersXml => users_xml::write(holders, has),
        Form::AllowDatabases => users_xml::write_old(holders),
    });
    written.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::config::Problems;
    use crate::policy::{self, Names};

    fn written(rules: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("10.yaml"), rules).unwrap();
        let mut problems = Problems::default();
        let rules = policy::load(folder.path(), Names::Any, &mut problems);
        assert!(problems.is_empty(), "{problems}");
        let holder = Holder {
            cluster: "main",
            user: "kh",
            names: vec!["kh"],
            databases: vec!["default"],
            rules: rules.iter().map(Rule::means).collect(),
            kills: false,
        };
        write(Form::Sql, &[holder], None)
    }

    #[test]
    fn patterns_become_grants_and_denials_revokes() {
        let sql = written(
            "rules:\n  - {name: a, whom: {groups: [a]}, act_as: kh, allow: [{tables: ['sales.*', 'web.hit*', 'x.*_y', 'p*.*'], deny: ['sales.pay*', 'sales.*_raw', 'hr.*']}]}",
        );
        for line in [
            "GRANT SELECT ON sales.* TO keyhouse_kh;",
            "GRANT SELECT ON web.hit* TO keyhouse_kh;",
            "GRANT SELECT ON p*.* TO keyhouse_kh;",
            "REVOKE SELECT ON sales.pay* FROM keyhouse_kh;",
            "REVOKE SELECT ON sales.`.inner`* FROM keyhouse_kh;",
            "`x.*_y` cannot be granted",
            "`sales.*_raw` cannot be revoked",
        ] {
            assert!(sql.contains(line), "{line}\n{sql}");
        }
        assert!(!sql.contains(" hr."), "{sql}");
    }

    #[test]
    fn what_another_rule_allows_is_not_revoked() {
        let sql = written(concat!(
            "rules:\n  - {name: a, whom: {groups: [a]}, act_as: kh, allow: [{tables: ['sales.*'], deny: [sales.pay]}]}\n",
            "  - {name: b, whom: {groups: [b]}, act_as: kh, allow: [{tables: [sales.pay]}]}"
        ));
        assert!(!sql.contains("REVOKE SELECT ON sales.pay") && sql.contains("give the two rules users of their own"), "{sql}");
    }

    #[test]
    fn what_keyhouse_sends_stays_free_and_the_rest_is_constant() {
        let sql = written(concat!(
            "rules:\n  - {name: a, whom: {groups: [a]}, act_as: kh, allow: [{tables: ['sales.*']}], rows: {sales.t: \"a = {username}\"}, ",
            "settings: {pin: {max_threads: 4, use_query_cache: 0}, cap: {max_execution_time: 60}}}\n",
            "  - {name: b, whom: {groups: [b]}, act_as: kh, allow: [{tables: ['sales.*']}], settings: {pin: {max_threads: 2, use_query_cache: 0}, cap: {max_execution_time: 90}}}"
        ));
        for line in [
            "select = '' CONST",
            "readonly = 2",
            "max_execution_time = 90 MIN 1 MAX 90",
            "use_query_cache = '0' CONST",
            "timeout_overflow_mode = 'throw' CONST",
            "    format_schema CONST",
        ] {
            assert!(sql.contains(line), "{line}\n{sql}");
        }
        for name in ["max_threads", "additional_table_filters", "log_comment", "database", "default_format", "limit", "offset"] {
            assert!(!sql.lines().any(|line| line.trim_start().starts_with(&format!("{name} "))), "{name}\n{sql}");
        }
    }
}
