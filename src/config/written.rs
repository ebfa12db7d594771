//! The config file's shape, key by key. Paths are relative to the file; durations (`30s`) and sizes (`16KiB`) carry
//! their unit. The README's table is checked against this file.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::share::{WrittenShare, WrittenShares, WrittenWindow};

/// The whole file.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// The address that callers use: the realm of challenges, and what OAuth clients are told that tokens are for.
    pub public_url: Option<String>,
    /// Where callers come in; at least one.
    pub listen: Vec<Listener>,
    /// Health, readiness and metrics.
    #[serde(default)]
    pub admin: Admin,
    /// Who issues tokens, by a name of your choice (lowercase letters, digits, `-`).
    pub identity_providers: BTreeMap<String, Provider>,
    /// Callers with no person behind them, by their names: dashboards' health checks, exporters.
    #[serde(default)]
    pub service_accounts: BTreeMap<String, ServiceAccount>,
    /// Takes a token as the address parameter `password` too, for clients that can send it nowhere else: logs and histories
    /// keep addresses.
    #[serde(default)]
    pub allow_tokens_in_addresses_that_logs_keep: bool,
    /// Networks of proxies that are believed about where a request comes from: by `X-Forwarded-For`, and by the PROXY protocol
    /// where a listener speaks it. Nobody else is.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// Which web pages may ask from a browser; left out: none.
    #[serde(default)]
    pub cors: Cors,
    /// Where statements go, and as whom.
    pub clickhouse: ClickHouse,
    /// The folder of the policy files (`*.yaml`, read in the order of their names).
    #[serde(default = "policies")]
    pub policies: String,
    /// Reads this file, the policies, secrets and certificates anew when one of them changes, as on SIGHUP.
    #[serde(default = "yes")]
    pub reload_on_change: bool,
    /// Threads that serve, each with listeners and connections to ClickHouse of its own; left out: one for each core.
    pub workers: Option<u32>,
    /// The record of every request.
    #[serde(default)]
    pub record: Record,
    /// What a stranger may take.
    #[serde(default)]
    pub limits: Limits,
    /// How many statements run at once and begin in a minute, all rules and users together.
    #[serde(default)]
    pub admission: Admission,
}

/// Web pages that may ask.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Cors {
    /// Where they come from, as `https://app.example.com`; `*` for any.
    pub allowed_origins: Vec<String>,
    /// How long a browser may remember that.
    pub max_age: String,
}

impl Default for Cors {
    fn default() -> Self {
        Self { allowed_origins: Vec::new(), max_age: "10m".to_owned() }
    }
}

fn yes() -> bool {
    true
}

fn policies() -> String {
    "policies/".to_owned()
}

/// One listening address.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Listener {
    /// Address and port, as `0.0.0.0:8443`.
    pub address: String,
    /// Certificate and key; without it the address speaks plain HTTP and must be loopback.
    pub tls: Option<Tls>,
    /// Speaks plain HTTP on an address that is not loopback: tokens then cross the network in clear text.
    #[serde(default)]
    pub allow_plain_http_beyond_loopback: bool,
    /// Every connection must begin with a PROXY header, version 2, and come from one of `trusted_proxies`.
    #[serde(default)]
    pub proxy_protocol: bool,
}

/// Certificate and key files.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Tls {
    /// The certificate chain, PEM, the server's own first.
    pub certificate_file: String,
    /// The private key, PEM.
    pub key_file: String,
}

/// The admin address.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Admin {
    /// Address and port of `/-/healthy`, `/-/ready` and `/metrics`.
    #[serde(default = "admin_address")]
    pub address: String,
    /// What a POST to `/-/reload` has to bring as its bearer token: `{file: ...}`, `{env: NAME}` or `{command: [...]}`. Without it
    /// nobody reloads there.
    pub token: Option<Secret>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: admin_address(), token: None }
    }
}

fn admin_address() -> String {
    "127.0.0.1:9363".to_owned()
}

