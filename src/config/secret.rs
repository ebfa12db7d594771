//! Secrets: never printed, wiped when dropped, and in memory once, however many hold them.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::constant_time;
use secrecy::{ExposeSecret, SecretString};

/// Most bytes that are read of a file or from a command: a secret is no more.
pub(super) const LONGEST: usize = 64 * 1024;

/// A secret. `Debug` prints only that there is one.
#[derive(Debug, Clone)]
pub struct Secret(Arc<SecretString>);

/// What is wrong with a text that should be a secret.
pub(super) struct Flaw {
    /// As it follows the text's name.
    pub(super) is: &'static str,
    /// What to do where a person wrote it.
    mend: &'static str,
}

impl Secret {
    /// Reads it from a file. One newline at the end belongs to the file and not to the secret.
    ///
    /// # Errors
    /// A sentence for the operator: missing, empty, or with characters that no HTTP header can carry.
    pub fn of_file(file: &Path) -> Result<Self, String> {
        let unreadable = |error: std::io::Error| format!("{} cannot be read ({error}); write a file that this user may read", file.display());
        let mut text = String::new();
        std::fs::File::open(file).and_then(|open| open.take(LONGEST as u64).read_to_string(&mut text)).map_err(unreadable)?;
        Self::of_text(&text).map_err(Flaw::told)
    }

    /// Reads it from an environment variable.
    ///
    /// # Errors
    /// As [`Secret::of_file`].
    pub fn of_environment(name: &str) -> Result<Self, String> {
        let value = std::env::var_os(name).ok_or_else(|| format!("the environment variable {name} is not set; set it or use a file"))?;
        // The error of one that is not UTF-8 would quote it.
        let value = value.into_string().map_err(|_value| format!("the environment variable {name} is not UTF-8; set it anew or use a file"))?;
        Self::of_text(&value).map_err(Flaw::told)
    }

    /// Takes it from a text.
    pub(super) fn of_text(text: &str) -> Result<Self, Flaw> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(Flaw { is: "is empty", mend: "write the secret there" });
        }
        if http::HeaderValue::from_str(text).is_err() {
            return Err(Flaw { is: "holds a line break or another control character", mend: "write it on one line" });
        }
        Ok(Self(Arc::new(SecretString::from(text))))
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether both are the same, told in a time that says nothing about where they differ.
    pub fn is(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(self.expose().as_bytes(), other.expose().as_bytes()).is_ok()
    }
}

impl Flaw {
    fn told(self) -> String {
        format!("{}; {}", self.is, self.mend)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_secret_is_not_printed_by_debug() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pw"), "hunter2\n").unwrap();
        let secret = Secret::of_file(&folder.path().join("pw")).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    #[test]
    fn an_empty_or_two_line_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty"), "\n").unwrap();
        std::fs::write(folder.path().join("two"), "a\nb\n").unwrap();
        for name in ["empty", "two", "absent"] {
            assert!(Secret::of_file(&folder.path().join(name)).is_err(), "{name}");
        }
    }
}
