//! Why the demo cannot go on, as the person in front of it reads it.

use std::error::Error;

/// What failed and what to do about it; the cause stays a source.
#[derive(Debug, thiserror::Error)]
#[error("{says}")]
pub(crate) struct Trouble {
    says: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Trouble {
    pub(crate) fn new(says: impl Into<String>) -> Self {
        Self { says: says.into(), source: None }
    }

    pub(crate) fn because(self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(cause.into()), ..self }
    }
}