/// One identity provider.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Provider {
    /// Whose tokens these are: fills what is left out here, and chooses the hints that callers are given.
    pub preset: Option<Preset>,
    /// The `iss` of its tokens, compared byte for byte; required unless the preset knows it. For several tenants of Entra
    /// `https://login.microsoftonline.com/{tenantid}/v2.0`, with `bound_claims: {tid: [...]}`.
    pub issuer: Option<String>,
    /// The audiences that are meant for this Keyhouse; at least one, there is no "any".
    pub audiences: Vec<String>,
    /// The claim that carries the audience: `aud`, or `client_id`, `azp`, `appid` or `cid` where a provider's access tokens have
    /// no other (Cognito).
    pub audience_claim: Option<AudienceClaim>,
    /// Which tokens are taken: `access`, or `id` where clients can send only ID tokens. Default `access`.
    pub token_types: Option<Vec<TokenType>>,
    /// Clients (`azp`, `client_id`, `appid` or `cid`) whose tokens are taken; any where it is empty.
    #[serde(default)]
    pub allowed_clients: Vec<String>,
    /// Claims that a token must have, each with the value or one of the values that it must be.
    #[serde(default)]
    pub bound_claims: BTreeMap<String, BoundClaim>,
    /// Scopes (`scope` or `scp`) that a token must have, all of them.
    #[serde(default)]
    pub required_scopes: Vec<String>,
    /// Headers that may hold its token, as Grafana's `X-Id-Token`. Such a token takes the place of the bearer token beside it.
    #[serde(default)]
    pub from_headers: Vec<FromHeader>,
    /// Where discovery is, if not at the issuer's `/.well-known/openid-configuration`.
    pub discovery_url: Option<String>,
    /// Where the keys are; no discovery then.
    pub jwks_uri: Option<String>,
    /// A file with the keys; no network then.
    pub jwks_file: Option<String>,
    /// Certificate authorities (PEM) to trust for discovery and keys, instead of the system's.
    pub ca_file: Option<String>,
    /// A file with a token to send when asking for discovery and keys (Kubernetes); read at every fetch.
    pub bearer_token_file: Option<String>,
    /// Signature algorithms; default RS, PS 256-512, ES256, ES384 and EdDSA (also called Ed25519).
    pub algorithms: Option<Vec<String>>,
    /// How far clocks may differ; at most 300s.
    #[serde(default = "clock_skew")]
    pub clock_skew: String,
    /// The longest life (`exp` - `iat`) of a token.
    #[serde(default = "max_token_lifetime")]
    pub max_token_lifetime: String,
    /// The longest token.
    #[serde(default = "max_token_size")]
    pub max_token_size: String,
    /// Which claims say who the caller is.
    #[serde(default)]
    pub claim_mappings: ClaimMappings,
    /// How keys are kept.
    #[serde(default)]
    pub jwks_cache: JwksCache,
}

/// A provider that Keyhouse knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each is the name of a product")]
pub enum Preset {
    Entra,
    Okta,
    Keycloak,
    Cognito,
    Auth0,
    Google,
    GithubActions,
    GitlabCi,
    Kubernetes,
    Grafana,
    Teleport,
    Dex,
    Zitadel,
    Authentik,
}

impl Preset {
    /// Every one.
    pub const ALL: [Self; 14] = [
        Self::Entra,
        Self::Okta,
        Self::Keycloak,
        Self::Cognito,
        Self::Auth0,
        Self::Google,
        Self::GithubActions,
        Self::GitlabCi,
        Self::Kubernetes,
        Self::Grafana,
        Self::Teleport,
        Self::Dex,
        Self::Zitadel,
        Self::Authentik,
    ];
}

/// A header that may hold a token.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct FromHeader {
    /// Its name, as `X-Id-Token`.
    pub name: String,
    /// Which tokens are taken from it; the provider's where it is left out.
    pub token_types: Option<Vec<TokenType>>,
}

/// The claim that carries the audience.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AudienceClaim {
    /// RFC 7519.
    #[default]
    Aud,
    /// RFC 8693.
    ClientId,
    /// OpenID Connect.
    Azp,
    /// Entra, version 1.
    Appid,
    /// Okta.
    Cid,
}

impl AudienceClaim {
    /// Its name in tokens.
    pub fn name(self) -> &'static str {
        match self {
            AudienceClaim::Aud => "aud",
            AudienceClaim::ClientId => "client_id",
            AudienceClaim::Azp => "azp",
            AudienceClaim::Appid => "appid",
            AudienceClaim::Cid => "cid",
        }
    }
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenType {
    /// For an API such as this one.
    Access,
    /// For the client that the user signed in to.
    Id,
}

/// What a claim must be.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum BoundClaim {
    /// This.
    One(Scalar),
    /// One of these.
    AnyOf(Vec<Scalar>),
}

/// A value that a claim is compared with, by type too: `"true"` is not `true`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// Text.
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

impl Scalar {
    /// Whether a claim is this.
    pub fn is(&self, seen: &serde_json::Value) -> bool {
        match self {
            Self::Bool(value) => seen.as_bool() == Some(*value),
            Self::Number(value) => seen.as_i64() == Some(*value),
            Self::Text(value) => seen.as_str() == Some(value),
        }
    }
}

