//! Section 10.3: what a strict test of a BUMO node checks, row by row.

use super::bumo::*;
use super::bumo_court::{Court, Payment, Plan, get_ledgers, hello_with};
use super::bumo_pbft::{self as pbft, COMMIT, PREPARE};
use super::websocket::frame;
use serde_json::Value;
use std::net::TcpListener;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// One checked row: its number, what is done, what the original does, what ours does, and why it differs if it does.
pub(crate) struct Checked {
    pub(crate) number: u8,
    pub(crate) stimulus: &'static str,
    pub(crate) expected: &'static str,
    pub(crate) ours: String,
    pub(crate) differs: Option<&'static str>,
}

fn same(number: u8, stimulus: &'static str, expected: &'static str, ours: impl Into<String>) -> Checked {
    Checked { number, stimulus, expected, ours: ours.into(), differs: None }
}

fn other(
    number: u8,
    stimulus: &'static str,
    expected: &'static str,
    ours: impl Into<String>,
    because: &'static str,
) -> Checked {
    Checked { number, stimulus, expected, ours: ours.into(), differs: Some(because) }
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

// It is refused with code 2 and this text, and closed with an empty CLOSE.
fn refused(court: &Court, hello: &[u8], text: &str) {
    let mut peer = Peer::dial(court.node.address);
    let sequence = peer.request(HELLO, hello);
    let (said, close) = peer.closed(PATIENCE);
    let answers: Vec<&Said> = said.iter().filter(|it| it.kind == HELLO).collect();
    assert_eq!(answers.len(), 1, "only the answer: {said:?}");
    assert_eq!(answers[0].outline(), (HELLO, false, sequence));
    let fields = answers[0].fields();
    assert_eq!(fields.number(1), 2);
    assert!(fields.text(2).starts_with(text), "{}", fields.text(2));
    assert!(close.is_empty(), "an empty CLOSE: {close:?}");
}

fn closed_for(court: &Court, name: &str, kind: i64, data: &[u8]) {
    let mut peer = court.peer(name);
    peer.request(kind, data);
    assert!(peer.closed(PATIENCE).1.is_empty(), "an empty CLOSE");
}

/// Row 1.
pub(crate) fn says_nothing(court: &Court) -> Checked {
    let mut peer = Peer::dial(court.node.address);
    peer.answers_pings = false;
    let started = Instant::now();
    let ping = peer.wait_for(PING, true);
    let first = seconds(started);
    assert!(ping.sequence == 0 && first < 2.0, "{ping:?} after {first} s");
    let (_, close) = peer.closed(Duration::from_secs(13));
    let closed = seconds(started);
    assert!(close.is_empty() && (9.5..12.5).contains(&closed), "{close:?} after {closed} s");
    // The CLOSE is not answered.
    peer.until(Duration::from_secs(7), |heard| *heard == Heard::End);
    let ended = seconds(started) - closed;
    let ours = format!("PING 0 at {first:.1} s, empty CLOSE at {closed:.1} s, TCP end {ended:.1} s later");
    let expected = "PING (sequence 0) within about 1 s; empty CLOSE at 10 s; TCP end within 5 s";
    same(1, "connect, say nothing", expected, ours)
}

// Row 2.
fn greeting(court: &Court, peer: &mut Peer) -> Checked {
    let sequence = peer.request(HELLO, &Hello::of("dialler").data());
    let mut outlines = Vec::new();
    let mut said = Vec::new();
    while outlines.len() < 3 {
        let Heard::Said(one) = peer.hear(PATIENCE) else { panic!("three messages are due: {outlines:?}") };
        if one.kind != PING {
            outlines.push((one.kind, one.is_request));
            said.push(one);
        }
    }
    assert_eq!(outlines, [(HELLO, true), (HELLO, false), (PEERS, true)]);
    assert_eq!((said[1].sequence, &said[1].data[..]), (sequence, &[][..]));
    let theirs = said[0].fields();
    assert_eq!((theirs.number(1), theirs.number(2), theirs.number(3)), (NETWORK, 1003, 1000));
    assert_eq!((theirs.text(4).as_str(), theirs.text(6)), ("1.3.3", Key::node(0).address));
    assert_eq!(theirs.number(5), i64::from(court.node.address.port()));
    let expected = "HELLO request, HELLO response with the echoed sequence, PEERS push; in this order";
    same(2, "valid HELLO as dialler", expected, expected)
}

/// Rows 2 to 9.
pub(crate) fn greetings(court: &Court) -> Vec<Checked> {
    let mut peer = Peer::dial(court.node.address);
    let mut rows = vec![greeting(court, &mut peer)];
    peer.request(PING, &Draft::new().number(1, 1).done());
    let sequence = peer.request(HELLO, &Hello::of("dialler").data());
    let again = peer.wait_for(HELLO, false);
    let (code, text) = (again.fields().number(1), again.fields().text(2));
    assert_eq!((again.sequence, code), (sequence, 0));
    assert!(text.starts_with("Peer is active connection with ip(127.0.0.1), id("), "{text}");
    peer.is_served();
    let expected = "HELLO response, code 0, `Peer is active connection...`; stays open";
    rows.push(same(3, "HELLO again on the active connection", expected, format!("code 0, `{text}`; open")));

    refused(court, &Hello::of("dialler").data(), "Duplicated connection with ip(127.0.0.1), id(");
    peer.is_served();
    let expected = "code 2 `Duplicated connection...`, CLOSE; the first stays";
    rows.push(same(4, "a second connection with the same node_address", expected, expected));

    let text = "Different network id, remote id(7) is not equal to the local id(30000)";
    refused(court, &hello_with("other", |hello| hello.network_id = 7), text);
    rows.push(same(5, "wrong network id", "code 2 `Different network id...`, CLOSE", "the same text, CLOSE"));

    let text = "The peer connection breaks as the configuration node addresses are duplicated";
    refused(court, &Hello::of("bumo-test-node-0").data(), text);
    rows.push(same(6, "node_address of the node itself", "code 2, CLOSE", "code 2, CLOSE"));

    refused(court, &hello_with("old", |hello| hello.overlay_version = 999), "Peer's overlay version(999) is too old,");
    for version in [1000, 2000] {
        accepted(court, &hello_with(&format!("overlay {version}"), |hello| hello.overlay_version = version));
    }
    rows.push(same(7, "overlay_version 999, 1000, 2000", "code 2, CLOSE; 1000 and 2000 pass", "the same"));

    for port in [0, 65_536, -1] {
        let text = format!("Peer's listen port({port}) is not valid");
        refused(court, &hello_with("port", |hello| hello.port = port), &text);
    }
    rows.push(same(8, "listening_port 0 or 65536", "code 2, CLOSE", "code 2, CLOSE"));

    accepted(court, &hello_with("version", |hello| hello.ledger_version = 1));
    accepted(court, &hello_with("software", |hello| hello.bumo_version = "no/such\tthing".to_owned()));
    accepted(court, &hello_with("", |hello| hello.address = String::new()));
    accepted(court, &hello_with("", |hello| hello.address = "an address? no".to_owned()));
    let stimulus = "ledger_version 1, odd bumo_version, empty or malformed node_address";
    rows.push(same(9, stimulus, "accepted", "accepted, all four"));
    rows
}

/// Rows 10, 11, 14 and 15.
pub(crate) fn messages(court: &Court) -> Vec<Checked> {
    let mut rows = Vec::new();
    let (mut early, mut peer) = (Peer::dial(court.node.address), court.peer("odd"));
    early.is_served();
    rows.push(same(10, "PING before HELLO", "Pong with the same nonce and sequence", "the same"));
    early.request(LEDGERS, &get_ledgers(2, 2, 0));
    early.hushed(LEDGERS, false);
    rows.push(same(11, "LEDGERS request before HELLO", "no answer", "no answer"));

    early.socket.say(2, &[0xff, 0x00, 0x13]);
    peer.socket.say(2, b"garbage");
    peer.request(99, b"x");
    peer.answer(42, 0, b"x");
    peer.is_served();
    early.is_served();
    let expected = "silence, stays open, counts as activity";
    rows.push(same(14, "unknown type, garbage binary frame", expected, "silence, open; row 26 shows the activity"));

    let ping =
        |nonce: i64| Said { kind: PING, is_request: true, sequence: nonce, data: Draft::new().number(1, nonce).done() };
    peer.socket.say(1, &ping(71).bytes());
    assert_eq!(peer.wait_for(PING, false).outline(), (PING, false, 71));
    let bytes = ping(72).bytes();
    peer.socket.say_part(2, false, &bytes[..2]);
    peer.socket.say_part(0, false, &bytes[2..5]);
    peer.socket.say(9, b"between");
    peer.socket.say_part(0, true, &bytes[5..]);
    let between = peer.until(PATIENCE, |heard| matches!(heard, Heard::Said(said) if said.sequence == 72));
    assert!(between.contains(&Heard::Pong(b"between".to_vec())), "a control frame may stand between: {between:?}");
    let stimulus = "text frame with a valid WsMessage; fragmented binary message";
    rows.push(same(15, stimulus, "handled like a binary frame", "the same, with a WebSocket PING between the parts"));
    rows
}

/// Rows 16 to 19.
pub(crate) fn bodies(court: &Court) -> Vec<Checked> {
    let mut rows = Vec::new();
    closed_for(court, "ping ff", PING, &[0xff]);
    rows.push(same(16, "PING request whose data is one byte ff", "CLOSE", "empty CLOSE"));
    closed_for(court, "transaction ff", TRANSACTION, &[0xff]);
    closed_for(court, "no pbft", PBFT, &[]);
    closed_for(court, "upgrade ff", UPGRADE, &[0xff]);
    let stimulus = "TRANSACTION ff; PBFT with empty data; upgrade notify ff";
    rows.push(same(17, stimulus, "CLOSE each", "empty CLOSE each"));

    for kind in [PEERS, LEDGERS, HELLO] {
        let mut peer = court.peer(&format!("undecodable {kind}"));
        peer.request(kind, &[0xff]);
        peer.is_served();
    }
    let stimulus = "PEERS, LEDGERS or HELLO request with undecodable data";
    rows.push(same(18, stimulus, "stays open", "stays open"));

    let refusal = Draft::new().number(1, 2).bytes(2, b"no").done();
    for mut peer in [Peer::dial(court.node.address), court.peer("refusing")] {
        peer.answer(HELLO, 0, &refusal);
        assert!(peer.closed(PATIENCE).1.is_empty());
    }
    let stimulus = "HELLO response with error_code 2 from the peer, at any time";
    rows.push(same(19, stimulus, "CLOSE", "empty CLOSE, before HELLO and after"));
    rows
}

fn accepted(court: &Court, hello: &[u8]) {
    let mut peer = Peer::dial(court.node.address);
    peer.request(HELLO, hello);
    assert!(peer.wait_for(HELLO, false).data.is_empty(), "accepted");
    peer.wait_for(PEERS, true);
    peer.is_served();
}

/// Rows 12 and 13.
pub(crate) fn ledgers(court: &Court) -> Vec<Checked> {
    court.wait_for_height(8, Duration::from_secs(30));
    let mut peer = court.peer("asking");
    peer.request(LEDGERS, &get_ledgers(2, 2, 0));
    let answer = peer.wait_for(LEDGERS, false);
    let fields = answer.fields();
    assert_eq!((answer.sequence, fields.all(1).count()), (0, 1));
    assert!(fields.number(3) >= 8 && fields.number(2) == 0 && fields.number(5) == 0, "{fields:?}");
    let value = fields.bytes(1).to_vec();
    assert_eq!(Fields::read(&value).number(4), 2);
    let proof = Fields::read(fields.bytes(4));
    let commits: Vec<pbft::Pbft> = proof.all(1).map(pbft::Pbft::read).collect();
    assert!(!commits.is_empty(), "a proof of q + 1 commits, q is 0 here");
    assert!(commits.iter().all(|it| it.kind == COMMIT && it.digest == sha256(&value)));
    let expected = "one value, `max_seq`, proof with >= q+1 commits, `sequence` 0";
    let first = same(12, "LEDGERS [2,2] when active", expected, "the same; the proof verifies");

    peer.request(LEDGERS, &get_ledgers(2, 6, 0));
    let five = peer.wait_for(LEDGERS, false).fields();
    let sequences: Vec<i64> = five.all(1).map(|value| Fields::read(value).number(4)).collect();
    assert_eq!(sequences, [2, 3, 4, 5, 6]);
    let silent = [(2, 7, 0), (1, 1, 0), (1, 2, 0), (3, 2, 0), (9_000, 9_001, 0), (2, 2, 1), (i64::MIN, i64::MAX, 0)];
    for (begin, end, chain) in silent {
        peer.request(LEDGERS, &get_ledgers(begin, end, chain));
    }
    peer.hushed(LEDGERS, false);
    let stimulus = "LEDGERS [2,6]; [2,7]; [1,1]; [1,2]; [3,2]; beyond the tip; another chain id";
    let expected = "five values; silence for each of the others";
    vec![first, same(13, stimulus, expected, expected)]
}

/// Row 20.
pub(crate) fn told_of_peers(court: &Court) -> Checked {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("an address").port();
    let mut peer = court.peer("telling");
    let entry = |ip: &str, port: i64| Draft::new().bytes(1, ip.as_bytes()).number(2, port).done();
    let nobody = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let known = i64::from(nobody.local_addr().expect("an address").port());
    let bad = Draft::new().part(1, &entry("0.0.0.0", known)).part(1, &entry("127.0.0.1", 0));
    peer.request(PEERS, &bad.part(1, &entry("not an address", known)).done());
    peer.request(PEERS, &Draft::new().part(1, &entry("127.0.0.1", port.into())).done());
    let started = Instant::now();
    let mut dialled = Peer::accept(&listener);
    let took = seconds(started);
    assert_eq!(dialled.wait_for(HELLO, true).sequence, 0, "who dials speaks first");
    assert!(took < 8.0, "dialled after {took} s");
    nobody.set_nonblocking(true).expect("a listener");
    assert!(nobody.accept().is_err(), "0.0.0.0 would have reached it");
    peer.is_served();
    let expected = "dialled within about 5 s; with 0.0.0.0 or port 0: ignored";
    same(20, "PEERS with a new address", expected, format!("dialled after {took:.1} s; the others ignored, open"))
}

/// Row 21.
pub(crate) fn refuses_its_hello() -> Checked {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("an address");
    let plan = Plan { connect: vec![address], ..Plan::new(1, None, Duration::from_secs(10)) };
    let court = Court::new(&plan);
    let refusal = Draft::new().number(1, 2).bytes(2, b"Duplicated connection").done();
    let mut dials = Vec::new();
    for _ in 0..4 {
        let mut peer = Peer::accept(&listener);
        dials.push(Instant::now());
        let sequence = peer.wait_for(HELLO, true).sequence;
        peer.answer(HELLO, sequence, &refusal);
        assert!(peer.closed(PATIENCE).1.is_empty(), "it closes");
    }
    let pauses: Vec<f64> = dials.windows(2).map(|two| (two[1] - two[0]).as_secs_f64()).collect();
    // 1 s, 2 s, 4 s, each a quarter more or less.
    let is_longer = pauses.iter().zip([0.7, 1.4, 2.9]).all(|(pause, least)| *pause > least);
    assert!(is_longer, "it waits longer each time: {pauses:?}");
    drop(court);
    other(
        21,
        "the dialled peer answers HELLO with an error",
        "closes, retries after 10 s, 20 s, 30 s ...",
        format!("empty CLOSE, retries after {:.1} s, {:.1} s, {:.1} s ...", pauses[0], pauses[1], pauses[2]),
        "a peer that the operator named is tried sooner at first; the pause doubles up to 30 s, with jitter",
    )
}

/// Rows 22 to 25: what is relayed and what is not.
pub(crate) fn relays(court: &Court) -> Vec<Checked> {
    let (mut a, mut b) = (court.peer("relay a"), court.peer("relay b"));
    let good = Payment::new(1).envelope(&Key::genesis());
    a.request(TRANSACTION, &good);
    let relayed = b.wait_for(TRANSACTION, true);
    assert_eq!(relayed.data, good, "byte for byte");
    a.request(TRANSACTION, &good);
    b.request(TRANSACTION, &good);
    a.hushed(TRANSACTION, true);
    b.hushed(TRANSACTION, true);
    let stimulus = "valid transaction from A";
    let expected = "relayed to other active peers byte for byte, not back to A; a second copy is swallowed";
    let first = same(22, stimulus, expected, expected);

    let forged = Payment { is_forged: true, ..Payment::new(2) };
    let elsewhere = Payment { chain_id: 1, ..Payment::new(2) };
    a.request(TRANSACTION, &forged.envelope(&Key::genesis()));
    a.request(TRANSACTION, &elsewhere.envelope(&Key::genesis()));
    b.hushed(TRANSACTION, true);
    a.is_served();
    let expected = "neither relayed nor punished";
    let second = same(23, "transaction with a bad signature or wrong chain id", expected, expected);

    let (validator, stranger) = (Key::validator(0), Key::named("stranger"));
    let digest = [7; 32];
    a.request(PBFT, &pbft::vote(&stranger, PREPARE, 0, 900, 0, &digest));
    a.request(PBFT, &pbft::vote(&validator, PREPARE, 0, 901, 3, &digest));
    let mut bad = pbft::vote(&validator, PREPARE, 0, 902, 0, &digest);
    *bad.last_mut().expect("bytes") ^= 1;
    a.request(PBFT, &bad);
    a.is_served();
    let heard = b.gather(HUSH);
    let sequences = [900, 901, 902];
    let foreign = heard.iter().filter(|said| said.kind == PBFT).any(|said| {
        let vote = Fields::read(Fields::read(&said.data).bytes(1));
        sequences.contains(&Fields::read(vote.bytes(4)).number(2))
    });
    assert!(!foreign, "not relayed");
    let stimulus = "PBFT from a non-validator, or with a bad signature, or with a foreign replica id";
    let third = same(24, stimulus, "ignored, stays open", "ignored, stays open, not relayed");

    let upgrade = Draft::new().number(1, 1003).done();
    let notice = |key: &Key, nonce: i64, signed: &[u8]| {
        let draft = Draft::new().number(1, nonce).part(2, &upgrade);
        draft.part(3, &key.signature(signed)).done()
    };
    let signed = |nonce: i64| [&upgrade[..], nonce.to_string().as_bytes()].concat();
    let right = notice(&validator, 12, &signed(12));
    a.request(UPGRADE, &notice(&validator, 11, b"something else"));
    a.request(UPGRADE, &notice(&stranger, 13, &signed(13)));
    a.request(UPGRADE, &right);
    let heard: Vec<Said> = b.gather(HUSH).into_iter().filter(|said| said.kind == UPGRADE).collect();
    let foreign = |said: &&Said| [11, 12, 13].contains(&said.fields().number(1));
    let nonces: Vec<i64> = heard.iter().filter(foreign).map(|said| said.fields().number(1)).collect();
    assert_eq!(nonces, [12]);
    assert!(heard.iter().any(|said| said.data == right), "a right one is relayed as it is");
    a.is_served();
    let fourth = other(
        25,
        "upgrade notify by a validator key with a bad signature; by a stranger",
        "relayed once to others, then discarded; ignored",
        "discarded, not relayed; ignored; a right one is relayed byte for byte",
        "ours verifies before it relays (defect 7 of section 12)",
    );
    vec![first, second, third, fourth]
}

/// Row 26: five connections that go silent in their own ways, at the same time.
pub(crate) fn silences(court: &Court) -> Checked {
    #[derive(Clone, Copy, PartialEq)]
    enum Way {
        Nothing,
        Pings,
        Pongs,
        Drips,
        Garbage,
    }
    let times: Vec<f64> = std::thread::scope(|scope| {
        let try_way = |way: Way, name: &'static str| {
            let mut peer = court.peer(name);
            peer.answers_pings = false;
            let started = Instant::now();
            let mut next = started + Duration::from_secs(5);
            // It announces more than ever comes.
            let mut drip = [0x82, 0xfe, 0x7f, 0xff].into_iter().chain(std::iter::repeat(7));
            loop {
                match peer.hear(next.saturating_duration_since(Instant::now())) {
                    Heard::Close(payload) => {
                        assert!(payload.is_empty(), "an empty CLOSE");
                        return seconds(started);
                    }
                    Heard::End => panic!("TCP ended without a CLOSE"),
                    _ => {}
                }
                if Instant::now() >= next {
                    next += Duration::from_secs(5);
                    match way {
                        Way::Nothing => {}
                        Way::Pings => peer.socket.say(9, b"alive"),
                        Way::Pongs => peer.socket.say(10, b"alive"),
                        Way::Drips => peer.socket.raw(&[drip.next().expect("it has no end")]),
                        Way::Garbage if started.elapsed() < Duration::from_secs(7) => peer.socket.say(2, b"\xff"),
                        Way::Garbage => {}
                    }
                }
                assert!(seconds(started) < 80.0, "never closed");
            }
        };
        let ways = [Way::Nothing, Way::Pings, Way::Pongs, Way::Drips, Way::Garbage];
        let names = ["silent", "pinging", "ponging", "dripping", "babbling"];
        let all: Vec<_> =
            ways.into_iter().zip(names).map(|(way, name)| scope.spawn(move || try_way(way, name))).collect();
        all.into_iter().map(|thread| thread.join().expect("a row")).collect()
    });
    assert!(times[..4].iter().all(|time| (59.0..63.5).contains(time)), "{times:?}");
    assert!((64.0..69.0).contains(&times[4]), "garbage at 5 s counts as activity: {times:?}");
    other(
        26,
        "no answer to PINGs for 60 s; with WebSocket PINGs; with WebSocket PONGs; with a message that drips; with garbage \
         at 5 s",
        "CLOSE at 60-61 s; PINGs alone do not prevent it; PONGs do; no message came; garbage puts it off",
        format!(
            "CLOSE at {:.1} s; {:.1} s; {:.1} s; {:.1} s; {:.1} s",
            times[0], times[1], times[2], times[3], times[4]
        ),
        "no control frame of WebSocket counts as life: a PONG that nobody asked for shows no working peer",
    )
}

