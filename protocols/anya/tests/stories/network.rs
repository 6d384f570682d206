//! Joins nodes by lines that lose nothing and take no time.

use crate::ledger::Ledger;
use crate::story::{Story, address, compare, config, p2p};
use polypeer_engine::{Address, ConnectionId, Direction, DisconnectCause, Ends, P2pAction};
use std::collections::BTreeMap;
use std::time::Duration;

/// Runs a network's story twice and compares what every node did.
pub(crate) fn network(ledgers: impl Fn() -> Vec<Ledger>, tell: impl Fn(&mut Network)) {
    let once = || {
        let mut network = Network::new(ledgers());
        tell(&mut network);
        network.nodes.into_iter().flat_map(|node| node.log).collect::<Vec<_>>()
    };
    compare(&once(), &once());
}

/// Some nodes, and which connection of one is which of another.
pub(crate) struct Network {
    pub(crate) nodes: Vec<Story>,
    joined: BTreeMap<(usize, ConnectionId), (usize, ConnectionId)>,
    dials_seen: Vec<usize>,
}

pub(crate) fn home(node: usize) -> Address {
    address(&format!("10.0.0.{}:7333", node + 1))
}

impl Network {
    pub(crate) fn new(ledgers: Vec<Ledger>) -> Self {
        let nodes: Vec<_> = ledgers
            .into_iter()
            .enumerate()
            .map(|(at, ledger)| {
                let mut p2p = p2p();
                p2p.listen = Some(home(at));
                Story::new(config(), p2p, ledger)
            })
            .collect();
        let dials_seen = vec![0; nodes.len()];
        Self { nodes, joined: BTreeMap::new(), dials_seen }
    }

    pub(crate) fn join(&mut self, from: usize, to: usize) {
        self.dial(from, to);
        self.run();
    }

    pub(crate) fn dial(&mut self, from: usize, to: usize) {
        self.nodes[from].act(P2pAction::Connect { address: home(to) });
    }

    /// Carries everything until nothing moves.
    pub(crate) fn run(&mut self) {
        while self.carry_dials() | self.carry_bytes() | self.carry_closes() {}
    }

    pub(crate) fn wait(&mut self, wait: Duration) {
        for _ in 0..wait.as_millis() / 100 {
            for node in &mut self.nodes {
                node.wait(Duration::from_millis(100));
            }
            self.run();
        }
    }

    fn carry_dials(&mut self) -> bool {
        let mut moved = false;
        for from in 0..self.nodes.len() {
            while self.dials_seen[from] < self.nodes[from].dialled.len() {
                let (connection, to_address) = self.nodes[from].dialled[self.dials_seen[from]];
                self.dials_seen[from] += 1;
                moved = true;
                let Some(to) = (0..self.nodes.len()).find(|node| home(*node) == to_address) else { continue };
                let local = Address::new(home(from).ip(), 40_000 + connection.as_u64() as u16);
                let ours = Ends {
                    direction: Direction::Outbound,
                    local,
                    remote: to_address,
                    dialled: Some(to_address),
                    identity: None,
                    takes_compressed: false,
                };
                let theirs = Ends {
                    direction: Direction::Inbound,
                    local: to_address,
                    remote: local,
                    dialled: None,
                    identity: None,
                    takes_compressed: false,
                };
                self.nodes[from].add_line(connection, ours);
                let accepted = ConnectionId::nth(Direction::Inbound, self.nodes[to].accepted);
                self.nodes[to].accepted += 1;
                self.nodes[to].add_line(accepted, theirs);
                self.joined.insert((from, connection), (to, accepted));
                self.joined.insert((to, accepted), (from, connection));
            }
        }
        moved
    }

    fn carry_bytes(&mut self) -> bool {
        let mut moved = false;
        for ((from, ours), (to, theirs)) in self.joined.clone() {
            while let Some(frame) = self.nodes[from].lines.get_mut(&ours).and_then(|line| line.sent.pop_front()) {
                moved = true;
                self.nodes[to].bytes(theirs, &frame);
            }
        }
        moved
    }

    fn carry_closes(&mut self) -> bool {
        let mut moved = false;
        for ((from, ours), (to, theirs)) in self.joined.clone() {
            if self.nodes[from].lines[&ours].closed.is_some() && self.joined.remove(&(from, ours)).is_some() {
                self.joined.remove(&(to, theirs));
                moved = true;
                for (node, connection) in [(from, ours), (to, theirs)] {
                    self.nodes[node].act(P2pAction::Disconnected { connection, cause: DisconnectCause::Theirs });
                    self.nodes[node]
                        .lines
                        .get_mut(&connection)
                        .unwrap()
                        .closed
                        .get_or_insert(polypeer_engine::Close::Now);
                }
            }
        }
        moved
    }
}
