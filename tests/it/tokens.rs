//! What may arrive as a token, and what is said to it.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use crate::support::{
    client::{Answer, basic, get, post, send},
    house::{House, Plan},
    issuer::{Issuer, Page},
    key::Key,
    recorder::Recorder,
    script::Script,
    token::{Token, now},
};

/// One arrival, and the refusal it is owed.
struct Case {
    what: &'static str,
    request: String,
    status: u16,
    reason: &'static str,
    /// Words that the sentence must hold.
    says: &'static [&'static str],
}

/// An issuer whose set holds a key for every way to go wrong.
struct Keys {
    issuer: Issuer,
    rsa: Arc<Key>,
    es256: Arc<Key>,
    es384: Arc<Key>,
    ed25519: Arc<Key>,
    stranger: Arc<Key>,
}

impl Keys {
    async fn publish() -> Self {
        let issuer = Issuer::start().await;
        let [rsa, es256, es384] = [Key::rs256(), Key::fresh("ES256"), Key::fresh("ES384")];
        let (ed25519, stranger) = (Key::fresh("Ed25519"), Key::fresh("RS256"));
        let named = |key: &Key, kid: &str, more: Value| {
            let mut jwk = key.jwk();
            jwk["kid"] = json!(kid);
            for (name, value) in more.as_object().unwrap() {
                jwk[name] = value.clone();
            }
            jwk
        };
        // `alg` of the first is left out, as Entra does; the `spare` ones make a token without `kid` ambiguous.
        let mut set = vec![named(&rsa, &rsa.kid, json!({"alg": null})), es256.jwk(), es384.jwk(), ed25519.jwk()];
        set[0].as_object_mut().unwrap().remove("alg");
        set.push(named(&rsa, "ps512-only", json!({"alg": "PS512"})));
        set.push(named(&rsa, "for-encryption", json!({"use": "enc"})));
        set.push(named(&rsa, "for-wrapping", json!({"key_ops": ["wrapKey"]})));
        set.extend(["spare-1", "spare-2", "spare-3", "spare-4"].map(|kid| named(&rsa, kid, json!({}))));
        issuer.key_set_is(Page::json(json!({"keys": set}).to_string()));
        Self { issuer, rsa, es256, es384, ed25519, stranger }
    }

    fn token(&self) -> Token {
        Token::new(&self.issuer.url, &self.rsa)
    }
}

fn bearer(what: &'static str, token: impl AsRef<str>, reason: &'static str, says: &'static [&'static str]) -> Case {
    Case { what, request: post("/", token.as_ref(), "SELECT 1"), status: 401, reason, says }
}

