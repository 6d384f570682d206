//! Breaks the HTTP API: methods, paths, queries and bodies, asked of the router in this process.

use axum::body::{Body, HttpBody};
use axum::http::{Method, Request, StatusCode, Uri, header};
use axum::response::Response;
use polypeer::api::{BODY_BYTES_MAX, Node, PAGE_MAX, Problem, Token, router};
use polypeer::engine::{Address, Event, IMPORT_MAX, ImportedAddress, Target};
use polypeer::networks::{About, Later, Meters, Order, Refused, RunningNetwork, Stopped, Which};
use polypeer::view;
use serde::de::IgnoredAny;
use std::future::ready;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::broadcast;
use tower::ServiceExt;

/// An answer in bytes: the API's description is the longest that a node with so little in it gives.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Ten years, the longest ban.
const BAN_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What the API asks after: one network, in which everything is there and quick.
static NODE: LazyLock<axum::Router> = LazyLock::new(|| {
    let node = Node::new(vec![Arc::new(Quick)], Arc::default(), Some(Token::new("fuzz")));
    router(Arc::new(node))
});

/// Only for its clock: nothing that is asked here waits.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a clock needs nothing of the system"));

/// Any request has an answer at once, of bounded length: what was asked for, or a problem document with a status that
/// blames the request. What acts is refused without the token.
pub fn api(input: &[u8]) {
    let Some((method, uri, body)) = request(input) else { return };
    let (status, _) = ask(&method, &uri, body, true);
    let wants_json = method == Method::POST || method == Method::PUT && !body.is_empty();
    if wants_json && serde_json::from_slice::<IgnoredAny>(body).is_err() {
        assert!(status.is_client_error(), "{status} for a body that is no JSON");
    }
    if !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS) {
        assert_eq!(ask(&method, &uri, body, false).0, StatusCode::UNAUTHORIZED);
    }
}

/// Whether the node takes these over.
pub fn imports(entries: &[view::KnownAddress]) -> bool {
    let body = serde_json::to_vec(entries).expect("entries have an encoding");
    let uri = Uri::from_static("/api/v1/networks/net/addresses");
    ask(&Method::POST, &uri, &body, true).0 == StatusCode::OK
}

/// A line with the method and the path, and the body.
fn request(input: &[u8]) -> Option<(Method, Uri, &[u8])> {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (line, body) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let (method, uri) = line.split_at(line.iter().position(|byte| *byte == b' ')?);
    Some((Method::from_bytes(method).ok()?, Uri::try_from(&uri[1..]).ok()?, body))
}

/// Asks, and holds the answer to what every answer must be.
fn ask(method: &Method, uri: &Uri, body: &[u8], with_token: bool) -> (StatusCode, Vec<u8>) {
    let mut request = Request::builder().method(method).uri(uri);
    if with_token {
        request = request.header(header::AUTHORIZATION, "Bearer fuzz");
    }
    let request = request.body(Body::from(body.to_vec())).expect("method and path were read before");
    let _clock = RUNTIME.enter();
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(answer)) = pin!(NODE.clone().oneshot(request)).poll(&mut context) else {
        panic!("an answer had to be waited for")
    };
    judge(method, answer, &mut context)
}

fn judge(method: &Method, answer: Response, context: &mut Context<'_>) -> (StatusCode, Vec<u8>) {
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes().to_vec()).unwrap_or_default();
    let mut all = Vec::new();
    let mut body = answer.into_body();
    // A stream of events goes on for ever: it is read until it waits.
    while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(context) {
        all.extend(frame.expect("an answer is made in memory").into_data().unwrap_or_default());
        assert!(all.len() <= ANSWER_BYTES_MAX, "an answer without end");
    }
    match status {
        StatusCode::NO_CONTENT => assert!(all.is_empty()),
        _ if method == Method::HEAD => {}
        _ if status.is_success() && kind == b"application/json" => {
            serde_json::from_slice::<IgnoredAny>(&all).expect("it says that it is JSON");
        }
        _ if status.is_success() => {}
        _ => {
            assert!(status.is_client_error(), "{status} is the node's fault");
            assert_eq!(kind, b"application/problem+json");
            let problem: Problem = serde_json::from_slice(&all).expect("a problem is JSON");
            assert_eq!(problem.status, status.as_u16());
            assert!(!problem.detail.is_empty());
        }
    }
    (status, all)
}

/// A network that answers at once, and lets nothing through that the engine's side of the API may not be asked.
struct Quick;

fn soon<'a, T: Send + 'a, E: Send + 'a>(value: T) -> Later<'a, Result<T, E>> {
    Box::pin(ready(Ok(value)))
}

fn known(last: u8) -> view::KnownAddress {
    view::KnownAddress {
        address: format!("10.0.0.{last}:7000"),
        proven: true,
        source: Some("10.0.0.1".into()),
        last_tried: None,
        tried: true,
        last_seen: Some(1_767_225_600_000),
        last_success: None,
        failures: 0,
    }
}

impl RunningNetwork for Quick {
    fn name(&self) -> &str {
        "net"
    }

    fn listening(&self) -> Option<SocketAddr> {
        None
    }

