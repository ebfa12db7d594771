//! Functions, table functions and formats that a rule names.

use std::collections::BTreeSet;

use super::pattern::glob;
use crate::catalog;
use crate::config::Problems;

/// Functions or table functions, by name and by class.
#[derive(Debug, Default)]
pub(super) struct Calls {
    names: BTreeSet<String>,
    classes: BTreeSet<String>,
}

const CLASS: &str = "class:";

impl Calls {
    /// Of functions, which are compared without case.
    pub(super) fn of_functions(written: &[String], place: &str, problems: &mut Problems) -> Self {
        let calls = Self::check(written, place, &catalog::function_classes(), problems);
        Self { names: calls.names.iter().map(|name| name.to_lowercase()).collect(), ..calls }
    }

    /// Of table functions, whose case counts.
    pub(super) fn of_table_functions(written: &[String], place: &str, problems: &mut Problems) -> Self {
        Self::check(written, place, &catalog::table_function_classes(), problems)
    }

    fn check(written: &[String], place: &str, known: &[&str], problems: &mut Problems) -> Self {
        let mut calls = Self::default();
        for text in written {
            match text.strip_prefix(CLASS) {
                Some(class) if known.contains(&class) => drop(calls.classes.insert(class.to_owned())),
                Some(class) => problems.add(place, format!("`{class}` is no class; write one of: {}", known.join(", "))),
                None if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !text.is_empty() => {
                    calls.names.insert(text.clone());
                }
                None => problems.add(place, format!("`{text}` is no name of a function; write one, or class:NAME")),
            }
        }
        calls
    }

    /// As they are written, but for the case of functions.
    pub(super) fn written(&self) -> impl Iterator<Item = String> {
        self.names.iter().cloned().chain(self.classes.iter().map(|class| format!("{CLASS}{class}")))
    }

    /// Whether a function is among them.
    pub(super) fn has_function(&self, name: &str) -> bool {
        self.names.contains(&name.to_lowercase()) || catalog::function_class(name).is_some_and(|class| self.classes.contains(class))
    }

    /// Whether a table function is among them.
    pub(super) fn has_table_function(&self, name: &str) -> bool {
        self.names.contains(catalog::table_function_name(name))
            || catalog::table_function_class(name).is_some_and(|class| self.classes.contains(class))
    }
}

/// Names with stars, compared without case: formats.
#[derive(Debug, Default)]
pub(super) struct Named(Vec<String>);

impl Named {
    pub(super) fn check(written: &[String], place: &str, problems: &mut Problems) -> Self {
        for text in written.iter().filter(|text| text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'*')) {
            problems.add(place, format!("`{text}` is no name of a format; write one as in system.formats, with * for any characters"));
        }
        Self(written.iter().map(|text| text.to_lowercase()).collect())
    }

    /// Whether nothing is named.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.0.iter().any(|pattern| glob(pattern, &name))
    }
}