fn arrivals(keys: &Keys) -> Vec<Case> {
    let token = keys.token().make();
    let line = format!("Authorization: Bearer {token}");
    let case = |what, request: String, status, reason, says| Case { what, request, status, reason, says };
    let with = |headers: &[&str]| get("/?query=SELECT%201", headers);
    vec![
        case("no token", with(&[]), 401, "no_credentials", &["Authorization: Bearer <token>"]),
        case("a password that is no token", with(&["Authorization: Basic YTpi"]), 401, "opaque_token", &["a Basic password is no token"]),
        case(
            "a key that is no token",
            with(&["X-ClickHouse-User: a", "X-ClickHouse-Key: b"]),
            401,
            "opaque_token",
            &["X-ClickHouse-Key is no token"],
        ),
        case("a ClickHouse user alone", with(&["X-ClickHouse-User: default"]), 401, "no_credentials", &["brings no token"]),
        case("two Authorization headers", with(&[&line, &line]), 400, "multiple_credentials", &["two `authorization`"]),
        case("Bearer and Basic", with(&[&line, "Authorization: Basic YTpi"]), 400, "multiple_credentials", &["exactly one"]),
        case("a key beside the token", with(&[&line, &format!("X-ClickHouse-Key: {token}")]), 400, "multiple_credentials", &["exactly one"]),
        case("another user beside the token", with(&[&line, "X-ClickHouse-User: bob"]), 401, "user_mismatch", &["for `alice`", "names `bob`"]),
        case("another user in the address", post("/?user=ALICE", &token, "SELECT 1"), 401, "user_mismatch", &["leave the user empty"]),
        case("another user before the password", with(&[&basic("bob", &token)]), 401, "user_mismatch", &["names `bob`"]),
        case(
            "a certificate beside the token",
            with(&[&line, "X-ClickHouse-SSL-Certificate-Auth: on"]),
            400,
            "multiple_credentials",
            &["certificate"],
        ),
        case("a token in a header of others", with(&[&format!("X-ClickHouse-JWT-Token: {token}")]), 401, "no_credentials", &["is not read"]),
        case("?PASSWORD= beside the token", post("/?PASSWORD=x", &token, "SELECT 1"), 400, "token_in_url", &["where logs keep it"]),
        case("?pass%77ord= beside the token", post("/?pass%77ord=x", &token, "SELECT 1"), 400, "token_in_url", &["where logs keep it"]),
        case("the token as ?password=", get(&format!("/?query=SELECT%201&password={token}"), &[]), 400, "token_in_url", &["where logs keep it"]),
        case("?access_token=", get(&format!("/?access_token={token}"), &[]), 400, "token_in_url", &["where logs keep it"]),
        case("?ACCESS_TOKEN= beside the token", post("/?ACCESS_TOKEN=x", &token, "SELECT 1"), 400, "token_in_url", &["header"]),
        case("two tokens in one header", with(&[&format!("{line} {token}")]), 401, "malformed_token", &["one space and one token"]),
        case("a list of tokens", with(&[&format!("{line},{token}")]), 401, "malformed_token", &["one token"]),
    ]
}

fn shapes(keys: &Keys) -> Vec<Case> {
    let good = keys.token().make();
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    let (header, rest) = good.split_once('.').unwrap();
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(2000), "]".repeat(2000));
    let trailing = keys.token().signed_by(&keys.es256).signature([7; 64]).make();
    let trailing = format!("{}x", &trailing[..trailing.len() - 1]);
    let plain = |token: Token, what, says| bearer(what, token.make(), "malformed_token", says);
    let header_case = |name, value: Value, what| bearer(what, keys.token().header(name, value).make(), "unsupported_header", &["not supported"]);
    vec![
        bearer("an opaque token", "Zm9vYmFy", "opaque_token", &["not a JWT"]),
        bearer("a token of Google's API", "ya29.a0AfH6SMBx", "opaque_token", &["Google", "send an ID token"]),
        bearer("a token of GitHub's API", "ghp_16C7e42F292c6912E7", "opaque_token", &["GitHub"]),
        bearer("a JWE", "eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d", "encrypted_token", &["encrypted (JWE)", "authentik"]),
        bearer("four parts", format!("{good}.x"), "malformed_token", &["neither three nor five"]),
        bearer("two parts", unsigned, "malformed_token", &["neither three nor five"]),
        bearer("an empty signature", format!("{unsigned}."), "malformed_token", &["no signature"]),
        bearer("the JSON form", "{\"payload\":\"e30.\"}", "malformed_token", &["characters"]),
        bearer("padding", format!("{header}=.{rest}"), "malformed_token", &["characters"]),
        bearer("base64 of the other alphabet", format!("{unsigned}.ab+/"), "malformed_token", &["characters"]),
        bearer("trailing bits", trailing, "malformed_token", &["not base64url"]),
        plain(keys.token().raw_header("["), "a header that is no JSON", &["header"]),
        plain(keys.token().raw_claims("[]"), "a payload that is a list", &["payload"]),
        plain(keys.token().raw_claims(b"{\"sub\":\"\xff\"}"), "a payload that is no UTF-8", &["payload"]),
        plain(keys.token().raw_claims(b"\xef\xbb\xbf{}"), "a payload with a BOM", &["payload"]),
        plain(keys.token().raw_claims(deep), "a payload 2000 deep", &["payload"]),
        plain(keys.token().header_again("alg", "none"), "a header member twice", &["twice"]),
        plain(keys.token().header("kid", 7), "a kid that is a number", &["kid"]),
        plain(keys.token().header("kid", "k".repeat(257)), "a kid that is no name", &["kid"]),
        header_case("crit", json!(["exp"]), "crit"),
        header_case("crit", json!([]), "crit that is empty"),
        header_case("b64", json!(false), "b64"),
        header_case("zip", json!("DEF"), "zip"),
        header_case("cty", json!("JWT"), "cty"),
        bearer("a claim twice", keys.token().claim_again("groups", json!(["admins"])).make(), "duplicate_claim", &["`groups` twice"]),
        bearer("an inner claim twice", keys.token().raw_claims("{\"a\":{\"b\":1,\"b\":2}}").make(), "duplicate_claim", &["`b` twice"]),
        bearer("17 KiB", keys.token().claim("groups", vec!["g".repeat(100); 130]).make(), "token_too_large", &["16384", "fewer groups"]),
    ]
}

