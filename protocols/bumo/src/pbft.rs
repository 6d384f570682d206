//! Agrees on ledgers (BUMO spec, section 7): proposals, votes, views, and what a validator must remember of them.
//!
//! [`Pbft`] is a pure state machine. Messages, answers of the ledger and the time go in; [`Output`]s come out, in order.
//! It asks the ledger for values, judgements and signatures, and never sees a key. A validator and a follower run the
//! same machine; a follower never votes.
//!
//! ```text
//!              receive   proposed  judged  signed   moved   tick
//!                 |          |        |       |       |       |
//!   peers ------->|          |<-------+--- ledger ----+       |<---- alarm
//!                 v          v        v       v       v       v
//!            +-----------------------------------------------------+
//!            |                        Pbft                         |
//!            +-----------------------------------------------------+
//!              |          |        |      |       |       |
//!          Broadcast   Propose   Judge   Sign   Close   Behind
//! ```
//!
//! # A ledger
//!
//! ```text
//!   primary of view v                  the others
//!     Propose, Sign
//!     PRE-PREPARE(v, n, value) ------> Judge, Sign
//!                 <------------------- PREPARE(v, n, digest) ---------> to all
//!     q of them: prepared              q of them: prepared
//!     Sign, COMMIT(v, n, digest) <---> Sign, COMMIT(v, n, digest)
//!     q + 1 of them: Close             q + 1 of them: Close
//!   ------------ the ledger moved: view v + 1, its primary proposes ledger n + 1 -----------
//! ```
//!
//! What one attempt goes through is drawn at `Instance` in `instance.rs`, a change of view at `OwnChange` in
//! `moving.rs`.
//!
//! # Why two values are never final
//!
//! A *majority* is `q + 1` validators. Any two majorities have an honest validator in common, as long as no more than
//! `f = (N - 1) / 3` lie. Within a view it signs one proposal or PREPARE and one COMMIT, so one value at most is prepared
//! and final. Across views these rules bind each validator of ours, for one ledger:
//!
//! 1. It votes in no view before the last in which it voted, and in none before the last that it asked for (`Promises`).
//! 2. Before a COMMIT it keeps what is prepared (`Prepared`: the proposal and the PREPAREs of `q` others), and reports the
//!    kept one in its view changes. A prepared value of a later view, its own or another's, takes its place.
//! 3. It PREPAREs no other value than the kept one. As primary it proposes the kept one, byte for byte.
//! 4. It forgets the kept one, prepared in view v, when a new view t > v lists a majority of view changes by validators
//!    that have the same last ledger and report another value or none.
//!
//! Say value d is final in view v, and t is the first view after v in which another value is prepared, or a new view
//! that refutes d. (a) Another value prepared in t: its majority has an honest validator in common with the COMMITs of v.
//! It voted in t after v (rule 1), with d kept, or a later prepared value, which is d too, for t is the first. Nothing
//! refuted it. So it did not vote for the other one (rule 3). (b) A refuting new view t: an honest validator is in its
//! list and among the COMMITs of v. It committed first and asked for t later (rule 1), with d kept, and so it reported d,
//! or it had closed the ledger and reported that. Either way it is not one of those that refute (rule 4). So there is no
//! such t.
//!
//! None of this trusts a primary, a new view's choice of value, or anything that is not signed. Each vote is durable
//! before it is signed, and a COMMIT's record has what is prepared, so that all of it holds across crashes.
//!
//! # Holes of the original, and what is done here
//!
//! * It takes a proposal and a new view from anyone, and does not check the view changes in a new view. Here they are
//!   of the view's primary and genuine, or ignored.
//! * Of two prepared values for a ledger its new primary knows no order of views, and if the ledger thinks that the
//!   prepared value is not valid any more, it proposes a fresh one. Its validators vote for whatever the new primary
//!   proposes. So one honest but unlucky primary can fork a network of originals after two failed views. Ours takes the
//!   later view's, and rule 3 keeps its validators from helping, whoever is primary.
//! * It counts a primary's own PREPARE, which only a liar sends: then `q` validators, one of them lying, look like a
//!   majority. Not counted here, neither live nor in prepared sets.
//! * It enters a new view below one that it asked for, and votes there, while its view change to the later one, which
//!   does not report that vote, is still out. Here rule 1.
//! * It waits for `q + 1` view changes to its own target alone. Three validators that closed a ledger in different views
//!   then wait for ever. Here a validator moves on with `f + 1` others, and shows whoever repeats what is over what ended
//!   it: the commits of the last ledger and the new view.
//! * It jumps over ledgers that a majority committed and takes them for executed ("trace out", section 7.4). Here the
//!   ledger says what is executed: the machine tells that it is [`Output::Behind`], and the view follows when sync
//!   brought the ledger.
//!
//! So with `f` or fewer that lie, validators of ours never close different values. An original counts among the `f` where
//! its holes matter: across views. Within a view its rules are these, so that any mix of both agrees while views do not
//! fail; what a majority of originals does to itself across views is not in our hands, and ours has no vote in it.
//!
//! # Bounds
//!
//! Of each validator, whatever it sends: one proposal and one PREPARE for the current view, 16 commits, 8 early messages
//! (64 MiB of them in all), 4 view changes of some 200 bytes; and one prepared set of all. Repetitions of proposals,
//! prepares and new views are looked at and answered twice in 7.5 s (15 s) at most. Cheap checks come first, then what is known already, then signatures.

