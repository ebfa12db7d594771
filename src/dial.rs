//! Connections that Keyhouse opens itself: TCP, through a proxy where the environment names one, TLS where the endpoint says so,
//! HTTP/1.1, everything within one time.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper::body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::config::Endpoint;

/// Most header fields of an answer: ClickHouse repeats `X-ClickHouse-Progress`, and hyper's own limit is 100. Room for all is
/// made for every answer, so that more cost every request.
const ANSWER_HEADERS: usize = 300;

/// Most bytes of an answer that are held before they go on, and of its head.
const IN_FLIGHT: usize = 64 * 1024;

/// What moves the bytes of a connection while it is polled; it ends when the connection does.
pub type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither connection nor handshake in time.
    #[error("no connection to {0} within {1:?}")]
    Timeout(String, Duration),
    /// TCP or TLS failed.
    #[error("no connection to {0}")]
    Connect(String, #[source] io::Error),
    /// The proxy of the environment gave no way through.
    #[error("no connection to {0} through the proxy {1}")]
    Proxy(String, String, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// The peer speaks no HTTP/1.1.
    #[error("no HTTP/1.1 with {0}")]
    Http(String, #[source] hyper::Error),
}

/// Opens connections that trust one set of authorities.
#[derive(Clone)]
pub struct Dialer {
    tls: TlsConnector,
    timeout: Duration,
    /// The proxies of the environment; none for ClickHouse, which stands near.
    proxies: Option<Arc<Matcher>>,
}

impl Dialer {
    /// A dialer that trusts the authorities of `ca_file`, or the system's where there is none.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn new(ca_file: Option<&Path>, timeout: Duration) -> Result<Self, String> {
        let roots = match ca_file {
            Some(file) => roots_of(file)?,
            None => system_roots(),
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), timeout, proxies: None })
    }

    /// The same through the proxy that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` name, as curl reads them.
    pub fn by_environment(self) -> Self {
        Self { proxies: Some(Arc::new(Matcher::from_env())), ..self }
    }

    /// One connection. The task that drives it ends when the connection does.
    pub async fn dial<B>(&self, endpoint: &Endpoint) -> Result<SendRequest<B>, Error>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (sender, driver) = self.open(endpoint).await?;
        tokio::spawn(driver);
        Ok(sender)
    }

    /// One connection, for whoever drives it themselves.
    pub async fn open<B>(&self, endpoint: &Endpoint) -> Result<(SendRequest<B>, Driver), Error>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        tokio::time::timeout(self.timeout, self.connect(endpoint))
            .await
            .unwrap_or_else(|_elapsed| Err(Error::Timeout(endpoint.to_string(), self.timeout)))
    }

    fn proxy_to(&self, endpoint: &Endpoint) -> Option<(Intercept, Uri)> {
        let destination: Uri = endpoint.to_string().parse().ok()?;
        Some((self.proxies.as_ref()?.intercept(&destination)?, destination))
    }

    async fn connect<B>(&self, endpoint: &Endpoint) -> Result<(SendRequest<B>, Driver), Error>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let failed = |error| Error::Connect(endpoint.to_string(), error);
        let tcp = match self.proxy_to(endpoint) {
            Some((proxy, destination)) => tunnel(proxy, destination, endpoint).await?,
            None => TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.map_err(failed)?,
        };
        tcp.set_nodelay(true).map_err(failed)?;
        if !endpoint.tls {
            return shake(endpoint, tcp).await;
        }
        let name = ServerName::try_from(endpoint.host.clone()).map_err(|error| failed(io::Error::other(error)))?;
        shake(endpoint, self.tls.connect(name, tcp).await.map_err(failed)?).await
    }
}

/// A tunnel (RFC 9110 9.3.6): the proxy carries TLS and sees nothing of what is in it.
async fn tunnel(proxy: Intercept, destination: Uri, endpoint: &Endpoint) -> Result<TcpStream, Error> {
    let tunnel = Tunnel::new(proxy.uri().clone(), HttpConnector::new());
    let mut tunnel = match proxy.basic_auth() {
        Some(credential) => tunnel.with_auth(credential.clone()),
        None => tunnel,
    };
    // Without the proxy's own user and password.
    let name = format!("{}:{}", proxy.uri().host().unwrap_or_default(), proxy.uri().port_u16().unwrap_or(80));
    let failed = |error| Error::Proxy(endpoint.to_string(), name, Box::new(error));
    tunnel.call(destination).await.map(TokioIo::into_inner).map_err(failed)
}

async fn shake<S, B>(endpoint: &Endpoint, stream: S) -> Result<(SendRequest<B>, Driver), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (sender, connection) = http1::Builder::new()
        .max_headers(ANSWER_HEADERS)
        .max_buf_size(IN_FLIGHT)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Error::Http(endpoint.to_string(), error))?;
    // What ends the connection also ends the answer that runs on it, and is told there.
    let driver = async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection of ours ended");
        }
    };
    Ok((sender, Box::pin(driver)))
}

fn roots_of(file: &Path) -> Result<RootCertStore, String> {
    let unreadable =
        |error: &dyn std::fmt::Display| format!("{} holds no certificates ({error}); write a PEM file with the authorities to trust", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))? {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    if roots.is_empty() {
        return Err(unreadable(&"none found"));
    }
    Ok(roots)
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "a certificate authority of the system cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    roots
}