fn strangers(keys: &Keys) -> Vec<Case> {
    let issuer = |value: Value| keys.token().claim("iss", value).make();
    let url = &keys.issuer.url;
    vec![
        bearer("an unknown issuer", issuer(json!("https://evil.example")), "unknown_issuer", &["https://evil.example", "(corp)"]),
        bearer("an issuer with a slash", issuer(json!(format!("{url}/"))), "unknown_issuer", &["differs from that of corp only by", "slash"]),
        bearer("an issuer with userinfo", issuer(json!(url.replace("//", "//good@"))), "unknown_issuer", &["known issuers"]),
        bearer("an issuer that is a list", issuer(json!([url])), "claim_type", &["`iss` is a list"]),
        bearer("an issuer that is a number", issuer(json!(7)), "claim_type", &["`iss` is a number"]),
        bearer("no issuer", keys.token().without("iss").make(), "issuer_missing", &["`iss`"]),
    ]
}

fn audiences(keys: &Keys) -> Vec<Case> {
    let aud = |what, value: Value, reason, says| bearer(what, keys.token().claim("aud", value).make(), reason, says);
    let all_wrong = keys.token().claim("aud", "other-api").expires_in(-600).header("typ", "logout+jwt");
    vec![
        aud(
            "another application",
            json!(["other-api"]),
            "audience_mismatch",
            &["Token audience is [\"other-api\"]", "accepts [\"clickhouse\"] from provider corp", "Ask the client to request"],
        ),
        bearer("no audience", keys.token().without("aud").make(), "audience_missing", &["no audience", "\"clickhouse\""]),
        aud("an empty list", json!([]), "audience_missing", &["no audience"]),
        aud("a number", json!(7), "claim_type", &["`aud` is a number"]),
        aud("null", json!(null), "claim_type", &["`aud` is null"]),
        aud("an object", json!({"clickhouse": true}), "claim_type", &["`aud` is an object"]),
        aud("a list with a number", json!(["clickhouse", 1]), "claim_type", &["`aud` is a list"]),
        aud("other case", json!("CLICKHOUSE"), "audience_mismatch", &["byte for byte"]),
        aud("a slash more", json!("clickhouse/"), "audience_mismatch", &["byte for byte", "slash"]),
        aud("a space before", json!(" clickhouse"), "audience_mismatch", &["byte for byte", "spaces"]),
        aud("ours as a part", json!("clickhouse.evil.example"), "audience_mismatch", &["clickhouse.evil.example"]),
        aud("a part of ours", json!("click"), "audience_mismatch", &["[\"click\"]"]),
        aud("both in one", json!("clickhouse other"), "audience_mismatch", &["clickhouse other"]),
        aud("Keycloak's own", json!("account"), "audience_mismatch", &["Keycloak", "Audience mapper with \"clickhouse\""]),
        aud("Graph", json!("https://graph.microsoft.com"), "audience_mismatch", &["only Graph can verify"]),
        bearer("audience, type and time", all_wrong.make(), "audience_mismatch", &["other-api", "logout+jwt", "expired at"]),
    ]
}

