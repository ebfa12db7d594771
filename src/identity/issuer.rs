//! One provider while Keyhouse runs: its keys, where they come from and how old they may be.
//!
//! A task of its own fetches them at start, at every refresh, and when a token names an unknown key, the latter at
//! most once per cooldown; requests wait for that fetch two seconds at most. A failed fetch keeps the last good set;
//! a good one replaces it whole, so that a key that the provider withdrew is gone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use http::{HeaderValue, Uri};
use serde_json::Value;
use tokio::sync::watch;

use super::diagnosis::bounded;
use super::discovery;
use super::fetch::{self, Along, Fetched};
use super::keys::{Algorithm, KeyId, KeySet};
use super::token::Parsed;
use crate::clock;
use crate::config::{KeySource, Provider, Secret, TENANT};
use crate::dial::Dialer;
use crate::record::Metrics;
use crate::refusal::{Reason, Refusal, chain};

/// How long a request waits for a fetch.
const WAIT: Duration = Duration::from_secs(2);

/// The first pause after a failed fetch; it doubles up to the refresh interval.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The shortest time between two fetches that a provider may ask for.
const SHORTEST_AGE: Duration = Duration::from_secs(60);

/// For connections to the provider.
const CONNECT: Duration = Duration::from_secs(2);

/// A configured provider and its keys.
pub struct Issuer {
    config: Provider,
    algorithms: Vec<Algorithm>,
    dialer: Dialer,
    keys: ArcSwapOption<Keys>,
    generation: AtomicU64,
    /// When the next fetch for an unknown key is allowed.
    next_asked: Mutex<Option<Instant>>,
    asked: watch::Sender<u64>,
    done: watch::Sender<u64>,
    metrics: Arc<Metrics>,
}

#[derive(Clone)]
struct Keys {
    set: Arc<KeySet>,
    /// When they stop serving; never for a file.
    until: Option<Instant>,
}

/// Where the keys were found, and the ones that the provider gave a tag to.
struct Found {
    address: Uri,
    known: Option<(HeaderValue, Arc<KeySet>)>,
}

