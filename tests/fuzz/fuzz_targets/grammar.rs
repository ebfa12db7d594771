//! Whatever is sent is read or refused, with and without parameters: no panic, no stack overflow, no hang.
#![no_main]

use keyhouse::statement::{self, Parameters};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(init: keyhouse_fuzz::keep_what_overflows_the_stack(), |input: &[u8]| -> Corpus {
    let Some((text, parameters)) = keyhouse_fuzz::question(input) else { return Corpus::Reject };
    let alone = statement::read(text, &Parameters::new());
    if !parameters.is_empty()
        && let (Ok(alone), Ok(with)) = (alone, statement::read(text, &parameters))
    {
        // A value is a name or text, never a piece of the statement.
        assert_eq!((alone.effect(), alone.kind(), alone.data()), (with.effect(), with.kind(), with.data()));
    }
    Corpus::Keep
});