fn types_and_times(keys: &Keys) -> Vec<Case> {
    let claim = |what, name, value: Value, reason, says| bearer(what, keys.token().claim(name, value).make(), reason, says);
    let typ = |what, value: Value| bearer(what, keys.token().header("typ", value).make(), "wrong_token_type", &["Send the access token"]);
    vec![
        bearer("expired 61 s ago", keys.token().expires_in(-61).make(), "expired", &["Token expired at", "60s of difference"]),
        bearer("no exp", keys.token().without("exp").make(), "claim_missing", &["`exp`"]),
        claim("exp as text", "exp", json!("9999999999"), "claim_type", &["`exp` is a string"]),
        claim("exp before 1970", "exp", json!(-1), "claim_type", &["`exp`"]),
        claim("exp of another universe", "exp", json!(1e300), "claim_type", &["`exp`"]),
        claim("exp as large as numbers get", "exp", json!(u64::MAX), "claim_type", &["`exp`"]),
        claim("nbf in an hour", "nbf", json!(now() + 3600), "not_yet_valid", &["valid from", "Check the clocks"]),
        claim("nbf as text", "nbf", json!("0"), "claim_type", &["`nbf` is a string"]),
        claim("iat in an hour", "iat", json!(now() + 3600), "issued_in_future", &["issued at", "Check the clocks"]),
        claim("a life of a year", "exp", json!(now() + 365 * 86400), "lifetime_too_long", &["allows 2days", "expirationSeconds"]),
        typ("a logout token", json!("logout+jwt")),
        typ("a DPoP proof", json!("dpop+jwt")),
        typ("a typ that is a number", json!(7)),
        claim("a refresh token", "typ", json!("Refresh"), "wrong_token_type", &["\"Refresh\""]),
        claim("Keycloak's ID token", "typ", json!("ID"), "wrong_token_type", &["an ID token"]),
        claim("any provider's ID token", "at_hash", json!("x"), "wrong_token_type", &["an ID token", "Send the access token"]),
        claim("Cognito's ID token", "token_use", json!("id"), "wrong_token_type", &["an ID token"]),
        claim("a security event", "events", json!({}), "wrong_token_type", &["logout or security event"]),
        claim("a bound token", "cnf", json!({"jkt": "x"}), "sender_constrained", &["bound to a key"]),
    ]
}

