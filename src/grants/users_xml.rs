//! A file in `users.d`, where users are not made by SQL; and for servers before 20.4, which have no grants.

use std::collections::BTreeSet;

use super::Holder;
use super::limits::{Hold, Limit, closed, limits};
use super::sql::{CLOSED, comment};
use crate::statement::is_plain_name;

const HEAD: &str = "    What ClickHouse has to hold the rules to: made by `keyhouse check`. Put in the passwords' SHA-256
    (printf %s PASSWORD | sha256sum) and, under networks, the addresses that Keyhouse connects from.
";

pub(super) fn write(holders: &[Holder<'_>], has: Option<&BTreeSet<String>>) -> String {
    let known = |name: &str| has.is_none_or(|has| has.contains(name));
    let mut out = format!("<!--\n{HEAD}{}-->\n<clickhouse>\n    <profiles>\n        <default/>\n", told(holders));
    let constants: String = closed(holders, known).into_iter().map(|name| format!("            <{name}><const/></{name}>\n")).collect();
    out.push_str(&format!("        <{CLOSED}><constraints>\n{constants}        </constraints></{CLOSED}>\n"));
    for holder in holders {
        let (name, limits) = (holder.own_name(), limits(holder, holders, known));
        out.push_str(&format!(
            "        <{name}>\n            <profile>{CLOSED}</profile>\n{}        </{name}>\n",
            values(&limits) + &constraints(&limits)
        ));
    }
    out.push_str("    </profiles>\n    <quotas><default/></quotas>\n");
    out.push_str("    <roles>\n");
    for (role, held) in holders.iter().flat_map(Holder::roles) {
        out.push_str(&format!("        <{role}><grants>\n{}        </grants></{role}>\n", queries(&held.statements(role))));
    }
    out.push_str("    </roles>\n    <users>\n");
    for holder in holders {
        let roles: Vec<String> = holder.roles().iter().map(|(role, _)| format!("GRANT {}", super::quote(role))).collect();
        let grants: Vec<String> = holder.held().statements(holder.user).into_iter().chain(roles).collect();
        user(&mut out, holder, &format!("            <grants>\n{}            </grants>\n", queries(&grants)));
    }
    out.push_str("    </users>\n</clickhouse>\n");
    out
}

/// Databases instead of grants, and values instead of constraints, which 18.16 does not know (115). With `readonly` 1 they hold;
/// Keyhouse can act so where all rules of the user have the same settings.
pub(super) fn write_old(holders: &[Holder<'_>]) -> String {
    let mut out = format!("<!--\n{HEAD}{OLD}{}-->\n<yandex>\n    <profiles>\n        <default/>\n", told(holders));
    for holder in holders {
        let (name, mut limits) = (holder.own_name(), limits(holder, holders, |name| name == "readonly" || is_of_rules(holder, name)));
        if holder.only_reads() && !limits.iter().any(|limit| limit.hold == Hold::Free && limit.value.is_none()) {
            limits.iter_mut().filter(|limit| limit.name == "readonly").for_each(|limit| limit.value = Some("1".to_owned()));
        }
        if !holder.rules.iter().any(|rule| rule.effects.contains("define")) {
            limits.push(Limit { name: "allow_ddl".to_owned(), value: Some("0".to_owned()), hold: Hold::Const });
        }
        out.push_str(&format!("        <{name}>\n{}        </{name}>\n", values(&limits)));
    }
    out.push_str("    </profiles>\n    <quotas><default/></quotas>\n    <users>\n");
    for holder in holders {
        let databases = databases(holder);
        let listed: String = databases.iter().map(|name| format!("                <database>{}</database>\n", escaped(name))).collect();
        user(&mut out, holder, &format!("            <allow_databases>\n{listed}            </allow_databases>\n"));
    }
    out.push_str("    </users>\n</yandex>\n");
    out
}

const OLD: &str = "    For servers before 20.4: databases as a whole instead of grants. A table that a rule denies, or one of a database of which
    a rule allows others, is open to ClickHouse. The database of names without one (clickhouse.users.NAME.database) goes with every
    statement and is always listed. Settings and table functions (url, file, remote) are held by readonly 1 alone: a user that
    also writes, or whose rules have settings that differ, has it not.
";

/// Whether the setting is one of a rule's own: what else 26.9 has, old servers do not know.
fn is_of_rules(holder: &Holder<'_>, name: &str) -> bool {
    holder.rules.iter().any(|rule| rule.pins.contains_key(name) || rule.caps.contains_key(name) || rule.modes.contains(&name))
}

fn databases(holder: &Holder<'_>) -> BTreeSet<String> {
    let named = holder.rules.iter().flat_map(|rule| &rule.tables).map(|(_, pattern)| pattern.parts().0);
    let mut databases: BTreeSet<String> = named.filter(|name| !name.contains('*')).map(str::to_owned).collect();
    databases.extend(holder.databases.iter().map(|name| (*name).to_owned()));
    databases
}

fn values(limits: &[Limit]) -> String {
    let value = |limit: &Limit| limit.value.as_ref().map(|value| format!("            <{0}>{1}</{0}>\n", limit.name, escaped(value)));
    limits.iter().filter_map(value).collect()
}

fn constraints(limits: &[Limit]) -> String {
    let mut out = "            <constraints>\n".to_owned();
    for Limit { name, hold, .. } in limits {
        match hold {
            Hold::Const => out.push_str(&format!("                <{name}><const/></{name}>\n")),
            Hold::Between(least, most) => out.push_str(&format!("                <{name}><min>{least}</min><max>{most}</max></{name}>\n")),
            Hold::Free => {}
        }
    }
    out.push_str("            </constraints>\n");
    out
}

fn user(out: &mut String, holder: &Holder<'_>, grants: &str) {
    let (user, key) = (holder.user, holder.names.first().unwrap_or(&holder.user));
    out.push_str(&format!(
        "        <{user}>\n            <password_sha256_hex>SHA256-OF-THE-PASSWORD-OF-{key}</password_sha256_hex>\n            \
         <networks><ip>::/0</ip></networks>\n            <profile>{}</profile>\n            <quota>default</quota>\n{grants}        </{user}>\n",
        holder.own_name()
    ));
}

fn queries(statements: &[String]) -> String {
    // A statement here is for whom it stands under.
    let without_whom =
        |text: &str| text.rsplit_once(" TO ").or_else(|| text.rsplit_once(" FROM ")).map_or(text.to_owned(), |(what, _)| what.to_owned());
    statements.iter().map(|text| format!("                <query>{}</query>\n", escaped(&without_whom(text)))).collect()
}

/// What people have to know, within a comment.
fn told(holders: &[Holder<'_>]) -> String {
    let mut out = format!("    Cluster {}: a file of its own.\n", within_comment(holders.first().map_or("", |holder| holder.cluster)));
    for holder in holders {
        let held = holder.all_held();
        for note in holder.notes().iter().chain(&held.notes) {
            out.push_str(&format!("    {}: {}\n", holder.user, within_comment(&comment(note))));
        }
        let names = std::iter::once(holder.user)
            .chain(holder.names.iter().copied())
            .chain(holder.rules.iter().flat_map(|rule| rule.roles).map(String::as_str));
        for name in names.filter(|name| !is_plain_name(name)) {
            out.push_str(&format!("    {} is no name of an XML element; make it by SQL.\n", within_comment(name)));
        }
    }
    out
}

/// Two dashes would end an XML comment.
fn within_comment(text: &str) -> String {
    text.replace("--", "- -")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