mod ahead;
mod border;
mod changes;
mod clock;
mod commits;
mod instance;
mod message;
mod moving;
mod normal;
mod promises;
mod roster;
mod timers;
mod voting;

pub use border::{Ignored, Output, Replica, Seen, Settings, Verify};
pub use timers::Timers;

use crate::hash::Hash;
use crate::ledger::Tip;
use crate::wire::{Body, Message, PBFT_BYTES_MAX, PbftEnv, PbftProof};
use ahead::Ahead;
use alloc::vec::Vec;
use bytes::Bytes;
use changes::Changes;
use commits::Commits;
use core::time::Duration;
use instance::Instance;
use message::{Place, Prepared};
use moving::{Opened, OwnChange};
use polypeer_engine::{Now, Time};
use promises::{Promises, Vote};
use roster::Roster;
use voting::Asked;

/// Messages up to this are copied when they are kept, so that they do not hold on to a frame that is much larger.
const COPIED_BYTES_MAX: usize = 64 << 10;

/// The state machine.
#[derive(Debug)]
pub struct Pbft {
    settings: Settings,
    roster: Roster,
    // Our own place, if we may vote.
    own: Option<Replica>,

    // The ledger.
    last: i64,
    value_hash: Hash,
    proof: Bytes,
    propose_at: Time,

    // The view, and our wish to leave it; while there is one no vote is cast.
    view: i64,
    change: Option<OwnChange>,
    view_ends: Option<Time>,
    // The new view that led here, if one did, and when it was last heard; and the one that we opened.
    new_view: Option<Bytes>,
    opened_at: Option<Time>,
    opened: Option<Opened>,

    // The next ledger.
    instance: Instance,
    kept: Option<Prepared>,
    valid: Option<Hash>,
    closing: Option<(Place, Hash)>,
    not_closed: Option<Hash>,
    proposing: Option<Place>,

    // What the others said.
    commits: Commits,
    ahead: Ahead,
    changes: Changes,

    // What we said.
    promises: Promises,
    // The prepared value that the log has whole.
    logged: Option<Place>,
    is_log_doubtful: bool,
    sent: Vec<(i64, Bytes)>,
    asked: Vec<Asked>,
    tickets: u64,
    shown_at: Option<Time>,
    told_behind: Option<Time>,

    out: Vec<Output>,
}