/// Row 27.
pub(crate) fn wrong_frames(court: &Court) -> Checked {
    let mut peer = court.peer("unmasked");
    peer.socket.raw(&frame(0x82, false, b"\x08\x01\x10\x01"));
    let code = |close: &[u8]| u16::from_be_bytes(close[..2].try_into().expect("a code"));
    assert_eq!(code(&peer.closed(PATIENCE).1), 1002);
    let mut peer = court.peer("too long");
    peer.socket.raw(&[&[0x82, 0x80 | 127][..], &32_000_001_u64.to_be_bytes(), &[1, 2, 3, 4]].concat());
    assert_eq!(code(&peer.closed(PATIENCE).1), 1009);
    let expected = "CLOSE 1002 / 1009";
    same(27, "unmasked client frame / frame over 32,000,000 bytes", expected, expected)
}

/// How far apart the ledgers of rows 28 and 29 are.
const INTERVAL: Duration = Duration::from_millis(1_500);

/// What validators said, and when, in seconds.
struct Overheard {
    all: Vec<(f64, pbft::Pbft)>,
    // Proposals that had the time to be closed: when, view, sequence.
    blocks: Vec<(f64, i64, i64)>,
}

impl Overheard {
    fn of(&self, kind: i64) -> impl Iterator<Item = &(f64, pbft::Pbft)> {
        self.all.iter().filter(move |(_, it)| it.kind == kind)
    }

