//! A certificate authority of the tests, and server certificates for localhost that it signed.

use std::{
    path::Path,
    sync::{Arc, LazyLock},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

pub struct Certificates {
    pub authority: String,
    pub certificate: String,
    pub key: String,
    signer: Arc<CertifiedIssuer<'static, KeyPair>>,
}

impl Certificates {
    /// The ones that all tests share unless strangers are what they are about.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Certificates> = LazyLock::new(Certificates::new);
        &SHARED
    }

    /// A new authority, so one that nobody trusts, with one server certificate.
    pub fn new() -> Self {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.distinguished_name.push(DnType::CommonName, "authority of the tests");
        let signer = Arc::new(CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap());
        Self::signed(signer, server(&["localhost", "127.0.0.1"]))
    }

    /// The same authority with a certificate for other names.
    pub fn for_others(&self, names: &[&str]) -> Self {
        Self::signed(Arc::clone(&self.signer), server(names))
    }

    /// The same authority with a certificate whose time is over.
    pub fn expired(&self) -> Self {
        let mut server = server(&["localhost", "127.0.0.1"]);
        server.not_after = date_time_ymd(2020, 1, 1);
        Self::signed(Arc::clone(&self.signer), server)
    }

    fn signed(signer: Arc<CertifiedIssuer<'static, KeyPair>>, server: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = server.signed_by(&key, &*signer).unwrap();
        Self { authority: signer.pem(), certificate: certificate.pem(), key: key.serialize_pem(), signer }
    }

    /// `ca.pem`, `tls.crt` and `tls.key`.
    pub fn write_to(&self, folder: &Path) {
        for (name, text) in [("ca.pem", &self.authority), ("tls.crt", &self.certificate), ("tls.key", &self.key)] {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }

    /// A client that trusts this authority alone.
    pub fn client(&self, protocols: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    pub fn server(&self) -> ServerConfig {
        let chain = vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap()
    }
}

fn server(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}