fn clock_skew() -> String {
    "60s".to_owned()
}

fn max_token_lifetime() -> String {
    "48h".to_owned()
}

fn max_token_size() -> String {
    "16KiB".to_owned()
}

/// Claims to caller.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct ClaimMappings {
    /// The claim that names the caller.
    pub username: Option<UsernameClaim>,
    /// The claim that is shown beside the name in records, and decides nothing.
    pub display: Option<DisplayClaim>,
    /// The claim that lists the caller's groups; without it, callers have none.
    pub groups: Option<GroupsClaim>,
}

/// The claim that is shown.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DisplayClaim {
    /// A claim that is shown beside the name in records and decides nothing, written likewise.
    pub claim: String,
}

/// The claim that names the caller.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct UsernameClaim {
    /// The claim that names the caller: a top-level name, or a JSON Pointer (RFC 6901) when it begins with `/`. Default `sub`.
    pub claim: Option<String>,
    /// Put before the name, so that it is no other provider's.
    #[serde(default)]
    pub prefix: String,
}

/// The claim that lists groups.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GroupsClaim {
    /// The claim that lists the caller's groups, written likewise; without `groups`, callers have none.
    pub claim: String,
    /// What a string is split at, `space` or `comma`; it is one group where this is left out.
    pub split: Option<Split>,
    /// Takes the keys of an object, or of a list of objects, for groups (Zitadel's roles).
    #[serde(default)]
    pub object_keys: bool,
    /// Put before every group, so that it is no other provider's.
    #[serde(default)]
    pub prefix: String,
}

/// What a string of groups is split at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// As in `scope`.
    Space,
    /// `a,b`.
    Comma,
}

/// How keys are kept.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct JwksCache {
    /// How often keys are fetched anew, give or take a tenth.
    #[serde(default = "jwks_refresh")]
    pub refresh: String,
    /// An unknown `kid` fetches at most once in this time.
    #[serde(default = "jwks_cooldown")]
    pub cooldown: String,
    /// How long keys serve while the provider cannot be reached.
    #[serde(default = "jwks_max_stale")]
    pub max_stale: String,
}

impl Default for JwksCache {
    fn default() -> Self {
        Self { refresh: jwks_refresh(), cooldown: jwks_cooldown(), max_stale: jwks_max_stale() }
    }
}

fn jwks_refresh() -> String {
    "5m".to_owned()
}

fn jwks_cooldown() -> String {
    "30s".to_owned()
}

fn jwks_max_stale() -> String {
    "24h".to_owned()
}

/// A caller with no person behind it.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ServiceAccount {
    /// SHA-256 of its key, as `keyhouse service-account new` prints it; two while the key is replaced.
    pub keys: Vec<String>,
    /// The groups that it is in, which rules name.
    pub groups: Vec<String>,
    /// Where its requests come from, as `10.0.0.0/8`; anywhere where it is empty.
    #[serde(default)]
    pub networks: Vec<String>,
    /// When it ends, as `2027-01-31T00:00:00Z`; never where it is left out.
    pub expires: Option<String>,
}

/// Where statements go.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ClickHouse {
    /// Clusters by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// Credentials that rules may act as, by name.
    pub users: BTreeMap<String, User>,
}

/// One cluster.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Cluster {
    /// `https://host:port` of every node; taken in turn, the next one when a connection fails.
    pub nodes: Vec<String>,
    /// Certificate authorities (PEM) to trust, instead of the system's.
    pub ca_file: Option<String>,
    /// Takes `http://` nodes that are not loopback: passwords and answers then cross the network in clear text.
    #[serde(default)]
    pub allow_plain_http_beyond_loopback: bool,
    /// For a connection, with its TLS handshake.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: String,
    /// Until the answer begins.
    #[serde(default = "answer_timeout")]
    pub answer_timeout: String,
    /// Between two pieces of an answer.
    #[serde(default = "stall_timeout")]
    pub stall_timeout: String,
    /// How long a connection is kept without work; below the server's `keep_alive_timeout`.
    #[serde(default = "idle_timeout")]
    pub idle_timeout: String,
    /// Who ends statements (`KILL QUERY`) whose time is over or whose caller has left: a name under `clickhouse.users`. Left out,
    /// ClickHouse ends reads when it notices, and lets the rest go on.
    pub kill_as: Option<String>,
}

fn connect_timeout() -> String {
    "5s".to_owned()
}