    // Who voted for a proposal.
    fn votes(&self, kind: i64, proposal: &pbft::Pbft) -> Vec<i64> {
        let is_for_it = |it: &pbft::Pbft| (it.view, it.sequence) == (proposal.view, proposal.sequence);
        let votes: Vec<&pbft::Pbft> = self.of(kind).map(|(_, it)| it).filter(|it| is_for_it(it)).collect();
        assert!(votes.iter().all(|it| it.digest == proposal.digest));
        let mut replicas: Vec<i64> = votes.iter().map(|it| it.replica).collect();
        replicas.sort_unstable();
        replicas.dedup();
        replicas
    }
}

/// Rows 28 and 29: three of four validators run, and the fourth is absent whenever it would be primary.
pub(crate) fn consensus() -> Vec<Checked> {
    let first = Court::new(&Plan::new(4, Some(0), INTERVAL));
    let connect = vec![first.node.address];
    let second = Court::new(&Plan { connect, ..Plan::new(4, Some(1), INTERVAL) });
    let connect = vec![first.node.address, second.node.address];
    let third = Court::new(&Plan { connect, ..Plan::new(4, Some(2), INTERVAL) });
    let mut peer = third.peer("observer");
    first.wait_for_height(2, Duration::from_secs(30));
    // A round of four views and the change of one.
    let started = Instant::now();
    let mut heard = Overheard { all: Vec::new(), blocks: Vec::new() };
    while started.elapsed() < INTERVAL * 13 {
        for said in peer.gather(Duration::from_millis(50)) {
            if said.kind == PBFT {
                heard.all.push((seconds(started), pbft::Pbft::read(&said.data)));
            }
        }
    }
    let proposals = heard.of(pbft::PRE_PREPARE).filter(|(at, it)| it.round == 1 && *at < 15.0);
    heard.blocks = proposals.map(|(at, it)| (*at, it.view, it.sequence)).collect();
    vec![running(&heard), changing(&heard)]
}

