//! Statements for who administers ClickHouse.

use std::collections::BTreeSet;

use super::limits::{Hold, Limit, closed, limits};
use super::{Holder, quote};
use crate::statement::quoted;

/// The profile that all users share.
pub(super) const CLOSED: &str = "keyhouse_closed";

const HEAD: &str = "\
-- What ClickHouse has to hold the rules to: made by `keyhouse check --grants`, for who administers ClickHouse 24.8 or later.
-- Every line can be run again. Roles and profiles called keyhouse_... are made anew; users stay, and what else they were granted
-- (`keyhouse check --live` tells).
";

const UNASKED: &str = "\
-- The settings are those of 26.9. An older server refuses a profile with one that it does not have (115): print this with
-- --live, which leaves them out.
";

pub(super) fn write(holders: &[Holder<'_>], has: Option<&BTreeSet<String>>) -> String {
    let known = |name: &str| has.is_none_or(|has| has.contains(name));
    let mut out = HEAD.to_owned();
    if has.is_none() {
        out.push_str(UNASKED);
    }
    let cluster = holders.first().map_or("", |holder| holder.cluster);
    out.push_str(&format!("\n-- Cluster {}\n\n-- What no caller may set, and Keyhouse does not send.\n", comment(cluster)));
    let settings: Vec<String> = closed(holders, known).into_iter().map(|name| format!("    {name} CONST")).collect();
    out.push_str(&format!("CREATE SETTINGS PROFILE OR REPLACE {CLOSED} SETTINGS\n{};\n", settings.join(",\n")));
    for holder in holders {
        user(&mut out, holder, holders, known);
    }
    out
}

fn user(out: &mut String, holder: &Holder<'_>, holders: &[Holder<'_>], known: impl Fn(&str) -> bool) {
    let (user, own) = (quote(holder.user), holder.own_name());
    let rules: Vec<String> = holder.rules.iter().map(|rule| format!("{} ({})", rule.name, rule.place)).collect();
    let rules = if rules.is_empty() { "no rule acts as it".to_owned() } else { rules.join(", ") };
    line(out, "");
    line(out, &format!("-- {} (clickhouse.users.{}): {}", comment(holder.user), comment(&holder.names.join(", ")), comment(&rules)));
    let (limits, held) = (limits(holder, holders, known), holder.held());
    let free: Vec<&str> = limits.iter().filter(|limit| limit.hold == Hold::Free && limit.value.is_none()).map(|limit| limit.name.as_str()).collect();
    for note in holder.notes().iter().chain(&held.notes) {
        line(out, &format!("-- {}", comment(note)));
    }
    line(out, "-- Keyhouse sends and so has to be able to change: database, default_format, log_comment,");
    line(out, &format!("-- cancel_http_readonly_queries_on_client_close{}{}.", if free.is_empty() { "" } else { ", " }, free.join(", ")));
    let settings: Vec<String> = limits.iter().filter_map(setting).map(|setting| format!(",\n    {setting}")).collect();
    line(out, &format!("CREATE SETTINGS PROFILE OR REPLACE {} SETTINGS INHERIT '{CLOSED}'{};", quote(&own), settings.concat()));
    role(out, &own, held.statements(&own));
    let roles = holder.roles();
    for (name, held) in &roles {
        for note in &held.notes {
            line(out, &format!("-- {}", comment(note)));
        }
        role(out, name, held.statements(name));
    }
    line(out, "-- Behind the password: HOST IP 'the addresses that Keyhouse connects from'.");
    let secret = quoted(&format!("<the password of clickhouse.users.{}>", holder.names.first().unwrap_or(&holder.user)));
    line(out, &format!("CREATE USER IF NOT EXISTS {user} IDENTIFIED WITH sha256_password BY {secret};"));
    let all: Vec<String> = std::iter::once(own.as_str()).chain(roles.iter().map(|(name, _)| *name)).map(quote).collect();
    line(out, &format!("GRANT {} TO {user};", all.join(", ")));
    line(out, &format!("ALTER USER {user} DEFAULT ROLE {} SETTINGS PROFILE {};", quote(&own), quoted(&own)));
}

/// Made anew, so that nothing of an earlier run is left.
fn role(out: &mut String, name: &str, statements: Vec<String>) {
    line(out, &format!("CREATE ROLE IF NOT EXISTS {};", quote(name)));
    line(out, &format!("REVOKE ALL ON *.* FROM {};", quote(name)));
    for statement in statements {
        line(out, &format!("{statement};"));
    }
}

fn setting(limit: &Limit) -> Option<String> {
    let Limit { name, value, hold } = limit;
    let value = value.as_ref().map(|value| match hold {
        Hold::Const => format!(" = {}", quoted(value)),
        Hold::Between(..) | Hold::Free => format!(" = {value}"),
    });
    match (value, hold) {
        (None, Hold::Free) => None,
        (value, Hold::Free) => Some(format!("{name}{}", value.unwrap_or_default())),
        (value, Hold::Const) => Some(format!("{name}{} CONST", value.unwrap_or_default())),
        (value, Hold::Between(least, most)) => Some(format!("{name}{} MIN {least} MAX {most}", value.unwrap_or_default())),
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// A text that stays within its line.
pub(super) fn comment(text: &str) -> String {
    text.replace(char::is_control, " ")
}