    fn status(&self) -> Later<'_, Result<view::Network, Stopped>> {
        soon(view::Network {
            name: "net".into(),
            protocol: "anya".into(),
            network_id: None,
            listen: None,
            height: 0,
            tip: None,
            blocks: None,
            follow_only: None,
            syncing: false,
            peers: view::PeerCount::default(),
            mempool: 0,
            members: None,
            eclipse_risk: 0,
        })
    }

    fn is_syncing(&self) -> bool {
        false
    }

    fn is_sound(&self) -> bool {
        true
    }

    fn peers(&self) -> Later<'_, Result<Vec<view::Peer>, Stopped>> {
        soon(Vec::new())
    }

    fn addresses(&self, after: Option<Address>, max: usize) -> Later<'_, Result<Vec<view::KnownAddress>, Stopped>> {
        assert!((2..=PAGE_MAX + 1).contains(&max));
        let after = after.map(|after| after.to_string());
        let rows = (1..=5).map(known).filter(|row| after.as_ref().is_none_or(|after| row.address > *after));
        soon(rows.take(max).collect())
    }

    fn groups(&self) -> Later<'_, Result<view::BookGroups, Stopped>> {
        soon(view::BookGroups::default())
    }

    fn bans(&self, _: Option<IpAddr>, max: usize) -> Later<'_, Result<Vec<view::Ban>, Stopped>> {
        assert!((2..=PAGE_MAX + 1).contains(&max));
        let (reason, severity) = ("operator".to_owned(), "banned".to_owned());
        soon(vec![view::Ban { address: "2001:db8::1".into(), until: 1, reason, severity }; 2])
    }

    fn why(&self, about: About) -> Later<'_, Result<Vec<view::Why>, Stopped>> {
        if let About::Ip(ip) = about {
            assert_eq!(ip, ip.to_canonical());
        }
        soon(Vec::new())
    }

    fn risk(&self) -> Later<'_, Result<view::Risk, Stopped>> {
        soon(view::Risk { score: 0, level: "low".into(), reserved: 0, findings: Vec::new() })
    }

    fn import(&self, addresses: Vec<ImportedAddress>) -> Later<'_, Result<u64, Stopped>> {
        assert!(addresses.len() <= IMPORT_MAX && addresses.iter().all(|it| it.address.is_dialable()));
        soon(addresses.len() as u64)
    }

    fn order(&self, order: Order) -> Later<'_, Result<bool, Stopped>> {
        match &order {
            Order::Add(Target::Address(address)) => assert!(address.is_dialable()),
            Order::Ban(ip, duration) => {
                assert!(*ip == ip.to_canonical() && !duration.is_zero() && *duration <= BAN_MAX);
            }
            Order::Add(Target::Name(..)) | Order::Forget(_) | Order::Drop(_) | Order::Unban(_) => {}
        }
        soon(!matches!(order, Order::Forget(_)))
    }

    fn block(&self, which: Which) -> Later<'_, Result<Option<view::Block>, Stopped>> {
        let block = view::Block {
            hash: "00".repeat(32),
            height: 0,
            parents: Vec::new(),
            time: 0,
            transactions: Vec::new(),
            hex: String::new(),
            parent: None,
            producer: None,
            work: None,
            main: None,
        };
        soon((which == Which::Tip).then_some(block))
    }

    fn transaction(&self, _: [u8; 32]) -> Later<'_, Result<Option<view::Transaction>, Stopped>> {
        soon(None)
    }

    fn mempool(&self, max: usize) -> Later<'_, Result<view::Mempool, Stopped>> {
        assert!(max <= PAGE_MAX);
        soon(view::Mempool::default())
    }

    fn account(&self, _: [u8; 32]) -> Later<'_, Result<Option<view::Account>, Stopped>> {
        soon(None)
    }

    fn submit(&self, transaction: Vec<u8>) -> Later<'_, Result<String, Refused>> {
        assert!(transaction.len() <= BODY_BYTES_MAX / 2);
        let refused = match transaction.len() % 3 {
            0 => Refused::ByLedger { reason: "length", text: "it is too short".into() },
            1 => Refused::Overdrawn,
            _ => return soon("00".repeat(32)),
        };
        Box::pin(ready(Err(refused)))
    }

    fn halt(&self) -> Later<'_, ()> {
        Box::pin(ready(()))
    }

    fn meters(&self) -> Later<'_, Result<Meters, Stopped>> {
        soon(Meters::default())
    }

    fn events(&self) -> broadcast::Receiver<(u64, Event)> {
        broadcast::channel(1).1
    }

    fn ended(&self) -> Later<'_, Result<(), String>> {
        soon(())
    }

    fn drain(&self, _: Duration) -> Later<'_, ()> {
        Box::pin(ready(()))
    }
}

/// Requests as clients send them.
pub fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let of = "/api/v1/networks/net";
    let hash = "5a".repeat(32);
    let entries = serde_json::to_string(&[known(1), known(2)]).expect("entries have an encoding");
    [
        ("status", "GET /api/v1/status".to_owned()),
        ("events", "GET /api/v1/events?since=3".to_owned()),
        ("page", format!("GET {of}/addresses?after=10.0.0.2:7000&limit=2")),
        ("bans", format!("GET {of}/bans?after=10.0.0.1&limit=1")),
        ("block", format!("GET {of}/blocks/{hash}")),
        ("transaction", format!("GET {of}/transactions/{hash}")),
        ("account", format!("GET {of}/accounts/{hash}")),
        ("why", format!("GET {of}/why/10.0.0.1:7000")),
        ("add", format!("POST {of}/peers\n{{\"address\":\"node.example.org:7000\"}}")),
        ("drop", format!("DELETE {of}/peers/18446744073709551615")),
        ("forget", format!("DELETE {of}/peers/[2001:db8::1]:7000")),
        ("import", format!("POST {of}/addresses\n{entries}")),
        ("ban", format!("PUT {of}/bans/2001:db8::1\n{{\"duration\":315360000}}")),
        ("unban", format!("DELETE {of}/bans/10.0.0.1")),
        ("submit", format!("POST {of}/transactions\n{{\"hex\":\"{}\"}}", "07".repeat(153))),
    ]
    .map(|(name, text)| (name, text.into_bytes()))
    .into()
}
