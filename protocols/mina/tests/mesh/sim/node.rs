//! One node of a simulation: a mesh, its connections, and whom it will not have back.

use super::plan::{Attack, Plan};
use crate::stage::{key, name};
use bytes::Bytes;
use ed25519_dalek::{Signature, SigningKey, Verifier as _, VerifyingKey};
use polypeer_engine::{ConnectionId, Direction, Time};
use polypeer_mina::keys::PeerId;
use polypeer_mina::mesh::frame::Rpc;
use polypeer_mina::mesh::{Class, Mesh, Settings};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

thread_local! {
    static CHECKED: RefCell<BTreeMap<(u64, [u8; 64]), bool>> = const { RefCell::new(BTreeMap::new()) };
}

/// Checks each signature once, however many nodes look at it.
fn verify(author: &PeerId, signed: &[u8], signature: &[u8; 64]) -> bool {
    let mut hash = DefaultHasher::new();
    (author, signed).hash(&mut hash);
    let check = || {
        let key = VerifyingKey::from_bytes(author.key());
        key.is_ok_and(|key| key.verify(signed, &Signature::from_bytes(signature)).is_ok())
    };
    CHECKED.with_borrow_mut(|checked| *checked.entry((hash.finish(), *signature)).or_insert_with(check))
}

/// One end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) to: usize,
    pub(crate) theirs: ConnectionId,
    pub(crate) delay_us: u64,
    // Frames keep their order.
    pub(crate) last: Time,
}

pub(crate) struct Node {
    pub(crate) mesh: Mesh,
    settings: Settings,
    pub(crate) key: SigningKey,
    pub(crate) id: PeerId,
    pub(crate) attack: Option<Attack>,
    pub(crate) lines: BTreeMap<ConnectionId, Line>,
    opened: u64,
    pub(crate) is_here: bool,
    pub(crate) since: Time,
    /// Changes whenever it comes back: alarms of an earlier life are not heard.
    pub(crate) life: u32,
    pub(crate) wakes: Option<Time>,
    pub(crate) slips: BTreeMap<usize, usize>,
    pub(crate) banned: BTreeSet<usize>,
}

fn settings(plan: &Plan) -> Settings {
    let mut settings = Settings { verify: Some(verify), ..Settings::default() };
    if plan.is_without_gossip {
        settings.flood_publish = false;
        settings.gossip_percent = 0;
        settings.degree.lazy = 0;
    }
    settings
}

impl Node {
    pub(crate) fn new(number: usize, plan: &Plan, seed: [u8; 32]) -> Self {
        let id = name(number as u64);
        Self {
            mesh: Mesh::new(settings(plan), id, seed),
            settings: settings(plan),
            key: key(number as u64),
            id,
            attack: plan.attack(number),
            lines: BTreeMap::new(),
            opened: 0,
            is_here: false,
            since: Time::ZERO,
            life: 0,
            wakes: None,
            slips: BTreeMap::new(),
            banned: BTreeSet::new(),
        }
    }

    /// It comes, or comes back: nothing is left of before but its key.
    pub(crate) fn begin(&mut self, now: Time, seed: [u8; 32]) {
        self.mesh = Mesh::new(self.settings.clone(), self.id, seed);
        self.is_here = true;
        self.since = now;
        self.life += 1;
        self.wakes = None;
    }

    pub(crate) fn next_connection(&mut self, direction: Direction) -> ConnectionId {
        self.opened += 1;
        ConnectionId::nth(direction, self.opened)
    }

    pub(crate) fn count(&self, direction: Direction) -> usize {
        self.lines.keys().filter(|connection| connection.direction() == direction).count()
    }

    pub(crate) fn is_connected_to(&self, other: usize) -> bool {
        self.lines.values().any(|line| line.to == other)
    }

    /// Whether an attacker keeps a frame back that its mesh would send.
    pub(crate) fn keeps_back(&self, frame: &Bytes, class: Class, victim: &PeerId) -> bool {
        match (self.attack, class) {
            (None | Some(Attack::Noisy), _) | (_, Class::Control) => false,
            (Some(Attack::Withholding), class) => class == Class::Message,
            (Some(Attack::Silent | Attack::Greedy), _) => true,
            (Some(Attack::Censoring), Class::Gossip) => true,
            (Some(Attack::Censoring), Class::Message) => {
                let from = victim.to_bytes();
                Rpc::decode(frame).is_ok_and(|rpc| rpc.messages().any(|message| message.from == Some(&from[..])))
            }
        }
    }
}