fn algorithms_and_keys(keys: &Keys) -> Vec<Case> {
    let alg = |what, value: Value| bearer(what, keys.token().header("alg", value).make(), "alg_not_allowed", &["Token algorithm is", "RS256"]);
    let confused = |bytes: &[u8]| keys.token().signed_by(&Key::secret(bytes)).header("kid", keys.rsa.kid.as_str()).make();
    let es = || keys.token().signed_by(&keys.es256);
    let forged = || keys.token().groups(&["analysts"]).signed_by(&keys.stranger);
    let good = keys.token().subject("mallory").make();
    let signature = keys.token().make().rsplit_once('.').unwrap().1.to_owned();
    let borrowed = format!("{}.{signature}", good.rsplit_once('.').unwrap().0);
    let mut flipped = BASE64.decode(&signature).unwrap();
    flipped[100] ^= 1;
    let with_jwk = forged().header("kid", keys.rsa.kid.as_str()).header("jwk", keys.stranger.jwk()).header("jku", "http://127.0.0.1:1/");
    let kid = |name: &str| keys.token().header("kid", name);
    vec![
        alg("alg none", json!("none")),
        alg("alg None", json!("None")),
        alg("alg noNE", json!("noNE")),
        alg("an empty alg", json!("")),
        alg("an alg that is a number", json!(7)),
        alg("alg in small letters", json!("rs256")),
        bearer("no alg", keys.token().without_header("alg").make(), "alg_not_allowed", &["Token algorithm"]),
        bearer("HS256 with the public key", confused(&keys.rsa.public_der()), "alg_not_allowed", &["HS256", "signing key"]),
        bearer("HS256 with the key set's text", confused(keys.rsa.jwk().to_string().as_bytes()), "alg_not_allowed", &["HS256"]),
        bearer("an unknown kid", kid("../../dev/null").make(), "unknown_key", &["no signing key"]),
        bearer("a stranger's key", forged().make(), "unknown_key", &["no signing key"]),
        bearer("a stranger's key under a known kid", forged().header("kid", keys.rsa.kid.as_str()).make(), "bad_signature", &["does not fit"]),
        bearer("a key that the token brings", with_jwk.make(), "bad_signature", &["by the keys of provider corp"]),
        bearer("a key of another type", kid(&keys.es256.kid).make(), "key_type_mismatch", &["type of the key"]),
        bearer("a key of another curve", es().header("kid", keys.es384.kid.as_str()).make(), "key_type_mismatch", &["type"]),
        bearer("a key for another algorithm", kid("ps512-only").make(), "key_alg_mismatch", &["another algorithm"]),
        bearer("a key for encryption", kid("for-encryption").make(), "unknown_key", &["no signing key"]),
        bearer("a key for wrapping", kid("for-wrapping").make(), "unknown_key", &["no signing key"]),
        bearer("no kid, five keys that fit", keys.token().without_header("kid").make(), "ambiguous_key", &["names no key"]),
        bearer("a flipped bit", keys.token().signature(flipped).make(), "bad_signature", &["Get a new token"]),
        bearer("another token's signature", borrowed, "bad_signature", &["does not fit"]),
        bearer("PKCS1 where PSS is said", keys.token().header("alg", "PS256").make(), "bad_signature", &["does not fit"]),
        bearer("ECDSA in DER", es().signed_as("ES256-DER").make(), "bad_signature", &["does not fit"]),
        bearer("ECDSA of zeros", es().signature([0; 64]).make(), "bad_signature", &["does not fit"]),
    ]
}

fn callers(keys: &Keys) -> Vec<Case> {
    let claim = |what, name, value: Value, reason, says| bearer(what, keys.token().claim(name, value).make(), reason, says);
    let forbidden = |what, token: Token, reason, says| Case { status: 403, ..bearer(what, token.make(), reason, says) };
    vec![
        forbidden("no groups claim", keys.token().without("groups"), "groups_missing", &["no claim `groups`", "Keycloak: a mapper"]),
        forbidden("no group", keys.token().groups(&[]), "no-rule", &["groups: []"]),
        forbidden("no rule", keys.token().groups(&["sales", "/analysts"]), "no-rule", &["alice (corp)", "[\"sales\", \"/analysts\"]"]),
        forbidden("another group's case", keys.token().groups(&["Analysts"]), "no-rule", &["[\"Analysts\"]"]),
        claim("groups as an object", "groups", json!({"analysts": true}), "claim_type", &["`groups`", "list of strings"]),
        claim("groups as a number", "groups", json!(7), "claim_type", &["`groups`"]),
        claim("groups in a list", "groups", json!(["analysts", ["admins"]]), "claim_type", &["`groups`"]),
        claim("a group with a line break", "groups", json!(["a\nb"]), "claim_value", &["`groups`", "control characters"]),
        bearer("no subject", keys.token().without("sub").make(), "claim_missing", &["`sub`"]),
        claim("an empty subject", "sub", json!(""), "claim_value", &["`sub`", "empty"]),
        claim("a subject with a terminal's command", "sub", json!("a\u{1b}[2J"), "claim_value", &["`sub`"]),
        claim("a subject from right to left", "sub", json!("\u{202e}nimda"), "claim_value", &["`sub`"]),
        claim("a subject without an end", "sub", json!("x".repeat(257)), "claim_value", &["longer than 256"]),
        claim("a subject that is a number", "sub", json!(7), "claim_type", &["`sub`"]),
    ]
}

/// The signatures in a request: what nobody but the caller may ever see.
fn signatures(request: &str) -> Vec<&str> {
    let words = request.split([' ', '=', ',', '\r', '\n', '&']).filter(|word| word.starts_with("ey"));
    words.filter_map(|token| token.rsplit_once('.')).map(|(_, signature)| signature).filter(|signature| signature.len() >= 40).collect()
}