fn answer_timeout() -> String {
    "10m".to_owned()
}

fn stall_timeout() -> String {
    "5m".to_owned()
}

fn idle_timeout() -> String {
    "2500ms".to_owned()
}

/// A credential of ClickHouse.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct User {
    /// The cluster's name.
    pub cluster: String,
    /// The user's name in ClickHouse.
    pub user: String,
    /// The user's password: `{file: ...}`, `{env: NAME}`, or `{command: [program, argument, ...], refresh: 5m, timeout: 10s}` for what
    /// a program prints.
    pub password: Secret,
    /// The database of names without one, when the caller says none.
    #[serde(default = "database")]
    pub database: String,
    /// What the servers would tell this user of their settings, instead of asking them on every new connection: where
    /// `system.settings` is closed to it, say. The answer to `SELECT name, value, readonly FROM system.settings FORMAT
    /// JSONEachRow` of the oldest server; a file that is wrong has statements refused by ClickHouse.
    pub settings_file: Option<String>,
    /// How many statements run at once and begin in a minute under this credential.
    #[serde(default)]
    pub admission: WrittenShare,
}

fn database() -> String {
    "default".to_owned()
}

// Without words of its own the reader would quote a password that somebody wrote in its stead.
/// Where a secret comes from: one of the three.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "a secret does not stand in the config, and has one place; write {file: ...}, {env: NAME} or {command: [program, argument, ...], \
                 refresh: 5m, timeout: 10s}, with quotes around arguments that are numbers"
)]
pub enum Secret {
    /// From a file, read anew when it changes (`reload_on_change`).
    File {
        /// The file; one line feed at its end is not of the secret.
        file: String,
    },
    /// From an environment variable, which cannot change while Keyhouse runs: another value needs a restart.
    Env {
        /// Its name.
        env: String,
    },
    /// From what a command prints, run at the start, at every reload, and by `keyhouse check`.
    Command {
        /// The program, by its name in PATH or its path, and its arguments; no shell reads them.
        command: Vec<String>,
        /// How often it is run again, as `5m`; another secret is a reload then, also with `reload_on_change: false`. Left out, it is
        /// run again only by other reloads.
        refresh: Option<String>,
        /// For all of its run, at most a minute; beyond, it is killed with all that it started.
        #[serde(default = "command_timeout")]
        timeout: String,
    },
}

fn command_timeout() -> String {
    "10s".to_owned()
}

impl Secret {
    /// The file that it is in.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::File { file } => Some(file),
            Self::Env { .. } | Self::Command { .. } => None,
        }
    }
}

/// The record.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Record {
    /// `stdout`, or `{file: ...}`.
    #[serde(default = "record_to")]
    pub to: RecordTo,
    /// The statement with its literals `masked`, in `full`, or only its `digest` (SHA-256).
    #[serde(default)]
    pub statement: StatementForm,
    /// When the record cannot be written: `refuse` requests, or only `count` the lost ones.
    #[serde(default)]
    pub on_failure: OnFailure,
}

impl Default for Record {
    fn default() -> Self {
        Self { to: record_to(), statement: StatementForm::default(), on_failure: OnFailure::default() }
    }
}

fn record_to() -> RecordTo {
    RecordTo::Stdout
}

/// Where records go.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordTo {
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(String),
}

/// How a statement stands in the record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StatementForm {
    /// Literals as `?`.
    #[default]
    Masked,
    /// As it was sent.
    Full,
    /// Its SHA-256 only.
    Digest,
}

/// What happens when a record cannot be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Requests are refused, and an answer whose record fails does not end cleanly.
    Refuse,
    /// The lost record is counted.
    #[default]
    Count,
}

/// How much may be asked; what is left out has no limit.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Admission {
    /// Statements that run at once, of all callers together.
    pub concurrent: Option<u32>,
    /// Statements that begin in a minute, of all callers together.
    pub per_minute: Option<u32>,
    /// Bytes of answers that go out in a second, of all callers together.
    pub answers_per_second: Option<String>,
    /// Bytes of INSERTs' data that go on in a second, of all callers together.
    pub data_per_second: Option<String>,
    /// What may be used up in a window of time, by all callers together.
    pub window: Option<WrittenWindow>,
    /// How long each statement may take, with its wait, as `5m`; ClickHouse is told what is left of it (`max_execution_time`).
    pub statement_timeout: Option<String>,
    /// The same for each caller.
    pub caller: WrittenShare,
    /// Where statements wait that there is no room for. Callers take turns; each one's come in their order.
    pub queue: Queue,
}

