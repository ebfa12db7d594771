//! The folder that the demo writes into: certificates, config, policies, the record, the logs. Made anew each time.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::trouble::Trouble;

const KEYHOUSE: &str = include_str!("../../../deploy/demo-files/keyhouse.yaml");
const ANALYSTS: &str = include_str!("../../../deploy/demo-files/policies/10-analysts.yaml");
const USERS: &str = include_str!("../../../deploy/demo-files/clickhouse-users.xml");
const SALES: &str = include_str!("../../../deploy/demo-files/sales.sql");

/// Bytes of ClickHouse's password, which nobody has to remember.
const PASSWORD: usize = 24;

/// What says that a folder is a demo's; locked as long as the demo runs.
const MARK: &str = ".keyhouse-demo";

/// A folder of the demo's own.
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes it anew. What stands there is removed only where a demo that has ended left its mark.
    pub(crate) fn new(path: &Path) -> Result<Self, Trouble> {
        let failed = |error| Trouble::new(format!("{} cannot be made", path.display())).because(error);
        let mark = path.join(MARK);
        if path.exists() {
            let strange = |error| Trouble::new(format!("{} is not of an earlier demo; give another --folder", path.display())).because(error);
            let earlier = File::open(&mark).map_err(strange)?;
            earlier.try_lock().map_err(|_held| Trouble::new(format!("another demo runs in {}; end it, or give another --folder", path.display())))?;
            fs::remove_dir_all(path).map_err(failed)?;
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path.join("policies")).map_err(failed)?;
        let lock = File::create_new(mark).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Self { path: path.canonicalize().map_err(failed)?, _lock: lock })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What ClickHouse starts from: its data, and one user with a password that nobody knows before.
    pub(crate) fn write_clickhouse(&self) -> Result<(), Trouble> {
        let mut password = [0; PASSWORD];
        aws_lc_rs::rand::fill(&mut password).map_err(|error| Trouble::new("the system has no randomness").because(error))?;
        let password: String = password.iter().map(|byte| format!("{byte:02x}")).collect();
        self.write("sales.sql", SALES)?;
        self.write("clickhouse-users.xml", &USERS.replace("@password@", &password))?;
        self.write("clickhouse-password", &password)
    }

    /// What Keyhouse starts from.
    pub(crate) fn write_keyhouse(&self, issuer: &str, clickhouse: &str) -> Result<(), Trouble> {
        self.write("keyhouse.yaml", &KEYHOUSE.replace("@issuer@", issuer).replace("@clickhouse@", clickhouse))?;
        self.write("policies/10-analysts.yaml", ANALYSTS)
    }

    /// A certificate authority of this run alone, and what it signed for localhost.
    pub(crate) fn write_certificates(&self) -> Result<(), Trouble> {
        let made = certificates().map_err(|error| Trouble::new("no certificate can be made").because(error))?;
        made.iter().try_for_each(|(name, text)| self.write(name, text))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Trouble> {
        let write = || -> io::Result<()> {
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.file(name))?.write_all(text.as_bytes())
        };
        write().map_err(|error| Trouble::new(format!("{} cannot be written", self.file(name).display())).because(error))
    }
}

fn certificates() -> Result<[(&'static str, String); 3], rcgen::Error> {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, "Keyhouse demo");
    let authority = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let server = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()])?.signed_by(&key, &authority)?;
    Ok([("ca.pem", authority.pem()), ("tls.crt", server.pem()), ("tls.key", key.serialize_pem())])
}
