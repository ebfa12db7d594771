//! Whatever stands in the address and in the body, and in whatever pieces the body comes: it is refused for one reason, or
//! the statement and the data that go on are those of the text as ClickHouse joins it.
#![no_main]

use keyhouse::refusal::Reason;
use keyhouse::statement::{Coding, Opinion, Parameters, Values, fuzzing};
use keyhouse_fuzz::bodies::{self, CODINGS, Outcome};
use libfuzzer_sys::{Corpus, fuzz_target};

/// How long a statement may be, and where short ones are tried.
const LONGEST: usize = 16 * 1024;
const SHORT: usize = 256;

// An input is what kind of request it is, how its body is cut, and `query NUL body`.
fuzz_target!(init: keyhouse_fuzz::keep_what_overflows_the_stack(), |input: &[u8]| -> Corpus {
    let [kind, cut, rest @ ..] = input else { return Corpus::Reject };
    let (query, plain) = rest.iter().position(|byte| *byte == 0).map_or((&b""[..], rest), |at| (&rest[..at], &rest[at + 1..]));
    let Ok(query) = std::str::from_utf8(query) else { return Corpus::Reject };
    let values = if kind & 8 == 0 { Values::Data } else { Values::Expressions };
    let coding = CODINGS.get(usize::from(kind & 7)).copied();
    // Some bodies are taken for coded ones as they are.
    let broken = coding.is_some() && kind & 16 != 0;
    let body = coding.filter(|_| !broken).map_or_else(|| plain.to_vec(), |coding| bodies::coded(coding, plain));
    let limits = bodies::limits(if kind & 32 == 0 { LONGEST } else { SHORT });
    let [first, others @ ..] = bodies::cuts(*cut).map(|cut| {
        let head = head(query, coding);
        bodies::outcome(bodies::understand(head, cut.pieces(&body), values, &limits))
    });
    let long = |outcome: &Result<Outcome, Reason>| matches!(outcome, Err(Reason::StatementTooLong | Reason::BodyTooLarge));
    for other in others {
        // What is broken and too long is found to be either first; and a lie in a frame of Zstandard is found only at once.
        let either = broken && (long(&first) || long(&other)) && first.is_err() && other.is_err();
        assert!(either || (broken && coding == Some(Coding::Zstd)) || first == other, "cut otherwise: {first:?} and {other:?}");
    }
    if !broken && first != Err(Reason::StatementTooLong) {
        is_as_joined(query, plain, &body, first, values);
    }
    Corpus::Keep
});

fn head(query: &str, coding: Option<Coding>) -> http::request::Parts {
    let headers = coding.filter(|coding| *coding != Coding::Blocks).map(|coding| ("Content-Encoding", coding.name()));
    let mut parameters = vec![("query", query)];
    parameters.extend((coding == Some(Coding::Blocks)).then_some(("decompress", "1")));
    bodies::head("POST", &parameters, headers.as_slice())
}

/// The whole text at once comes to the same.
fn is_as_joined(query: &str, plain: &[u8], body: &[u8], outcome: Result<Outcome, Reason>, values: Values) {
    let joined = if query.is_empty() { plain.to_vec() } else { [query.as_bytes(), b"\n", plain].concat() };
    let valid = match std::str::from_utf8(&joined) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&joined[..error.valid_up_to()]).unwrap(),
    };
    let is_utf8 = valid.len() == joined.len();
    let read = match fuzzing::read(valid, &Parameters::new(), values) {
        Ok(read) if read.second_opinion() == Some(Opinion::Disagrees) && is_utf8 => Err(Reason::ParsersDisagree),
        Ok(read) if read.data().is_some() || is_utf8 => Ok(read),
        Err(refusal) if is_utf8 => Err(refusal.reason()),
        Ok(_) | Err(_) => Err(Reason::NotUtf8),
    };
    let (read, outcome) = match (read, outcome) {
        (Ok(read), Ok(outcome)) => (read, outcome),
        // What ends in the middle of a word is not understood either.
        (Err(_), Err(_)) if !is_utf8 => return,
        (read, outcome) => return assert_eq!(read.err(), outcome.err(), "the joined text is refused otherwise"),
    };
    assert_eq!(outcome.canonical, read.canonical(), "another statement");
    let Some(at) = read.data() else { return assert_eq!(outcome.data, None, "data of nothing") };
    let (codings, data) = outcome.data.expect("data");
    let wanted = without_blanks(&joined[at..]);
    if codings.is_empty() {
        assert_eq!(String::from_utf8_lossy(without_blanks(&data)), String::from_utf8_lossy(wanted), "other data");
    } else {
        assert_eq!(data, body, "other data");
        // ClickHouse joins the canonical text, a line feed and the data.
        assert_eq!(String::from_utf8_lossy(wanted), String::from_utf8_lossy(&[b"\n", plain].concat()), "other data");
    }
}

/// ClickHouse skips these behind the head, and one line feed.
fn without_blanks(data: &[u8]) -> &[u8] {
    let blanks = data.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\x0c')).count();
    &data[blanks..]
}
