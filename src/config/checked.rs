//! The config with nothing left to validate: typed times, sizes, addresses and secrets.

mod providers;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use http::{HeaderName, Uri};
use ipnet::IpNet;

use super::command::{self, Command};
use super::network;
use super::problems::Problems;
use super::secret::Secret;
use super::share::{Share, Shares};
use super::written;
pub use super::written::{AudienceClaim, OnFailure, Preset, Scalar, Split, StatementForm, TokenType};
use crate::digest;

/// Web pages that may ask.
#[derive(Debug, Clone)]
pub struct Cors {
    /// Where they come from; `*` for any.
    pub allowed_origins: Vec<String>,
    /// How long a browser may remember that.
    pub max_age: Duration,
}

/// The whole config. Made by [`check`]; only run it when `check` found no problem.
#[derive(Debug)]
pub struct Config {
    /// The address that callers use.
    pub public_url: Option<String>,
    /// Where callers come in.
    pub listeners: Vec<Listener>,
    /// Where health, readiness and metrics are.
    pub admin: SocketAddr,
    /// What whoever asks the admin address for a reload has to bring.
    pub admin_token: Option<Secret>,
    /// Whether changed files are read by themselves.
    pub reload_on_change: bool,
    /// Threads that serve.
    pub workers: NonZeroUsize,
    /// Who issues tokens.
    pub providers: Vec<Provider>,
    /// Callers with no person behind them.
    pub service_accounts: Vec<ServiceAccount>,
    /// Whether a token may stand in the address.
    pub tokens_in_addresses: bool,
    /// Who is believed about where a request comes from.
    pub trusted_proxies: Vec<IpNet>,
    /// Web pages that may ask.
    pub cors: Cors,
    /// Every name under `identity_providers`, also of those with a mistake, and that of service accounts: policies refer to them.
    pub provider_names: BTreeSet<String>,
    /// Clusters by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// Credentials by name.
    pub users: BTreeMap<String, UpstreamUser>,
    /// Every name under `clickhouse.users`, also of those with a mistake: policies refer to them.
    pub user_names: BTreeSet<String>,
    /// The folder of the policy files.
    pub policies: PathBuf,
    /// Where records go.
    pub record_to: RecordTarget,
    /// How statements stand in records.
    pub statement_form: StatementForm,
    /// What happens when a record cannot be written.
    pub on_failure: OnFailure,
    /// What a stranger may take.
    pub limits: Limits,
    /// How many statements run and begin.
    pub admission: Admission,
    /// Secrets that are asked for again and again.
    pub refreshes: Vec<Refresh>,
    /// Files that secrets were read from.
    secret_files: Vec<PathBuf>,
}

impl Config {
    /// Every file that it was read from beside itself and the policies.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        let listeners = self.listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| [&tls.certificate, &tls.key]);
        let keys = self.providers.iter().filter_map(|provider| match &provider.keys {
            KeySource::File(file) => Some(file),
            KeySource::Discovery(_) | KeySource::Address(_) => None,
        });
        let authorities = self.providers.iter().filter_map(|provider| provider.ca_file.as_ref());
        let authorities = authorities.chain(self.clusters.values().filter_map(|cluster| cluster.ca_file.as_ref()));
        let settings = self.users.values().filter_map(|user| user.settings_file.as_ref());
        listeners.chain(keys).chain(authorities).chain(settings).chain(&self.secret_files).cloned()
    }
}

/// A secret whose command is run again and again.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// Where it stands in the config.
    pub key: String,
    /// What prints it.
    pub command: Command,
    /// How often that is run.
    pub every: Duration,
    /// What it printed when the config was read.
    pub secret: Secret,
}

/// One listening address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Address and port.
    pub address: SocketAddr,
    /// Certificate and key; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
}

/// Certificate and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, PEM.
    pub certificate: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
}

