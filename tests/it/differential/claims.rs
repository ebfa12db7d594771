//! Right tokens with one claim wrong, nearly right, missing or there twice.

use serde_json::{Value, json};

use super::{
    made::{AUDIENCE, CLIENT, ISSUER, Made, Provider, Sample, values},
    oddities,
};
use crate::support::token::{Token, now};

pub(super) fn samples(provider: &Provider) -> Vec<Sample> {
    [claims, twice].iter().flat_map(|of_kind| of_kind(provider)).collect()
}

/// Claims of every type, and ones that are nearly right.
fn claims(provider: &Provider) -> Vec<Sample> {
    let names = ["iss", "aud", "exp", "nbf", "iat", "sub", "azp"];
    let sample = |name: &str, value: Value| {
        let made = if is_wrong(name, &value) { Made::Wrong } else { Made::Odd };
        Sample::new(made, format!("claim {name}: {value}"), provider.token("Ed25519").header("alg", "EdDSA").claim(name, value).make())
    };
    let of_each = |name: &&str| values().into_iter().chain(near(name)).map(|value| sample(name, value)).collect::<Vec<_>>();
    let missing = |name: &&str| {
        let made = if ["nbf", "iat"].contains(name) { Made::Right } else { Made::Wrong };
        Sample::new(made, format!("no {name}"), provider.token("ES256").without(name).make())
    };
    names.iter().flat_map(of_each).chain(names.iter().map(missing)).collect()
}

fn near(claim: &str) -> Vec<Value> {
    let spelled = |right: &str| {
        let capital = right.to_uppercase();
        let texts = [
            capital,
            format!("{right}/"),
            format!("{right} "),
            format!(" {right}"),
            format!("{right}\n"),
            format!("{right}\u{0}"),
            format!("{right}.evil"),
            format!("evil,{right}"),
            format!("evil {right}"),
            right.replace('s', "\u{455}"),
            right.replace("https", "http"),
            format!("{right}{right}"),
        ];
        let texts = texts.into_iter().filter(|text| text != right).map(Value::from);
        texts.chain([json!({right: right}), json!([[right]]), json!([1, right]), json!([right, null])]).collect::<Vec<_>>()
    };
    let of_time = || {
        let now = now();
        vec![
            json!(now - 100),
            json!(now - 7200),
            json!(now + 100),
            json!(now + 7200),
            json!(now + 400 * 86400),
            json!(now * 1000),
            json!(-now),
            json!((now + 300).to_string()),
            json!([now + 300]),
            json!(now as f64 - 99.5),
            json!(9.9e15),
            json!("2999-01-01T00:00:00Z"),
        ]
    };
    match claim {
        "iss" => {
            spelled(ISSUER).into_iter().chain([json!([ISSUER]), json!("https://idp.example.com@evil.example"), json!("//idp.example.com")]).collect()
        }
        "aud" => {
            spelled(AUDIENCE).into_iter().chain([json!([AUDIENCE, AUDIENCE]), json!(["a", "b"]), json!([AUDIENCE.to_uppercase(), ""])]).collect()
        }
        "azp" => spelled(CLIENT).into_iter().chain([json!([CLIENT])]).collect(),
        "sub" => vec![json!("a\nb"), json!("\u{202e}x"), json!("x".repeat(300)), json!(["alice"])],
        _ => of_time(),
    }
}

/// The rules once more, in other words than Keyhouse's.
fn is_wrong(claim: &str, value: &Value) -> bool {
    match claim {
        "iss" => value != ISSUER,
        "azp" => value != CLIENT,
        "aud" => match value {
            Value::Array(several) => !several.iter().all(Value::is_string) || !several.iter().any(|one| one == AUDIENCE),
            one => one != AUDIENCE,
        },
        "exp" => value.as_f64().is_none_or(|exp| exp < (now() - 60) as f64),
        "nbf" | "iat" => value.as_f64().is_none_or(|time| time > (now() + 60) as f64),
        _ => value.as_str().is_none_or(str::is_empty),
    }
}

/// Members and claims that stand there twice, the second time also in another spelling.
fn twice(provider: &Provider) -> Vec<Sample> {
    let wrong = |what: String, token: Token| Sample::new(Made::Wrong, what, token.make());
    let members = ["alg", "kid", "typ", "odd"].into_iter().flat_map(|name| {
        let token = |value: Value| provider.token("ES256").header("odd", 1).header_again(name, value);
        let again = [json!(null), json!("none"), json!("ES256"), json!(1)];
        again.map(|value| wrong(format!("header {name} twice"), token(value)))
    });
    let claims = ["iss", "aud", "exp", "nbf", "iat", "sub", "azp", "groups", "odd"].into_iter().flat_map(|name| {
        let token = |value: Value| provider.token("ES256").claim("odd", 1).claim_again(name, value);
        let again = [json!(null), json!(ISSUER), json!(AUDIENCE), json!(now() + 200), json!(["admins"]), json!({})];
        let again = again.map(|value| wrong(format!("claim {name} twice"), token(value)));
        again.into_iter().chain([wrong(format!("claim {name} twice, escaped"), oddities::escaped_again(provider, name))])
    });
    let deep = provider.token("ES256").claim("a", json!({"b": 1})).raw_claims(oddities::with_nested_twice(provider));
    members.chain(claims).chain([wrong("a nested claim twice".to_owned(), deep)]).collect()
}