fn judge(case: &Case, answer: &Answer) {
    let (what, text) = (case.what, answer.text());
    assert_eq!((answer.status, answer.header("x-keyhouse-reason")), (case.status, Some(case.reason)), "{what}: {text}");
    for words in case.says {
        assert!(text.contains(words), "{what}: no {words:?} in {text}");
    }
    let challenge = answer.header("www-authenticate");
    assert_eq!(challenge.is_some(), case.status != 403, "{what}: {challenge:?}");
    let named = challenge.is_some_and(|challenge| challenge.contains("error="));
    assert_eq!(named, challenge.is_some() && case.reason != "no_credentials", "{what}: {challenge:?}");
    assert_eq!(answer.header("x-clickhouse-exception-code"), Some(if case.status == 403 { "497" } else { "516" }), "{what}");
    for signature in signatures(&case.request) {
        assert!(!format!("{answer:?}").contains(signature), "{what}: it echoes the token: {answer:?}");
    }
}

async fn start(keys: &Keys) -> (House, Recorder) {
    let recorder = Recorder::start(Script::ok("1\n")).await;
    let house = Plan::new(&keys.issuer.url, &[&recorder.url]).log("debug").start().await;
    (house, recorder)
}

#[tokio::test]
async fn every_token_that_does_not_fit_is_refused_with_what_is_wrong_and_shown_to_nobody() {
    let keys = Keys::publish().await;
    let (house, recorder) = start(&keys).await;
    let groups = [arrivals, shapes, strangers, audiences, types_and_times, algorithms_and_keys, callers];
    let cases: Vec<Case> = groups.iter().flat_map(|cases| cases(&keys)).collect();
    let mut expected = Vec::new();
    for case in &cases {
        let answer = send(&house, &case.request).await;
        judge(case, &answer);
        expected.push((answer.header("x-keyhouse-request-id").unwrap().to_owned(), case));
    }
    let records = house.wait_records(cases.len()).await;
    assert_eq!(records.len(), cases.len());
    for (id, case) in expected {
        let with_id: Vec<&Value> = records.iter().filter(|record| record["request_id"] == id.as_str()).collect();
        assert_eq!(with_id.len(), 1, "{}: {with_id:?}", case.what);
        assert_eq!((&with_id[0]["reason"], &with_id[0]["outcome"]), (&json!(case.reason), &json!("refused")), "{}", case.what);
        assert_eq!(with_id[0]["status"], case.status, "{}", case.what);
    }
    let heard = recorder.requests();
    assert!(heard.is_empty(), "a refused statement reached ClickHouse: {heard:?}");
    let (log, record) = (house.program.log(), serde_json::to_string(&records).unwrap());
    let signatures: Vec<&str> = cases.iter().flat_map(|case| signatures(&case.request)).collect();
    assert!(signatures.len() > 80, "{}", signatures.len());
    for signature in signatures {
        assert!(!log.contains(signature) && !record.contains(signature), "{signature} is in the log or in the record");
    }
}