/// One identity provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    /// Its name in the config.
    pub name: String,
    /// What it is known to be.
    pub preset: Option<Preset>,
    /// Its `iss`; where [`TENANT`](crate::config::TENANT) stands in it, that of every tenant.
    pub issuer: String,
    /// Our audiences at it.
    pub audiences: Vec<String>,
    /// The claim that has the audience.
    pub audience_claim: AudienceClaim,
    /// Which tokens are taken.
    pub token_types: Vec<TokenType>,
    /// Clients whose tokens are taken; any where there is none.
    pub allowed_clients: Vec<String>,
    /// Claims that a token must have, with what they must be one of.
    pub bound_claims: BTreeMap<String, Vec<Scalar>>,
    /// Scopes that a token must have.
    pub required_scopes: Vec<String>,
    /// Headers that may hold its token.
    pub from_headers: Vec<FromHeader>,
    /// Where its keys come from.
    pub keys: KeySource,
    /// Authorities to trust for it.
    pub ca_file: Option<PathBuf>,
    /// The token to ask for keys with.
    pub bearer_token_file: Option<PathBuf>,
    /// Algorithms by their JOSE names; the identity room's own list where nothing is said.
    pub algorithms: Option<Vec<String>>,
    /// How far clocks may differ.
    pub clock_skew: Duration,
    /// The longest life of a token.
    pub max_token_lifetime: Duration,
    /// The longest token, in bytes.
    pub max_token_size: usize,
    /// The claim that names the caller.
    pub username_claim: String,
    /// What stands before the caller's name.
    pub username_prefix: String,
    /// The claim that is shown.
    pub display_claim: Option<String>,
    /// The claim that lists groups.
    pub groups: Option<Groups>,
    /// How often keys are fetched.
    pub refresh: Duration,
    /// An unknown key fetches at most once in this time.
    pub cooldown: Duration,
    /// How long keys serve without a successful fetch.
    pub max_stale: Duration,
}

/// The claim that lists groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// Its name or pointer.
    pub claim: String,
    /// What a string is split at.
    pub split: Option<Split>,
    /// Whether an object's keys are groups.
    pub object_keys: bool,
    /// What stands before each.
    pub prefix: String,
}

/// A header that may hold a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromHeader {
    /// Its name.
    pub name: HeaderName,
    /// Which tokens are taken from it.
    pub token_types: Vec<TokenType>,
}

/// Where a provider's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Discovery at this address names them.
    Discovery(Uri),
    /// They are at this address.
    Address(Uri),
    /// They are in this file.
    File(PathBuf),
}

/// The provider of service accounts, in rules and records.
pub const SERVICE_ACCOUNT: &str = "service-account";

/// A caller with no person behind it.
#[derive(Debug, Clone)]
pub struct ServiceAccount {
    /// Its name.
    pub name: String,
    /// SHA-256 of its keys.
    pub keys: Vec<[u8; 32]>,
    /// The groups that it is in.
    pub groups: Vec<String>,
    /// Where its requests come from; anywhere where there is none.
    pub networks: Vec<IpNet>,
    /// When it ends.
    pub expires: Option<SystemTime>,
}

/// One cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its nodes.
    pub nodes: Vec<Endpoint>,
    /// Authorities to trust for it.
    pub ca_file: Option<PathBuf>,
    /// For a connection with its handshake.
    pub connect_timeout: Duration,
    /// Until the answer begins.
    pub answer_timeout: Duration,
    /// Between two pieces of an answer.
    pub stall_timeout: Duration,
    /// How long a connection is kept without work.
    pub idle_timeout: Duration,
    /// Who ends statements that were given up, by the name under `users`; nobody without.
    pub kill_as: Option<String>,
}

