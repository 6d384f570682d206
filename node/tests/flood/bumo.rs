//! Floods BUMO: messages of its kinds, what is none, and connections that come and go.

use super::party::Party;
use super::trial::{Citizen, FLAT, Signal, goes_on};
use crate::judge::bumo::{
    Draft, HELLO, Hello, Key, LEDGERS, PBFT, PEERS, PING, Peer, Said, TRANSACTION, UPGRADE, sha256,
};
use crate::judge::bumo_court::{Payment, get_ledgers};
use crate::judge::bumo_pbft::{self as pbft, COMMIT, PREPARE};
use crate::judge::node::Node;
use crate::judge::websocket::{UPGRADE_REQUEST, frame};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const NETWORK: &str = "bumo-devnet";
/// Payments of one account that may wait at a node.
const WAITING_MAX: i64 = 64;
/// How long a write may take before the connection counts as gone.
const STUCK: Duration = Duration::from_secs(10);
/// How long an honest peer waits for what it asked for.
const PATIENCE: Duration = Duration::from_secs(60);
/// What one message may have (section 1.1).
const MESSAGE_BYTES_MAX: usize = 32_000_000;

/// Pings and, now and then, has a payment relayed to a friend.
pub(super) struct Honest {
    peer: Peer,
    friend: Peer,
    count: u64,
    nonce: i64,
}

impl Honest {
    fn at(node: &Node) -> Self {
        let [peer, friend] = [(); 2].map(|()| Peer::ready(node.address, &new_name()));
        Self { peer, friend, count: 0, nonce: 0 }
    }
}

impl Citizen for Honest {
    fn work(&mut self) {
        self.count += 1;
        if self.count.is_multiple_of(5) && self.nonce < WAITING_MAX {
            self.nonce += 1;
            let payment = Payment::new(self.nonce).envelope(&Key::public_account(1));
            self.peer.request(TRANSACTION, &payment);
            assert_eq!(self.friend.wait_long_for(TRANSACTION, true, PATIENCE).data, payment, "it is relayed");
            return;
        }
        self.peer.is_served_within(PATIENCE);
    }
}

// No two nodes have the same.
fn new_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("flood {}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A connection that minds nothing.
struct Rude(Option<TcpStream>);

impl Rude {
    fn dial(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).ok();
        if let Some(stream) = &stream {
            stream.set_write_timeout(Some(STUCK)).expect("a timeout");
            // Else a node that answers slowly would look like one that does not.
            stream.set_nodelay(true).expect("an option");
        }
        Self(stream)
    }

    // Upgrades and greets, whatever comes of it.
    fn open(address: SocketAddr) -> Self {
        let mut rude = Self::dial(address);
        rude.say(UPGRADE_REQUEST.as_bytes());
        // The head of the answer comes first; the rest is of no interest.
        rude.hears(Duration::from_secs(10));
        rude.say(&said(HELLO, true, 0, &Hello::of(&new_name()).data()));
        rude.hears(Duration::from_secs(10));
        rude
    }

    fn say(&mut self, bytes: &[u8]) -> bool {
        let is_said = self.0.as_mut().is_some_and(|stream| stream.write_all(bytes).is_ok());
        if !is_said {
            self.0 = None;
        }
        is_said
    }

    fn address(&self) -> Option<SocketAddr> {
        self.0.as_ref()?.local_addr().ok()
    }

    fn hears(&mut self, within: Duration) -> bool {
        let Some(stream) = &mut self.0 else { return false };
        stream.set_read_timeout(Some(within)).expect("a timeout");
        stream.read(&mut [0; 1 << 16]).is_ok_and(|count| count > 0)
    }
}

const BUMO: Party<Rude, Honest> = Party {
    network: NETWORK,
    honest: Honest::at,
    dial: Rude::dial,
    open: Rude::open,
    intrude: Rude::open,
    say: Rude::say,
    hears: Rude::hears,
    closed: |_| {},
};

// A message in its frame.
fn said(kind: i64, is_request: bool, sequence: i64, data: &[u8]) -> Vec<u8> {
    frame(0x82, true, &Said { kind, is_request, sequence, data: data.to_vec() }.bytes())
}

// One request each.
fn requests<'d>(kind: i64, data: impl IntoIterator<Item = &'d [u8]>) -> Vec<u8> {
    data.into_iter().flat_map(|data| said(kind, true, 1, data)).collect()
}

#[test]
fn pings_of_both_kinds_cost_others_nothing() {
    let ping = said(PING, true, 1, &Draft::new().number(1, 7).done()).repeat(1_000);
    let control = frame(0x89, true, b"a payload").repeat(1_000);
    let pongs = said(PING, false, 1, &Draft::new().number(1, 7).done()).repeat(1_000);
    let mut turn = 0;
    BUMO.floods("pings", FLAT, |_| {
        turn += 1;
        [&ping, &control, &pongs][turn % 3].clone()
    });
}

