//! Who asks: exactly one token, or one key of a service account, per request, verified here and left here.
//!
//! The specification is RFC 6750, 7515, 7519, 8725 and 9068, strict wherever they leave a choice: issuer by exact
//! bytes, audience first, then type and times. A mismatch refuses at once, all of them in one sentence; a token is
//! believed only after its signature.

mod claims;
mod credential;
mod diagnosis;
mod discovery;
mod explain;
mod fetch;
#[cfg(keyhouse_fuzz)]
pub mod fuzzing;
mod issuer;
mod json;
mod keys;
mod resource;
mod service_account;
mod token;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::request::Parts;
use http::{HeaderMap, Method};
use moka::Expiry;
use moka::sync::Cache;

pub use claims::Caller;
pub use explain::Explained;
pub use issuer::Issuer;
pub use resource::Resource;
pub use service_account::KEY_PREFIX;

use crate::config;
use crate::digest::sha256;
use crate::listen::{Arrived, Arriving};
use crate::record::Metrics;
use crate::refusal::Refusal;
use keys::KeyId;
use service_account::ServiceAccounts;

/// How long a verified token is kept at most; it is checked again on every use.
const KEPT: Duration = Duration::from_secs(60);

/// What the kept tokens may weigh together.
const KEPT_BYTES: u64 = 32 * 1024 * 1024;

/// A request whose caller is known, and from which every credential has been taken away.
pub struct Identified {
    caller: Arc<Caller>,
    head: BareHead,
    body: Arriving,
}

impl Identified {
    /// Who asks.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// The parts, for the statement room.
    pub fn into_parts(self) -> (Arc<Caller>, BareHead, Arriving) {
        (self.caller, self.head, self.body)
    }
}

/// A head without credentials. Only [`Identities::identify`] makes one.
pub struct BareHead {
    method: Method,
    query: Option<String>,
    headers: HeaderMap,
}

impl BareHead {
    fn of(head: Parts) -> Self {
        Self { method: head.method, query: head.uri.query().map(str::to_owned), headers: head.headers }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// What stands after the `?`, still encoded.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The fields that are left.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// Every provider, and the tokens that were verified lately.
pub struct Identities {
    issuers: Vec<Arc<Issuer>>,
    service_accounts: ServiceAccounts,
    longest_token: usize,
    /// Whether a token may stand in the address.
    in_addresses: bool,
    kept: Cache<[u8; 32], Arc<Verified>>,
    metrics: Arc<Metrics>,
}

/// What is remembered of a good token: never the token itself.
struct Verified {
    caller: Arc<Caller>,
    issuer: Arc<Issuer>,
    key: KeyId,
    times: diagnosis::Times,
    keep: Duration,
}

struct UntilExpiry;

impl Expiry<[u8; 32], Arc<Verified>> for UntilExpiry {
    fn expire_after_create(&self, _key: &[u8; 32], value: &Arc<Verified>, _now: std::time::Instant) -> Option<Duration> {
        Some(value.keep)
    }
}

impl Identities {
    /// Reads what can be read before the first request: key files, authorities, algorithm names.
    pub fn new(config: &config::Config, metrics: Arc<Metrics>, problems: &mut config::Problems) -> Self {
        let (providers, in_addresses) = (&config.providers, config.tokens_in_addresses);
        let issuers = providers
            .iter()
            .filter_map(|provider| match Issuer::new(provider.clone(), Arc::clone(&metrics)) {
                Ok(issuer) => Some(Arc::new(issuer)),
                Err(says) => {
                    problems.add(format!("identity_providers.{}", provider.name), says);
                    None
                }
            })
            .collect();
        let kept = Cache::builder()
            .max_capacity(KEPT_BYTES)
            .weigher(|_key: &[u8; 32], verified: &Arc<Verified>| u32::try_from(128 + verified.caller.weight()).unwrap_or(u32::MAX))
            .expire_after(UntilExpiry)
            .build();
        let longest_token = providers.iter().map(|provider| provider.max_token_size).max().unwrap_or(0);
        Self { issuers, service_accounts: ServiceAccounts::new(&config.service_accounts), longest_token, in_addresses, kept, metrics }
    }

    /// Every provider.
    pub fn issuers(&self) -> &[Arc<Issuer>] {
        &self.issuers
    }

    /// Takes the credential out of a request and says whose it is.
    ///
    /// # Errors
    /// 401 with what is wrong with the token, 400 where the request brings two, 403 where the token lacks the
    /// groups' claim, 503 where the provider's keys cannot be had.
    pub async fn identify(&self, arrived: Arrived, now: SystemTime) -> Result<Identified, Refusal> {
        let from = arrived.peer().ip();
        let (mut head, body) = arrived.into_parts();
        let credential = credential::take(&mut head, self.in_addresses)?;
        let caller = match credential.secret() {
            key if key.starts_with(KEY_PREFIX) => self.service_accounts.identify(key, from, now)?,
            token => self.verify(token, now).await.map_err(|refusal| credential.explain(refusal))?,
        };
        credential.names_fit(&caller)?;
        Ok(Identified { caller, head: BareHead::of(head), body })
    }

    /// Whose token it is, by the kept ones or anew.
    ///
    /// # Errors
    /// Those of [`Identities::identify`] that are about a token.
    pub async fn verify(&self, token: &str, now: SystemTime) -> Result<Arc<Caller>, Refusal> {
        if token.len() > self.longest_token {
            return Err(token::too_large(token.len(), self.longest_token));
        }
        let key = sha256(token.as_bytes());
        if let Some(verified) = self.kept.get(&key) {
            if verified.issuer.has_key(&verified.key) && verified.times.fit(verified.issuer.config(), now) {
                self.metrics.token_cache.with_label_values(&["hit"]).inc();
                return Ok(Arc::clone(&verified.caller));
            }
            self.kept.invalidate(&key);
        }
        self.metrics.token_cache.with_label_values(&["miss"]).inc();
        let verified = Arc::new(self.verify_anew(token, now).await?);
        let caller = Arc::clone(&verified.caller);
        if !verified.keep.is_zero() {
            self.kept.insert(key, verified);
        }
        Ok(caller)
    }

    async fn verify_anew(&self, token: &str, now: SystemTime) -> Result<Verified, Refusal> {
        let parsed = token::parse(token)?;
        let issuer = self.issuer_of(&parsed)?;
        let config = issuer.config();
        if token.len() > config.max_token_size {
            return Err(token::too_large(token.len(), config.max_token_size));
        }
        let times = diagnosis::examine(&parsed, config, now)?;
        let algorithm = issuer.algorithm_of(&parsed)?;
        let key = issuer.verify(&parsed, algorithm).await?;
        let caller = Arc::new(claims::caller(config, &parsed.claims)?);
        let keep = times.left(config, now).min(KEPT);
        Ok(Verified { caller, issuer: Arc::clone(issuer), key, times, keep })
    }

    fn issuer_of(&self, parsed: &token::Parsed<'_>) -> Result<&Arc<Issuer>, Refusal> {
        let issuer = diagnosis::issuer(parsed)?;
        self.issuers
            .iter()
            .find(|known| known.config().issuer == issuer)
            .ok_or_else(|| diagnosis::unknown_issuer(issuer, self.issuers.iter().map(|known| known.config())))
    }
}
