//! Digests, by which secrets and statements are known without being kept, and how they are written.

use std::fmt;

use aws_lc_rs::digest;

/// SHA-256 of these bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    digest
}

/// BLAKE3 of these bytes, by which something is found again that is kept in memory: it costs a tenth of SHA-256 where the
/// processor has no instructions for that, and nobody outside sees it.
pub fn fingerprint(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

/// Room for what most digests are made of, in bytes.
const USUAL: usize = 1024;

/// Parts one after the other, each behind its length, so that no two lists are written alike.
pub(crate) struct Parts(Vec<u8>);

impl Default for Parts {
    fn default() -> Self {
        Self(Vec::with_capacity(USUAL))
    }
}

impl Parts {
    /// SHA-256 of all of them.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        sha256(&self.0)
    }

    /// A number.
    pub(crate) fn count(&mut self, count: usize) {
        self.0.extend_from_slice(&(count as u64).to_be_bytes());
    }

    /// Bytes.
    pub(crate) fn add(&mut self, part: &[u8]) {
        self.count(part.len());
        self.0.extend_from_slice(part);
    }

    /// What may be missing.
    pub(crate) fn add_one(&mut self, part: Option<&str>) {
        self.count(usize::from(part.is_some()));
        self.add(part.unwrap_or_default().as_bytes());
    }

    /// A list.
    pub(crate) fn add_all<'a>(&mut self, parts: impl ExactSizeIterator<Item = &'a str>) {
        self.count(parts.len());
        for part in parts {
            self.add(part.as_bytes());
        }
    }
}

/// Bytes written as text, two lowercase digits for each; `N` counts the digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Hex<N> {
    /// As many of these bytes as have room.
    pub fn of(bytes: &[u8]) -> Self {
        let mut text = [b'0'; N];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&digits(*byte));
        }
        Self(text)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn digits(byte: u8) -> [u8; 2] {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    [digit(byte >> 4), digit(byte & 15)]
}

/// The 32 bytes of 64 hex digits; nothing where they are not.
pub fn read_hex(hex: &str) -> Option<[u8; 32]> {
    let hex = Some(hex).filter(|hex| hex.len() == 64 && hex.is_ascii())?;
    let mut digest = [0; 32];
    for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    Some(digest)
}
