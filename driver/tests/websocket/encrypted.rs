//! TLS under a WebSocket, where a deployment wants it: both ends prove themselves to one authority, or there is none.

use crate::oracle::Talk;
use crate::toy::{
    Config, LIMIT, Parrot, Toy, check, connect, drain, message, network, run, tell_all, until, until_connected,
};
use bytes::Bytes;
use polypeer_driver::{Handle, StartError, Tls, TlsError, start};
use polypeer_engine::{DialFailure, DisconnectCause};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const NAME: &str = "polypeer.test";

/// One that signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn identity(&self, name: &str) -> Identity {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Identity { certificate, key: key.serialize_pem() }
    }

    fn tls(&self, name: &str) -> Tls {
        let Identity { certificate, key } = self.identity(name);
        Tls::from_pem(certificate.as_bytes(), key.as_bytes(), self.pem.as_bytes(), NAME).expect("it fits")
    }
}

fn run_with(tls: Tls, config: Config) -> Handle<Toy> {
    let mut network = network(config);
    network.tls = Some(tls);
    start(network, Parrot(Duration::ZERO), None).expect("a free port")
}

// Dials as anyone would who has such a certificate, or none.
async fn dial(
    address: SocketAddr,
    authority: &Authority,
    identity: Option<&Identity>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("PEM")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.expect("versions").with_root_certificates(roots);
    let client = match identity {
        Some(Identity { certificate, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
            client.with_client_auth_cert(chain, key).expect("it fits")
        }
        None => client.with_no_client_auth(),
    };
    let socket = TcpStream::connect(address).await.expect("it accepts");
    let name = ServerName::try_from(NAME).expect("a name");
    TlsConnector::from(Arc::new(client)).connect(name, socket).await
}

async fn open(address: SocketAddr, authority: &Authority) -> Talk<TlsStream<TcpStream>> {
    let identity = authority.identity(NAME);
    let stream = dial(address, authority, Some(&identity)).await.expect("TLS");
    let url = format!("ws://{address}/");
    let config = Some(crate::oracle::config());
    Talk(tokio_tungstenite::client_async_with_config(url, stream, config).await.expect("a WebSocket").0)
}

#[tokio::test]
async fn two_of_ours_talk_encrypted() {
    let authority = Authority::new();
    let config = Config { needs_greeting: true, ..Config::default() };
    let [listener, dialler] = [(), ()].map(|()| run_with(authority.tls(NAME), config.clone()));
    connect(&dialler, listener.listening().expect("it listens")).await;
    until_connected(&listener, 1).await;
    until_connected(&dialler, 1).await;
    for node in [&listener, &dialler] {
        tell_all(node, b'H', b"").await;
    }
    for node in [&listener, &dialler] {
        until(node, "greeted", |view| view.meters.totals().all.frames_received == 1).await;
    }
    // Large ones each way, so that sockets block.
    for (from, to) in [(&listener, &dialler), (&dialler, &listener)] {
        for _ in 0..5 {
            tell_all(from, b'.', &[3; 5_000_000]).await;
        }
        until(to, "all came", |view| view.engine.protocol().quiet >= 5).await;
        assert_eq!(to.read(|view| view.engine.protocol().last.clone()).await, Ok(message(b'.', &[3; 5_000_000])));
    }
    for node in [listener, dialler] {
        node.read(check).await.expect("it runs");
        drain(node).await;
    }
}

#[tokio::test]
async fn a_client_of_others_talks_encrypted_and_is_closed_in_order() {
    let authority = Authority::new();
    let node = run_with(authority.tls(NAME), Config { needs_greeting: true, ..Config::default() });
    let mut talk = open(node.listening().expect("it listens"), &authority).await;
    talk.ask(b'h', b"").await;
    for size in [0, 1, 200, 70_000, 3_000_000] {
        let payload: Bytes = (0..size).map(|at| (at % 251) as u8).collect();
        let (letter, came) = talk.ask(b'e', &payload).await;
        assert!(letter == b'e' && came == payload, "{size} bytes");
    }
    talk.send(b'r', &200_u32.to_be_bytes()).await;
    for number in (0..200_u8).rev() {
        assert_eq!(talk.next().await.1[0], number);
    }
    talk.send(b'l', b"").await;
    assert_eq!(talk.next().await, (b'z', Bytes::from_static(b"bye")));
    assert_eq!(talk.closed().await, None);
    until(&node, "gone", |view| view.engine.protocol().gone == [DisconnectCause::Ours]).await;
    drain(node).await;
}

#[tokio::test]
async fn what_must_wait_is_sent_when_the_peer_reads_again() {
    let authority = Authority::new();
    let node = run_with(authority.tls(NAME), Config { needs_greeting: true, ..Config::default() });
    let mut talk = open(node.listening().expect("it listens"), &authority).await;
    talk.ask(b'h', b"").await;
    let large = vec![9; 12_000_000];
    talk.send(b'e', &large).await;
    until(&node, "it waits", |view| view.meters.totals().all.queue_bytes > 0).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (letter, came) = talk.next().await;
    assert!(letter == b'e' && came == large);
    assert_eq!(talk.ask(b'e', b"after").await, (b'e', Bytes::from_static(b"after")));
    drop(talk);
    drain(node).await;
}

#[tokio::test]
async fn strangers_are_not_let_in() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let node = run_with(ours.tls(NAME), Config::default());
    let address = node.listening().expect("it listens");
    let stranger = theirs.identity(NAME);
    for identity in [None, Some(&stranger)] {
        // TLS 1.3 tells a client that it was refused after it believes that it is through.
        if let Ok(mut stream) = dial(address, &ours, identity).await {
            let _ = stream.write_all(crate::raw::request("dGhlIHNhbXBsZSBub25jZQ==").as_bytes()).await;
            let mut back = Vec::new();
            let read = timeout(LIMIT, stream.read_to_end(&mut back)).await.expect("it closes");
            assert!(read.is_err() && back.is_empty(), "{read:?}");
        }
    }
    // In the clear.
    let mut socket = TcpStream::connect(address).await.expect("it accepts");
    socket.write_all(crate::raw::request("dGhlIHNhbXBsZSBub25jZQ==").as_bytes()).await.expect("it reads");
    let mut back = Vec::new();
    let _ = timeout(LIMIT, socket.read_to_end(&mut back)).await.expect("it closes");
    assert!(!back.starts_with(b"HTTP"));
    until(&node, "all failed", |view| view.meters.totals().calls_failed == 3).await;
    assert_eq!(node.read(|view| view.meters.totals().accepted).await, Ok(0));
    drain(node).await;
}