impl Issuer {
    /// A provider without keys yet, unless they are in a file.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn new(config: Provider, metrics: Arc<Metrics>) -> Result<Self, String> {
        let algorithms = match &config.algorithms {
            None => Algorithm::all(),
            Some(names) => names
                .iter()
                .map(|name| {
                    Algorithm::named(name)
                        .ok_or_else(|| format!("algorithms: `{name}` is none that Keyhouse verifies; write some of {}", Algorithm::names()))
                })
                .collect::<Result<_, _>>()?,
        };
        if algorithms.is_empty() {
            return Err("algorithms: is empty; write at least one, or leave the key out".to_owned());
        }
        let dialer = Dialer::new(config.ca_file.as_deref(), CONNECT).map_err(|says| format!("ca_file: {says}"))?.by_environment();
        let keys = match &config.keys {
            KeySource::File(file) => {
                let json = std::fs::read(file)
                    .map_err(|error| format!("jwks_file: {} cannot be read ({error}); write a file that this user may read", file.display()))?;
                let (set, left_out) = KeySet::read(&json).map_err(|says| format!("jwks_file: {says}"))?;
                tell(&config.name, &left_out);
                Some(Arc::new(Keys { set: Arc::new(set), until: None }))
            }
            KeySource::Discovery(_) | KeySource::Address(_) => None,
        };
        Ok(Self {
            config,
            algorithms,
            dialer,
            keys: ArcSwapOption::new(keys),
            generation: AtomicU64::new(0),
            next_asked: Mutex::new(None),
            asked: watch::Sender::new(0),
            done: watch::Sender::new(0),
            metrics,
        })
    }

    /// Takes over the keys of an earlier config's provider, so that its callers need not wait for a fetch. A fetch follows all
    /// the same.
    pub fn inherit(&self, earlier: &Issuer) {
        let same = earlier.config.issuer == self.config.issuer && earlier.config.keys == self.config.keys;
        if same && self.fetches() {
            self.keys.store(earlier.keys.load_full());
        }
    }

    /// Its part of the config.
    pub fn config(&self) -> &Provider {
        &self.config
    }

    /// Whether its keys come from elsewhere and have to be kept fresh.
    pub fn fetches(&self) -> bool {
        !matches!(self.config.keys, KeySource::File(_))
    }

    /// Whether tokens of this provider can be judged now.
    pub fn is_ready(&self) -> bool {
        self.usable().is_some()
    }

    /// Whether the key is still among its keys.
    pub(super) fn has_key(&self, id: &KeyId) -> bool {
        self.usable().is_some_and(|keys| keys.set.has(id))
    }

    /// The algorithm of the token, if the provider's list has it (RFC 8725 3.1).
    pub(super) fn algorithm_of(&self, parsed: &Parsed<'_>) -> Result<Algorithm, Refusal> {
        let name = parsed.header.get("alg").and_then(Value::as_str).unwrap_or("");
        Algorithm::named(name).filter(|algorithm| self.algorithms.contains(algorithm)).ok_or_else(|| {
            let hint = if name.starts_with("HS") {
                " It is signed with a shared secret: choose a signing key at the provider (authentik: Provider, Signing Key)."
            } else {
                " Have the provider sign with one of them."
            };
            let allowed = match &self.config.algorithms {
                Some(names) => names.join(", "),
                None => Algorithm::names(),
            };
            let name = bounded(name, 20);
            Refusal::new(
                Reason::AlgNotAllowed,
                format!("Token algorithm is \"{name}\"; provider {} may sign with {allowed}.{hint}", self.config.name),
            )
        })
    }

    /// Verifies the signature, fetching the keys first where the token names one that is not known.
    pub(super) async fn verify(&self, parsed: &Parsed<'_>, algorithm: Algorithm) -> Result<KeyId, Refusal> {
        let mut keys = self.usable();
        if !keys.as_ref().is_some_and(|keys| keys.set.has_kid(parsed.kid())) {
            self.fetched_anew().await;
            keys = self.usable();
        }
        match keys {
            Some(keys) => self.verify_with(&keys.set, parsed, algorithm),
            None => Err(Refusal::new(
                Reason::KeysUnavailable,
                format!(
                    "The keys of provider {} cannot be fetched at the moment, so its tokens cannot be judged. Try again shortly.",
                    self.config.name
                ),
            )
            .retry_after(self.config.cooldown)),
        }
    }

    fn verify_with(&self, keys: &KeySet, parsed: &Parsed<'_>, algorithm: Algorithm) -> Result<KeyId, Refusal> {
        let key = keys.verify(parsed, algorithm, &self.config.name)?;
        // Keys of all tenants stand in one set, and each says whose tokens it signs.
        let (issuer, tenant) = (parsed.text("iss").unwrap_or_default(), parsed.text("tid").unwrap_or_default());
        if self.config.issuer.contains(TENANT) && !keys.signs_for(&key, |template| template.replace(TENANT, tenant) == issuer) {
            let says = format!("The key that signed the token is another tenant's at provider {}. Get a new token.", self.config.name);
            return Err(Refusal::new(Reason::IssuerMismatch, says));
        }
        Ok(key)
    }

    /// Changes whenever the keys do.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn usable(&self) -> Option<Arc<Keys>> {
        self.keys.load_full().filter(|keys| keys.until.is_none_or(|until| clock::tick() < until))
    }

    /// Waits for a fetch that begins now, or for the one that others wait for; returns at once within the cooldown.
    async fn fetched_anew(&self) {
        if !self.fetches() {
            return;
        }
        if self.may_ask() {
            self.asked.send_modify(|asked| *asked += 1);
        }
        let wanted = *self.asked.borrow();
        let mut done = self.done.subscribe();
        let fetched = done.wait_for(|done| *done >= wanted);
        if tokio::time::timeout(WAIT, fetched).await.is_err() {
            tracing::warn!(provider = self.config.name, "a token waited for keys in vain");
        }
    }

    /// Takes the slot before the fetch and whatever comes of it, so that a flood of unknown keys stays one fetch.
    fn may_ask(&self) -> bool {
        let now = clock::tick();
        let mut next = self.next_asked.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_some_and(|next| now < next) {
            return false;
        }
        *next = Some(now + self.config.cooldown);
        true
    }

    /// Keeps the keys fresh until the snapshot is dropped.
    pub async fn keep_fresh(self: Arc<Self>) {
        let mut asked = self.asked.subscribe();
        let mut found = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let answers = *asked.borrow_and_update();
            let next = match self.fetch(&mut found).await {
                Ok((keys, max_age)) => {
                    tracing::info!(provider = self.config.name, keys = keys.set.len(), "keys fetched");
                    self.keys.store(Some(Arc::new(keys)));
                    self.generation.fetch_add(1, Ordering::AcqRel);
                    self.metrics.keys_fetched(&self.config.name, clock::now());
                    pause = FIRST_PAUSE;
                    spread(until_next(self.config.refresh, max_age))
                }
                Err(error) => {
                    // The next time begins at discovery: the keys may have moved.
                    found = None;
                    self.metrics.keys_failed(&self.config.name);
                    let meanwhile = if self.is_ready() { "the last good ones serve on" } else { "tokens of this provider cannot be judged" };
                    tracing::warn!(provider = self.config.name, cause = chain(&error), "keys cannot be fetched; {meanwhile}");
                    let next = pause.min(self.config.refresh);
                    pause = pause.saturating_mul(2);
                    next
                }
            };
            self.done.send_replace(answers);
            tokio::select! {
                () = tokio::time::sleep(next) => {}
                changed = asked.changed() => if changed.is_err() { return },
            }
        }
    }

    /// The keys, and how long the provider says that they stay as they are.
    async fn fetch(&self, found: &mut Option<Found>) -> Result<(Keys, Option<Duration>), fetch::Error> {
        let (address, known) = match (&self.config.keys, found.take()) {
            (KeySource::Address(address), known) => (address.clone(), known.and_then(|found| found.known)),
            (KeySource::Discovery(_), Some(found)) => (found.address, found.known),
            (KeySource::Discovery(address), None) => (self.discover(address).await?, None),
            (KeySource::File(file), _) => return Err(fetch::Error::Content(format!("the keys are in {}", file.display()))),
        };
        let (etag, known) = known.unzip();
        let fetched = self.get(&address, etag).await?;
        let set = match (&fetched.body, known) {
            (None, Some(known)) => known,
            (None, None) => return Err(fetch::Error::Content(format!("{address} answered that nothing has changed, and nothing was known"))),
            (Some(json), _) => {
                let (set, left_out) = KeySet::read(json).map_err(fetch::Error::Content)?;
                tell(&self.config.name, &left_out);
                Arc::new(set)
            }
        };
        *found = Some(Found { address, known: fetched.etag.map(|etag| (etag, Arc::clone(&set))) });
        Ok((Keys { set, until: Some(clock::tick() + self.config.max_stale) }, fetched.max_age))
    }

    async fn get(&self, address: &Uri, etag: Option<HeaderValue>) -> Result<Fetched, fetch::Error> {
        // Read every time: such tokens live for an hour.
        let bearer = self.config.bearer_token_file.as_deref().map(Secret::of_file).transpose().map_err(fetch::Error::Content)?;
        fetch::get(&self.dialer, address, &Along { bearer, etag }).await
    }

    async fn discover(&self, address: &Uri) -> Result<Uri, fetch::Error> {
        let json = self.get(address, None).await?.body.unwrap_or_default();
        discovery::keys_address(&json, address, &self.config.issuer).map_err(fetch::Error::Content)
    }
}