/// A host to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Endpoint {
    /// Reads scheme, host and port of `http://` and `https://` addresses.
    pub fn of(uri: &Uri) -> Option<Self> {
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') {
            return None;
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        (!host.is_empty()).then_some(Self { tls, host, port })
    }

    /// Whether the host is this machine by its name or address.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// `host:port`, with brackets where IPv6 needs them.
    pub fn authority(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

/// A credential of ClickHouse.
#[derive(Debug, Clone)]
pub struct UpstreamUser {
    /// Its name in the config, which rules say in `act_as`.
    pub name: String,
    /// The cluster's name.
    pub cluster: String,
    /// The user's name in ClickHouse.
    pub user: String,
    /// The user's password.
    pub password: Secret,
    /// The database of names without one.
    pub database: String,
    /// What the servers' settings are, where they are not asked.
    pub settings_file: Option<PathBuf>,
    /// How many statements run and begin under it.
    pub admission: Share,
}

/// How many statements run and begin, all rules and users together.
#[derive(Debug, Clone, Copy)]
pub struct Admission {
    /// Of all callers, and of each.
    pub shares: Shares,
    /// Where others wait.
    pub queue: Queue,
}

/// Where statements wait.
#[derive(Debug, Clone, Copy)]
pub struct Queue {
    /// How many may wait, all together.
    pub length: usize,
    /// How long each may wait.
    pub time: Duration,
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordTarget {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// What a stranger may take; sizes in bytes.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each is described in `written::Limits`, field by field")]
pub struct Limits {
    pub connections: usize,
    pub requests: u32,
    pub handshake_timeout: Duration,
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    pub body_timeout: Duration,
    pub data_timeout: Duration,
    pub write_timeout: Duration,
    pub header_size: usize,
    pub header_count: usize,
    pub statement_size: usize,
    pub form_size: usize,
    pub max_insert_bytes: u64,
    pub decoding_ratio: u64,
    pub failed_attempts: NonZeroU32,
    pub kept_tokens: u64,
    pub kept_statements: u64,
    pub kept_answers: u64,
    /// Most sessions of ClickHouse, of all callers.
    pub sessions: usize,
    pub http2: Http2Limits,
    pub drain_timeout: Duration,
}

/// Limits of HTTP/2 alone; sizes in bytes.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each is described in `written::Http2`, field by field")]
pub struct Http2Limits {
    pub streams: u32,
    pub pending_resets: usize,
    pub local_resets: usize,
    pub header_list_size: u32,
}

/// ClickHouse's own `max_query_size`: a longer statement would be cut differently there than here.
const MAX_QUERY_SIZE: usize = 262_144;

/// How long a command may take at most: the start waits for it, and every reload.
const LONGEST_COMMAND: Duration = Duration::from_secs(60);

/// Checks a written config. Relative paths are taken from `base`. Returns what could be made of it, also beside
/// mistakes, so that the policies can be checked in the same run.
pub fn check(written: written::Config, base: &Path, problems: &mut Problems) -> Config {
    let mut checks = Checks { base, problems, printed: BTreeMap::new(), refreshes: Vec::new() };
    checks.commands(&written);
    let trusted_proxies = network::networks("trusted_proxies", &written.trusted_proxies, checks.problems);
    let listeners = checks.listeners(&written.listen, &trusted_proxies);
    let cors = checks.cors(&written.cors);
    let admin = checks.address("admin.address", &written.admin.address);
    let admin_token = written.admin.token.as_ref().and_then(|token| checks.secret(ADMIN_TOKEN, token));
    let secret_files = secrets(&written).filter_map(|(_, secret)| secret.file()).map(|file| base.join(file)).collect();
    let providers = checks.providers(&written.identity_providers);
    let service_accounts = checks.service_accounts(&written.service_accounts);
    let clusters = checks.clusters(&written.clickhouse);
    let user_names: BTreeSet<String> = written.clickhouse.users.keys().cloned().collect();
    let users = checks.users(&written.clickhouse);
    let limits = checks.limits(&written.limits);
    let admission = checks.admission(&written.admission);
    if let Some(url) = &written.public_url {
        checks.public_url(url);
    }
    let workers = match written.workers {
        Some(workers) => NonZeroUsize::new(checks.count("workers", workers) as usize),
        None => std::thread::available_parallelism().ok(),
    };
    let refreshes = checks.refreshes;
    Config {
        public_url: written.public_url,
        listeners,
        // Only run without mistakes; until then any address does.
        admin: admin.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
        admin_token,
        reload_on_change: written.reload_on_change,
        workers: workers.unwrap_or(NonZeroUsize::MIN),
        refreshes,
        secret_files,
        providers,
        service_accounts,
        tokens_in_addresses: written.allow_tokens_in_addresses_that_logs_keep,
        trusted_proxies,
        cors,
        provider_names: written.identity_providers.into_keys().chain([SERVICE_ACCOUNT.to_owned()]).collect(),
        clusters,
        users,
        user_names,
        policies: base.join(written.policies),
        record_to: match written.record.to {
            written::RecordTo::Stdout => RecordTarget::Stdout,
            written::RecordTo::File(file) => RecordTarget::File(base.join(file)),
        },
        statement_form: written.record.statement,
        on_failure: written.record.on_failure,
        limits,
        admission,
    }
}

/// Reads a moment, as `2027-01-31T00:00:00Z` (RFC 3339).
pub fn moment(key: impl Display, text: &str, problems: &mut Problems) -> Option<SystemTime> {
    let time = humantime::parse_rfc3339(text);
    time.map_err(|_error| problems.add(key, format!("`{text}` is not a time; write one as 2027-01-31T00:00:00Z"))).ok()
}

/// Reads a time above 0, as `30s`.
pub fn duration(key: impl Display, text: &str, problems: &mut Problems) -> Duration {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => duration,
        _ => {
            problems.add(key, format!("`{text}` is not a time; write a number with its unit, as 30s or 5m"));
            Duration::from_secs(1)
        }
    }
}

/// Reads a size above 0 in bytes, as `16KiB`.
pub fn size(key: impl Display, text: &str, problems: &mut Problems) -> usize {
    let size = text.parse::<bytesize::ByteSize>().ok().and_then(|size| usize::try_from(size.as_u64()).ok());
    match size {
        Some(size) if size > 0 && !text.bytes().all(|b| b.is_ascii_digit()) => size,
        _ => {
            problems.add(key, format!("`{text}` is not a size; write a number with its unit, as 16KiB"));
            1
        }
    }
}

/// The bounds that hold where a config says none.
pub fn usual_limits() -> Limits {
    let mut problems = Problems::default();
    Checks { base: Path::new("."), problems: &mut problems, printed: BTreeMap::new(), refreshes: Vec::new() }.limits(&written::Limits::default())
}

const ADMIN_TOKEN: &str = "admin.token";

/// Every secret with its key.
fn secrets(written: &written::Config) -> impl Iterator<Item = (String, &written::Secret)> {
    let token = written.admin.token.iter().map(|token| (ADMIN_TOKEN.to_owned(), token));
    token.chain(written.clickhouse.users.iter().map(|(name, user)| (password_key(name), &user.password)))
}

fn password_key(user: &str) -> String {
    format!("clickhouse.users.{user}.password")
}

struct Checks<'a> {
    base: &'a Path,
    problems: &'a mut Problems,
    /// What the commands of secrets printed, by their keys, until it is looked for there.
    printed: BTreeMap<String, (Command, Result<Secret, String>)>,
    refreshes: Vec<Refresh>,
}

impl Checks<'_> {
    fn listeners(&mut self, written: &[written::Listener], trusted_proxies: &[IpNet]) -> Vec<Listener> {
        if written.is_empty() {
            self.problems.add("listen", "is empty; write at least one address");
        }
        if trusted_proxies.is_empty() && written.iter().any(|listener| listener.proxy_protocol) {
            self.problems.add("trusted_proxies", "is empty, so nobody may send a PROXY header; write the networks of the proxies, as 10.0.0.0/8");
        }
        written.iter().enumerate().filter_map(|(index, listener)| self.listener(index, listener)).collect()
    }

    fn listener(&mut self, index: usize, written: &written::Listener) -> Option<Listener> {
        let key = format!("listen[{index}]");
        let address = self.address(&format!("{key}.address"), &written.address)?;
        let tls = written.tls.as_ref().map(|tls| TlsFiles { certificate: self.base.join(&tls.certificate_file), key: self.base.join(&tls.key_file) });
        if tls.is_none() && !address.ip().is_loopback() && !written.allow_plain_http_beyond_loopback {
            self.problems.add(
                &key,
                format!(
                    "{address} would take tokens over plain HTTP; write tls: {{certificate_file, key_file}}, \
                     or allow_plain_http_beyond_loopback: true where something else encrypts the way"
                ),
            );
        }
        Some(Listener { address, tls, proxy_protocol: written.proxy_protocol })
    }

    fn address(&mut self, key: &str, text: &str) -> Option<SocketAddr> {
        let address = text.parse();
        if address.is_err() {
            self.problems.add(key, format!("`{text}` is not an address and port; write one as 0.0.0.0:8443"));
        }
        address.ok()
    }

    fn cors(&mut self, written: &written::Cors) -> Cors {
        let is_origin = |text: &str| {
            let uri: Option<Uri> = text.parse().ok();
            let scheme = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https"));
            // Browsers write them so: nothing behind the host and port, all in small letters.
            uri.is_some_and(|uri| {
                scheme(&uri) && uri.authority().is_some_and(|authority| text.ends_with(authority.as_str()) && !authority.as_str().contains('@'))
            }) && !text.contains(|c: char| c.is_ascii_uppercase())
        };
        for origin in written.allowed_origins.iter().filter(|origin| *origin != "*" && !is_origin(origin)) {
            let says = format!(
                "`{}` is no origin; write one as https://app.example.com, with the port where there is one and nothing behind it",
                origin.escape_debug()
            );
            self.problems.add("cors.allowed_origins", says);
        }
        Cors { max_age: self.duration("cors.max_age", &written.max_age), allowed_origins: written.allowed_origins.clone() }
    }

    fn public_url(&mut self, url: &str) {
        let origin = Uri::from_str(url).ok().filter(|uri| Endpoint::of(uri).is_some() && uri.query().is_none());
        if origin.is_none() || url.contains(['"', '\\', '#']) {
            self.problems.add("public_url", format!("`{url}` is not an address; write one as https://ch.example.com"));
        }
    }

    fn service_accounts(&mut self, written: &BTreeMap<String, written::ServiceAccount>) -> Vec<ServiceAccount> {
        written.iter().map(|(name, account)| self.service_account(name, account)).collect()
    }

    fn service_account(&mut self, name: &str, written: &written::ServiceAccount) -> ServiceAccount {
        let key = |part: &str| format!("service_accounts.{name}.{part}");
        self.name(&format!("service_accounts.{name}"), name);
        if written.keys.is_empty() || written.keys.len() > 2 {
            self.problems.add(
                key("keys"),
                "are none or more than two; write the line that `keyhouse service-account new` prints, and the one before while clients change",
            );
        }
        if written.groups.is_empty() {
            self.problems.add(key("groups"), "is empty, so no rule is meant for it; write at least one group");
        }
        let keys = written.keys.iter().filter_map(|text| {
            let digest = text.strip_prefix("sha256:").and_then(digest::read_hex);
            if digest.is_none() {
                // What stands there may be the key itself, which nothing prints.
                self.problems.add(
                    key("keys"),
                    "has an entry that is not `sha256:` and 64 hex digits; write the line that `keyhouse service-account new` prints, never the key",
                );
            }
            digest
        });
        let keys = keys.collect();
        let networks = network::networks(&key("networks"), &written.networks, self.problems);
        let expires = written.expires.as_ref().and_then(|text| moment(key("expires"), text, self.problems));
        ServiceAccount { name: name.to_owned(), keys, groups: written.groups.clone(), networks, expires }
    }

    fn clusters(&mut self, written: &written::ClickHouse) -> BTreeMap<String, Cluster> {
        written.clusters.iter().map(|(name, cluster)| (name.clone(), self.cluster(name, cluster, &written.users))).collect()
    }

    fn cluster(&mut self, name: &str, written: &written::Cluster, users: &BTreeMap<String, written::User>) -> Cluster {
        let key = |part: &str| format!("clickhouse.clusters.{name}.{part}");
        if let Some(user) = written.kill_as.as_ref().filter(|user| users.get(*user).is_none_or(|user| user.cluster != name)) {
            let says = format!("there is no `{user}` under clickhouse.users with this cluster; write one that ClickHouse has granted KILL QUERY");
            self.problems.add(key("kill_as"), says);
        }
        if written.nodes.is_empty() {
            self.problems.add(key("nodes"), "is empty; write at least one as https://host:8443");
        }
        let nodes = written.nodes.iter().filter_map(|node| self.node(&key("nodes"), node, written)).collect();
        Cluster {
            nodes,
            ca_file: written.ca_file.as_ref().map(|file| self.base.join(file)),
            connect_timeout: self.duration(&key("connect_timeout"), &written.connect_timeout),
            answer_timeout: self.duration(&key("answer_timeout"), &written.answer_timeout),
            stall_timeout: self.duration(&key("stall_timeout"), &written.stall_timeout),
            idle_timeout: self.duration(&key("idle_timeout"), &written.idle_timeout),
            kill_as: written.kill_as.clone(),
        }
    }

    fn node(&mut self, key: &str, text: &str, cluster: &written::Cluster) -> Option<Endpoint> {
        let uri = Uri::from_str(text).ok();
        let endpoint = uri.as_ref().filter(|uri| matches!(uri.path(), "" | "/") && uri.query().is_none()).and_then(Endpoint::of);
        let Some(endpoint) = endpoint else {
            self.problems.add(key, format!("`{text}` is not a node; write scheme, host and port as https://host:8443"));
            return None;
        };
        if !endpoint.tls && !endpoint.is_loopback() && !cluster.allow_plain_http_beyond_loopback {
            self.problems.add(
                key,
                format!(
                    "`{text}` would send passwords over plain HTTP; write https:// (with ca_file), \
                     or allow_plain_http_beyond_loopback: true where something else encrypts the way"
                ),
            );
        }
        Some(endpoint)
    }

    fn users(&mut self, written: &written::ClickHouse) -> BTreeMap<String, UpstreamUser> {
        if written.users.is_empty() {
            self.problems.add("clickhouse.users", "is empty; write at least one that rules can act as");
        }
        written.users.iter().filter_map(|(name, user)| Some((name.clone(), self.user(name, user, written)?))).collect()
    }

    fn user(&mut self, name: &str, user: &written::User, written: &written::ClickHouse) -> Option<UpstreamUser> {
        let key = |part: &str| format!("clickhouse.users.{name}.{part}");
        if !written.clusters.contains_key(&user.cluster) {
            self.problems.add(key("cluster"), format!("there is no cluster `{}`; write one of clickhouse.clusters", user.cluster));
        }
        if user.user.is_empty() || http::HeaderValue::from_str(&user.user).is_err() {
            self.problems.add(key("user"), "is empty or holds control characters; write the name of a ClickHouse user");
        }
        Some(UpstreamUser {
            name: name.to_owned(),
            cluster: user.cluster.clone(),
            user: user.user.clone(),
            password: self.secret(&password_key(name), &user.password)?,
            database: user.database.clone(),
            settings_file: user.settings_file.as_ref().map(|file| self.base.join(file)),
            admission: user.admission.check(&key("admission"), self.problems),
        })
    }

    /// Runs every command of the config, beside each other: one that hangs must not be waited for once more for the next.
    fn commands(&mut self, written: &written::Config) {
        let commands: Vec<_> = secrets(written).filter_map(|(key, secret)| Some((key.clone(), self.command(&key, secret)?))).collect();
        let mut printed = command::run_all(commands.clone());
        self.printed = commands
            .into_iter()
            .map(|(key, command)| {
                let secret = printed.remove(&key).unwrap_or_else(|| Err("its command broke off; report it with the log".to_owned()));
                (key, (command, secret))
            })
            .collect();
    }

    fn command(&mut self, key: &str, written: &written::Secret) -> Option<Command> {
        let written::Secret::Command { command, timeout, .. } = written else { return None };
        let timeout = self.duration(&format!("{key}.timeout"), timeout);
        if timeout > LONGEST_COMMAND {
            self.problems.add(format!("{key}.timeout"), "is more than a minute, for which a reload may not wait; write at most 1m");
        }
        let command = Command::new(command, timeout.min(LONGEST_COMMAND), self.base);
        if command.is_none() {
            self.problems.add(format!("{key}.command"), "has no program; write its name, and its arguments behind it");
        }
        command
    }

    fn secret(&mut self, key: &str, written: &written::Secret) -> Option<Secret> {
        let read = match written {
            written::Secret::File { file } => Secret::of_file(&self.base.join(file)),
            written::Secret::Env { env } => Secret::of_environment(env),
            written::Secret::Command { refresh, .. } => {
                let every = refresh.as_ref().map(|refresh| self.duration(&format!("{key}.refresh"), refresh));
                // One that could not be run has its mistake already.
                let (command, printed) = self.printed.remove(key)?;
                if let (Some(every), Ok(secret)) = (every, &printed) {
                    self.refreshes.push(Refresh { key: key.to_owned(), command, every, secret: secret.clone() });
                }
                printed
            }
        };
        read.map_err(|says| self.problems.add(key, says)).ok()
    }

    fn limits(&mut self, written: &written::Limits) -> Limits {
        let limits = Limits {
            connections: self.count("limits.connections", written.connections) as usize,
            requests: self.count("limits.requests", written.requests),
            handshake_timeout: self.duration("limits.handshake_timeout", &written.handshake_timeout),
            header_timeout: self.duration("limits.header_timeout", &written.header_timeout),
            idle_timeout: self.duration("limits.idle_timeout", &written.idle_timeout),
            body_timeout: self.duration("limits.body_timeout", &written.body_timeout),
            data_timeout: self.duration("limits.data_timeout", &written.data_timeout),
            write_timeout: self.duration("limits.write_timeout", &written.write_timeout),
            header_size: self.size("limits.header_size", &written.header_size),
            header_count: self.count("limits.header_count", written.header_count) as usize,
            statement_size: self.size("limits.statement_size", &written.statement_size),
            form_size: self.size("limits.form_size", &written.form_size),
            max_insert_bytes: self.size("limits.max_insert_bytes", &written.max_insert_bytes) as u64,
            decoding_ratio: u64::from(self.count("limits.decoding_ratio", written.decoding_ratio)),
            failed_attempts: NonZeroU32::new(self.count("limits.failed_attempts", written.failed_attempts)).unwrap_or(NonZeroU32::MIN),
            kept_tokens: self.room("limits.kept_tokens", &written.kept_tokens),
            kept_statements: self.room("limits.kept_statements", &written.kept_statements),
            kept_answers: self.room("limits.kept_answers", &written.kept_answers),
            sessions: written.sessions,
            http2: Http2Limits {
                streams: self.count("limits.http2.streams", written.http2.streams),
                pending_resets: self.count("limits.http2.pending_resets", written.http2.pending_resets) as usize,
                local_resets: self.count("limits.http2.local_resets", written.http2.local_resets) as usize,
                header_list_size: u32::try_from(self.size("limits.http2.header_list_size", &written.http2.header_list_size)).unwrap_or(u32::MAX),
            },
            drain_timeout: self.duration("limits.drain_timeout", &written.drain_timeout),
        };
        if limits.statement_size > MAX_QUERY_SIZE {
            self.problems.add("limits.statement_size", "is more than ClickHouse's max_query_size; write at most 256KiB");
        }
        if limits.header_size < 8192 {
            self.problems.add("limits.header_size", "has no room for a token; write at least 8KiB");
        }
        limits
    }

    fn admission(&mut self, written: &written::Admission) -> Admission {
        let shares = written.shares().check("admission", self.problems);
        let queue = Queue { length: written.queue.length as usize, time: self.duration("admission.queue.time", &written.queue.time) };
        Admission { shares, queue }
    }

    fn name(&mut self, key: &str, name: &str) {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            self.problems.add(key, "is not a name; write lowercase letters, digits and `-`");
        }
    }

    fn count(&mut self, key: &str, count: u32) -> u32 {
        if count == 0 {
            self.problems.add(key, "is 0, which would let nobody in; write a larger number");
        }
        count
    }

    fn duration(&mut self, key: &str, text: &str) -> Duration {
        duration(key, text, self.problems)
    }

    fn size(&mut self, key: &str, text: &str) -> usize {
        size(key, text, self.problems)
    }

    /// A size that may be nothing.
    fn room(&mut self, key: &str, text: &str) -> u64 {
        if text == "0B" { 0 } else { self.size(key, text) as u64 }
    }
}
