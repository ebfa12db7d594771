//! Who asks: exactly one token, or one key of a service account, per request, verified here and left here.
//!
//! The specification is RFC 6750, 7515, 7519, 8725 and 9068, strict wherever they leave a choice: issuer by exact
//! bytes, audience first, then type and times. A mismatch refuses at once, all of them in one sentence; a token is
//! believed only after its signature.

mod attempts;
mod claims;
mod credential;
mod diagnosis;
mod discovery;
mod explain;
mod fetch;
#[cfg(keyhouse_fuzz)]
pub mod fuzzing;
mod hints;
mod issuer;
mod json;
mod keys;
mod resource;
mod service_account;
mod tenant;
mod token;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use foldhash::fast::RandomState;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};
use moka::Expiry;
use moka::sync::Cache;
use serde_json::{Map, Value};

pub use claims::{Caller, Line};
pub use explain::Explained;
pub use issuer::Issuer;
pub use resource::Resource;
pub use service_account::KEY_PREFIX;

use crate::config;
use crate::digest::fingerprint;
use crate::listen::{Arrived, Arriving};
use crate::record::Metrics;
use crate::refusal::{Reason, Refusal};
use attempts::Attempts;
use credential::Credential;
use keys::KeyId;
use service_account::ServiceAccounts;

/// Asks for another rule than the first that fits.
const RULE: HeaderName = HeaderName::from_static("x-keyhouse-rule");

/// How long a token is remembered whose signature is wrong, and how many.
const BAD: Duration = Duration::from_secs(30);
const MOST_BAD: u64 = 10_000;

/// A request whose caller is known, and from which every credential has been taken away.
pub struct Identified {
    caller: Arc<Caller>,
    from: IpAddr,
    head: BareHead,
    body: Arriving,
}

impl Identified {
    /// Who asks.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// The address that the request comes from.
    pub fn from(&self) -> IpAddr {
        self.from
    }

    /// A request as if its caller were this one, for those who try rules: whatever credential it brings is taken away unread.
    pub(crate) fn assumed(caller: Caller, from: IpAddr, mut head: Parts, body: Arriving) -> Self {
        drop(credential::take(&mut head, true, &[]));
        Self { caller: Arc::new(caller), from, head: BareHead::of(head), body }
    }

