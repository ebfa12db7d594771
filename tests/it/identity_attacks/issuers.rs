//! Who a token is from, whom it is for, and what kind of token it is.

use serde_json::{Value, json};

use super::{Case, bearer, good, published::Keys};

pub fn rows(keys: &Keys) -> Vec<Case> {
    [audiences(keys), types(keys), strangers(keys), others(keys)].into_iter().flatten().collect()
}

fn audiences(keys: &Keys) -> Vec<Case> {
    let aud = |attack, what, value: Value, reason, says| bearer(attack, what, keys.token().claim("aud", value).make(), reason, says);
    let all_wrong = keys.token().claim("aud", "other-api").expires_in(-600).header("typ", "logout+jwt");
    vec![
        aud(
            41,
            "another application",
            json!(["other-api"]),
            "audience_mismatch",
            &["Token audience is [\"other-api\"]", "accepts [\"clickhouse\"] from provider corp", "Ask the client to request"],
        ),
        bearer(41, "audience, type and time", all_wrong.make(), "audience_mismatch", &["other-api", "logout+jwt", "expired at"]),
        bearer(42, "no audience", keys.token().without("aud").make(), "audience_missing", &["no audience (`aud`)", "\"clickhouse\""]),
        aud(43, "Keycloak's own", json!("account"), "audience_mismatch", &["Keycloak", "Audience mapper with \"clickhouse\""]),
        aud(44, "a number", json!(7), "claim_type", &["`aud` is a number"]),
        aud(44, "null", json!(null), "claim_type", &["`aud` is null"]),
        aud(44, "an object", json!({"clickhouse": true}), "claim_type", &["`aud` is an object"]),
        aud(44, "a list with a number", json!(["clickhouse", 1]), "claim_type", &["`aud` is a list"]),
        aud(44, "a list in a list", json!([["clickhouse"]]), "claim_type", &["`aud` is a list"]),
        aud(45, "an empty list", json!([]), "audience_missing", &["no audience"]),
        aud(46, "other case", json!("CLICKHOUSE"), "audience_mismatch", &["byte for byte"]),
        aud(46, "a slash more", json!("clickhouse/"), "audience_mismatch", &["byte for byte", "slash"]),
        aud(46, "a space before", json!(" clickhouse"), "audience_mismatch", &["byte for byte", "spaces"]),
        aud(47, "ours as a part", json!("clickhouse.evil.example"), "audience_mismatch", &["clickhouse.evil.example"]),
        aud(47, "a part of ours", json!("click"), "audience_mismatch", &["[\"click\"]"]),
        aud(47, "both in one", json!("clickhouse other"), "audience_mismatch", &["clickhouse other"]),
        aud(47, "nothing", json!(""), "audience_mismatch", &["[\"\"]"]),
        aud(52, "Graph", json!("https://graph.microsoft.com"), "audience_mismatch", &["only Graph can verify"]),
        good(41, "ours among others", keys.token().claim("aud", json!(["account", "clickhouse", "other"])).make(), &["corp/alice"]),
    ]
}

fn types(keys: &Keys) -> Vec<Case> {
    let claim = |attack, what, name, value: Value, says| bearer(attack, what, keys.token().claim(name, value).make(), "wrong_token_type", says);
    let typ = |what, value: Value| bearer(50, what, keys.token().header("typ", value).make(), "wrong_token_type", &["Send the access token"]);
    vec![
        claim(48, "Keycloak's ID token", "typ", json!("ID"), &["an ID token"]),
        claim(48, "any provider's ID token", "at_hash", json!("x"), &["an ID token", "Send the access token"]),
        claim(48, "an ID token with a code's hash", "c_hash", json!("x"), &["an ID token"]),
        claim(49, "Cognito's ID token", "token_use", json!("id"), &["an ID token"]),
        claim(50, "a refresh token", "typ", json!("Refresh"), &["\"Refresh\""]),
        claim(50, "an offline token", "typ", json!("Offline"), &["\"Offline\""]),
        claim(50, "a security event", "events", json!({}), &["logout or security event"]),
        typ("a logout token", json!("logout+jwt")),
        typ("a DPoP proof", json!("dpop+jwt")),
        typ("a security event by its header", json!("secevent+jwt")),
        typ("a request object", json!("oauth-authz-req+jwt")),
        typ("a typ that is a number", json!(7)),
        good(48, "an access token that says so", keys.token().header("typ", "at+jwt").make(), &["corp/alice"]),
    ]
}

fn strangers(keys: &Keys) -> Vec<Case> {
    let issuer = |value: Value| keys.token().claim("iss", value).make();
    let url = &keys.issuer.url;
    let unknown = |attack, what, value: String, says| bearer(attack, what, issuer(json!(value)), "unknown_issuer", says);
    vec![
        unknown(53, "an unknown issuer", "https://evil.example".to_owned(), &["https://evil.example", "(corp)"]),
        unknown(53, "an issuer that would answer", keys.bait.url.clone(), &["known issuers are", "(ci)", "(corp)"]),
        unknown(54, "an issuer with a slash", format!("{url}/"), &["differs from that of corp only by", "slash"]),
        unknown(54, "an issuer of another scheme", url.replace("http:", "https:"), &["differs from that of corp only by", "scheme"]),
        unknown(54, "an issuer in capitals", url.to_uppercase(), &["differs from that of corp only by", "case"]),
        bearer(55, "an issuer that is a list", issuer(json!([url])), "claim_type", &["`iss` is a list"]),
        bearer(55, "an issuer that is a number", issuer(json!(7)), "claim_type", &["`iss` is a number"]),
        bearer(55, "an issuer that is null", issuer(json!(null)), "claim_type", &["`iss` is null"]),
        bearer(55, "no issuer", keys.token().without("iss").make(), "issuer_missing", &["`iss`"]),
        unknown(61, "an issuer with userinfo", url.replace("//", "//good@"), &["known issuers"]),
        unknown(61, "ours as the userinfo of another", format!("{url}@evil.example"), &["known issuers"]),
        unknown(61, "an issuer with a letter that looks alike", url.replace("http", "h\u{442}tp"), &["known issuers"]),
        unknown(61, "an issuer with a NUL", format!("{url}\0"), &["known issuers"]),
    ]
}

fn others(keys: &Keys) -> Vec<Case> {
    let client = |what, name: &str, value: Value, says| {
        let token = keys.of_ci().without("azp").claim(name, value).make();
        bearer(60, what, token, "client_not_allowed", says)
    };
    vec![
        bearer(
            58,
            "a stranger's repository",
            keys.of_ci().claim("repository_owner_id", "124").make(),
            "bound_claim_mismatch",
            &["is \"124\"", "\"123\""],
        ),
        bearer(58, "no repository", keys.of_ci().without("repository_owner_id").make(), "bound_claim_mismatch", &["is missing"]),
        good(59, "a subject of one provider", keys.token().subject("42").make(), &["\"caller\":\"corp/42\""]),
        good(59, "the same subject of another", keys.of_ci().subject("42").make(), &["\"caller\":\"ci/42\""]),
        client("another client", "azp", json!("evil"), &["client \"evil\"", "\"dbt\""]),
        client("a client that is a list", "azp", json!(["grafana"]), &["allow only"]),
        client("no client", "nothing", json!(1), &["no client"]),
        bearer(
            60,
            "another client with an allowed one beside it",
            keys.of_ci().claim("azp", "evil").claim("client_id", "grafana").make(),
            "client_not_allowed",
            &["\"evil\""],
        ),
        good(60, "an allowed client by another name", keys.of_ci().without("azp").claim("cid", "dbt").make(), &["ci/alice"]),
    ]
}
