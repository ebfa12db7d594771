//! What is known of the beginning of data stays true of whatever follows, and is what the grammar says of the whole.
#![no_main]

use keyhouse::statement::{Parameters, Values, fuzzing};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    let data = &data[..data.len().min(512)];
    let whole = fuzzing::begins_with_no_data(data, true);
    let mut known = None;
    for end in 0..=data.len() {
        let so_far = fuzzing::begins_with_no_data(&data[..end], false);
        assert!(known.is_none() || so_far == known, "at {end} it is {so_far:?}, and was {known:?}");
        known = so_far;
    }
    assert!(known.is_none() || known == whole, "at its end it is {whole:?}, and was {known:?}");
    if let Ok(text) = std::str::from_utf8(data) {
        let read = fuzzing::read(&format!("INSERT INTO t FORMAT CSV\n{text}"), &Parameters::new(), Values::Data);
        assert_eq!(read.is_err(), whole == Some(true), "the grammar says otherwise");
    }
    Corpus::Keep
});