    /// Takes the rule that the caller asks for out of the head.
    ///
    /// # Errors
    /// 400 where the header stands twice or is no text.
    pub fn take_rule(&mut self) -> Result<Option<String>, Refusal> {
        let several = self.head.headers.get_all(RULE).into_iter().nth(1).is_some();
        match self.head.headers.remove(RULE).map(|value| value.to_str().map(str::to_owned)) {
            None => Ok(None),
            Some(Ok(name)) if !several => Ok(Some(name)),
            Some(_) => Err(Refusal::new(Reason::HeaderNotAllowed, "X-Keyhouse-Rule holds one name of a rule, once.")),
        }
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

/// How many pairs of tokens are remembered as one person's.
const MOST_PAIRS: u64 = 10_000;

/// Every provider, and the tokens that were verified lately.
pub struct Identities {
    issuers: Vec<Arc<Issuer>>,
    service_accounts: ServiceAccounts,
    longest_token: usize,
    /// Whether a token may stand in the address.
    in_addresses: bool,
    /// Headers that may hold a token, of all providers.
    from_headers: Vec<HeaderName>,
    /// Names that no caller may have.
    reserved: BTreeSet<String>,
    /// Claims that rules ask for, which callers keep.
    claims: BTreeSet<String>,
    kept: Cache<Place, Arc<Verified>, RandomState>,
    /// Tokens whose signature is wrong, by the keys that said so; apart, so that no flood of them costs a good one its place.
    bad: Cache<[u8; 32], u64>,
    /// Tokens in headers, with the bearer tokens that they took the place of, that are one person's.
    pairs: Cache<[u8; 32], ()>,
    attempts: Attempts,
    metrics: Arc<Metrics>,
}

/// A token by its fingerprint, and the configured header that it came in: other types of tokens are taken from there.
type Place = ([u8; 32], Option<usize>);

/// What is remembered of a good token: never the token itself.
struct Verified {
    caller: Arc<Caller>,
    issuer: Arc<Issuer>,
    key: KeyId,
    times: diagnosis::Times,
    keep: Duration,
}

struct UntilExpiry;

impl Expiry<Place, Arc<Verified>> for UntilExpiry {
    fn expire_after_create(&self, _key: &Place, value: &Arc<Verified>, _now: std::time::Instant) -> Option<Duration> {
        Some(value.keep)
    }
}

impl Identities {
    /// Reads what can be read before the first request: key files, authorities, algorithm names.
    pub fn new(config: &config::Config, metrics: Arc<Metrics>, problems: &mut config::Problems) -> Self {
        let providers = &config.providers;
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
            .max_capacity(config.limits.kept_tokens)
            .weigher(|_key: &Place, verified: &Arc<Verified>| u32::try_from(128 + verified.caller.weight()).unwrap_or(u32::MAX))
            .expire_after(UntilExpiry)
            .build_with_hasher(RandomState::default());
        let mut from_headers: Vec<HeaderName> =
            providers.iter().flat_map(|provider| &provider.from_headers).map(|header| header.name.clone()).collect();
        from_headers.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        from_headers.dedup();
        Self {
            issuers,
            service_accounts: ServiceAccounts::new(&config.service_accounts),
            longest_token: providers.iter().map(|provider| provider.max_token_size).max().unwrap_or(0),
            in_addresses: config.tokens_in_addresses,
            from_headers,
            claims: BTreeSet::new(),
            reserved: config.users.values().map(|user| user.user.clone()).chain(["default".to_owned()]).collect(),
            kept,
            bad: Cache::builder().max_capacity(MOST_BAD).time_to_live(BAD).build(),
            pairs: Cache::new(MOST_PAIRS),
            attempts: Attempts::new(config.limits.failed_attempts),
            metrics,
        }
    }

    /// Every provider.
    pub fn issuers(&self) -> &[Arc<Issuer>] {
        &self.issuers
    }

    /// Has callers keep these claims, each a name or a pointer, and no others.
    pub fn keep_claims<'a>(&mut self, claims: impl Iterator<Item = &'a str>) {
        self.claims = claims.map(|claim| claims::first(claim).into_owned()).collect();
    }

    /// Takes over what an earlier config's providers have fetched.
    pub fn inherit(&self, earlier: &Identities) {
        for issuer in &self.issuers {
            for known in earlier.issuers.iter().filter(|known| known.config().name == issuer.config().name) {
                issuer.inherit(known);
            }
        }
    }

    /// Takes the credential out of a request and says whose it is.
    ///
    /// # Errors
    /// 401 with what is wrong with the token, 400 where the request brings two, 403 where the token lacks groups or scopes,
    /// 429 where too many attempts failed, 503 where the provider's keys cannot be had.
    pub async fn identify(&self, arrived: Box<Arrived>, now: SystemTime) -> Result<Identified, Refusal> {
        let from = arrived.from();
        let (mut head, body) = arrived.into_parts();
        let credential = credential::take(&mut head, self.in_addresses, &self.from_headers)?;
        self.one_person(&credential)?;
        let caller = match credential.secret() {
            key if key.starts_with(KEY_PREFIX) && credential.header().is_none() => self.account(key, from, now)?,
            token => self.judge(token, credential.header(), Some(from), now).await.map_err(|refusal| credential.explain(refusal))?,
        };
        credential.names_fit(&caller)?;
        Ok(Identified { caller, from, head: BareHead::of(head), body })
    }

    /// Reads two tokens of one sign-in once, not with every request.
    fn one_person(&self, credential: &Credential) -> Result<(), Refusal> {
        let Some(pair) = credential.pair().filter(|pair| !self.pairs.contains_key(pair)) else { return Ok(()) };
        credential.same_person()?;
        self.pairs.insert(pair, ());
        Ok(())
    }

    /// Whose token it is, by the kept ones or anew.
    ///
    /// # Errors
    /// Those of [`Identities::identify`] that are about a token.
    pub async fn verify(&self, token: &str, now: SystemTime) -> Result<Arc<Caller>, Refusal> {
        self.judge(token, None, None, now).await
    }

    /// Knowing a key costs less than slowing its guesser down, so that a good one never waits.
    fn account(&self, key: &str, from: IpAddr, now: SystemTime) -> Result<Arc<Caller>, Refusal> {
        let account = self.service_accounts.identify(key, from, now);
        if account.as_ref().is_err_and(|refusal| refusal.reason() == Reason::UnknownServiceKey) {
            self.attempts.may(from)?;
        }
        self.attempts.went(from, &account);
        account
    }

    async fn judge(&self, token: &str, header: Option<usize>, from: Option<IpAddr>, now: SystemTime) -> Result<Arc<Caller>, Refusal> {
        if token.len() > self.longest_token {
            return Err(token::too_large(token.len(), self.longest_token));
        }
        let place = (fingerprint(token.as_bytes()), header);
        if let Some(verified) = self.kept.get(&place) {
            if verified.issuer.has_key(&verified.key) && verified.times.fit(verified.issuer.config(), now) {
                self.metrics.tokens_found.inc();
                return Ok(Arc::clone(&verified.caller));
            }
            self.kept.invalidate(&place);
        }
        self.metrics.tokens_missed.inc();
        if let Some(from) = from {
            self.attempts.may(from)?;
        }
        // Boxed, because it is long and rare: every request would carry its room.
        let verified = Box::pin(self.verify_anew(token, place, now)).await.map(Arc::new);
        if let Some(from) = from {
            self.attempts.went(from, &verified);
        }
        let verified = verified?;
        let caller = Arc::clone(&verified.caller);
        if !verified.keep.is_zero() {
            self.kept.insert(place, verified);
        }
        Ok(caller)
    }

    async fn verify_anew(&self, token: &str, (digest, header): Place, now: SystemTime) -> Result<Verified, Refusal> {
        let parsed = token::parse(token)?;
        let issuer = self.issuer_of(&parsed)?;
        let config = issuer.config();
        if token.len() > config.max_token_size {
            return Err(token::too_large(token.len(), config.max_token_size));
        }
        let times = diagnosis::examine(&parsed, config, self.types_taken(config, header)?, now)?;
        let algorithm = issuer.algorithm_of(&parsed)?;
        let generation = issuer.generation();
        if self.bad.get(&digest) == Some(generation) {
            self.metrics.tokens_bad.inc();
            return Err(keys::bad_signature(&config.name));
        }
        let key = issuer.verify(&parsed, algorithm).await.inspect_err(|refusal| {
            if refusal.reason() == Reason::BadSignature {
                self.bad.insert(digest, generation);
            }
        })?;
        let caller = Arc::new(self.caller(config, parsed.claims)?);
        Ok(Verified { caller, issuer: Arc::clone(issuer), key, times, keep: times.left(config, now) })
    }

    /// Which tokens a provider is asked for where this one came from.
    fn types_taken<'a>(&self, config: &'a config::Provider, header: Option<usize>) -> Result<&'a [config::TokenType], Refusal> {
        let Some(name) = header.and_then(|number| self.from_headers.get(number)) else { return Ok(&config.token_types) };
        let known = config.from_headers.iter().find(|known| known.name == *name);
        known.map(|known| known.token_types.as_slice()).ok_or_else(|| {
            let says = format!("The header `{name}` is not read for tokens of provider {}; send `Authorization: Bearer <token>`.", config.name);
            Refusal::new(Reason::UnknownIssuer, says)
        })
    }

    fn caller(&self, config: &config::Provider, claims: Map<String, Value>) -> Result<Caller, Refusal> {
        claims::scopes(config, &claims)?;
        let mut caller = claims::caller(config, claims)?;
        caller.claims.retain(|name, _| self.claims.contains(name));
        if self.reserved.contains(&caller.username) {
            let says = format!(
                "The token names its caller `{}`, as a ClickHouse user is called. Have a prefix set under claim_mappings.username of provider {}.",
                caller.username, config.name
            );
            return Err(Refusal::new(Reason::ReservedUsername, says));
        }
        Ok(caller)
    }

    fn issuer_of(&self, parsed: &token::Parsed<'_>) -> Result<&Arc<Issuer>, Refusal> {
        let issuer = diagnosis::issuer(parsed)?;
        let exact = self.issuers.iter().find(|known| known.config().issuer == issuer);
        let of_a_tenant = || self.issuers.iter().find(|known| tenant::of(&known.config().issuer, issuer).is_some());
        exact.or_else(of_a_tenant).ok_or_else(|| {
            let known: Vec<&config::Provider> = self.issuers.iter().map(|known| known.config()).collect();
            diagnosis::unknown_issuer(issuer, &known)
        })
    }
}
