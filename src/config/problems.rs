//! All mistakes of a run, each as `key: what is wrong; what to write`.

use std::fmt;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key it stands at, or the file.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub says: String,
}

/// Every mistake found so far, and what is none and yet to be looked at.
#[derive(Debug, Default)]
pub struct Problems {
    mistakes: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Problems {
    /// A single mistake.
    pub fn one(key: impl fmt::Display, says: impl Into<String>) -> Self {
        let mut problems = Self::default();
        problems.add(key, says);
        problems
    }

    /// Notes one mistake.
    pub fn add(&mut self, key: impl fmt::Display, says: impl Into<String>) {
        self.mistakes.push(Problem { key: key.to_string(), says: says.into() });
    }

    /// Notes what is allowed and seldom meant.
    pub fn warn(&mut self, key: impl fmt::Display, says: impl Into<String>) {
        self.warnings.push(Problem { key: key.to_string(), says: says.into() });
    }

    /// What is allowed and seldom meant.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Whether there is no mistake.
    pub fn is_empty(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.mistakes.len()
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.mistakes.iter()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.says)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.mistakes {
            writeln!(f, "{problem}")?;
        }
        Ok(())
    }
}