// Row 28.
fn running(heard: &Overheard) -> Checked {
    let blocks = &heard.blocks;
    let is_block =
        |it: &pbft::Pbft| it.round == 1 && blocks.iter().any(|block| (block.1, block.2) == (it.view, it.sequence));
    for (_, proposal) in heard.of(pbft::PRE_PREPARE).filter(|(_, it)| is_block(it)) {
        assert_eq!(proposal.replica, proposal.view % 4, "the primary proposes");
        let others: Vec<i64> = (0..3).filter(|replica| *replica != proposal.replica).collect();
        assert_eq!(heard.votes(PREPARE, proposal), others, "each present validator but the primary prepares");
        assert_eq!(heard.votes(COMMIT, proposal), [0, 1, 2], "q + 1 commits");
    }
    assert!(blocks.len() >= 4, "{blocks:?}");
    let is_next = |two: &&[(f64, i64, i64)]| two[1].1 == two[0].1 + 1;
    let steady: Vec<f64> = blocks.windows(2).filter(is_next).map(|two| two[1].0 - two[0].0).collect();
    assert!(blocks.windows(2).all(|two| two[1].2 == two[0].2 + 1), "{blocks:?}");
    assert!(steady.len() >= 2, "the view is the last commit's plus one: {blocks:?}");
    let interval = INTERVAL.as_secs_f64();
    assert!(steady.iter().all(|gap| (interval * 0.6..interval * 1.8).contains(gap)), "{steady:?}");
    let expected = "per block: PRE-PREPARE, N-1 PREPAREs, >= q+1 COMMITs; view = previous commit view + 1; every 10 s";
    let ours = format!("{} blocks so, {:.1} s apart with an interval of {interval} s", blocks.len(), steady[0]);
    same(28, "validator observes a running network", expected, ours)
}

