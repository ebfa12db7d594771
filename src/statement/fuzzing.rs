//! Doors for tests/fuzz: into what only this room has.

use bytes::{Bytes, BytesMut};

use super::coding::{Decoder, Paused};
use super::{Address, Coding, Parameters, Statement, Values, grammar};
use crate::refusal::Refusal;

/// Undoes one coding.
pub struct Undoing(Decoder);

impl Undoing {
    /// For one body.
    pub fn new(coding: Coding) -> Self {
        Self(Decoder::new(coding))
    }

    /// Whether it is full; if not, it is hungry.
    ///
    /// # Errors
    /// What is wrong with the body.
    pub fn decode(&mut self, input: &mut Bytes, output: &mut BytesMut, most: usize) -> Result<bool, String> {
        self.0.decode(input, output, most).map(|paused| paused == Paused::Full).map_err(|broken| broken.to_string())
    }

    /// The input has ended.
    ///
    /// # Errors
    /// What is wrong with the body.
    pub fn finish(&self) -> Result<(), String> {
        self.0.finish().map_err(|broken| broken.to_string())
    }
}

/// Reads a statement, as the gate does.
///
/// # Errors
/// 400 with what could not be read.
pub fn read(text: &str, parameters: &Parameters, values: Values) -> Result<Statement, Refusal> {
    super::read_as(text, parameters, values)
}

/// Reads an address.
///
/// # Errors
/// 400 with what could not be read.
pub fn address(query: &str, form: bool) -> Result<Address, Refusal> {
    Address::read(Some(query), form)
}

/// Whether data begins with what is none, where that is known.
pub fn begins_with_no_data(data: &[u8], ended: bool) -> Option<bool> {
    match grammar::data_begins(data, ended) {
        grammar::Begins::Data => Some(false),
        grammar::Begins::Statement => Some(true),
        grammar::Begins::Unknown => None,
    }
}
