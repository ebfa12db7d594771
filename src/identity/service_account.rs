//! Service accounts: callers with no person behind them, known by a random key of which only SHA-256 is kept.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::constant_time;

use super::Caller;
use crate::config::{self, SERVICE_ACCOUNT, network};
use crate::digest::sha256;
use crate::refusal::{Reason, Refusal};

/// How every key begins, so that people and secret scanners know one when they see it.
pub const KEY_PREFIX: &str = "khs_";

/// Every service account.
pub(super) struct ServiceAccounts(Vec<Account>);

struct Account {
    config: config::ServiceAccount,
    caller: Arc<Caller>,
}

impl ServiceAccounts {
    pub(super) fn new(accounts: &[config::ServiceAccount]) -> Self {
        let account = |config: &config::ServiceAccount| Account { config: config.clone(), caller: Arc::new(caller(config)) };
        Self(accounts.iter().map(account).collect())
    }

    /// Whose key it is. Every key is compared in full, so that the time tells nothing.
    ///
    /// # Errors
    /// 401 for a key of nobody or of an account that has expired, 403 from outside of the account's networks.
    pub(super) fn identify(&self, key: &str, from: IpAddr, now: SystemTime) -> Result<Arc<Caller>, Refusal> {
        let digest = sha256(key.as_bytes());
        let mut found = None;
        for account in &self.0 {
            for known in &account.config.keys {
                if constant_time::verify_slices_are_equal(known, &digest).is_ok() {
                    found = Some(account);
                }
            }
        }
        let Some(Account { config, caller }) = found else {
            return Err(Refusal::new(
                Reason::UnknownServiceKey,
                "No service account has this key; it may have been replaced. Ask those who run Keyhouse.",
            ));
        };
        if let Some(expires) = config.expires.filter(|expires| *expires <= now) {
            let expired = humantime::format_rfc3339_seconds(expires);
            return Err(Refusal::new(Reason::ServiceAccountExpired, format!("The service account {} expired at {expired}.", config.name)));
        }
        let from = from.to_canonical();
        if !config.networks.is_empty() && !network::hold(&config.networks, from) {
            let says = format!("The service account {} is not for the address {from}; its networks are in the config.", config.name);
            return Err(Refusal::new(Reason::NetworkNotAllowed, says));
        }
        Ok(Arc::clone(caller))
    }
}

fn caller(config: &config::ServiceAccount) -> Caller {
    let (provider, subject, username) = (SERVICE_ACCOUNT.to_owned(), config.name.clone(), config.name.clone());
    Caller { provider, subject, username, display: None, groups: config.groups.clone(), claims: serde_json::Map::new(), line: Default::default() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn account(name: &str, keys: &[&str]) -> config::ServiceAccount {
        config::ServiceAccount {
            name: name.to_owned(),
            keys: keys.iter().map(|key| sha256(key.as_bytes())).collect(),
            groups: vec!["dashboards".to_owned()],
            networks: Vec::new(),
            expires: None,
        }
    }

    #[test]
    fn a_key_is_its_accounts_within_its_time_and_networks() {
        let bounded = config::ServiceAccount {
            networks: vec!["10.1.0.0/16".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            expires: Some(UNIX_EPOCH + Duration::from_secs(1000)),
            ..account("bounded", &["khs_c"])
        };
        let accounts = ServiceAccounts::new(&[account("grafana", &["khs_a", "khs_b"]), bounded]);
        for (key, from, now, expected) in [
            ("khs_a", "192.0.2.1", 999, Ok("grafana")),
            ("khs_b", "::1", 2000, Ok("grafana")),
            ("khs_d", "192.0.2.1", 999, Err(Reason::UnknownServiceKey)),
            ("khs_", "192.0.2.1", 999, Err(Reason::UnknownServiceKey)),
            ("khs_c", "10.1.2.3", 999, Ok("bounded")),
            ("khs_c", "::ffff:10.1.2.3", 999, Ok("bounded")),
            ("khs_c", "2001:db8::1", 999, Ok("bounded")),
            ("khs_c", "10.2.2.3", 999, Err(Reason::NetworkNotAllowed)),
            ("khs_c", "10.1.2.3", 1000, Err(Reason::ServiceAccountExpired)),
        ] {
            let found = accounts.identify(key, from.parse().unwrap(), UNIX_EPOCH + Duration::from_secs(now));
            let found = found.as_ref().map(|caller| caller.username.as_str()).map_err(Refusal::reason);
            assert_eq!(found, expected, "{key} from {from} at {now}");
        }
    }
}
