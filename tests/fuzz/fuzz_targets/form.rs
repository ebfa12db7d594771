//! A form is understood alike in whatever pieces it comes; and what Keyhouse writes for ClickHouse of what it understood is
//! the same statement, with the same values and tables.
#![no_main]

use keyhouse::statement::Values;
use keyhouse::upstream;
use keyhouse_fuzz::bodies::{self, Cut};
use libfuzzer_sys::{Corpus, fuzz_target};

// An input is how the body is cut, and `query NUL body`, with the boundary `x`.
fuzz_target!(init: keyhouse_fuzz::keep_what_overflows_the_stack(), |input: &[u8]| -> Corpus {
    let [cut, rest @ ..] = input else { return Corpus::Reject };
    let Some(end) = rest.iter().position(|byte| *byte == 0) else { return Corpus::Reject };
    let (query, body) = (&rest[..end], &rest[end + 1..]);
    let Ok(query) = std::str::from_utf8(query) else { return Corpus::Reject };
    let limits = bodies::limits(1 << 16);
    let understood = |query, content_type, pieces| {
        let head = bodies::head("POST", &[("query", query)], &[("Content-Type", content_type)]);
        bodies::understand(head, pieces, Values::Data, &limits)
    };
    let [first, others @ ..] = bodies::cuts(*cut).map(|cut| bodies::outcome(understood(query, "multipart/form-data; boundary=x", cut.pieces(body))));
    for other in others {
        assert_eq!(first, other, "cut otherwise");
    }
    let Ok(first) = first else { return Corpus::Keep };
    if first.data.is_some() {
        return Corpus::Keep;
    }
    let once = understood(query, "multipart/form-data; boundary=x", Cut::Whole.pieces(body)).unwrap_or_else(|_| panic!("it was understood before"));
    let (content_type, pieces) = upstream::fuzzing::form(&once);
    let again = match understood("", &content_type, pieces) {
        Ok(again) => again,
        Err(refusal) => panic!("what was written is not read: {}\n{}", refusal.says(), first.canonical),
    };
    assert_eq!(again.address().query(), once.statement().canonical(), "the text");
    assert_eq!(again.statement().canonical(), once.statement().canonical(), "the statement");
    assert_eq!(again.address().parameters(), once.address().parameters(), "the values");
    assert_eq!(format!("{:?}", again.uploads()), first.uploads, "the tables");
    Corpus::Keep
});
