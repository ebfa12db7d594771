//! Every way Keyhouse says no: one closed table from reason to HTTP status, ClickHouse code and public meaning.

mod answer;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

pub use answer::{Realm, Shape};

/// The ClickHouse error that a client is shown: its number and its name, as in ClickHouse's `ErrorCodes.cpp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClickHouseError {
    /// The number after `Code:`, also in `X-ClickHouse-Exception-Code`.
    pub number: u16,
    /// The name in brackets at the end of the message.
    pub name: &'static str,
}

const AUTHENTICATION_FAILED: ClickHouseError = ClickHouseError { number: 516, name: "AUTHENTICATION_FAILED" };
const ACCESS_DENIED: ClickHouseError = ClickHouseError { number: 497, name: "ACCESS_DENIED" };
const READONLY: ClickHouseError = ClickHouseError { number: 164, name: "READONLY" };
const SYNTAX_ERROR: ClickHouseError = ClickHouseError { number: 62, name: "SYNTAX_ERROR" };
const BAD_ARGUMENTS: ClickHouseError = ClickHouseError { number: 36, name: "BAD_ARGUMENTS" };
const QUERY_IS_TOO_LARGE: ClickHouseError = ClickHouseError { number: 229, name: "QUERY_IS_TOO_LARGE" };
const INCORRECT_DATA: ClickHouseError = ClickHouseError { number: 117, name: "INCORRECT_DATA" };
const LIMIT_EXCEEDED: ClickHouseError = ClickHouseError { number: 290, name: "LIMIT_EXCEEDED" };
const NOT_IMPLEMENTED: ClickHouseError = ClickHouseError { number: 48, name: "NOT_IMPLEMENTED" };
const NETWORK_ERROR: ClickHouseError = ClickHouseError { number: 210, name: "NETWORK_ERROR" };
const SOCKET_TIMEOUT: ClickHouseError = ClickHouseError { number: 209, name: "SOCKET_TIMEOUT" };
const TIMEOUT_EXCEEDED: ClickHouseError = ClickHouseError { number: 159, name: "TIMEOUT_EXCEEDED" };
const QUOTA_EXCEEDED: ClickHouseError = ClickHouseError { number: 201, name: "QUOTA_EXCEEDED" };
const NO_RESOURCES: ClickHouseError = ClickHouseError { number: 202, name: "TOO_MANY_SIMULTANEOUS_QUERIES" };
const TOO_MANY_SESSIONS: ClickHouseError = ClickHouseError { number: 700, name: "USER_SESSION_LIMIT_EXCEEDED" };
const LOGICAL_ERROR: ClickHouseError = ClickHouseError { number: 49, name: "LOGICAL_ERROR" };

macro_rules! reasons {
    ($($name:ident $code:literal $status:ident $clickhouse:ident $meaning:literal;)+) => {
        /// Why a request was refused. The list is closed: the same code stands in the answer, in the record and in
        /// the metric, and the README's table is checked against this one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(#[doc = $meaning] $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the walk.
            pub const ALL: &[Reason] = &[$(Reason::$name,)+];

            /// The stable code.
            pub fn code(self) -> &'static str {
                match self { $(Reason::$name => $code,)+ }
            }

            /// The HTTP status of the answer.
            pub fn status(self) -> StatusCode {
                match self { $(Reason::$name => StatusCode::$status,)+ }
            }

            /// The ClickHouse error that clients read.
            pub fn clickhouse(self) -> ClickHouseError {
                match self { $(Reason::$name => $clickhouse,)+ }
            }

            /// What it means, in one sentence for the README.
            pub fn meaning(self) -> &'static str {
                match self { $(Reason::$name => $meaning,)+ }
            }
        }
    };
}