// Row 29.
fn changing(heard: &Overheard) -> Checked {
    let interval = INTERVAL.as_secs_f64();
    let (opened_at, opened) = heard.of(pbft::NEW_VIEW).next().expect("a view is opened").clone();
    assert_eq!(opened.replica, opened.view % 4);
    assert!(opened.view % 4 == 0, "the absent one's turn is over: {}", opened.view);
    let changes: Vec<_> = heard.of(pbft::RAW_VIEW_CHANGE).filter(|(_, it)| it.view == opened.view).collect();
    assert!(changes.len() >= 3 && changes.iter().all(|(_, it)| !it.inner.is_empty()), "{changes:?}");
    let before = heard.blocks.iter().rfind(|it| it.0 < opened_at).expect("a block before");
    let waited = changes[0].0 - before.0;
    assert!((interval * 2.5..interval * 4.0).contains(&waited), "view changes after {waited} s");
    let again = heard.blocks.iter().find(|it| it.1 == opened.view).expect("a proposal in the new view");
    assert!(again.0 - opened_at < interval, "at once: {again:?} after {opened_at}");
    let listed: Vec<_> = opened.changes.iter().map(|inner| pbft::Pbft::read(inner)).collect();
    assert!(listed.len() >= 3 && listed.iter().all(|it| it.view == opened.view));
    let ours = format!(
        "view changes {waited:.1} s after the last block (interval {interval} s), NEW-VIEW by {} of view {}, its \
         PRE-PREPARE {:.2} s later",
        opened.replica,
        opened.view,
        again.0 - opened_at
    );
    let expected = "30 s later view changes (type 5) with an inner signed type 3; NEW-VIEW by t mod N; PRE-PREPARE at \
                    once; NEW-VIEW repeated every 15 s with rising round";
    let because =
        "a NEW-VIEW is repeated only until the ledger of its view closed, here at once (defect 8 of section 12)";
    other(29, "primary absent", expected, ours, because)
}

