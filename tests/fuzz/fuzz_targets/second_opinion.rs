//! The other reader costs nothing but its opinion: of whatever is understood as a read, no panic of it escapes, its
//! stack suffices, and it answers in time.
#![no_main]

use keyhouse::statement;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(init: prepare(), |input: &[u8]| -> Corpus {
    let Some((text, parameters)) = keyhouse_fuzz::question(input) else { return Corpus::Reject };
    if let Ok(statement) = statement::read(text, &parameters) {
        statement.second_opinion();
    }
    Corpus::Keep
});

/// The engine ends at every panic, also at one that is caught; those of the other reader are caught, and are no fault.
fn prepare() {
    keyhouse_fuzz::keep_what_overflows_the_stack();
    let ends = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|place| place.file().contains("/sqlparser-")) {
            ends(panic);
        }
    }));
}
