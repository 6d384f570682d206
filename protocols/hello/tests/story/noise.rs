//! Any mix of messages, silences and hang-ups: nothing panics, and what we ask stays within what may be asked.

use crate::stage::*;
use crate::toy::{Kind, Toy, block, chain, genesis, hash_of, id_of, transaction};
use bytes::Bytes;
use polypeer_engine::{ConnectionId, P2pAction};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Something that happens: what, with whom, and a number to choose by.
type Deed = (u8, u8, u8);

struct Noise {
    stage: Stage,
    peers: Vec<ConnectionId>,
    // What each peer was asked and has not answered.
    asked: BTreeMap<ConnectionId, BTreeSet<String>>,
    lists: BTreeMap<ConnectionId, Value>,
    blocks: Vec<Bytes>,
    transactions: Vec<Bytes>,
    next: u16,
}

impl Noise {
    fn new() -> Self {
        let zero = hash_of(&genesis());
        let main = chain(zero, 0, 12, 1);
        let side = chain(hash_of(&main[5]), 6, 9, 2);
        let odd = [Kind::BadHeader, Kind::BadState, Kind::Future, Kind::NoRoom];
        let odd = odd.map(|kind| block(hash_of(&main[2]), 4, kind, 3, b""));
        let spoiled = block(hash_of(&main[3]), 5, Kind::Good, 1, b"\xff");
        let blocks = [main, side, odd.to_vec(), vec![spoiled]].concat();
        let transactions = (0..30).map(|salt| transaction((salt % 3) as u8, salt)).collect();
        let stage = Stage::new(config(), p2p(), Toy::new(), 3);
        let (asked, lists) = (BTreeMap::new(), BTreeMap::new());
        Self { stage, peers: Vec::new(), asked, lists, blocks, transactions, next: 1 }
    }

    fn does(&mut self, (what, whom, number): Deed) {
        match what % 16 {
            0 => self.joins(number),
            1 => self.stage.wait(Duration::from_millis(u64::from(number) * 100)),
            2 => self.stage.is_asleep = number % 2 == 0,
            3 => self.stage.reads = number % 2 == 0,
            4 => {
                let own = self.blocks[usize::from(number) % 12].clone();
                self.stage.makes(&own);
            }
            _ if self.peers.is_empty() => self.joins(number),
            what => {
                let peer = self.peers[usize::from(whom) % self.peers.len()];
                self.talks(what, peer, number);
            }
        }
        if !self.stage.is_asleep {
            while !self.stage.asked.is_empty() {
                self.stage.answer();
            }
        }
        self.listen();
    }

    fn joins(&mut self, number: u8) {
        let remote = format!("127.0.0.1:{}", 20_000 + self.next);
        self.next += 1;
        let peer = self.stage.accept(&remote);
        let count = u64::from(number % 20);
        self.stage.says(peer, hello_with(count, 0, &[("nonce", json!(format!("{:016x}", self.next)))]));
        self.stage.says(peer, hey(count));
        self.peers.push(peer);
    }

    fn talks(&mut self, what: u8, peer: ConnectionId, number: u8) {
        let block = self.blocks[usize::from(number) % self.blocks.len()].clone();
        let transaction = self.transactions[usize::from(number) % self.transactions.len()].clone();
        match what {
            5 => self.stage.announces(peer, u64::from(number % 25), hash_of(&block)),
            6 => self.stage.says(peer, json!({"BROADCASTBLOCK": {"number": number}})),
            7 => self.stage.says(peer, json!({"BROADCASTTRANSACTION": {"id": hex(id_of(&transaction))}})),
            8 => self.pushes(peer, &transaction),
            9 => self.answers(peer, number),
            10 => self.lists_something(peer, number),
            11 => self.stage.says(peer, json!({"GETLISTOFBLOCKS": {"from": number % 15, "latest": number}})),
            12 => self.stage.says(peer, ask_hash(hash_of(&block))),
            13 => self.stage.act(P2pAction::Writable { connection: peer, channel: CH }),
            14 => {
                self.stage.hang_up(peer);
                self.peers.retain(|other| *other != peer);
            }
            _ => self.stage.says(peer, hello(u64::from(number))),
        }
    }

