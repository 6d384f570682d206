//! Encrypts a network's WebSockets, for deployments that have an authority of their own: TLS 1.3 by rustls, and each end
//! proves itself to the other.

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fmt;
use std::io;
use std::sync::Arc;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// What both ends of a network's WebSockets show and ask for. A clone is the same.
///
/// It holds a private key and is no part of a recording; an engine never sees it.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// What is wrong with the files that TLS is made from.
#[derive(Debug, Error)]
pub enum TlsError {
    /// No PEM, or none of the kind that is needed.
    #[error("{what}: {source}")]
    Pem {
        /// Which of them.
        what: &'static str,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The authorities' certificates cannot be used.
    #[error("authorities: {0}")]
    Authorities(String),
    /// The certificate and the key do not fit, or cannot be used.
    #[error("certificate and key: {0}")]
    Identity(rustls::Error),
    /// The name is none that a certificate can have.
    #[error("{0:?} is no name that a certificate can have")]
    Name(String),
}

impl Tls {
    /// Reads PEM: this node's certificate and those between it and an authority; its private key (PKCS #8, SEC 1 or PKCS
    /// #1); the authorities whom it trusts. `name` is what the certificate of everyone in the deployment is made out to:
    /// peers are dialled by address, which says nothing about who they are.
    pub fn from_pem(certificates: &[u8], key: &[u8], authorities: &[u8], name: &str) -> Result<Self, TlsError> {
        let pem = |what| move |source| TlsError::Pem { what, source };
        let chain = pem_certificates(certificates).map_err(pem("certificates"))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(pem("private key"))?;
        let mut roots = RootCertStore::empty();
        for authority in pem_certificates(authorities).map_err(pem("authorities"))? {
            roots.add(authority).map_err(|error| TlsError::Authorities(error.to_string()))?;
        }
        let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))?;
        let provider: Arc<CryptoProvider> = default_provider().into();
        let roots = Arc::new(roots);
        let unusable = |error: rustls::server::VerifierBuilderError| TlsError::Authorities(error.to_string());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
        let verifier = verifier.build().map_err(unusable)?;
        let server = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&TLS13]);
        let server = server.map_err(TlsError::Identity)?.with_client_cert_verifier(verifier);
        let server = server.with_single_cert(chain.clone(), key.clone_key()).map_err(TlsError::Identity)?;
        let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
        let client = client.map_err(TlsError::Identity)?.with_root_certificates(roots);
        let client = client.with_client_auth_cert(chain, key).map_err(TlsError::Identity)?;
        Ok(Self { acceptor: Arc::new(server).into(), connector: Arc::new(client).into(), name })
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await.map(TlsStream::Server)
    }

    pub(crate) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await.map(TlsStream::Client)
    }
}

fn pem_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?;
    if all.is_empty() { Err(rustls::pki_types::pem::Error::NoItemsFound) } else { Ok(all) }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key, which a log must not hold.
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}