#[tokio::test]
async fn every_token_that_fits_is_taken() {
    let keys = Keys::publish().await;
    let (house, recorder) = start(&keys).await;
    let rsa = |alg: &str| keys.token().header("alg", alg).signed_as(alg);
    let signed = |key| keys.token().signed_by(key);
    let mut good: Vec<Token> = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].map(rsa).to_vec();
    good.extend([signed(&keys.es256), signed(&keys.es384), signed(&keys.ed25519), signed(&keys.ed25519).header("alg", "EdDSA")]);
    good.extend([signed(&keys.es256), signed(&keys.ed25519)].map(|token| token.without_header("kid")));
    good.push(rsa("PS512").header("kid", "ps512-only"));
    good.extend(["at+jwt", "application/at+jwt", "AT+JWT"].map(|typ| keys.token().header("typ", typ)));
    good.push(keys.token().without_header("typ"));
    good.push(keys.token().claim("typ", "Bearer").claim("token_use", "access").without("nbf").without("iat"));
    good.push(keys.token().claim("aud", "clickhouse"));
    good.push(keys.token().claim("aud", json!(["account", "clickhouse", "other"])));
    good.push(keys.token().claim("groups", "analysts").subject("Zoë @ ops|42"));
    good.push(keys.token().claim("exp", (now() + 100) as f64 + 0.5));
    for (index, token) in good.iter().enumerate() {
        let answer = send(&house, post("/", &token.make(), "SELECT 1")).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"), "token {index}");
    }
    // Within the 60 s that clocks may differ; two of them are left for a slow machine.
    let late = keys.token().expires_in(-58).make();
    assert_eq!(send(&house, post("/", &late, "SELECT 1")).await.status, 200);
    let heard = recorder.wait_requests(good.len() + 1).await;
    assert!(heard.iter().all(|one| one.header("authorization").is_none()), "a token went on to ClickHouse");
}

#[tokio::test]
async fn a_token_is_taken_wherever_a_client_can_put_it_and_goes_nowhere() {
    let keys = Keys::publish().await;
    let recorder = Recorder::start(Script::ok("1\n")).await;
    let plan = Plan::new(&keys.issuer.url, &[&recorder.url]);
    let house = plan.section("allow_tokens_in_addresses_that_logs_keep", "true").start().await;
    let token = keys.token().make();
    let by = |target: &str, headers: &[&str]| get(&format!("/?{target}query=SELECT%201"), headers);
    let bearer = format!("Authorization: Bearer {token}");
    let requests = [
        by("", &[&basic("", &token)]),
        by("", &[&basic("default", &token)]),
        by("", &[&basic("alice", &token)]),
        by("", &[&format!("X-ClickHouse-Key: {token}")]),
        by("", &["X-ClickHouse-User: alice", &format!("X-ClickHouse-Key: {token}")]),
        by("", &[&bearer, "X-ClickHouse-User: default", "X-ClickHouse-SSL-Certificate-Auth: off"]),
        by("user=default&password=&", &[&bearer]),
        by(&format!("user=alice&password={token}&"), &[]),
        by(&format!("password={token}&"), &[&basic("default", "")]),
    ];
    for request in &requests {
        let answer = send(&house, request).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "1\n"), "{request}");
    }
    let heard = recorder.wait_requests(requests.len()).await;
    for one in &heard {
        let said = format!("{}{:?}", one.target(), one.head);
        assert!(!said.contains(&token) && one.header("X-ClickHouse-User") == Some("kh_analyst"), "{said}");
        assert!(one.header("authorization").is_none() && one.parameter("user").is_none() && one.parameter("password").is_none(), "{said}");
    }
    let records = house.wait_records(requests.len()).await;
    let (log, record) = (house.program.log(), serde_json::to_string(&records).unwrap());
    let signature = token.rsplit('.').next().unwrap();
    assert!(!log.contains(signature) && !record.contains(signature), "the token is in the log or in the record");
}

#[tokio::test]
async fn a_refusal_is_json_for_those_who_ask_for_it() {
    let keys = Keys::publish().await;
    let (house, recorder) = start(&keys).await;
    let line = format!("Authorization: Bearer {}", keys.token().claim("aud", "other-api").make());
    let answer = send(&house, get("/?query=SELECT%201", &[&line, "Accept: application/json"])).await;
    let json = answer.json();
    assert_eq!((answer.status, answer.header("content-type")), (401, Some("application/json")));
    assert_eq!((&json["reason"], &json["code"], &json["name"]), (&json!("audience_mismatch"), &json!(516), &json!("AUTHENTICATION_FAILED")));
    assert_eq!(json["request_id"].as_str(), answer.header("x-keyhouse-request-id"));
    assert!(json["message"].as_str().unwrap().contains("other-api"), "{json}");
    assert_eq!(house.wait_records(1).await[0]["request_id"], json["request_id"]);
    assert!(recorder.requests().is_empty());
}