reasons! {
    HttpVersion "http-version" HTTP_VERSION_NOT_SUPPORTED NOT_IMPLEMENTED "HTTP/1.0: its answers end where the connection does, so a cut one looks whole.";
    MalformedForwarded "malformed-forwarded" BAD_REQUEST BAD_ARGUMENTS "The `X-Forwarded-For` of a trusted proxy is no list of addresses.";
    UnknownPath "unknown-path" NOT_FOUND BAD_ARGUMENTS "Only the path `/` carries statements, and without `public_url` there is nothing below `/.well-known/`.";
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED NOT_IMPLEMENTED "Only POST, GET and HEAD carry statements, the last two without a body.";
    OriginNotAllowed "origin-not-allowed" FORBIDDEN ACCESS_DENIED "A browser asks whether a web page may ask that is none of `cors.allowed_origins`.";
    RecordUnavailable "record-unavailable" SERVICE_UNAVAILABLE NO_RESOURCES "The record cannot be written and the config says `on_failure: refuse`.";
    Overloaded "overloaded" SERVICE_UNAVAILABLE NO_RESOURCES "More requests run at once than `limits.requests`.";
    NoCredentials "no_credentials" UNAUTHORIZED AUTHENTICATION_FAILED "The request brings no token.";
    MultipleCredentials "multiple_credentials" BAD_REQUEST AUTHENTICATION_FAILED "The request brings more than one credential.";
    TokenInUrl "token_in_url" BAD_REQUEST AUTHENTICATION_FAILED "A token or password stands in the address, where logs keep it.";
    MalformedToken "malformed_token" UNAUTHORIZED AUTHENTICATION_FAILED "The token is not a well-formed signed JWT.";
    OpaqueToken "opaque_token" UNAUTHORIZED AUTHENTICATION_FAILED "The token is not a JWT at all.";
    EncryptedToken "encrypted_token" UNAUTHORIZED AUTHENTICATION_FAILED "The token is an encrypted JWT (JWE).";
    TokenTooLarge "token_too_large" UNAUTHORIZED AUTHENTICATION_FAILED "The token is longer than the provider's `max_token_size`.";
    DuplicateClaim "duplicate_claim" UNAUTHORIZED AUTHENTICATION_FAILED "A claim stands in the token twice.";
    UnsupportedHeader "unsupported_header" UNAUTHORIZED AUTHENTICATION_FAILED "The token's header asks for something that is never done (`crit`, `zip`, nested JWT).";
    IssuerMissing "issuer_missing" UNAUTHORIZED AUTHENTICATION_FAILED "The token does not say who issued it.";
    UnknownIssuer "unknown_issuer" UNAUTHORIZED AUTHENTICATION_FAILED "No configured provider has the token's issuer, byte for byte.";
    IssuerMismatch "issuer_mismatch" UNAUTHORIZED AUTHENTICATION_FAILED "The token's issuer, tenant and key do not belong together (Entra).";
    TenantNotAllowed "tenant_not_allowed" UNAUTHORIZED AUTHENTICATION_FAILED "The token is of a tenant that the provider's `bound_claims` do not name.";
    AudienceMissing "audience_missing" UNAUTHORIZED AUTHENTICATION_FAILED "The token is meant for nobody in particular.";
    AudienceMismatch "audience_mismatch" UNAUTHORIZED AUTHENTICATION_FAILED "The token is meant for another application.";
    WrongTokenType "wrong_token_type" UNAUTHORIZED AUTHENTICATION_FAILED "The token is none of the provider's `token_types` (ID, refresh, logout token, DPoP proof).";
    ClaimMissing "claim_missing" UNAUTHORIZED AUTHENTICATION_FAILED "A required claim is missing.";
    ClaimType "claim_type" UNAUTHORIZED AUTHENTICATION_FAILED "A claim has another type than its standard says.";
    ClaimValue "claim_value" UNAUTHORIZED AUTHENTICATION_FAILED "A claim that names the caller is empty, too long or holds control characters.";
    Expired "expired" UNAUTHORIZED AUTHENTICATION_FAILED "The token has expired.";
    NotYetValid "not_yet_valid" UNAUTHORIZED AUTHENTICATION_FAILED "The token is not valid yet.";
    IssuedInFuture "issued_in_future" UNAUTHORIZED AUTHENTICATION_FAILED "The token says that it was issued in the future.";
    LifetimeTooLong "lifetime_too_long" UNAUTHORIZED AUTHENTICATION_FAILED "The token lives longer than the provider's `max_token_lifetime`.";
    SenderConstrained "sender_constrained" UNAUTHORIZED AUTHENTICATION_FAILED "The token is bound to a key (`cnf`) and was sent as a plain bearer token.";
    ClientNotAllowed "client_not_allowed" UNAUTHORIZED AUTHENTICATION_FAILED "The token was issued to a client that is not in the provider's `allowed_clients`.";
    BoundClaimMismatch "bound_claim_mismatch" UNAUTHORIZED AUTHENTICATION_FAILED "A claim is not what the provider's `bound_claims` say.";
    EmailUnverified "email_unverified" UNAUTHORIZED AUTHENTICATION_FAILED "The caller is named by an e-mail address that the provider has not verified.";
    AlgNotAllowed "alg_not_allowed" UNAUTHORIZED AUTHENTICATION_FAILED "The token is signed with an algorithm that the provider's list does not have.";
    KeyTypeMismatch "key_type_mismatch" UNAUTHORIZED AUTHENTICATION_FAILED "The key of that `kid` is of another type than the algorithm needs.";
    KeyAlgMismatch "key_alg_mismatch" UNAUTHORIZED AUTHENTICATION_FAILED "The key of that `kid` is for another algorithm.";
    UnknownKey "unknown_key" UNAUTHORIZED AUTHENTICATION_FAILED "The provider has no signing key of that `kid`.";
    AmbiguousKey "ambiguous_key" UNAUTHORIZED AUTHENTICATION_FAILED "The token names no key and the provider has too many to try.";
    BadSignature "bad_signature" UNAUTHORIZED AUTHENTICATION_FAILED "The signature does not fit the token.";
    KeysUnavailable "keys_unavailable" SERVICE_UNAVAILABLE AUTHENTICATION_FAILED "The provider's keys could not be fetched, or are too old to trust.";
    UnknownServiceKey "unknown_service_key" UNAUTHORIZED AUTHENTICATION_FAILED "No service account has the key.";
    ServiceAccountExpired "service_account_expired" UNAUTHORIZED AUTHENTICATION_FAILED "The service account has expired.";
    NetworkNotAllowed "network_not_allowed" FORBIDDEN ACCESS_DENIED "The service account is not for the address that the request comes from.";
    UserMismatch "user_mismatch" UNAUTHORIZED AUTHENTICATION_FAILED "The request names another user than the one that its credential is for.";
    TooManyFailures "too_many_failures" TOO_MANY_REQUESTS AUTHENTICATION_FAILED "Too many attempts from this address failed; a credential that was not verified before has to wait.";
    ReservedUsername "reserved_username" FORBIDDEN ACCESS_DENIED "The caller's name is `default` or that of a ClickHouse user of the config, so records could not tell them apart.";
    InsufficientScope "insufficient_scope" FORBIDDEN ACCESS_DENIED "The token lacks one of the provider's `required_scopes`.";
    GroupsOverage "groups_overage" FORBIDDEN ACCESS_DENIED "The caller is in more groups than Entra puts into a token.";
    GroupsMissing "groups_missing" FORBIDDEN ACCESS_DENIED "The token is good but does not have the claim that names the caller's groups.";
    ParameterNotAllowed "parameter-not-allowed" BAD_REQUEST BAD_ARGUMENTS "An address parameter that Keyhouse does not pass on.";
    MalformedParameter "malformed-parameter" BAD_REQUEST BAD_ARGUMENTS "The address parameters are repeated, badly encoded or have a wrong value.";
    HeaderNotAllowed "header-not-allowed" BAD_REQUEST BAD_ARGUMENTS "A header that could change the statement's meaning and that Keyhouse does not read.";
    ContentType "content-type" UNSUPPORTED_MEDIA_TYPE NOT_IMPLEMENTED "The body is a form of another kind than `multipart/form-data`, or comes otherwise than with POST.";
    ContentEncoding "content-encoding" UNSUPPORTED_MEDIA_TYPE NOT_IMPLEMENTED "The body's coding is none of gzip, deflate, br, zstd and lz4, or it is a form's.";
    MalformedBody "malformed-body" BAD_REQUEST INCORRECT_DATA "The form cannot be read, or the body is not what its coding says.";
    BodyTooLarge "body-too-large" PAYLOAD_TOO_LARGE LIMIT_EXCEEDED "A form, or an INSERT's data, is larger than the config allows, or unpacks to too many times its size.";
    UploadNotAllowed "upload-not-allowed" FORBIDDEN ACCESS_DENIED "A table that comes with the statement has the name of another, or a format that is more than rows.";
    BodyTimeout "body-timeout" REQUEST_TIMEOUT SOCKET_TIMEOUT "The body did not arrive in time.";
    BodyBroken "body-broken" BAD_REQUEST NETWORK_ERROR "The body broke off.";
    StatementTooLong "statement-too-long" PAYLOAD_TOO_LARGE QUERY_IS_TOO_LARGE "The statement is longer than `limits.statement_size`.";
    NotUtf8 "not-utf8" BAD_REQUEST SYNTAX_ERROR "The statement is not UTF-8.";
    EmptyStatement "empty-statement" BAD_REQUEST SYNTAX_ERROR "There is no statement.";
    SeveralStatements "several-statements" BAD_REQUEST SYNTAX_ERROR "More than one statement in one request.";
    NotUnderstood "not-understood" BAD_REQUEST SYNTAX_ERROR "The statement cannot be read for certain, so it is not passed on.";
    ParsersDisagree "parsers-disagree" BAD_REQUEST SYNTAX_ERROR "Keyhouse calls the statement a read and its second reader of SQL calls it something else.";
    NoRule "no-rule" FORBIDDEN ACCESS_DENIED "No rule is meant for this caller.";
    RuleNotAvailable "rule-not-available" FORBIDDEN ACCESS_DENIED "The rule of `X-Keyhouse-Rule` is not meant for the caller, or stands behind one that may not be skipped.";
    WriteByGet "write-by-get" FORBIDDEN ACCESS_DENIED "GET and HEAD carry reads only.";
    ReadonlyAsked "readonly-asked" FORBIDDEN READONLY "The request asks for reads alone (`readonly=1`), and the statement is none.";
    SessionStatement "session-statement" FORBIDDEN ACCESS_DENIED "What would outlive the statement in its session and change how later ones are read: USE, SET ROLE, `SET param_...`, DEFAULT, EXECUTE AS, transactions.";
    EffectNotAllowed "effect-not-allowed" FORBIDDEN ACCESS_DENIED "The caller's rule does not allow what the statement does.";
    TableNotAllowed "table-not-allowed" FORBIDDEN ACCESS_DENIED "The caller's rule does not allow a table of the statement.";
    TableDenied "table-denied" FORBIDDEN ACCESS_DENIED "The caller's rule denies a table of the statement.";
    TableFunctionNotAllowed "table-function-not-allowed" FORBIDDEN ACCESS_DENIED "A table function that the caller's rule does not allow; without a rule only those that make numbers are.";
    ObjectNotAllowed "object-not-allowed" FORBIDDEN ACCESS_DENIED "Something that is reached other than by FROM: a file, an address, a database, a user.";
    ComputedName "computed-name" FORBIDDEN ACCESS_DENIED "An object is named by something that is worked out when the statement runs, not by a name.";
    SettingNotAllowed "setting-not-allowed" FORBIDDEN ACCESS_DENIED "A setting that the caller's rule does not allow, or not with this value.";
    FunctionNotAllowed "function-not-allowed" FORBIDDEN ACCESS_DENIED "A function that does not compute on its arguments alone, and that the caller's rule does not allow.";
    FormatNotAllowed "format-not-allowed" FORBIDDEN ACCESS_DENIED "A format that the caller's rule does not allow, or that needs a file of the server.";
    RoleNotAllowed "role-not-allowed" FORBIDDEN ACCESS_DENIED "A `role=` that is none of the rule's `roles`.";
    RowFilter "row-filter" FORBIDDEN ACCESS_DENIED "The rule filters rows, and the statement could read around its filters.";
    ClaimNotUsable "claim-not-usable" FORBIDDEN ACCESS_DENIED "A claim that the rule is filled in from is missing, empty or of another form.";
    TooManySessions "too-many-sessions" TOO_MANY_REQUESTS TOO_MANY_SESSIONS "The caller has as many sessions as the rule gives, or Keyhouse as many as the config.";
    RateExceeded "rate-exceeded" TOO_MANY_REQUESTS QUOTA_EXCEEDED "More statements begin in a minute than the config or the rule has room for.";
    TooManyStatements "too-many-statements" TOO_MANY_REQUESTS NO_RESOURCES "More statements run at once than the config or the rule has room for, and this one's turn did not come in time, or too many wait.";
    WindowExceeded "window-exceeded" TOO_MANY_REQUESTS QUOTA_EXCEEDED "Answers have more bytes, or statements run longer, than a window of the config or the rule has room for.";
    StatementTimeout "statement-timeout" GATEWAY_TIMEOUT TIMEOUT_EXCEEDED "The statement took longer than the config or the rule allows, or than was left of a window.";
    UpstreamUnreachable "upstream-unreachable" BAD_GATEWAY NETWORK_ERROR "No node of the cluster takes a connection.";
    UpstreamCredentials "upstream-credentials" BAD_GATEWAY NETWORK_ERROR "ClickHouse does not accept the credential that the rule acts as.";
    UpstreamSettings "upstream-settings" BAD_GATEWAY NETWORK_ERROR "A setting that must protect the statement cannot be set on this server.";
    UpstreamTimeout "upstream-timeout" GATEWAY_TIMEOUT SOCKET_TIMEOUT "ClickHouse did not begin to answer in time.";
    UpstreamBroken "upstream-broken" BAD_GATEWAY NETWORK_ERROR "ClickHouse closed the connection or answered what is not HTTP as it should be.";
    Internal "internal" INTERNAL_SERVER_ERROR LOGICAL_ERROR "A fault of Keyhouse's own; the log has it under the request id.";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// One refusal: a reason, the sentence for the caller, and the cause that only the log sees.
#[derive(Debug)]
pub struct Refusal {
    reason: Reason,
    says: String,
    retry_after: Option<Duration>,
    scope: Option<String>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Refusal {
    /// A refusal; `says` tells the caller what happened, what was expected and what to do.
    pub fn new(reason: Reason, says: impl Into<String>) -> Self {
        Self { reason, says: says.into(), retry_after: None, scope: None, cause: None }
    }

    /// Adds what led to it, for the log alone.
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Says when asking again may help (`Retry-After`, whole seconds).
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Says which scopes are asked for (RFC 6750 3).
    pub fn scope(mut self, scope: String) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Says something more to the caller.
    pub fn also(mut self, more: &str) -> Self {
        self.says = format!("{} {more}", self.says);
        self
    }

    /// The stable reason.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The sentence for the caller.
    pub fn says(&self) -> &str {
        &self.says
    }

    /// How long to wait before asking again, where that helps.
    pub fn retry(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The reason, the sentence and the cause.
    pub fn into_parts(self) -> (Reason, String, Option<Box<dyn Error + Send + Sync>>) {
        (self.reason, self.says, self.cause)
    }

    /// The causes as one line, outermost first; nothing where the refusal speaks for itself.
    pub fn chain(&self) -> Option<String> {
        self.cause.as_deref().map(|cause| chain(cause))
    }
}

/// An error with everything that led to it, as one line for the log.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_code_of_its_own_in_the_stable_alphabet() {
        let mut seen = std::collections::HashSet::new();
        for reason in Reason::ALL {
            assert!(seen.insert(reason.code()), "{reason} stands twice");
            assert!(reason.code().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_'));
            assert!(reason.status().is_client_error() || reason.status().is_server_error());
        }
    }

    #[test]
    fn causes_are_one_line_for_the_log_and_never_in_the_sentence() {
        let refusal = Refusal::new(Reason::Internal, "try again").because(std::io::Error::other("disk on fire"));
        assert_eq!(refusal.chain().as_deref(), Some("disk on fire"));
        assert_eq!(refusal.says(), "try again");
    }
}
