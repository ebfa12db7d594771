//! Tokens cover the whole text, one behind the other, whole characters each, and nothing panics.
#![no_main]

use keyhouse::statement;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(init: keyhouse_fuzz::keep_what_overflows_the_stack(), |input: &[u8]| -> Corpus {
    // What is not UTF-8 is refused before it comes to the lexer.
    let Ok(text) = std::str::from_utf8(input) else { return Corpus::Reject };
    let mut end = 0;
    for (kind, range) in statement::tokens(text) {
        assert_eq!(range.start, end, "{kind} does not begin where the token before it ends");
        assert!(range.end > range.start, "{kind} is empty");
        assert!(text.get(range.clone()).is_some(), "{kind} cuts a character");
        end = range.end;
    }
    assert_eq!(end, text.len(), "the tokens end before the text");
    Corpus::Keep
});
