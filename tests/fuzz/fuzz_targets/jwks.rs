//! A key set is read member by member: what one of them is costs no other, there are not too many, and none is a secret.
#![no_main]

use keyhouse::identity::fuzzing;
use keyhouse_fuzz::is_a_sentence;
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::{Value, json};

const MOST: usize = 64;

fuzz_target!(|input: &[u8]| -> Corpus {
    let read = fuzzing::key_set(input);
    let Some(members) = members(input) else {
        assert!(read.is_err(), "what is no key set is read");
        return Corpus::Keep;
    };
    let alone = members.iter().map(|member| fuzzing::key_set(json!({"keys": [member]}).to_string().as_bytes()));
    let usable: Vec<(&Value, Vec<Vec<String>>)> =
        members.iter().zip(alone).filter_map(|(member, read)| Some((member, read.ok()?.0))).take(MOST).collect();
    match read {
        Ok((keys, left_out)) => {
            assert!((1..=MOST).contains(&keys.len()), "{} keys", keys.len());
            assert_eq!(keys, usable.iter().flat_map(|(_, keys)| keys.clone()).collect::<Vec<_>>(), "a member costs another");
            left_out.iter().for_each(|why| is_a_sentence(why, usize::MAX));
        }
        Err(says) => {
            assert!(usable.is_empty(), "usable keys are not read: {says}");
            is_a_sentence(&says, usize::MAX);
        }
    }
    for (member, algorithms) in usable {
        fit_the_type(member, &algorithms.concat());
    }
    Corpus::Keep
});

fn members(input: &[u8]) -> Option<Vec<Value>> {
    serde_json::from_slice::<Value>(input).ok()?.get("keys")?.as_array().cloned()
}

fn fit_the_type(member: &Value, algorithms: &[String]) {
    let fitting: &[&str] = match (member["kty"].as_str(), member["crv"].as_str()) {
        (Some("RSA"), _) => &["Rs256", "Rs384", "Rs512", "Ps256", "Ps384", "Ps512"],
        (Some("EC"), Some("P-256")) => &["Es256"],
        (Some("EC"), Some("P-384")) => &["Es384"],
        (Some("OKP"), Some("Ed25519")) => &["EdDsa"],
        _ => &[],
    };
    assert!(!fitting.is_empty() && algorithms == fitting, "{member} is for {algorithms:?}");
    assert!(member["use"].as_str().is_none_or(|used_for| used_for == "sig"), "{member} is not for signatures");
}