/// Row 30: a follower is served the captured chain.
pub(crate) fn joins() -> Checked {
    let court = Court::new(&Plan::new(4, None, Duration::from_secs(10)));
    let started = Instant::now();
    let (mut one, mut two) = (court.peer("serving"), court.peer("silent"));
    let ranges = [(2, 2), (3, 7), (8, 12), (13, 17), (18, 18)];
    let mut asked = Vec::new();
    let mut first = None;
    let mut is_other_asked = false;
    while asked.last() != Some(&(18, 18)) {
        assert!(seconds(started) < 40.0, "asked for {asked:?} only");
        for said in two.gather(Duration::from_millis(20)) {
            let fields = said.fields();
            is_other_asked |= said.kind == LEDGERS && said.is_request && fields.number(1) == 2;
        }
        for said in one.gather(Duration::from_millis(20)) {
            if (said.kind, said.is_request) != (LEDGERS, true) {
                continue;
            }
            first.get_or_insert_with(|| seconds(started));
            let range = (said.fields().number(1), said.fields().number(2));
            assert!(ranges.contains(&range), "{range:?} is no range of the original's");
            asked.push(range);
            let captured = Said::read(&fixture(&format!("ledgers_{}_{}.hex", range.0, range.1)));
            let mut answer = captured.data;
            if range == (2, 2) {
                // It was captured from a node that had 18 already.
                assert_eq!(Fields::read(&answer).number(3), 18);
            }
            one.say(&Said { kind: LEDGERS, is_request: false, sequence: 0, data: std::mem::take(&mut answer) });
        }
    }
    assert_eq!(asked, ranges);
    assert!(is_other_asked, "both active peers are asked for the first");
    court.wait_for_height(18, PATIENCE);
    let chain: Value = serde_json::from_slice(&fixture("chain_vectors.json")).expect("JSON");
    let expected = &chain["net4"]["chain"][16]["previous_ledger_hash"];
    assert_eq!(court.block("17").expect("ledger 17")["hash"], *expected, "the original's ledger hash");
    sleep(HUSH);
    other(
        30,
        "follower with an empty store joins",
        "about 30 s after start [2,2] to all active peers, then [3,7], [8,12] ... to the first that answered, until \
         max_seq",
        format!(
            "[2,2] to both peers after {:.1} s, then [3,7] ... [18,18] to the one that answered",
            first.unwrap_or(0.0)
        ),
        "a new peer is asked at once whether it is ahead, instead of after 30 s",
    )
}
