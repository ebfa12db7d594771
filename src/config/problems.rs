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

/// Every mistake found so far.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Notes one mistake.
    pub fn add(&mut self, key: impl fmt::Display, says: impl Into<String>) {
        self.0.push(Problem { key: key.to_string(), says: says.into() });
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{}: {}", problem.key, problem.says)?;
        }
        Ok(())
    }
}