impl Pbft {
    /// A machine on this ledger, bound by the votes in its log.
    pub fn new(settings: Settings, now: Now, tip: &Tip) -> Self {
        let votes: Vec<Vote> = tip.kept.iter().filter_map(Vote::decode).collect();
        let next = tip.seq + 1;
        let roster = Roster::new(tip.validators.clone());
        let count = roster.len();
        let promises = Promises::restore(next, &votes);
        let view = view_after(tip).max(promises.view().unwrap_or(0));
        let start = now.monotonic + settings.timers.start;
        let mut pbft = Self {
            own: own_place(tip, &roster),
            last: tip.seq,
            value_hash: tip.value_hash,
            proof: tip.proof.clone(),
            propose_at: propose_at(&settings.timers, now, tip).max(start),
            view,
            change: None,
            view_ends: Some(now.monotonic + settings.timers.view),
            new_view: None,
            opened_at: None,
            opened: None,
            instance: Instance::new(Place { sequence: next, view }),
            kept: promises::prepared(&votes, next),
            valid: None,
            closing: None,
            not_closed: None,
            proposing: None,
            commits: Commits::new(count),
            ahead: Ahead::new(count),
            changes: Changes::default(),
            promises,
            logged: None,
            is_log_doubtful: false,
            sent: Vec::new(),
            asked: Vec::new(),
            tickets: 0,
            shown_at: None,
            told_behind: None,
            out: Vec::new(),
            settings,
            roster,
        };
        pbft.resume(now.monotonic);
        pbft
    }

    // After a crash: goes on with what the log shows.
    fn resume(&mut self, now: Time) {
        let place = self.place();
        self.logged = self.kept.as_ref().map(|kept| kept.place);
        if let Some(kept) = self.kept.as_ref().filter(|kept| kept.place == place) {
            self.instance = Instance::resume(kept, now);
            self.judge();
        }
        match self.promises.change() {
            Some((target, said)) if target > self.view => self.resume_change(now, target, said),
            // It cannot repeat what it proposed, so the others need not wait for the view to end.
            _ if !self.may_propose() => self.view_ends = Some(now + self.settings.timers.start),
            _ => {}
        }
    }

    /// A PBFT message, the data of an envelope, that was not seen before. Says whether to relay it.
    ///
    /// Messages beyond 18 MiB are refused. `data` should not be part of something much larger, for it may be kept.
    pub fn receive(&mut self, now: Time, data: &Bytes) -> Result<Seen, Ignored> {
        if data.len() > PBFT_BYTES_MAX {
            return Err(Ignored::Malformed);
        }
        let data = &compact(data);
        let envelope = PbftEnv::decode(data).map_err(|_| Ignored::Malformed)?;
        let claim = self.roster.claim(&envelope, &self.settings)?;
        if self.own == Some(claim.replica) {
            return Err(Ignored::Own);
        }
        match &claim.body {
            Body::PrePrepare(proposal) => self.pre_prepare(now, data, &claim, proposal),
            Body::Prepare(vote) => self.prepare(now, data, &claim, vote),
            Body::Commit(vote) => self.commit(now, data, &claim, vote),
            Body::RawViewChange(raw) => self.raw_change(now, data, &claim, raw),
            Body::NewView(opened) => self.new_view(now, data, &claim, opened),
            Body::ViewChange(_) | Body::Missing(_) => Err(Ignored::Malformed),
        }
    }

    /// The ledger moved, by what was agreed here or by sync; or it may not be voted on any more.
    pub fn moved(&mut self, now: Now, tip: &Tip) {
        if tip.seq == self.last {
            self.own = own_place(tip, &self.roster);
            if self.own.is_none() {
                (self.change, self.opened) = (None, None);
                self.settle(now.monotonic);
            }
        }
        if tip.seq <= self.last {
            return;
        }
        let agreed = self.closing.filter(|(place, digest)| place.sequence == tip.seq && *digest == tip.value_hash);
        let proven = agreed.map_or_else(|| view_after(tip), |(place, _)| place.view + 1);
        // It may have been committed in a later view too.
        let latest = self.commits.final_at(tip.seq, self.roster.majority());
        let view = latest.map_or(proven, |(place, _)| proven.max(place.view + 1));
        if view > self.view {
            self.view = view;
            self.new_view = None;
        }
        self.set_validators(tip);
        self.last = tip.seq;
        self.value_hash = tip.value_hash;
        self.proof = tip.proof.clone();
        self.propose_at = propose_at(&self.settings.timers, now, tip);
        self.forget_ledger();
        self.begin(now.monotonic);
    }

    fn set_validators(&mut self, tip: &Tip) {
        if *self.roster.validators() != tip.validators {
            self.roster = Roster::new(tip.validators.clone());
            self.commits = Commits::new(self.roster.len());
            self.ahead = Ahead::new(self.roster.len());
            self.changes = Changes::default();
        }
        self.own = own_place(tip, &self.roster);
    }

