//! Decides when to look for whom: the schedule (Mina spec, sections 2.3 and 9).
//!
//! | what | when |
//! |---|---|
//! | bootstrap: look ourselves up | at once, 60 s after one that somebody answered, 5 s after an empty one |
//! | re-query: who provides this network, and who is at a random place | while fewer peers are ready than wanted: after 1 s, then twice as long each time, up to 5 min |
//! | snapshot: is that still so? | every 30 s |
//! | announce ourselves to the 20 nearest to the rendezvous | after the first bootstrap that was answered, then every 3 h |

use super::asking::For;
use super::lookup::{Lookup, Outcome, Purpose};
use super::message::{Contact, Kind, Message};
use super::table::BUCKET_MAX;
use super::{Kad, LookupId, Output};
use crate::keys::PeerId;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::Time;

/// The next bootstrap after one that was answered.
pub(super) const BOOTSTRAP_TIME: Duration = Duration::from_secs(60);
/// The next after one that nobody answered.
pub(super) const BOOTSTRAP_AGAIN: Duration = Duration::from_secs(5);
/// How often it is looked whether peers are few.
const SNAPSHOT_TIME: Duration = Duration::from_secs(30);
/// The first re-query after peers have become few, and the longest wait between two.
const REQUERY_MIN: Duration = Duration::from_secs(1);
const REQUERY_MAX: Duration = Duration::from_secs(5 * 60);
/// How often we say that we provide: what Go's side does, and well within what records live.
const ANNOUNCE_TIME: Duration = Duration::from_secs(3 * 60 * 60);
/// The next try after an announcement that reached nobody.
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(2 * 60);
/// How long a look-up may take in all.
const LOOKUP_TIME: Duration = Duration::from_secs(2 * 60);
/// Look-ups at a time that are wanted, besides the four of the schedule.
const WANTED_MAX: usize = 4;

/// What is due when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    bootstrap: Time,
    snapshot: Time,
    requery: Duration,
    // Nothing before the first bootstrap that was answered: there is nobody to tell.
    announce: Option<Time>,
}

impl Schedule {
    pub(super) fn new(now: Time) -> Self {
        Self { bootstrap: now, snapshot: now, requery: REQUERY_MIN, announce: None }
    }

    pub(super) fn next_wake(&self, is_looking: impl Fn(Purpose) -> bool) -> Time {
        let mut next = self.snapshot;
        if !is_looking(Purpose::Bootstrap) {
            next = next.min(self.bootstrap);
        }
        if let Some(announce) = self.announce.filter(|_| !is_looking(Purpose::Announce)) {
            next = next.min(announce);
        }
        next
    }
}

/// What is due.
impl Kad {
    /// Begins what is due.
    pub(super) fn on_schedule(&mut self, now: Time, out: &mut Vec<Output>) {
        if !self.config.looks {
            self.schedule = Schedule::new(now + SNAPSHOT_TIME);
            return;
        }
        if now >= self.schedule.bootstrap && !self.is_looking(Purpose::Bootstrap) {
            let own = Bytes::copy_from_slice(&self.own.to_bytes());
            self.begin(now, Purpose::Bootstrap, (Kind::FindNode, own), out);
        }
        if now >= self.schedule.snapshot {
            self.on_snapshot(now, out);
        }
        if self.schedule.announce.is_some_and(|at| now >= at) && !self.is_looking(Purpose::Announce) {
            let key = self.config.rendezvous.clone();
            self.begin(now, Purpose::Announce, (Kind::FindNode, key), out);
        }
    }

    fn on_snapshot(&mut self, now: Time, out: &mut Vec<Output>) {
        if self.ready >= self.config.low_water {
            self.schedule.requery = REQUERY_MIN;
            self.schedule.snapshot = now + SNAPSHOT_TIME;
            return;
        }
        self.schedule.snapshot = now + self.schedule.requery;
        self.schedule.requery = (self.schedule.requery * 2).min(REQUERY_MAX);
        if !self.is_looking(Purpose::Discovery) {
            let key = self.config.rendezvous.clone();
            self.begin(now, Purpose::Discovery, (Kind::GetProviders, key), out);
            let anywhere = self.random_peer();
            self.begin(now, Purpose::Discovery, (Kind::FindNode, anywhere), out);
        }
    }

    /// How many peers are ready now. When they have become few it is looked for more soon.
    pub fn set_ready(&mut self, now: Time, count: usize) {
        let were_enough = self.ready >= self.config.low_water;
        self.ready = count;
        if were_enough && count < self.config.low_water {
            self.schedule.requery = REQUERY_MIN;
            self.schedule.snapshot = self.schedule.snapshot.min(now + REQUERY_MIN);
        }
    }

    pub(super) fn begin(
        &mut self,
        now: Time,
        purpose: Purpose,
        request: (Kind, Bytes),
        out: &mut Vec<Output>,
    ) -> Option<LookupId> {
        let wanted = self.lookups.values().filter(|lookup| lookup.purpose == Purpose::Wanted).count();
        if purpose == Purpose::Wanted && wanted >= WANTED_MAX {
            return None;
        }
        let place = super::key::Key::of(&request.1);
        let near = self.table.nearest(&place, BUCKET_MAX, None);
        let number = self.next_lookup;
        self.next_lookup = self.next_lookup.wrapping_add(1);
        let lookup = Lookup::new(self.own, purpose, request, near, now + LOOKUP_TIME);
        self.lookups.insert(number, lookup);
        self.go_on(now, number, out);
        Some(LookupId(number))
    }

    pub(super) fn end_lookup(&mut self, now: Time, number: u32, out: &mut Vec<Output>) {
        let Some(lookup) = self.lookups.remove(&number) else { return };
        // Who is still asked answers nobody: its words are read all the same, for the table.
        let purpose = lookup.purpose;
        let outcome = lookup.outcome();
        match purpose {
            Purpose::Bootstrap => {
                let is_useful = outcome.answers > 0;
                self.schedule.bootstrap = now + if is_useful { BOOTSTRAP_TIME } else { BOOTSTRAP_AGAIN };
                if is_useful && self.schedule.announce.is_none() {
                    self.schedule.announce = Some(now);
                }
            }
            Purpose::Announce => self.announce_to(now, &outcome, out),
            Purpose::Discovery => {}
            Purpose::Wanted => out.push(Output::LookedUp { lookup: LookupId(number), outcome }),
        }
    }

    // Tells those nearest to the rendezvous that we are there, and keeps the record here too.
    fn announce_to(&mut self, now: Time, outcome: &Outcome, out: &mut Vec<Output>) {
        let is_reached = !outcome.nearest.is_empty();
        self.schedule.announce = Some(now + if is_reached { ANNOUNCE_TIME } else { ANNOUNCE_AGAIN });
        if self.listening.is_empty() {
            return;
        }
        let own = Contact { peer: self.own, addresses: self.listening.clone(), is_connected: true };
        let mut message = Message::about(Kind::AddProvider, &self.config.rendezvous);
        message.providers.push(own);
        for contact in &outcome.nearest {
            self.ask(now, contact, For::Announce, &message, out);
        }
    }

    pub(super) fn is_looking(&self, purpose: Purpose) -> bool {
        self.lookups.values().any(|lookup| lookup.purpose == purpose)
    }

    fn random_peer(&mut self) -> Bytes {
        let mut key = [0; 32];
        for word in key.chunks_exact_mut(8) {
            word.copy_from_slice(&self.random.number().to_le_bytes());
        }
        Bytes::copy_from_slice(&PeerId::of_key(key).to_bytes())
    }
}
