//! What was judged is what runs: the canonical text is read as the very same statement again.
//!
//! `changed` of `tests/it/corpus.rs` states the same, without parameters.
#![no_main]

use keyhouse::statement::{self, Reach, Statement};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(init: keyhouse_fuzz::keep_what_overflows_the_stack(), |input: &[u8]| -> Corpus {
    let Some((text, parameters)) = keyhouse_fuzz::question(input) else { return Corpus::Reject };
    // What is refused goes nowhere; it is kept, for it may be close to what is not.
    let Ok(first) = statement::read(text, &parameters) else { return Corpus::Keep };
    let again = match statement::read(first.canonical(), &parameters) {
        Ok(again) => again,
        Err(refusal) => panic!("what was written is not read: {}\n{}", refusal.says(), first.canonical()),
    };
    assert_eq!(again.canonical(), first.canonical(), "the text");
    assert_eq!((again.effect(), again.kind()), (first.effect(), first.kind()), "the kind");
    reaches_the_same(&again, &first);
    // Of an INSERT with data the canonical text is the head, and the data goes behind it as it came.
    assert!(again.data().is_none_or(|at| at == first.canonical().len()), "data stands in the head");
    is_plain(first.canonical());
    Corpus::Keep
});

/// The values of `Identifier` parameters stand in the canonical text as names, so what they were is known there.
fn reaches_the_same(again: &Statement, first: &Statement) {
    let (again, first) = (again.reach(), first.reach());
    let parts = |reach: &Reach| {
        let Reach { tables, ctes, targets, also, functions, table_functions, target_functions, clauses, settings, format, .. } = reach;
        let named = format!("{tables:?} {ctes:?} {targets:?} {also:?} {functions:?} {table_functions:?} {target_functions:?}");
        format!("{named} {clauses:?} {settings:?} {format:?}")
    };
    assert_eq!(parts(again), parts(first), "the reach");
    let replaced = |kind: &str| kind == "Identifier";
    assert!(first.parameters.iter().all(|(name, kind)| replaced(kind) || again.parameters.get(name) == Some(kind)), "a parameter is lost");
    assert!(again.parameters.iter().all(|(name, kind)| first.parameters.get(name) == Some(kind)), "a parameter is new");
    if first.parameters.values().any(|kind| replaced(kind)) {
        assert!(again.computed.is_subset(&first.computed), "{:?} is computed, and was {:?}", again.computed, first.computed);
    } else {
        assert_eq!(again.computed, first.computed, "what is computed");
    }
}

/// Nothing is left that another lexer could read otherwise: comments, heredocs, blanks and quotes that not all know.
fn is_plain(text: &str) {
    for (kind, range) in statement::tokens(text) {
        let written = &text[range];
        let plain = match kind {
            "Whitespace" => written.bytes().all(|byte| matches!(byte, b' ' | b'\n')),
            "StringLiteral" => written.starts_with('\''),
            "QuotedIdentifier" => written.starts_with('`'),
            "Comment" | "HereDoc" => false,
            _ => written.is_ascii() && !kind.starts_with("Error"),
        };
        assert!(plain, "{kind} {written:?} is written");
    }
}