#[test]
fn greetings_and_what_is_no_message_cost_others_nothing() {
    let again = said(HELLO, true, 1, &Hello::of("again").data()).repeat(20);
    let answers = said(HELLO, false, 1, &[]).repeat(20);
    let unknown: Vec<u8> = (8..28).flat_map(|kind| said(kind, true, 1, b"x")).collect();
    let garbage = frame(0x82, true, b"garbage").repeat(20);
    let empty = frame(0x82, true, b"").repeat(20);
    let mut turn = 0;
    BUMO.floods("greetings and garbage", FLAT, |_| {
        turn += 1;
        [&again, &answers, &unknown, &garbage, &empty][turn % 5].clone()
    });
}

#[test]
fn addresses_cost_others_nothing() {
    let mut next = 0_u32;
    BUMO.floods("addresses", FLAT, |_| {
        let entry = |number: u32| {
            let [_, a, b, c] = number.to_be_bytes();
            Draft::new().bytes(1, format!("10.{a}.{b}.{c}").as_bytes()).number(2, 36_001).done()
        };
        let list = (next..next + 500).fold(Draft::new(), |draft, number| draft.part(1, &entry(number)));
        next = next.wrapping_add(500) % (1 << 24);
        said(PEERS, true, 1, &list.done())
    });
}

#[test]
fn transactions_that_come_to_nothing_cost_others_nothing() {
    // Each is well signed by an account that does not exist, and may come again: what was refused is not remembered.
    let poor = (0..100).map(|number| Payment::new(1).envelope(&Key::named(&format!("poor {number}"))));
    let made = requests(TRANSACTION, poor.collect::<Vec<_>>().iter().map(Vec::as_slice));
    // On a busy machine as many as may wait at the ledger do, and as many answers.
    let node = BUMO.floods("transactions for nothing", 3 * FLAT, |_| made.clone());
    let metrics = node.metrics();
    let refused =
        metrics.lines().find(|line| line.contains("work_refused_total") && line.contains("transaction_check"));
    println!("{}", refused.expect("what is refused is counted"));
    assert!(metrics.lines().any(|line| line.contains("polypeer_imbalances{") && line.ends_with(" 0")), "{metrics}");
}

#[test]
fn questions_for_ledgers_and_answers_that_nobody_asked_for_cost_others_nothing() {
    let asked: Vec<Vec<u8>> = (2..102).map(|begin| get_ledgers(begin, begin + 4, 0)).collect();
    let questions = requests(LEDGERS, asked.iter().map(Vec::as_slice));
    let answer = Draft::new().part(1, &[0x0a, 0]).number(3, 1_000_000).done();
    let answers = said(LEDGERS, false, 0, &answer).repeat(15);
    let mut turn = 0;
    BUMO.floods("ledgers", FLAT, |_| {
        turn += 1;
        if turn % 2 == 0 { questions.clone() } else { answers.clone() }
    });
}

#[test]
fn consensus_of_strangers_and_forged_consensus_cost_others_nothing() {
    let (stranger, validator) = (Key::named("a stranger"), Key::public_account(17));
    let votes = |key: &Key, is_forged: bool| {
        let vote = |number: i64| {
            let kind = if number % 2 == 0 { PREPARE } else { COMMIT };
            let mut vote = pbft::vote(key, kind, number, 2 + number % 5, 0, &sha256(&number.to_be_bytes()));
            if is_forged && let Some(last) = vote.last_mut() {
                *last ^= 1;
            }
            vote
        };
        requests(PBFT, (0..100).map(vote).collect::<Vec<_>>().iter().map(Vec::as_slice))
    };
    let (foreign, forged) = (votes(&stranger, false), votes(&validator, true));
    let mut turn = 0;
    BUMO.floods("consensus", FLAT, |_| {
        turn += 1;
        if turn % 2 == 0 { foreign.clone() } else { forged.clone() }
    });
}

#[test]
fn connections_that_come_and_go_cost_others_nothing() {
    BUMO.comes_and_goes(b"garbage that asks for no upgrade\r\n\r\n");
}

// Says this until it is sent away, reading nothing. Where it was.
fn until_gone(node: SocketAddr, signal: &Signal<'_>, mut said: impl FnMut() -> Vec<u8>) -> Option<SocketAddr> {
    let mut rude = Rude::open(node);
    let address = rude.address();
    while signal.goes_on() {
        if !rude.say(&said()) {
            return address;
        }
    }
    None
}

// The node's own word on why this one is gone.
fn is_gone_for(node: &Node, who: Option<SocketAddr>, fault: &str) {
    let who = who.unwrap_or_else(|| panic!("{fault}: it is borne for as long as the flood lasts"));
    let why = node.get(&format!("/api/v1/networks/{NETWORK}/why/{who}")).expect("the API says why").to_string();
    assert!(why.contains(fault), "{fault}: {why}");
}

