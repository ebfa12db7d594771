//! Secrets: read from a file or a named environment variable, never printed, wiped when dropped.

use std::io::Read;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::written;

/// Most bytes that are read of a file: a secret is no more.
const LONGEST: u64 = 64 * 1024;

/// A secret. `Debug` prints only that there is one.
#[derive(Debug, Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Reads it from where the config says; `base` is the folder of the config file. One newline at the end belongs to
    /// the file and not to the secret.
    ///
    /// # Errors
    /// A sentence for the operator: missing, empty, or with characters that no HTTP header can carry.
    pub fn read(source: &written::Secret, base: &Path) -> Result<Self, String> {
        match source {
            written::Secret::File(file) => Self::of_file(&base.join(file)),
            written::Secret::Env(name) => {
                // The error of one that is not UTF-8 would quote it.
                let value = std::env::var_os(name).ok_or_else(|| format!("the environment variable {name} is not set; set it or use a file"))?;
                Self::of_text(
                    &value.into_string().map_err(|_value| format!("the environment variable {name} is not UTF-8; set it anew or use a file"))?,
                )
            }
        }
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// As [`Secret::read`].
    pub fn of_file(file: &Path) -> Result<Self, String> {
        let unreadable = |error: std::io::Error| format!("{} cannot be read ({error}); write a file that this user may read", file.display());
        let mut text = String::new();
        std::fs::File::open(file).and_then(|open| open.take(LONGEST).read_to_string(&mut text)).map_err(unreadable)?;
        Self::of_text(&text)
    }

    fn of_text(text: &str) -> Result<Self, String> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err("is empty; write the secret there".to_owned());
        }
        if http::HeaderValue::from_str(text).is_err() {
            return Err("holds a line break or another control character; write it on one line".to_owned());
        }
        Ok(Self(SecretString::from(text)))
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
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
        let secret = Secret::read(&written::Secret::File("pw".into()), folder.path()).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    #[test]
    fn an_empty_or_two_line_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty"), "\n").unwrap();
        std::fs::write(folder.path().join("two"), "a\nb\n").unwrap();
        for name in ["empty", "two", "absent"] {
            assert!(Secret::read(&written::Secret::File(name.into()), folder.path()).is_err(), "{name}");
        }
    }
}