    // Answers a question: rightly, or with NOTFOUND.
    fn answers(&mut self, peer: ConnectionId, number: u8) {
        let open = self.asked.entry(peer).or_default();
        let Some(question) = open.iter().nth(usize::from(number) % open.len().max(1)).cloned() else { return };
        let question: Value = serde_json::from_str(&question).expect("JSON");
        let hash = |key: &str| question[key].as_str().map(str::to_owned);
        let by_hash = |block: &&Bytes| Some(hex(hash_of(block))) == hash("hash");
        let by_number = |block: &&Bytes| Some(u64::from(block[40])) == question["number"].as_u64();
        let by_id = |transaction: &&Bytes| Some(hex(id_of(transaction))) == hash("transaction");
        let found = self.blocks.iter().find(|block| by_hash(block) || by_number(block)).cloned();
        let transaction = self.transactions.iter().find(by_id).cloned();
        match (found, transaction) {
            (Some(block), _) if !number.is_multiple_of(5) => self.gives(peer, &block),
            (None, Some(transaction)) if !number.is_multiple_of(5) => self.pushes(peer, &transaction),
            _ => {
                self.settle(peer, &question);
                self.stage.says(peer, json!({"NOTFOUND": question}));
            }
        }
    }

    fn gives(&mut self, peer: ConnectionId, block: &Bytes) {
        // It answers the question by hash, if there is one, before the one by number.
        if !self.settle(peer, &json!({"hash": hex(hash_of(block))})) {
            self.settle(peer, &json!({"number": block[40]}));
        }
        self.stage.delivers(peer, block);
    }

    fn pushes(&mut self, peer: ConnectionId, transaction: &Bytes) {
        self.settle(peer, &json!({"transaction": hex(id_of(transaction))}));
        self.stage.says(peer, json!({"PUSHTRANSACTION": [hex(transaction)]}));
    }

    fn settle(&mut self, peer: ConnectionId, question: &Value) -> bool {
        self.asked.entry(peer).or_default().remove(&question.to_string())
    }

    fn lists_something(&mut self, peer: ConnectionId, number: u8) {
        let Some(ask) = self.lists.remove(&peer) else { return };
        let from = ask["from"].as_u64().expect("a number") as usize;
        let begin = usize::from(number) % 21;
        let listed: Vec<_> =
            self.blocks[begin..].iter().take(usize::from(number % 9)).map(|one| hash_of(one)).collect();
        let parent = match (from, number % 4) {
            (0, _) => hash_of(&genesis()),
            (_, 0) => self.stage.ledger.tip().hash,
            _ => hash_of(&self.blocks[begin.saturating_sub(1)]),
        };
        let latest = from as u64 + listed.len() as u64 + u64::from(number % 3);
        self.stage.lists(peer, from as u64, latest, parent, &listed);
    }

    // Notes what is asked, and that it may be.
    fn listen(&mut self) {
        for (peer, heard) in std::mem::take(&mut self.stage.sent) {
            for message in heard {
                match method(&message).as_str() {
                    "GETBLOCK" => {
                        let open = self.asked.entry(peer).or_default();
                        assert!(open.insert(message["GETBLOCK"].to_string()), "asked twice: {message}");
                        assert!(open.len() <= 128);
                    }
                    "GETLISTOFBLOCKS" => {
                        let before = self.lists.insert(peer, message["GETLISTOFBLOCKS"].clone());
                        assert_eq!(before, None, "one list at a time");
                    }
                    "REJECT" => assert_reject(&message, message["REJECT"]["method"].as_str().expect("text")),
                    _ => {}
                }
            }
        }
        let stage = &self.stage;
        self.peers.retain(|peer| stage.is_open(*peer));
        self.asked.retain(|peer, _| stage.is_open(*peer));
        self.lists.retain(|peer, _| stage.is_open(*peer));
    }

    // Everyone leaves: nothing is left undone.
    fn ends(&mut self) {
        self.stage.is_asleep = false;
        for peer in std::mem::take(&mut self.peers) {
            self.stage.hang_up(peer);
        }
        while !self.stage.asked.is_empty() {
            self.stage.answer();
        }
        assert!(!self.stage.engine.protocol().is_catching_up());
        assert_eq!(self.stage.ledger.catching_up.len() % 2, 0, "every beginning has its end");
        // Whoever comes now is served as ever.
        let tip = self.stage.ledger.tip();
        self.stage.reads = true;
        let guest = self.stage.guest("127.0.0.1:19999", tip.height + 1);
        self.stage.says(guest, ask_hash(tip.hash));
        assert_eq!(self.stage.hears_methods(guest), ["BLOCK"]);
        let next = chain(tip.hash, tip.height, 1, 99).remove(0);
        self.stage.announces(guest, tip.height + 1, hash_of(&next));
        self.stage.delivers(guest, &next);
        assert_eq!(self.stage.ledger.tip().hash, hash_of(&next));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_noise_is_survived(deeds in prop::collection::vec(any::<Deed>(), 1..300)) {
        let mut noise = Noise::new();
        for deed in deeds {
            noise.does(deed);
        }
        noise.ends();
    }
}
