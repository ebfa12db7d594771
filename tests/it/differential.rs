//! Other judges of the same tokens: where `jsonwebtoken` or npm's `jose`, both strict, refuse a token, so does Keyhouse, but
//! for a closed list of exceptions. Whatever was made wrong is refused, and whatever was made right is taken.

mod claims;
mod headers;
mod judges;
mod made;
mod oddities;

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::Value;

use crate::generated::seed;
use judges::{Jose, Jsonwebtoken, Keyhouse, Verdict};
use made::{Made, Provider, Sample};

/// Why Keyhouse takes what another judge refuses.
struct Exception {
    cause: &'static str,
    /// One of these is what the judge says.
    words: &'static [&'static str],
    /// Whether the token is of the kind that is meant.
    is_meant: fn(header: &Value, claims: &Value, begun: i64) -> bool,
}

/// All of them. One that no token shows is to be removed.
const EXCEPTIONS: [Exception; 5] = [
    Exception {
        cause: "skew: clocks may differ by 60 s, and by nothing for the others",
        words: &["ExpiredSignature", "ImmatureSignature", "\"exp\" claim timestamp", "\"nbf\" claim timestamp"],
        is_meant: |_, claims, begun| ["exp", "nbf"].iter().any(|name| claims[name].as_f64().is_some_and(|time| (time - begun as f64).abs() < 62.0)),
    },
    Exception {
        cause: "type: access tokens may say so (RFC 9068), and most providers' say nothing; jose can be told one type alone",
        words: &["unexpected \"typ\" JWT header value"],
        is_meant: |header, _, _| header["typ"].as_str().is_none_or(|typ| typ.to_ascii_lowercase().contains("at+jwt")),
    },
    Exception {
        cause: "Ed25519: RFC 9864 gave EdDSA this name, which jsonwebtoken does not know",
        words: &["unknown variant `Ed25519`"],
        is_meant: |header, _, _| header["alg"] == "Ed25519",
    },
    Exception {
        cause: "no kid: every key that fits is tried, four at most (RFC 7515 4.1.4); jose leaves that to its caller",
        words: &["multiple matching keys"],
        is_meant: |header, _, _| header["kid"].is_null(),
    },
    Exception {
        cause: "members that nobody reads: jsonwebtoken asks a type of them, here they may be anything",
        words: &["Json("],
        is_meant: |header, _, _| UNREAD.iter().any(|name| !header[name].is_null()),
    },
];

/// Members of a header that Keyhouse never looks at.
const UNREAD: [&str; 9] = ["jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "enc", "url", "nonce"];

/// What came of all tokens: how many, by what was said of them.
struct Tally {
    /// When the tokens were made. Keyhouse is asked as if it still were so, since the others cannot all be asked at one moment.
    begun: SystemTime,
    counts: BTreeMap<String, usize>,
    excepted: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, sample: &Sample, ours: &Verdict, others: [(&'static str, &Verdict); 2]) {
        let mut wrong = |what: &str| self.wrong.push(format!("{what}: {} ({:?}): {}", sample.what, sample.made, sample.token));
        match (ours, sample.made) {
            (Ok(()), Made::Wrong) => wrong("Keyhouse takes what was made wrong"),
            (Err(says), Made::Right) => wrong(&format!("Keyhouse refuses what was made right, {says}")),
            _ => {}
        }
        for (judge, says) in others.iter().filter_map(|(judge, verdict)| Some((judge, verdict.as_ref().err()?))).filter(|_| ours.is_ok()) {
            match excepted(&sample.token, says, self.begun) {
                Some(cause) => *self.excepted.entry(cause).or_default() += 1,
                None => wrong(&format!("Keyhouse takes what {judge} refuses, {says}")),
            }
        }
        *self.counts.entry(counted_as(ours, others.map(|(judge, verdict)| (judge, verdict.is_ok())))).or_default() += 1;
    }

    fn count(&self, name: &str) -> usize {
        self.counts.get(name).copied().unwrap_or_default()
    }
}

const BY_ALL: &str = "accepted by all";

fn counted_as(ours: &Verdict, others: [(&str, bool); 2]) -> String {
    let taken: Vec<&str> = others.iter().filter(|(_, taken)| *taken).map(|(judge, _)| *judge).collect();
    match (ours, taken.as_slice()) {
        (Ok(()), [_, _]) => BY_ALL.to_owned(),
        (Ok(()), _) => "accepted by Keyhouse, refused by another".to_owned(),
        (Err(_), []) => "refused by all".to_owned(),
        (Err(says), taken) => format!("refused by Keyhouse ({says}), accepted by {}", taken.join(" and ")),
    }
}

fn excepted(token: &str, says: &str, begun: SystemTime) -> Option<&'static str> {
    let begun = i64::try_from(begun.duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let [header, claims] = [0, 1].map(|index| {
        let segment = token.split('.').nth(index).unwrap_or_default();
        BASE64.decode(segment).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or(Value::Null)
    });
    let meant = |exception: &&Exception| exception.words.iter().any(|words| says.contains(words)) && (exception.is_meant)(&header, &claims, begun);
    EXCEPTIONS.iter().find(meant).map(|exception| exception.cause)
}

#[tokio::test]
async fn where_another_judge_refuses_a_token_keyhouse_refuses_it_too() {
    let provider = Provider::new();
    let begun = SystemTime::now();
    let samples = made::samples(&provider, seed());
    let tokens: Vec<&str> = samples.iter().map(|sample| sample.token.as_str()).collect();
    let jose = Jose::judge(&provider.set, &tokens).await;
    let (keyhouse, jsonwebtoken) = (Keyhouse::new(&provider.set), Jsonwebtoken::new(&provider.set));
    let mut tally = Tally { begun, counts: BTreeMap::new(), excepted: BTreeMap::new(), wrong: Vec::new() };
    for (sample, jose) in samples.iter().zip(&jose) {
        let ours = keyhouse.judge(&sample.token, begun).await;
        tally.add(sample, &ours, [("jsonwebtoken", &jsonwebtoken.judge(&sample.token)), ("jose", jose)]);
    }
    println!("{} tokens, seed {}", samples.len(), seed());
    tally.counts.iter().for_each(|(what, count)| println!("{count:6} {what}"));
    tally.excepted.iter().for_each(|(cause, count)| println!("{count:6} excepted, {cause}"));
    let shown = tally.wrong.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(tally.wrong.is_empty(), "{} of {}, with seed {}:\n{shown}", tally.wrong.len(), samples.len(), seed());
    for Exception { cause, .. } in &EXCEPTIONS {
        assert!(tally.excepted.contains_key(cause), "no token needs the exception any more: {cause}");
    }
    assert!(samples.len() > 3000 && tally.count(BY_ALL) > 300, "{} tokens, of which {} are accepted", samples.len(), tally.count(BY_ALL));
}
