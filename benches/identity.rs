//! What a token costs: one that was never seen, beside what another library takes for the same tokens and the same checks,
//! and one that is kept. The bars: a fresh one no slower than the other library's, a kept one at most a tenth of that.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "criterion makes the functions, and a bench fails by panicking")]

#[allow(dead_code, unreachable_pub, clippy::panic, clippy::unreachable, reason = "written for the tests, which need more of it")]
#[path = "../tests/it/support/key.rs"]
mod key;
#[allow(dead_code, unreachable_pub, clippy::panic, clippy::unreachable, reason = "written for the tests, which need more of it")]
#[path = "../tests/it/support/token.rs"]
mod token;

use std::{
    fs,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use criterion::{Criterion, criterion_group, criterion_main};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, jwk::Jwk};
use keyhouse::{identity::Identities, start};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use key::Key;
use token::Token;

const ISSUER: &str = "https://login.example.com/realms/staff";

const CONFIG: &str = "
listen: [{address: 127.0.0.1:0}]
identity_providers:
  corp:
    issuer: https://login.example.com/realms/staff
    audiences: [clickhouse]
    jwks_file: keys.json
    claim_mappings: {username: {claim: sub}, groups: {claim: groups}}
clickhouse:
  clusters: {main: {nodes: ['http://127.0.0.1:8123']}}
  users: {analyst: {cluster: main, user: analyst, password: {file: password}}}
policies: policies/
record: {to: {file: record.jsonl}}
";

const RULES: &str = "rules: [{name: all, whom: {groups: [analysts]}, act_as: analyst, allow: [{tables: [default.*]}]}]";

/// As many as one house sees before it is replaced by one that saw none.
const POOL: usize = 2000;

/// Judges that have seen nothing yet.
struct House {
    folder: tempfile::TempDir,
    runtime: Runtime,
}

impl House {
    fn new(key: &Arc<Key>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir(folder.path().join("policies")).unwrap();
        file("policies/rules.yaml", RULES);
        file("password", "secret");
        file("keys.json", &key::key_set(&[Arc::clone(key)]));
        file("keyhouse.yaml", CONFIG);
        Self { folder, runtime: Builder::new_current_thread().build().unwrap() }
    }

    fn prepare(&self) -> start::Prepared {
        start::prepare(&self.folder.path().join("keyhouse.yaml")).unwrap_or_else(|problems| unreadable(&problems))
    }

    /// All of them, one after the other; each must be good, or its time would mean nothing.
    fn verify<'a>(&self, identities: &Identities, tokens: impl IntoIterator<Item = &'a String>) -> usize {
        let now = SystemTime::now();
        self.runtime.block_on(async {
            let mut groups = 0;
            for token in tokens {
                groups += identities.verify(black_box(token), now).await.unwrap_or_else(|refusal| unreadable(&refusal.says())).groups.len();
            }
            groups
        })
    }
}

#[allow(clippy::panic, reason = "a bench fails by panicking")]
fn unreadable(why: &dyn std::fmt::Display) -> ! {
    panic!("{why}")
}

/// A token as providers make them: about 1.5 KB, twelve groups, and claims that nobody asked for.
fn realistic(key: &Arc<Key>, number: usize) -> String {
    let groups: Vec<String> = (0..12).map(|group| format!("/departments/data-platform/team-{group:02}")).collect();
    let roles = json!({"roles": ["offline_access", "uma_authorization", "default-roles-staff", "analyst"]});
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let token = Token::new(ISSUER, key).subject(&format!("f4a0c2a8-9d4e-4a57-8a41-{number:012}")).groups(&groups);
    let token = token.claim("jti", format!("onrtac:7c0ed8a4-5f0e-4d0a-9d5f-{number:012}")).claim("azp", "grafana").claim("typ", "Bearer");
    let token = token.claim("realm_access", roles.clone()).claim("resource_access", json!({"account": roles})).claim("scope", "openid profile email");
    let token = token.claim("sid", "b4cba7b5-66f8-4f7a-b1c3-3f0e4f9f8a0d").claim("acr", "1").claim("email_verified", true);
    token.claim("name", "Zoë Ångström").claim("preferred_username", "zoe").claim("email", "zoe@example.com").make()
}

/// The two claims that a program would read with the other library, if it knew which.
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "sub")]
    _subject: String,
    groups: Vec<String>,
}

/// All of them, as Keyhouse reads them: the config says which ones count.
type All = serde_json::Map<String, serde_json::Value>;

/// The other library, made ready once: its key and what it is to check.
fn other<T: DeserializeOwned>(key: &Key, groups: impl Fn(T) -> usize) -> impl Fn(&[String]) -> usize {
    let jwk: Jwk = serde_json::from_value(key.jwk()).unwrap();
    let key_of_it = DecodingKey::from_jwk(&jwk).unwrap();
    let algorithm: Algorithm = key.alg.parse().unwrap();
    let mut validation = Validation::new(algorithm);
    validation.validate_nbf = true;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&["clickhouse"]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    move |tokens| tokens.iter().map(|token| groups(decode::<T>(black_box(token), &key_of_it, &validation).unwrap().claims)).sum()
}

fn tokens(criterion: &mut Criterion) {
    for algorithm in ["RS256", "ES256"] {
        let key = Key::fresh(algorithm);
        let pool: Vec<String> = (0..POOL).map(|number| realistic(&key, number)).collect();
        let house = House::new(&key);
        let mut group = criterion.benchmark_group(algorithm);
        group.sample_size(30);
        group.bench_function("fresh", |bencher| {
            bencher
                .iter_custom(|count| whole_pools(&pool, count, || house.prepare(), |house_of, tokens| house.verify(house_of.identities(), tokens)));
        });
        let all = other::<All>(&key, |claims| claims["groups"].as_array().unwrap().len());
        group.bench_function("jsonwebtoken, all claims", |bencher| {
            bencher.iter_custom(|count| whole_pools(&pool, count, || (), |(), tokens| all(tokens)));
        });
        let named = other::<Named>(&key, |claims| claims.groups.len());
        group.bench_function("jsonwebtoken, two claims", |bencher| {
            bencher.iter_custom(|count| whole_pools(&pool, count, || (), |(), tokens| named(tokens)));
        });
        let known = house.prepare();
        house.verify(known.identities(), &pool[..1]);
        group.bench_function("kept", |bencher| {
            bencher.iter_custom(|count| timed(|| house.verify(known.identities(), (0..count).map(|_| &pool[0]))));
        });
        group.finish();
    }
}

/// Every iteration takes the next token of the pool; where it ends, what saw its tokens is made anew, and that is not counted.
fn whole_pools<J>(pool: &[String], count: u64, anew: impl Fn() -> J, judge: impl Fn(&J, &[String]) -> usize) -> Duration {
    let mut left = usize::try_from(count).unwrap();
    let mut spent = Duration::ZERO;
    while left > 0 {
        let (some, judges) = (&pool[..left.min(POOL)], anew());
        spent += timed(|| judge(&judges, some));
        left -= some.len();
    }
    spent
}

fn timed(work: impl FnOnce() -> usize) -> Duration {
    let begun = Instant::now();
    black_box(work());
    begun.elapsed()
}

criterion_group!(benches, tokens);
criterion_main!(benches);
