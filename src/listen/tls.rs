//! TLS 1.2 and 1.3 from certificate and key files; HTTP/2 and HTTP/1.1 by ALPN.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// Reads the files.
///
/// # Errors
/// A sentence for the operator: unreadable, empty, or key and certificate that do not belong together.
pub fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, String> {
    let certificate = |error: &dyn std::fmt::Display| {
        format!("certificate_file: {} holds no certificate chain ({error}); write a PEM file, the server's own first", files.certificate.display())
    };
    let chain =
        CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|error| certificate(&error))?;
    if chain.is_empty() {
        return Err(certificate(&"none found"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| format!("key_file: {} holds no private key ({error}); write a PEM file", files.key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("certificate_file and key_file do not fit each other ({error})"))?;
    // Tickets that hold the session themselves: nothing is remembered here of callers who may come back.
    config.ticketer = Ticketer::new().map_err(|error| error.to_string())?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