/// Greetings that come again have the longest answer for their length. What is unread fills the sockets and half a MiB.
#[test]
fn who_asks_and_does_not_read_is_gone_and_costs_others_nothing() {
    let (mut node, mut honest) = BUMO.node("", &[]);
    let address = node.address;
    let said = [said(HELLO, true, 1, &[]), said(PING, true, 1, &[])].concat().repeat(1_000);
    let gone = goes_on("askers that do not read", &mut node, &mut honest, 2 * FLAT, |signal| {
        [(); 3].map(|()| until_gone(address, signal, || said.clone()))
    });
    gone.into_iter().for_each(|who| is_gone_for(&node, who, "reads_nothing"));
}

/// Of each kind in turn; of the whole only one is in the node's hands, in a buffer that may be twice as large.
#[test]
fn the_longest_messages_cost_others_nothing() {
    let field = vec![0; MESSAGE_BYTES_MAX - 64];
    let unknown = Draft::new().bytes(9, &field).done();
    let whole = |kind: i64, is_request: bool| {
        let payload = Said { kind, is_request, sequence: 1, data: unknown.clone() }.bytes();
        let length = (payload.len() as u64).to_be_bytes();
        // A mask that changes nothing, since masking so much takes a test's time.
        [&[0x82, 0x80 | 127][..], &length, &[0; 4], &payload].concat()
    };
    let (mut node, mut honest) = BUMO.node("", &[]);
    let address = node.address;
    let made = [whole(99, true), whole(PING, true), whole(LEDGERS, false), whole(HELLO, true)];
    let said = goes_on("longest messages", &mut node, &mut honest, 4 * MESSAGE_BYTES_MAX as u64, |signal| {
        let mut rude = Rude::open(address);
        let count = made.iter().cycle().take(40).take_while(|whole| signal.goes_on() && rude.say(whole)).count();
        rude.hears(Duration::from_millis(1));
        count
    });
    println!("{said} messages of {MESSAGE_BYTES_MAX} bytes");
    assert!(said > 0);
}

/// Nobody relays a stranger's, so that 640 within a minute end the connection. A validator's forged ones others relay
/// unseen: whoever brings them stays, and of a flood a thousand are looked at.
#[test]
fn upgrade_notices_of_strangers_and_forged_ones_cost_others_nothing() {
    let upgrade = Draft::new().number(1, 1003).done();
    let notice = |key: &Key, nonce: i64| {
        let draft = Draft::new().number(1, nonce).part(2, &upgrade);
        said(UPGRADE, true, 1, &draft.part(3, &key.signature(&upgrade)).done())
    };
    let (stranger, validator) = (Key::named("a stranger"), Key::public_account(17));
    let notices = |key: &Key, count: i64| (1..=count).flat_map(|nonce| notice(key, nonce)).collect::<Vec<u8>>();
    let (foreign, forged) = (notices(&stranger, 700), notices(&validator, 4_000));
    let (mut node, mut honest) = BUMO.node("", &[]);
    let address = node.address;
    let gone = goes_on("upgrade notices", &mut node, &mut honest, 2 * FLAT, |signal| {
        let mut forger = Rude::open(address);
        for _ in 0..5 {
            assert!(!signal.goes_on() || forger.say(&forged), "nobody is cut for what it may have relayed");
            while signal.goes_on() && forger.hears(Duration::from_millis(1)) {}
        }
        until_gone(address, signal, || foreign.clone())
    });
    is_gone_for(&node, gone, "strangers_notices");
}

#[test]
fn hundreds_that_drip_are_gone_at_the_deadline() {
    // An upgrade has five seconds and HELLO ten, which no setting changes, so that this has a wait of its own.
    let (mut node, mut honest) = BUMO.node("", &["--max-in-peers", "1000"]);
    let before = node.memory();
    let [mut upgrading, mut greeting] = [(); 2].map(|()| (0..50).map(|_| Rude::dial(node.address)).collect::<Vec<_>>());
    greeting.iter_mut().for_each(|rude| {
        assert!(rude.say(UPGRADE_REQUEST.as_bytes()) && rude.hears(PATIENCE), "it is upgraded");
    });
    let started = std::time::Instant::now();
    let hello = said(HELLO, true, 0, &Hello::of(&new_name()).data());
    let mut bytes = UPGRADE_REQUEST.bytes().zip(hello);
    while !upgrading.is_empty() || !greeting.is_empty() {
        assert!(started.elapsed() < PATIENCE, "{} and {} still drip", upgrading.len(), greeting.len());
        let (of_head, of_hello) = bytes.next().expect("both are longer than that");
        upgrading.retain_mut(|rude| rude.say(&[of_head]));
        greeting.retain_mut(|rude| rude.say(&[of_hello]));
        (0..10).for_each(|_| honest.work());
        std::thread::sleep(Duration::from_secs(1));
    }
    let grown = node.memory().saturating_sub(before);
    println!("100 dripping upgrades and greetings were gone after {:?}, memory grew by {grown}", started.elapsed());
    assert!(grown <= FLAT && node.is_alive(), "memory grew by {grown}");
}
