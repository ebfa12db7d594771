//! Whatever stands in a token: it is refused in a sentence that can be shown, or read as what has no second spelling. And
//! nothing is good without a signature.
#![no_main]

use base64::prelude::{BASE64_URL_SAFE_NO_PAD as BASE64, Engine};
use keyhouse::identity::{Caller, fuzzing};
use keyhouse_fuzz::{is_a_sentence, runtime, tokens};
use libfuzzer_sys::{Corpus, fuzz_target};

// An input is a token, or `header NUL claims NUL signature`.
fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(text) = tokens::text(input) else { return Corpus::Reject };
    let parsed = fuzzing::parse(&text);
    match &parsed {
        Ok((signed, signature)) => has_one_spelling(&text, signed, signature),
        Err(refusal) => is_a_sentence(refusal.says(), 1000),
    }
    let explained = runtime().block_on(tokens::identities().explain(&text, None, tokens::now(), true));
    for (name, value) in &explained.says {
        is_a_sentence(&format!("{name}: {value}"), 3000);
    }
    match &explained.judged {
        Ok(caller) => can_be_named(caller),
        Err(refusal) => is_a_sentence(refusal.says(), 20_000),
    }
    assert!(parsed.is_ok() || explained.judged.is_err(), "what cannot be read is judged good");
    let verified = runtime().block_on(tokens::identities().verify(&text, tokens::now()));
    is_a_sentence(verified.expect_err("nobody can have signed it").says(), 20_000);
    Corpus::Keep
});

/// What was read of the segments, written again, is the token.
fn has_one_spelling(text: &str, signed: &str, signature: &[u8]) {
    assert_eq!(text, format!("{signed}.{}", BASE64.encode(signature)), "the signature");
    for segment in signed.split('.') {
        let bytes = BASE64.decode(segment).expect("what was read is base64url");
        assert_eq!(segment, BASE64.encode(&bytes), "a segment");
        let value: serde_json::Value = serde_json::from_slice(&bytes).expect("what was read is JSON");
        assert!(value.is_object(), "what was read is an object");
    }
    assert_eq!(signed.matches('.').count(), 1, "the segments");
}

fn can_be_named(caller: &Caller) {
    for name in caller.groups.iter().chain([&caller.username, &caller.subject]).chain(&caller.display) {
        assert!(!name.is_empty() && name.len() <= 256 && !name.contains(char::is_control), "a name that misleads: {name:?}");
    }
}
