//! An address is decoded once: what is understood of it is what stands there, and written anew it is understood again.
#![no_main]

use keyhouse::statement::{Address, fuzzing};
use keyhouse_fuzz::bodies::percent;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(input) else { return Corpus::Reject };
    for form in [false, true] {
        let address = fuzzing::address(text, form).map_err(|refusal| refusal.reason());
        let pairs: Option<Vec<(String, String)>> = text.split('&').filter(|pair| !pair.is_empty()).map(decoded).collect();
        let Some(pairs) = pairs else {
            assert!(address.is_err(), "what cannot be decoded is understood");
            continue;
        };
        // Another way to write the same.
        let anew: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
        let again = fuzzing::address(&anew.join("&"), form).map_err(|refusal| refusal.reason());
        assert_eq!(format!("{address:?}"), format!("{again:?}"), "written otherwise");
        if let Ok(address) = address {
            says_what_stands_there(&address, &pairs);
        }
    }
    Corpus::Keep
});

/// One name and value, by the book: URL Standard, 5.1, and nothing that is no text.
fn decoded(pair: &str) -> Option<(String, String)> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    Some((text(name)?, text(value)?))
}

fn text(encoded: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

fn says_what_stands_there(address: &Address, pairs: &[(String, String)]) {
    let value = |name: &str| pairs.iter().find(|pair| pair.0 == name).map_or("", |pair| &pair.1);
    assert_eq!(address.query(), value("query"));
    assert_eq!(address.database().unwrap_or_default(), value("database"));
    assert_eq!(address.default_format().unwrap_or_default(), value("default_format"));
    for (name, value) in address.parameters() {
        assert!(pairs.contains(&(format!("param_{name}"), value.clone())), "{name} is of nowhere");
    }
    for (name, value) in address.settings() {
        assert!(pairs.contains(&((*name).to_owned(), (*value).to_owned())), "{name} is of nowhere");
    }
    let all = |name: &str| pairs.iter().filter(|pair| pair.0.starts_with(name)).count();
    assert_eq!(all("param_"), address.parameters().len(), "a value is lost");
}
