//! Which rules can be meant for a caller, without looking at all of them.

use std::collections::HashMap;

use serde_json::Value;

use super::whom::Whom;
use crate::config::{SERVICE_ACCOUNT, Scalar};
use crate::identity::Caller;

/// Rules by what they ask of a caller: each stands under every alternative of one thing that it asks for, so that a caller
/// who has none of them need not be compared with it.
#[derive(Debug, Default)]
pub(super) struct Index {
    groups: HashMap<String, Vec<usize>>,
    accounts: HashMap<String, Vec<usize>>,
    /// Claim, then value.
    claims: HashMap<String, HashMap<String, Vec<usize>>>,
    /// Rules that ask for nothing that could be looked up.
    others: Vec<usize>,
}

impl Index {
    /// Of these rules, by their numbers.
    pub(super) fn of<'a>(rules: impl Iterator<Item = &'a Whom>) -> Self {
        let mut index = Self::default();
        for (number, whom) in rules.enumerate() {
            index.add(number, whom);
        }
        index
    }

    fn add(&mut self, number: usize, whom: &Whom) {
        let named = whom.service_accounts.as_ref().map(|names| (&mut self.accounts, names));
        if let Some((map, names)) = named.or_else(|| whom.groups.as_ref().map(|names| (&mut self.groups, names))) {
            for name in names {
                map.entry(name.clone()).or_default().push(number);
            }
            return;
        }
        match whom.claims.iter().find_map(|(claim, values)| Some((claim, exact(values)?))) {
            Some((claim, values)) => {
                let map = self.claims.entry(claim.clone()).or_default();
                for value in values {
                    map.entry(value.to_owned()).or_default().push(number);
                }
            }
            None => self.others.push(number),
        }
    }

    /// Rules that may be meant for the caller, in their order; one may come twice.
    pub(super) fn candidates<'a>(&'a self, caller: &Caller) -> impl Iterator<Item = usize> + use<'a> {
        let mut lists: Vec<&'a [usize]> = vec![&self.others];
        lists.extend(caller.groups.iter().filter_map(|group| self.groups.get(group)).map(Vec::as_slice));
        if caller.provider == SERVICE_ACCOUNT {
            lists.extend(self.accounts.get(&caller.subject).map(Vec::as_slice));
        }
        for (claim, values) in &self.claims {
            let seen = caller.claim(claim);
            let texts = seen.into_iter().flat_map(|seen| seen.as_array().map_or(std::slice::from_ref(seen), Vec::as_slice)).filter_map(Value::as_str);
            lists.extend(texts.filter_map(|text| values.get(text)).map(Vec::as_slice));
        }
        std::iter::from_fn(move || {
            let next = lists.iter_mut().filter(|list| !list.is_empty()).min_by_key(|list| list.first().copied())?;
            let (number, rest) = next.split_first()?;
            *next = rest;
            Some(*number)
        })
    }
}

/// The values, where all are text without a star.
fn exact(values: &[Scalar]) -> Option<Vec<&str>> {
    values.iter().map(without_star).collect()
}

fn without_star(value: &Scalar) -> Option<&str> {
    match value {
        Scalar::Text(text) if !text.contains('*') => Some(text),
        Scalar::Text(_) | Scalar::Bool(_) | Scalar::Number(_) => None,
    }
}
