//! Whole nodes of a private Mina network in virtual time: the protocol, its ledger and its producers, over channels.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

use bytes::Bytes;
use polypeer_engine::{Address, P2pConfig, Target};
use polypeer_ledger_mina::{Config, Identity, Mina as Ledger, Producer, Reader, Rules};
use polypeer_mina::binprot::{Binable as _, Fp};
use polypeer_mina::block::{PublicKey, Signature, Slot};
use polypeer_mina::command::{Memo, Payload, Payment, SignedCommand, UserCommand};
use polypeer_mina::config::Constants;
use polypeer_mina::ledger::{Answer, Hash, Request, Tip};
use polypeer_mina::{self as mina, Mina};
use polypeer_sim::{Disk, NodeId, Seat, Setting, World};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

const CHAIN_ID: &str = "5555555555555555555555555555555555555555555555555555555555555555";

/// Nodes in virtual time, each told of the one before it.
struct Network {
    world: World<Mina, Ledger>,
    readers: Rc<RefCell<Vec<Option<Reader>>>>,
    constants: Constants,
}

impl Network {
    /// Producers win so many of a hundred slots, each for itself.
    fn new(seed: u64, nodes: u8, slots_percent: u32) -> Self {
        let setting = Setting::default();
        let constants = Constants {
            k: 20,
            slots_per_epoch: 60,
            genesis_timestamp_ms: setting.epoch_ms,
            slot_ms: 3_000,
            ..Constants::DEVNET
        };
        let mut network = Self { world: World::new(seed, setting), readers: Rc::default(), constants };
        for node in 0..nodes {
            network.add(node, slots_percent);
        }
        network
    }

    fn rules(&self) -> Rules {
        Rules::private(CHAIN_ID, self.constants).unwrap()
    }

    fn add(&mut self, node: u8, slots_percent: u32) -> NodeId {
        let (rules, readers) = (self.rules(), self.readers.clone());
        let identity = Identity::of_seed(&[node + 1; 32]);
        let protocol = mina::Config {
            best_tip_interval: Duration::from_secs(20),
            ..mina::Config::new(identity.peer_id(), CHAIN_ID, rules.genesis, rules.constants).without_proofs()
        };
        let peer_id = Bytes::copy_from_slice(&identity.peer_id().to_bytes());
        self.readers.borrow_mut().push(None);
        let boot = move |disk: &Disk| {
            let producer = (slots_percent > 0).then_some(Producer { seed: [node + 1; 32], slots_percent });
            let config = Config { identity: Some(identity.clone()), producer, ..Config::in_memory(rules.clone()) };
            let (ledger, reader) =
                Ledger::open_with_backend(disk.clone(), config).map_err(|error| error.to_string())?;
            readers.borrow_mut()[usize::from(node)] = Some(reader);
            Ok(ledger)
        };
        let before = node.checked_sub(1).map(|before| Target::Address(address(before)));
        let config =
            P2pConfig { add_peers: before.into_iter().collect(), private_addresses: true, ..P2pConfig::default() };
        let seat = Seat::new(address(node), protocol, boot);
        self.world.add(Seat { config, identity: Some(peer_id), ..seat })
    }

    fn reader(&self, node: usize) -> Reader {
        self.readers.borrow()[node].clone().unwrap()
    }

    fn count(&self) -> usize {
        self.readers.borrow().len()
    }

    fn tips(&self) -> Vec<Tip> {
        (0..self.count()).map(|node| self.reader(node).standing().tip).collect()
    }

    fn submit(&mut self, node: usize, command: Bytes) -> Hash {
        let answers = self.world.ask(NodeId(node), Request::Submit { command });
        let submitted = answers.iter().find_map(|answer| match answer {
            Answer::Submitted { id, refused: None } => Some(*id),
            _ => None,
        });
        submitted.unwrap_or_else(|| panic!("{answers:?}"))
    }

    /// No more blocks, and time to hear of the last ones.
    fn settle(&mut self) {
        for node in 0..self.count() {
            self.world.ask(NodeId(node), Request::CatchingUp(true));
        }
        self.world.run(Duration::from_secs(60));
    }
}

fn address(node: u8) -> Address {
    Address::new([10, node, 0, 1].into(), 8_302)
}

fn payment(payer: u8, nonce: u32) -> Bytes {
    let key = |number: u8| PublicKey { x: Fp([number; 32]), is_odd: false };
    UserCommand::Signed(SignedCommand {
        fee: 1_000_000,
        fee_payer: key(payer),
        nonce,
        valid_until: Slot(u32::MAX),
        memo: Memo::EMPTY,
        payload: Payload::Payment(Payment { receiver: key(9), amount: 1 }),
        signer: key(payer),
        signature: Signature::ONE,
    })
    .encode()
}

#[test]
fn producers_make_one_chain_with_every_payment() {
    let mut network = Network::new(1, 8, 25);
    network.world.run(Duration::from_secs(20));
    let mut sent = Vec::new();
    for nonce in 0..10 {
        for node in 0..8 {
            sent.push(network.submit(node, payment(node as u8, nonce)));
        }
        network.world.run(Duration::from_secs(3));
    }
    network.settle();
    let tips = network.tips();
    assert_eq!(tips.iter().map(|tip| tip.hash).collect::<BTreeSet<_>>().len(), 1, "{tips:?}");
    assert!(tips[0].length > 8, "{tips:?}");
    for node in 0..8 {
        let reader = network.reader(node);
        let missing = sent.iter().filter(|id| reader.command(id).is_none()).count();
        assert_eq!(missing, 0, "node {node} lacks some of {}", sent.len());
    }
    let confirmed = sent.iter().filter(|id| network.reader(0).command(id).unwrap().block.is_some()).count();
    assert!(confirmed * 2 > sent.len(), "{confirmed} of {}", sent.len());
}

#[test]
fn a_newcomer_fetches_the_chain_that_it_missed() {
    let mut network = Network::new(2, 4, 40);
    network.world.run(Duration::from_secs(200));
    let length = network.tips()[0].length;
    assert!(length > 22, "more than is final: {length}");
    network.add(4, 0);
    network.world.run(Duration::from_secs(60));
    network.settle();
    let tips = network.tips();
    assert_eq!(tips.iter().map(|tip| tip.hash).collect::<BTreeSet<_>>().len(), 1, "{tips:?}");
    assert!(tips[4].length > length, "{tips:?}");
}
