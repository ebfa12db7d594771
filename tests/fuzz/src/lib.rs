//! What the targets share: how an input is taken apart, and how a stack overflow leaves its input behind.

pub mod bodies;
pub mod tokens;

use std::sync::OnceLock;

use keyhouse::statement::Parameters;
use tokio::runtime::{Builder, Runtime};

/// A statement, and the parameters of its request: `text`, or `text NUL name=value NUL name=value ...`.
pub fn question(input: &[u8]) -> Option<(&str, Parameters)> {
    let mut parts = std::str::from_utf8(input).ok()?.split('\0');
    let text = parts.next()?;
    let parameters = parts.filter_map(|part| part.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned()));
    Some((text, parameters.collect()))
}

/// What is told to people: on one line, of no control characters, and no longer than this.
pub fn is_a_sentence(text: &str, longest: usize) {
    assert!(!text.contains(char::is_control), "it cannot be shown: {text:?}");
    assert!(text.chars().count() <= longest, "it has no end: {text:?}");
}

/// What waits.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_current_thread().enable_time().build().expect("a runtime"))
}

/// Lets the engine's handler run on a stack of its own: on one that overflowed it could not write the input down.
pub fn keep_what_overflows_the_stack() {
    const SIZE: usize = 1 << 20;
    let memory = Box::leak(vec![0u8; SIZE].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: SIZE };
    // SAFETY: the memory is never given back, and nothing else is done with it. All zeros is the default action, and the
    // engine, which sets its handler behind this, keeps the flag.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_flags = libc::SA_ONSTACK;
        assert_eq!(libc::sigaltstack(&stack, std::ptr::null_mut()), 0, "sigaltstack");
        assert_eq!(libc::sigaction(libc::SIGSEGV, &action, std::ptr::null_mut()), 0, "sigaction");
    }
}
