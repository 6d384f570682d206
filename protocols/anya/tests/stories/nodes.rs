//! Lets real nodes talk to each other: handshake, relay, catch-up.

use crate::ledger::{self, Format, Ledger};
use crate::network::{Network, network};
use bytes::Bytes;
use polypeer_engine::kit::chain::{Answer, ChainFormat as _};
use polypeer_engine::{Command, P2pAction};
use std::time::Duration;

const A_WHILE: Duration = Duration::from_secs(1);

fn tips(network: &Network) -> Vec<u64> {
    network.nodes.iter().map(|node| node.ledger.tip.height).collect()
}

#[test]
fn transactions_and_blocks_reach_everyone_once() {
    let ledgers = || (0..4).map(|_| Ledger::new()).collect();
    network(ledgers, |network| {
        for (from, to) in [(1, 0), (2, 1), (3, 2), (3, 0)] {
            network.join(from, to);
        }
        let transaction = Bytes::from_static(b"v1");
        network.nodes[2].ledger.pool.push(transaction.clone());
        let id = Format::transaction_id(&transaction);
        network.nodes[2].ledger_says(Answer::NewTransaction { id, transaction: transaction.clone() });
        let tip = network.nodes[3].ledger.mine(5);
        network.nodes[3].ledger_says(tip);
        network.run();
        assert_eq!(tips(network), [1; 4]);
        for node in &network.nodes {
            assert_eq!(node.ledger.pool, std::slice::from_ref(&transaction));
            assert!(node.ledger.taken.len() <= 3, "a block came more often than there are peers");
        }
    });
}

#[test]
fn a_newcomer_catches_up_from_all_and_relays_only_the_tip() {
    let blocks = ledger::chain(1_000, 1);
    let ledgers = || {
        let servers = (0..4).map(|_| Ledger::with(&blocks));
        servers.chain([Ledger::new(), Ledger::new()]).collect()
    };
    network(ledgers, |network| {
        network.join(5, 4);
        for server in 0..4 {
            network.dial(4, server);
        }
        network.wait(A_WHILE);
        assert_eq!(tips(network), [1_000; 6]);
        assert_eq!(network.nodes[4].ledger.catching_up, [true, false]);
        let served = |node: usize| network.nodes[node].log.iter().any(|effect| effect.contains("Block(Hash("));
        assert!((0..4).all(served), "a peer was not used");
        // What the newcomer passed on was one block, the tip; the one behind it fetched the rest.
        let sent: Vec<_> = network.nodes[5].ledger.taken.iter().collect();
        assert_eq!(sent[0].0, ledger::hash(&blocks[999]));
    });
}

#[test]
fn a_longer_fork_wins_everyone() {
    let (short, long) = (ledger::chain(300, 1), ledger::chain(700, 2));
    let ledgers = || vec![Ledger::with(&short), Ledger::with(&short), Ledger::with(&long)];
    network(ledgers, |network| {
        network.join(0, 1);
        network.join(2, 0);
        network.wait(A_WHILE);
        assert_eq!(tips(network), [700; 3]);
    });
}

#[test]
fn halves_that_mined_apart_agree_when_they_meet() {
    let ledgers = || (0..4).map(|_| Ledger::new()).collect();
    network(ledgers, |network| {
        network.join(0, 1);
        network.join(2, 3);
        for (node, count) in [(0, 10), (2, 12)] {
            for nonce in 0..count {
                let tip = network.nodes[node].ledger.mine(nonce + 100 * node as u64);
                network.nodes[node].ledger_says(tip);
                network.run();
            }
        }
        network.join(1, 2);
        network.wait(A_WHILE);
        assert_eq!(tips(network), [12; 4]);
        let tip = network.nodes[0].ledger.tip.hash;
        assert!(network.nodes.iter().all(|node| node.ledger.tip.hash == tip));
    });
}

#[test]
fn drained_nodes_part_in_peace() {
    let ledgers = || (0..3).map(|_| Ledger::new()).collect();
    network(ledgers, |network| {
        network.join(0, 1);
        network.join(2, 1);
        network.nodes[1].act(P2pAction::Command(Command::Drain));
        network.run();
        for node in &network.nodes {
            assert!(node.lines.values().all(|line| line.closed.is_some()));
        }
        assert!(network.nodes[1].engine.state().peers.is_empty());
    });
}