/// How long to wait for the next fetch: what the config says, or less where the provider asks for it.
fn until_next(refresh: Duration, max_age: Option<Duration>) -> Duration {
    max_age.map_or(refresh, |age| refresh.min(age.max(SHORTEST_AGE)))
}

/// The refresh interval, give or take a tenth, so that many Keyhouses do not ask at the same moment.
fn spread(interval: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness the interval is merely not spread.
    let tenth = if aws_lc_rs::rand::fill(&mut byte).is_ok() { f64::from(byte[0]) / 255.0 } else { 0.5 };
    interval.mul_f64(0.9 + 0.2 * tenth)
}

fn tell(provider: &str, left_out: &[String]) {
    for why in left_out {
        tracing::warn!(provider, "left out: {why}");
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::{AudienceClaim, TokenType};

    #[test]
    fn a_provider_may_be_asked_sooner_and_never_later_than_the_config_says() {
        let seconds = Duration::from_secs;
        for (refresh, max_age, next) in [(300, None, 300), (300, Some(3600), 300), (300, Some(120), 120), (300, Some(0), 60), (30, Some(0), 30)] {
            assert_eq!(until_next(seconds(refresh), max_age.map(seconds)), seconds(next), "{refresh} {max_age:?}");
        }
    }

    /// A provider as plain as can be.
    pub(in crate::identity) fn provider() -> Provider {
        let hour = Duration::from_secs(3600);
        Provider {
            name: "corp".to_owned(),
            preset: None,
            issuer: "https://idp".to_owned(),
            audiences: vec!["clickhouse".to_owned()],
            audience_claim: AudienceClaim::Aud,
            token_types: vec![TokenType::Access],
            allowed_clients: Vec::new(),
            bound_claims: std::collections::BTreeMap::new(),
            required_scopes: Vec::new(),
            from_headers: Vec::new(),
            keys: KeySource::File("keys.json".into()),
            ca_file: None,
            bearer_token_file: None,
            algorithms: None,
            clock_skew: Duration::from_secs(60),
            max_token_lifetime: hour,
            max_token_size: 16_384,
            username_claim: "sub".to_owned(),
            username_prefix: String::new(),
            display_claim: None,
            groups: None,
            refresh: hour,
            cooldown: hour,
            max_stale: hour,
        }
    }
}
