//! Counts how often an attacker who poisons a node's address book gets all of its outbound slots at its restart.
//!
//! The network has 1,000 honest addresses in 400 groups, of which nine in ten are up at any time. The attacker has
//! 4,096 addresses in 32 groups, all of them up. A victim lives six hours in peace, then a day during which the
//! attacker calls it from all its groups and names addresses as often as it likes; honest peers, too, name as many of
//! the attacker's addresses as honest ones. Then the victim restarts with its book, and without its anchors, so that
//! the book alone decides. `POLYPEER_VICTIMS` says how many victims there are, 20 when it says nothing.

mod word;

use bytes::Bytes;
use polypeer_engine::{
    Address, ChannelId, ConnectionId, DialFailure, Direction, DisconnectCause, Effect, Ends, Engine, Now, P2pAction,
    P2pConfig, Random, Record, Table, Time,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use word::Word;

const HONEST: u32 = 1_000;
const HONEST_GROUPS: u32 = 400;
const ATTACKERS: u32 = 4_096;
const ATTACKER_GROUPS: u32 = 32;
const HOUR: u64 = 3_600;
/// What the attacker names in an hour: each group of its own tells all that it has, and as much that is not there.
const NAMED_AN_HOUR: u32 = 4_096;
/// Milliseconds since 1970 at the victim's birth.
const START_MS: u64 = 1_767_225_600_000;

fn honest(n: u32) -> Address {
    let group = n % HONEST_GROUPS;
    let ip = Ipv4Addr::new(50 + (group / 250) as u8, (group % 250) as u8, 1, (n / HONEST_GROUPS) as u8);
    Address::new(IpAddr::V4(ip), 8_333)
}

fn attacker(n: u32) -> Address {
    Address::new(IpAddr::V4(Ipv4Addr::new(200, (n % ATTACKER_GROUPS) as u8, 1, (n / ATTACKER_GROUPS) as u8)), 8_333)
}

// Nobody is there, though an honest node might be.
fn trash(n: u32, random: &mut Random) -> Address {
    let IpAddr::V4(ip) = honest(n).ip() else { unreachable!("honest addresses are IPv4") };
    let [a, b, ..] = ip.octets();
    Address::new(IpAddr::V4(Ipv4Addr::new(a, b, 9, random.below(250) as u8)), 8_333)
}

fn is_attacker(address: Address) -> bool {
    matches!(address.ip(), IpAddr::V4(ip) if ip.octets()[0] == 200)
}

/// One node, and the world as it sees it.
struct Victim {
    engine: Engine<Word>,
    now: Now,
    random: Random,
    saved: BTreeMap<(Table, Bytes), Record>,
    accepted: u64,
    // Which honest nodes are down, by the hour.
    salt: u64,
}

impl Victim {
    fn born(seed: u64) -> Self {
        let now = Now { monotonic: Time::ZERO, unix_ms: START_MS };
        let mut chance = [0; 32];
        chance[..8].copy_from_slice(&seed.to_be_bytes());
        let mut random = Random::new(chance);
        let salt = random.number();
        let mut effects = Vec::new();
        let engine = Engine::new(now, P2pConfig::default(), (), chance, &[], &mut effects);
        let mut victim = Self { engine, now, random, saved: BTreeMap::new(), accepted: 0, salt };
        victim.carry_out(effects);
        // What a tracker says at the start.
        let first: Vec<_> = (0..100).map(|_| honest(victim.random.below(HONEST as usize) as u32)).collect();
        victim.call(honest(HONEST - 1).ip(), &first);
        victim
    }

    // The same node with another seed: what was saved is all that it has.
    fn restart(&mut self, with_anchors: bool) {
        let records: Vec<_> =
            self.saved.values().filter(|it| with_anchors || it.table != Table::Anchors).cloned().collect();
        self.now = Now { monotonic: Time::ZERO, ..self.now.after(Duration::from_secs(60)) };
        let mut chance = [7; 32];
        chance[..8].copy_from_slice(&self.random.number().to_be_bytes());
        let mut effects = Vec::new();
        self.engine = Engine::new(self.now, P2pConfig::default(), (), chance, &records, &mut effects);
        self.carry_out(effects);
    }

    fn is_up(&self, address: Address) -> bool {
        let IpAddr::V4(ip) = address.ip() else { return false };
        let [a, _, host, _] = ip.octets();
        let hour = self.now.unix_ms / (HOUR * 1_000);
        let mixed = (u64::from(u32::from(ip)) ^ self.salt ^ hour.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .wrapping_mul(0xD6E8_FEB8_6659_FD93);
        a == 200 || host == 1 && !(mixed >> 32).is_multiple_of(10)
    }

    fn step(&mut self, action: P2pAction<u8>) {
        let mut effects = Vec::new();
        self.engine.step(self.now, action, &mut effects);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect<u8>>) {
        for effect in effects {
            match effect {
                Effect::Save(record) => drop(self.saved.insert((record.table, record.key.clone()), record)),
                Effect::Close { connection, .. } => {
                    self.step(P2pAction::Disconnected { connection, cause: DisconnectCause::Ours });
                }
                Effect::Dial { connection, address } => self.dialled(connection, address),
                _ => {}
            }
        }
    }

    fn dialled(&mut self, connection: ConnectionId, address: Address) {
        if !self.is_up(address) {
            return self.step(P2pAction::ConnectionFailed { connection, cause: DialFailure::TimedOut });
        }
        let local = honest(0);
        let ends = Ends {
            direction: Direction::Outbound,
            local,
            remote: address,
            dialled: Some(address),
            identity: None,
            takes_compressed: false,
        };
        self.step(P2pAction::Connected { connection, ends });
        self.told(connection, address, 50);
    }

    // What a peer that was dialled names: an attacker its own, an honest node what it knows, half of it poison.
    fn told(&mut self, connection: ConnectionId, by: Address, count: usize) {
        let is_poisoned = self.now.unix_ms >= START_MS + 6 * HOUR * 1_000;
        let named: Vec<_> = (0..count)
            .map(|_| match is_attacker(by) || is_poisoned && self.random.below(2) == 0 {
                true => attacker(self.random.below(ATTACKERS as usize) as u32),
                false => honest(self.random.below(HONEST as usize) as u32),
            })
            .collect();
        self.say(connection, &named);
    }

    fn say(&mut self, connection: ConnectionId, named: &[Address]) {
        let mut frame = vec![b'n'];
        for address in named {
            let IpAddr::V4(ip) = address.ip() else { continue };
            frame.extend(ip.octets());
            frame.extend(address.port().to_be_bytes());
        }
        self.step(P2pAction::MessageReceived { connection, channel: ChannelId::ONLY, frame: frame.into() });
    }

    // Somebody calls, names addresses and leaves.
    fn call(&mut self, ip: IpAddr, named: &[Address]) {
        let connection = ConnectionId::nth(Direction::Inbound, self.accepted);
        self.accepted += 1;
        let remote = Address::new(ip, 50_000);
        let ends = Ends {
            direction: Direction::Inbound,
            local: honest(0),
            remote,
            dialled: None,
            identity: None,
            takes_compressed: false,
        };
        self.step(P2pAction::Connected { connection, ends });
        self.say(connection, named);
        self.step(P2pAction::Disconnected { connection, cause: DisconnectCause::Theirs });
    }

    fn poison(&mut self) {
        for group in 0..ATTACKER_GROUPS {
            let source = attacker(group + ATTACKER_GROUPS * self.random.below(128) as u32).ip();
            let mut named = Vec::new();
            for _ in 0..NAMED_AN_HOUR / ATTACKER_GROUPS {
                named.push(attacker(self.random.below(ATTACKERS as usize) as u32));
                let near = self.random.below(HONEST as usize) as u32;
                named.push(trash(near, &mut self.random));
            }
            self.call(source, &named);
        }
    }

    // Peers that are down leave, honest ones tell of others every hour.
    fn turn_of_the_hour(&mut self) {
        let held: Vec<_> =
            self.engine.state().peers.iter().filter_map(|(id, peer)| Some((*id, peer.ends.dialled?))).collect();
        for (connection, address) in held {
            if self.is_up(address) {
                self.told(connection, address, 20);
            } else {
                self.step(P2pAction::Disconnected { connection, cause: DisconnectCause::Broken });
            }
        }
    }

    fn live(&mut self, wait: Duration) {
        let end = self.now.after(wait);
        while let Some(at) = self.engine.next_wake().filter(|at| *at <= end.monotonic) {
            self.now = self.now.after(at.since(self.now.monotonic));
            self.step(P2pAction::Wake);
        }
        self.now = end;
    }

    fn outbound(&self) -> Vec<Address> {
        let peers = self.engine.state().peers.values().filter(|peer| peer.slot.is_kept());
        peers.filter_map(|peer| peer.ends.dialled).collect()
    }

    fn tried_honest(&self) -> Vec<Address> {
        let all = self.engine.state().discovery.book.all();
        all.filter(|(address, entry)| entry.is_tried && !is_attacker(*address)).map(|(address, _)| address).collect()
    }
}

/// What became of one victim.
#[derive(Debug)]
struct Fate {
    // Attackers in the slots after the restart, of how many.
    captured: (usize, usize),
    captured_with_anchors: (usize, usize),
    // Honest addresses that were tried before the poisoning, and how many still are.
    survived: (usize, usize),
}

fn fate(seed: u64) -> Fate {
    let mut victim = Victim::born(seed);
    for _ in 0..6 {
        victim.live(Duration::from_secs(HOUR));
        victim.turn_of_the_hour();
    }
    let before = victim.tried_honest();
    for _ in 0..24 {
        victim.poison();
        victim.live(Duration::from_secs(HOUR));
        victim.turn_of_the_hour();
    }
    victim.live(Duration::from_secs(60));
    let book = &victim.engine.state().discovery.book;
    let still = |address: &&Address| book.get(**address).is_some_and(|entry| entry.is_tried);
    let survived = (before.iter().filter(still).count(), before.len());
    let mut after = |with_anchors| {
        let (saved, now) = (victim.saved.clone(), victim.now);
        victim.restart(with_anchors);
        victim.poison();
        victim.live(Duration::from_secs(120));
        let held = victim.outbound();
        (victim.saved, victim.now) = (saved, now);
        (held.iter().filter(|address| is_attacker(**address)).count(), held.len())
    };
    Fate { captured: after(false), captured_with_anchors: after(true), survived }
}

#[test]
fn at_most_a_thousandth_of_the_victims_loses_all_slots() {
    let victims = std::env::var("POLYPEER_VICTIMS").ok().and_then(|it| it.parse().ok()).unwrap_or(20);
    let (mut lost, mut lost_with_anchors, mut slots, mut taken) = (0, 0, 0, 0);
    let (mut survived, mut before) = (0, 0);
    let mut by_taken = BTreeMap::new();
    for seed in 0..victims {
        let fate = fate(seed);
        if seed < 3 {
            println!("{fate:?}");
        }
        assert!(fate.captured.1 >= 8, "the slots are full again: {fate:?}");
        lost += u32::from(fate.captured.0 == fate.captured.1);
        lost_with_anchors += u32::from(fate.captured_with_anchors.0 == fate.captured_with_anchors.1);
        taken += fate.captured.0;
        slots += fate.captured.1;
        *by_taken.entry(fate.captured.0).or_insert(0) += 1;
        survived += fate.survived.0;
        before += fate.survived.1;
    }
    println!(
        "{victims} victims: {lost} captured by book alone, {lost_with_anchors} with anchors; {taken} of {slots} slots \
         taken ({by_taken:?}); {survived} of {before} honest tried addresses survived"
    );
    assert!(u64::from(lost) <= victims / 1_000, "{lost} of {victims} victims lost all slots");
    assert!(u64::from(lost_with_anchors) <= victims / 10_000, "{lost_with_anchors} of {victims} with their anchors");
    assert!(survived * 100 >= before * 95, "{survived} of {before} survived");
}
