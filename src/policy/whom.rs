//! Whom a rule is meant for: a caller that fits every key that the rule says, at this moment and from this address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::SystemTime;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::file::Names;
use super::pattern::glob;
use super::windows::{Windows, WrittenWindow};
use crate::config::checked::moment;
use crate::config::written::BoundClaim;
use crate::config::{Problems, SERVICE_ACCOUNT, Scalar, network};
use crate::identity::Caller;

/// Whom a rule is meant for: a caller that fits every key that is there.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct WrittenWhom {
    /// The caller is in one of these groups.
    pub groups: Option<Vec<String>>,
    /// The caller's token is of one of these providers; any where it is left out.
    pub providers: Option<Vec<String>>,
    /// Claims that the caller's token has, each with the value or one of the values that it is; `*` in text is for any characters.
    /// Names are written as under `claim_mappings`.
    #[serde(default)]
    pub claims: BTreeMap<String, BoundClaim>,
    /// The caller is one of these service accounts.
    pub service_accounts: Option<Vec<String>>,
    /// The request comes from one of these networks, as `10.0.0.0/8`.
    pub networks: Option<Vec<String>>,
    /// The request comes within one of these windows.
    pub hours: Option<Vec<WrittenWindow>>,
    /// When the rule ends, as `2027-01-31T00:00:00Z`.
    pub expires: Option<String>,
}

/// What a rule is chosen by.
pub struct Asking<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// From where.
    pub from: IpAddr,
    /// When.
    pub now: SystemTime,
    /// The rule that the caller asks for (`X-Keyhouse-Rule`).
    pub rule: Option<&'a str>,
}

/// The same, checked.
#[derive(Debug)]
pub(super) struct Whom {
    pub(super) groups: Option<BTreeSet<String>>,
    providers: Option<BTreeSet<String>>,
    pub(super) claims: BTreeMap<String, Vec<Scalar>>,
    pub(super) service_accounts: Option<BTreeSet<String>>,
    networks: Option<Vec<IpNet>>,
    hours: Option<Windows>,
    expires: Option<SystemTime>,
}

impl Whom {
    pub(super) fn fits(&self, asking: &Asking<'_>) -> bool {
        let Asking { caller, from, now, .. } = asking;
        self.groups.as_ref().is_none_or(|groups| caller.groups.iter().any(|group| groups.contains(group)))
            && self.providers.as_ref().is_none_or(|providers| providers.contains(&caller.provider))
            && self.service_accounts.as_ref().is_none_or(|names| caller.provider == SERVICE_ACCOUNT && names.contains(&caller.subject))
            && self.claims.iter().all(|(claim, values)| caller.claim(claim).is_some_and(|seen| is_one_of(seen, values)))
            && self.networks.as_ref().is_none_or(|networks| network::hold(networks, *from))
            && self.expires.is_none_or(|expires| *now < expires)
            && self.hours.as_ref().is_none_or(|windows| windows.are_open(*now))
    }
}

/// Of a list one item is enough.
fn is_one_of(seen: &Value, values: &[Scalar]) -> bool {
    if let Value::Array(items) = seen {
        return items.iter().any(|item| !item.is_array() && is_one_of(item, values));
    }
    values.iter().any(|value| match (value, seen) {
        (Scalar::Text(pattern), Value::String(seen)) => glob(pattern, seen),
        (value, seen) => value.is(seen),
    })
}

/// Checks what is written at this place of a policy file.
pub(super) fn check(written: WrittenWhom, place: &str, known: Names<'_>, problems: &mut Problems) -> Whom {
    if written.groups.is_none() && written.providers.is_none() && written.claims.is_empty() && written.service_accounts.is_none() {
        problems.add(place, "says nobody; write groups, providers, claims or service_accounts");
    }
    let claims: BTreeMap<String, Vec<Scalar>> = written.claims.iter().map(|(claim, values)| (claim.clone(), values.values())).collect();
    for (claim, _) in claims.iter().filter(|(_, values)| values.is_empty()) {
        problems.add(format!("{place}.claims.{claim}"), "is empty, so the rule is meant for nobody; write the value that it must be");
    }
    let mut names = |key: &str, what: &str, names: Option<Vec<String>>, known: Option<&dyn Fn(&str) -> bool>| {
        let names: BTreeSet<String> = names?.into_iter().collect();
        if names.is_empty() {
            problems.add(format!("{place}.{key}"), format!("is empty, so the rule is meant for nobody; write at least one {what}"));
        }
        for name in names.iter().filter(|name| known.is_some_and(|known| !known(name))) {
            problems.add(format!("{place}.{key}"), format!("there is no {what} `{name}` in the config; write one that is there"));
        }
        Some(names)
    };
    let groups = names("groups", "group", written.groups, None);
    let providers = names("providers", "provider", written.providers, Some(&|name| known.has_provider(name)));
    let service_accounts = names("service_accounts", "service account", written.service_accounts, Some(&|name| known.has_service_account(name)));
    let expires = written.expires.and_then(|text| moment(format!("{place}.expires"), &text, problems));
    let networks = written.networks.map(|networks| {
        let key = format!("{place}.networks");
        if networks.is_empty() {
            problems.add(&key, "is empty, so the rule is meant for nobody; write at least one network");
        }
        network::networks(&key, &networks, problems)
    });
    let hours = written.hours.map(|windows| Windows::check(&windows, &format!("{place}.hours"), problems));
    Whom { groups, providers, claims, service_accounts, networks, hours, expires }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_by_type_and_stars_in_text_alone() {
        let text = |text: &str| Scalar::Text(text.to_owned());
        for (seen, values, fits) in [
            (Value::from("main"), vec![text("main")], true),
            (Value::from("refs/heads/x"), vec![text("refs/heads/*")], true),
            (Value::from("refs/tags/x"), vec![text("refs/heads/*"), text("refs/tags/*")], true),
            (Value::from("true"), vec![Scalar::Bool(true)], false),
            (Value::from(true), vec![Scalar::Bool(true)], true),
            (Value::from(1), vec![Scalar::Number(1)], true),
            (Value::from("1"), vec![Scalar::Number(1)], false),
            (Value::from(1.5), vec![Scalar::Number(1)], false),
            (Value::from(vec!["a", "b"]), vec![text("b")], true),
            (Value::from(vec![Value::from(vec!["b"])]), vec![text("b")], false),
            (Value::Null, vec![text("*")], false),
            (Value::from(1), vec![text("*")], false),
        ] {
            assert_eq!(is_one_of(&seen, &values), fits, "{seen} in {values:?}");
        }
    }
}
