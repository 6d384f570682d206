//! Floods either protocol through its test client, in the ways that both know.

use super::trial::{Citizen, FLAT, Signal, connections, withstand};
use crate::judge::ledger::{self, Block};
use crate::judge::node::Node;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Orphans that are handed over at once.
const ORPHANS: u64 = 50;
/// So many at least must have been looked at, far more than the 64 of a peer that are kept.
const ORPHANS_JUDGED: u64 = 1_000;

/// How a protocol's test client is used. `P` is its connection with a node, `H` does honest work.
pub(super) struct Party<P, H> {
    pub(super) network: &'static str,
    pub(super) honest: fn(&Node) -> H,
    /// Connects without a word.
    pub(super) dial: fn(SocketAddr) -> P,
    /// Connects and shakes hands.
    pub(super) open: fn(SocketAddr) -> P,
    /// The same, whatever becomes of it.
    pub(super) intrude: fn(SocketAddr) -> P,
    /// Sends bytes; whether the connection took them.
    pub(super) say: fn(&mut P, &[u8]) -> bool,
    /// Whether the node says something within this time.
    pub(super) hears: fn(&mut P, Duration) -> bool,
    /// The node must close now.
    pub(super) closed: fn(&mut P),
}

impl<P, H: Citizen> Party<P, H> {
    /// A new node and somebody honest.
    pub(super) fn node(&self, settings: &str, arguments: &[&str]) -> (Node, H) {
        let node = Node::start(self.network, settings, &[arguments, &["--no-discovery"]].concat());
        let honest = (self.honest)(&node);
        (node, honest)
    }

    /// Says what `speech` makes again and again, and reads what comes; dials again when it was sent away.
    pub(super) fn repeat(&self, node: SocketAddr, signal: &Signal<'_>, mut speech: impl FnMut(&mut P) -> Vec<u8>) {
        while signal.goes_on() {
            let mut peer = (self.intrude)(node);
            loop {
                let said = speech(&mut peer);
                if !(self.say)(&mut peer, &said) || !signal.goes_on() {
                    break;
                }
                while signal.goes_on() && (self.hears)(&mut peer, Duration::from_millis(1)) {}
            }
        }
    }

    /// Repeats what `speech` makes at a new node, which costs others nothing. The node.
    pub(super) fn floods(&self, name: &str, allowance: u64, speech: impl FnMut(&mut P) -> Vec<u8> + Send) -> Node {
        let (mut node, mut honest) = self.node("", &[]);
        let address = node.address;
        withstand(name, &mut node, &mut honest, allowance, |signal| self.repeat(address, signal, speech));
        node
    }

    /// Hands over, by `tell`, orphans that nobody has seen, each with its proof of work, as long as the flood lasts.
    pub(super) fn orphans(&self, mut tell: impl FnMut(&mut P, Vec<Block>) -> Vec<u8> + Send) {
        let draft = Block::genesis(self.network).draft(Vec::new());
        let mut made = 0;
        let node = self.floods("orphan blocks", FLAT, |peer| {
            let numbers = made..made + ORPHANS;
            made = numbers.end;
            let orphan = |number: u64| {
                let parent = ledger::hash(&[&number.to_be_bytes()]);
                Block { parent, height: 2 + number % 50, ..draft.clone() }.mined()
            };
            tell(peer, numbers.map(orphan).collect())
        });
        let metrics = node.metrics();
        let judged = metrics.lines().find(|line| line.contains("kind=\"block\",outcome=\"parent_unknown\""));
        let judged = judged.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0u64);
        println!("{made} orphans were made, {judged} judged");
        assert!(judged >= ORPHANS_JUDGED, "{judged} of {made} orphans were judged");
    }

    /// Asks and does not read.
    pub(super) fn asks_in_vain(&self, questions: &[u8]) {
        let (mut node, mut honest) = self.node("", &[]);
        let address = node.address;
        withstand("non-reading askers", &mut node, &mut honest, 2 * FLAT, |signal| {
            while signal.goes_on() {
                let mut peer = (self.open)(address);
                while signal.goes_on() && (self.say)(&mut peer, questions) {}
            }
        });
    }

    /// Begins hundreds of handshakes with these bytes and ends none.
    pub(super) fn drips(&self, begun: &[u8]) {
        let (mut node, mut honest) = self.node("handshake_timeout = \"2s\"", &["--max-in-peers", "1000"]);
        let (before, others) = (node.memory(), connections(&node, self.network));
        let mut dripping: Vec<P> = (0..300).map(|_| (self.dial)(node.address)).collect();
        let started = Instant::now();
        dripping.iter_mut().for_each(|peer| assert!((self.say)(peer, begun)));
        while started.elapsed() < Duration::from_secs(3) {
            honest.work();
        }
        // Two seconds and the one in which whoever crossed the limit must be gone have passed.
        assert_eq!(connections(&node, self.network), others, "only the honest ones are left");
        dripping.iter_mut().for_each(self.closed);
        let grown = node.memory().saturating_sub(before);
        println!("300 dripping connections, memory grew by {grown}");
        assert!(grown <= FLAT && node.is_alive(), "memory grew by {grown}");
    }

    /// Comes and goes: without a word, with garbage, after a handshake.
    pub(super) fn comes_and_goes(&self, garbage: &[u8]) {
        let (mut node, mut honest) = self.node("", &["--max-in-peers", "1000"]);
        let address = node.address;
        withstand("churn", &mut node, &mut honest, FLAT, |signal| {
            for count in 0u64.. {
                if !signal.goes_on() {
                    return;
                }
                match count % 3 {
                    0 => drop((self.dial)(address)),
                    1 => drop((self.say)(&mut (self.dial)(address), garbage)),
                    _ => drop((self.open)(address)),
                }
                // Loopback has some 28,000 ports, each of which rests for a minute: so many connections and no more.
                std::thread::sleep(Duration::from_millis(2));
            }
        });
    }
}
