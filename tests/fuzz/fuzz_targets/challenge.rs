//! Whatever a refusal says and a realm is called: the challenge is one challenge, of bytes that RFC 6750 allows, and bounded.
#![no_main]

use http::header::WWW_AUTHENTICATE;
use keyhouse::refusal::{Realm, Reason, Refusal, Shape};
use libfuzzer_sys::{Corpus, fuzz_target};

/// Longest value, in bytes.
const LONGEST: usize = 300;

// An input is the number of a reason, and `sentence NUL realm NUL metadata`.
fuzz_target!(|input: &[u8]| -> Corpus {
    let [number, rest @ ..] = input else { return Corpus::Reject };
    let Ok(text) = std::str::from_utf8(rest) else { return Corpus::Reject };
    let mut parts = text.splitn(3, '\0');
    let (says, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let realm = Realm { name: name.to_owned(), metadata: parts.next().map(str::to_owned) };
    let reason = Reason::ALL[usize::from(*number) % Reason::ALL.len()];
    let answer = Refusal::new(reason, says).answer(Shape { json: number % 2 == 0, blocks: false }, &realm, "0af");
    let Some(challenge) = answer.headers().get(WWW_AUTHENTICATE) else {
        assert_ne!(reason.status(), 401, "a 401 without a challenge");
        return Corpus::Keep;
    };
    let parameters = parameters(challenge.to_str().expect("visible ASCII"));
    let expected = [("realm", Some(name)), ("resource_metadata", realm.metadata.as_deref()), ("error", None), ("error_description", Some(says))];
    let mut expected = expected.into_iter();
    for (name, value) in &parameters {
        let said = expected.find(|(expected, _)| expected == name).unwrap_or_else(|| panic!("{name} stands there out of order")).1;
        assert!(value.len() <= LONGEST, "{name} is long: {challenge:?}");
        assert!(value.bytes().all(is_allowed), "{name} has bytes that it may not have: {challenge:?}");
        if let Some(said) = said {
            is_what_was_said(value, said);
        }
    }
    assert_eq!(parameters.first().map(|(name, _)| *name), Some("realm"));
    Corpus::Keep
});

/// RFC 9110 11.6.1, read as strictly as it can be: one scheme, then `name="value"` with commas in between.
fn parameters(challenge: &str) -> Vec<(&str, &str)> {
    let mut rest = challenge.strip_prefix("Bearer ").expect("the scheme");
    let mut parameters = Vec::new();
    loop {
        let (name, after) = rest.split_once("=\"").expect("a name");
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name:?} is no name");
        let (value, after) = after.split_once('"').expect("an end");
        parameters.push((name, value));
        if after.is_empty() {
            return parameters;
        }
        rest = after.strip_prefix(", ").expect("a comma");
    }
}

/// RFC 6750 3, of error_description.
fn is_allowed(byte: u8) -> bool {
    matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

/// What may stand there stands there unchanged.
fn is_what_was_said(value: &str, said: &str) {
    let mut count = 0;
    for (shown, said) in value.chars().zip(said.chars()) {
        assert!(shown == said || !u8::try_from(said).is_ok_and(is_allowed), "{said:?} became {shown:?}");
        count += 1;
    }
    assert_eq!(count, said.chars().count().min(LONGEST), "its end is missing");
}
