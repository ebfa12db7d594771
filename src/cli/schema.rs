//! `keyhouse schema`: the JSON Schema of config and policy files, for editors that complete and check them.

use std::process::ExitCode;

use schemars::{Schema, schema_for, transform::Transform, transform::transform_subschemas};

use crate::config::written::Config;
use crate::policy::WrittenRules;
use crate::trial::WrittenTests;

/// What `keyhouse schema` takes.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Which file's.
    of: File,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum File {
    /// The config's.
    Config,
    /// A policy file's.
    Policy,
    /// A file of tests beside policies.
    Test,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut schema = match arguments.of {
        File::Config => schema_for!(Config),
        File::Policy => schema_for!(WrittenRules),
        File::Test => schema_for!(WrittenTests),
    };
    Closed.transform(&mut schema);
    println!("{:#}", schema.as_value());
    ExitCode::SUCCESS
}

/// A key that Keyhouse does not know is a mistake, in the editor too.
struct Closed;

impl Transform for Closed {
    fn transform(&mut self, schema: &mut Schema) {
        if schema.get("properties").is_some() {
            schema.insert("additionalProperties".to_owned(), false.into());
        }
        transform_subschemas(self, schema);
    }
}