    // All that was about the ledger that is closed now.
    fn forget_ledger(&mut self) {
        self.change = None;
        self.opened = None;
        self.kept = None;
        self.valid = None;
        self.closing = None;
        self.not_closed = None;
        self.told_behind = None;
        self.promises = Promises::new(self.last + 1);
        self.logged = None;
        self.sent.clear();
        self.asked.clear();
        self.commits.drop_before(self.last);
        self.changes.drop_behind(self.last);
    }

    // A new attempt, at a new ledger or in a new view.
    fn begin(&mut self, now: Time) {
        self.instance = Instance::new(self.place());
        self.proposing = None;
        self.changes.drop_until(self.view);
        if self.change.is_none() {
            self.view_ends = Some(now + self.settings.timers.view);
        }
        self.settle(now);
    }

    /// Takes what is wanted since the last call, in order.
    pub fn outputs(&mut self) -> Vec<Output> {
        core::mem::take(&mut self.out)
    }

    /// The view, and whether votes may be cast in it: not while a later one is asked for.
    pub fn view(&self) -> (i64, bool) {
        (self.view, self.change.is_none())
    }

    /// The later view that it asks for, if it does.
    pub fn wanted_view(&self) -> Option<i64> {
        self.change.as_ref().map(|change| change.target)
    }

    /// The last closed ledger, as far as the machine was told.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// This validator's place in the set, if it is one and may vote.
    pub fn replica(&self) -> Option<Replica> {
        self.own
    }

    /// Messages of others that are kept: bounded by 28 for each validator.
    pub fn kept_messages(&self) -> usize {
        self.commits.len() + self.ahead.len() + self.changes.len()
    }

    // The attempt that counts now.
    fn place(&self) -> Place {
        Place { sequence: self.last + 1, view: self.view }
    }

    // The envelopes that closed the last ledger.
    fn proof_commits(&self) -> Vec<Bytes> {
        let Ok(proof) = PbftProof::decode(&self.proof) else { return Vec::new() };
        proof.commits.iter().map(|commit| self.proof.slice_ref(commit.bytes)).collect()
    }
}

/// The view after a ledger, by its proof: one more than that of its commits; 0 after genesis.
///
/// The original takes the first commit's, and so lets any validator that makes a proof choose it. An honest proof has
/// commits of one view. Of others the one is taken that at least one honest validator was in or beyond.
fn view_after(tip: &Tip) -> i64 {
    let Ok(proof) = PbftProof::decode(&tip.proof) else { return 0 };
    let view = |envelope: PbftEnv<'_>| match envelope.pbft?.message.body {
        Body::Commit(vote) => Place::of(&vote).ok().map(|place| place.view),
        _ => None,
    };
    let mut views: Vec<i64> = proof.commits.iter().filter_map(|commit| view(commit.open().ok()?)).collect();
    views.sort_unstable_by_key(|view| core::cmp::Reverse(*view));
    let faults = tip.validators_before.len().saturating_sub(1) / 3;
    views.get(faults).map_or(0, |view| view + 1)
}

fn own_place(tip: &Tip, roster: &Roster) -> Option<Replica> {
    let signer = tip.signer.as_ref().filter(|_| tip.follow_only.is_none())?;
    roster.validators().position(signer)
}

// The close time is by the other clock. A proposal a moment early would have a close time in the future, so it is late.
fn propose_at(timers: &Timers, now: Now, tip: &Tip) -> Time {
    if timers.interval.is_zero() {
        return now.monotonic;
    }
    let close_time = u64::try_from(tip.close_time).unwrap_or(0);
    let wanted = close_time.saturating_add(timers.interval.as_micros() as u64);
    now.monotonic + Duration::from_micros(wanted.saturating_sub(now.unix_ms.saturating_mul(1_000)))
}

/// Keeps a message's bytes, small ones without what is around them.
fn compact(data: &Bytes) -> Bytes {
    if data.len() <= COPIED_BYTES_MAX { Bytes::copy_from_slice(data) } else { data.clone() }
}