#[tokio::test]
async fn we_talk_to_nobody_who_proves_nothing() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let other_authority = run_with(theirs.tls(NAME), Config::default());
    let other_name = run_with(ours.tls("another.test"), Config::default());
    let in_the_clear = run(Config::default());
    for listener in [other_authority, other_name, in_the_clear] {
        let node = run_with(ours.tls(NAME), Config::default());
        connect(&node, listener.listening().expect("it listens")).await;
        let failed =
            |view: &polypeer_driver::View<'_, Toy>| view.engine.protocol().dials_failed == [DialFailure::Transport];
        until(&node, "the dial failed", failed).await;
        assert_eq!(listener.read(|view| view.meters.totals().accepted).await, Ok(0));
        drain(node).await;
        drain(listener).await;
    }
}

#[tokio::test]
async fn a_handshake_that_is_not_ended_is_cut() {
    let authority = Authority::new();
    let node = run_with(authority.tls(NAME), Config { open_ms_max: 300, ..Config::default() });
    let mut silent = TcpStream::connect(node.listening().expect("it listens")).await.expect("it accepts");
    let read = timeout(LIMIT, silent.read(&mut [0])).await.expect("it closes");
    assert!(matches!(read, Ok(0) | Err(_)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    connect(&node, listener.local_addr().expect("a socket")).await;
    until(&node, "the dial failed", |view| view.engine.protocol().dials_failed == [DialFailure::Transport]).await;
    drain(node).await;
}

#[test]
fn what_tls_is_made_from_is_looked_at() {
    let (authority, other) = (Authority::new(), Authority::new());
    let Identity { certificate, key } = authority.identity(NAME);
    let (certificate, key, roots) = (certificate.as_bytes(), key.as_bytes(), authority.pem.as_bytes());
    let other_key = other.identity(NAME).key;
    let made = Tls::from_pem(certificate, key, roots, NAME);
    assert!(!format!("{:?}", made.expect("it fits")).contains("PRIVATE"));
    let error = |certificate, key, roots, name| Tls::from_pem(certificate, key, roots, name).expect_err("an error");
    assert!(matches!(error(b"", key, roots, NAME), TlsError::Pem { what: "certificates", .. }));
    assert!(matches!(error(certificate, certificate, roots, NAME), TlsError::Pem { what: "private key", .. }));
    assert!(matches!(error(certificate, key, b"nothing", NAME), TlsError::Pem { what: "authorities", .. }));
    assert!(matches!(error(certificate, other_key.as_bytes(), roots, NAME), TlsError::Identity(_)));
    assert!(matches!(error(certificate, key, roots, "no name"), TlsError::Name(_)));
}

#[test]
fn only_websockets_are_encrypted() {
    // A network that speaks TCP is refused rather than left in the clear.
    let authority = Authority::new();
    let mut network = crate::toy::plain_network();
    network.tls = Some(authority.tls(NAME));
    let refused = start(network, Parrot(Duration::ZERO), None).expect_err("it does not start");
    assert!(matches!(refused, StartError::NoTls), "{refused}");
}