impl Admission {
    /// All but where others wait.
    pub fn shares(&self) -> WrittenShares {
        let Self { concurrent, per_minute, answers_per_second, data_per_second, window, statement_timeout, caller, queue: _ } = self;
        WrittenShares {
            concurrent: *concurrent,
            per_minute: *per_minute,
            answers_per_second: answers_per_second.clone(),
            data_per_second: data_per_second.clone(),
            window: window.clone(),
            statement_timeout: statement_timeout.clone(),
            caller: caller.clone(),
        }
    }
}

/// Where statements wait.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Queue {
    /// How many may wait, all together; 0 for none.
    pub length: u32,
    /// How long each may wait.
    pub time: String,
}

impl Default for Queue {
    fn default() -> Self {
        Self { length: 100, time: "10s".to_owned() }
    }
}

/// What a stranger may take.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Limits {
    /// Connections at the same time, all listeners together.
    pub connections: u32,
    /// Requests at the same time, all connections together; beyond, a statement is refused at once (503), so that those that run are not
    /// harmed.
    pub requests: u32,
    /// For the TLS handshake.
    pub handshake_timeout: String,
    /// For a request's head, from its first byte, and for the first head of a connection.
    pub header_timeout: String,
    /// For a connection without a request.
    pub idle_timeout: String,
    /// For all of a body that is read before the statement is judged: a statement or a form.
    pub body_timeout: String,
    /// For the next piece of an INSERT's data.
    pub data_timeout: String,
    /// For a caller that does not take its answer.
    pub write_timeout: String,
    /// A head's bytes, HTTP/1.1 (431 beyond).
    pub header_size: String,
    /// A head's fields, HTTP/1.1 (431 beyond).
    pub header_count: u32,
    /// A statement's bytes, at most ClickHouse's own `max_query_size` (262144).
    pub statement_size: String,
    /// A form's bytes: it is held in memory with the tables in it.
    pub form_size: String,
    /// An INSERT's data, its bytes as ClickHouse gets them.
    pub max_insert_bytes: String,
    /// How many times its size a compressed body may unpack to, where Keyhouse unpacks it; its first MiB may be any.
    pub decoding_ratio: u32,
    /// Attempts with a forged or unknown token or key, from one address (of IPv6 one /64) in a minute; beyond, it has to wait,
    /// but not with a token that was verified before.
    pub failed_attempts: u32,
    /// What verified tokens may take of memory, so that each is verified once; `0B` verifies every time.
    pub kept_tokens: String,
    /// What statements that were read may take of memory, so that each is read once; `0B` reads every time.
    pub kept_statements: String,
    /// What answers that rules keep may take of memory, and again as much those that are just arriving; `0B` keeps none.
    pub kept_answers: String,
    /// Most sessions of ClickHouse that callers have by rules with `sessions`, of all callers.
    pub sessions: usize,
    /// HTTP/2.
    pub http2: Http2,
    /// How long running answers may take after SIGTERM.
    pub drain_timeout: String,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            requests: 4096,
            handshake_timeout: "10s".to_owned(),
            header_timeout: "10s".to_owned(),
            idle_timeout: "75s".to_owned(),
            body_timeout: "30s".to_owned(),
            data_timeout: "60s".to_owned(),
            write_timeout: "60s".to_owned(),
            header_size: "32KiB".to_owned(),
            header_count: 100,
            statement_size: "256KiB".to_owned(),
            form_size: "8MiB".to_owned(),
            max_insert_bytes: "16GiB".to_owned(),
            decoding_ratio: 1000,
            failed_attempts: 60,
            kept_tokens: "64MiB".to_owned(),
            kept_statements: "64MiB".to_owned(),
            kept_answers: "256MiB".to_owned(),
            sessions: 10_000,
            http2: Http2::default(),
            drain_timeout: "30s".to_owned(),
        }
    }
}

/// Limits of HTTP/2 alone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Http2 {
    /// Streams at the same time on one connection.
    pub streams: u32,
    /// Streams that a caller may reset before they were answered; the connection is closed beyond (rapid reset).
    pub pending_resets: u32,
    /// Streams that Keyhouse may have to reset for their faults; the connection is closed beyond.
    pub local_resets: u32,
    /// A head's bytes as HTTP/2 counts them; it also bounds the CONTINUATION frames of one head.
    pub header_list_size: String,
}

impl Default for Http2 {
    fn default() -> Self {
        Self { streams: 128, pending_resets: 20, local_resets: 1024, header_list_size: "32KiB".to_owned() }
    }
}
