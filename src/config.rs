//! What the operator wrote, checked until nothing is left to validate.
//!
//! `written` is the file's shape, `checked` what the rooms are built from, `problems` every mistake of one run.

pub mod checked;
pub mod command;
pub mod network;
pub mod preset;
pub mod problems;
pub mod secret;
pub mod share;
pub mod written;

pub use checked::{
    Admission, AudienceClaim, Cluster, Config, Endpoint, FromHeader, Groups, Http2Limits, KeySource, Limits, Listener, OnFailure, Preset, Provider,
    Queue, RecordTarget, Refresh, SERVICE_ACCOUNT, Scalar, ServiceAccount, Split, StatementForm, TlsFiles, TokenType, UpstreamUser,
};
pub use command::Command;
pub use preset::TENANT;
pub use problems::{Problem, Problems};
pub use secret::Secret;
pub use share::{Share, Shares, Window};

use std::path::Path;

use serde::de::DeserializeOwned;

/// Reads and checks a config file. What could be made of it is returned also beside mistakes, so that the policies can
/// be checked in the same run; only without any may it be run.
pub fn load(file: &Path, problems: &mut Problems) -> Option<Config> {
    let written: written::Config = read_yaml(file, problems)?;
    Some(checked::check(written, file.parent().unwrap_or(Path::new(".")), problems))
}

/// Reads one YAML file into its written form. Unknown keys are all reported; a value of the wrong shape ends the
/// reading, with its place in the file.
pub fn read_yaml<T: DeserializeOwned>(file: &Path, problems: &mut Problems) -> Option<T> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            problems.add(file.display(), format!("cannot be read ({error}); write a file that this user may read"));
            return None;
        }
    };
    // Where a place is kept beside a value, the reader marks it with a key of its own.
    const PLACE: &str = "__serde_saphyr_private_spanned";
    let mut unknown = Vec::new();
    let read = serde_saphyr::with_deserializer_from_str(&text, |deserializer| {
        serde_ignored::deserialize(deserializer, |path| unknown.extend(Some(path.to_string()).filter(|path| !path.ends_with(PLACE))))
    });
    for key in unknown {
        problems.add(format!("{}: {}", file.display(), written_path(&key)), "is not a key that Keyhouse knows; remove it or see the README's table");
    }
    // Without the lines around the mistake: a password could stand there.
    read.map_err(|error| problems.add(file.display(), error.without_snippet().to_string().trim_end().to_owned())).ok()
}

/// `listen.0.tls.?` as all other mistakes are told: `listen[0].tls`.
fn written_path(path: &str) -> String {
    let mut written = String::new();
    for part in path.split('.').filter(|part| *part != "?") {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            written.push_str(&format!("[{part}]"));
        } else {
            written.push_str(if written.is_empty() { "" } else { "." });
            written.push_str(part);
        }
    }
    written
}
