//! Lies with the keys of a third: knows all messages, signs what it likes, sends it to some.

use super::chance::Chance;
use crate::message::{self, COMMIT, NEW_VIEW, PRE_PREPARE, PREPARE, RAW_VIEW_CHANGE, Read, Set};
use bytes::Bytes;

/// Messages that it remembers.
const HEARD_MAX: usize = 300;

/// What is sent, and to which half; nothing for all.
type Sent = (Bytes, Option<u64>);

/// The liars, who act as one.
pub(crate) struct Attacker {
    keys: Vec<usize>,
    validators: usize,
    heard: Vec<(Bytes, Read)>,
}

impl Attacker {
    pub(crate) fn new(keys: Vec<usize>, validators: usize) -> Self {
        Self { keys, validators, heard: Vec::new() }
    }

    /// Overhears what is sent.
    pub(crate) fn hear(&mut self, data: &Bytes) {
        if self.heard.len() >= HEARD_MAX {
            self.heard.drain(..HEARD_MAX / 2);
        }
        self.heard.push((data.clone(), message::read(data)));
    }

    /// Does something.
    pub(crate) fn act(&mut self, chance: &mut Chance) -> Vec<Sent> {
        let Some(key) = chance.pick(&self.keys).copied() else { return Vec::new() };
        match chance.below(14) {
            0 => self.vote_for_all(chance, key),
            1 | 2 => self.equivocate(chance),
            3 | 4 => self.change_view(chance, key),
            5 | 6 => self.open_view(chance),
            7 => self.replay(chance),
            8 | 9 => self.open_late(chance),
            10..=12 => self.replace_value(chance),
            _ => self.forge(chance, key),
        }
    }

    fn latest(&self) -> (u64, u64) {
        let heard = self.heard.iter().rev().take(50);
        heard
            .filter(|(_, read)| read.kind <= COMMIT)
            .map(|(_, read)| (read.view, read.sequence))
            .max()
            .unwrap_or((0, 2))
    }

    fn proposals(&self) -> Vec<&Read> {
        self.heard.iter().map(|(_, read)| read).filter(|read| read.kind == PRE_PREPARE).collect()
    }

    // For every value that it heard of in the last view.
    fn vote_for_all(&self, chance: &mut Chance, key: usize) -> Vec<Sent> {
        let (view, sequence) = self.latest();
        let digests = self.proposals().into_iter().filter(|read| read.sequence >= sequence).map(|read| &read.digest);
        let mut sent = Vec::new();
        for digest in digests.take(6) {
            let half = Some(chance.below(2));
            sent.push((message::vote(key, PREPARE, 1, view, sequence, digest), half));
            sent.push((message::vote(key, COMMIT, 1, view, sequence, digest), Some(chance.below(2))));
        }
        let far = message::vote(key, COMMIT, 1, view + chance.below(1 << 40), sequence + chance.below(20), &[7; 32]);
        sent.push((far, None));
        sent
    }

    // Two values, to two halves, and votes for both.
    fn equivocate(&self, chance: &mut Chance) -> Vec<Sent> {
        let (view, sequence) = self.latest();
        let view = view + chance.below(3);
        let sequence = sequence + chance.below(2);
        let primary = (view % self.validators as u64) as usize;
        let key = if self.keys.contains(&primary) { primary } else { self.keys[0] };
        let mut values: Vec<Vec<u8>> = self.proposals().iter().rev().take(3).map(|read| read.value.clone()).collect();
        let altered = values.first().map(|value| {
            let mut value = value.clone();
            if let Some(last) = value.last_mut() {
                *last = 200;
            }
            value
        });
        values.extend(altered);
        let mut sent = Vec::new();
        for (half, value) in values.iter().rev().take(2).enumerate() {
            let half = Some(half as u64);
            let digest = message::digest(value);
            sent.push((message::pre_prepare(key, 1 + chance.below(3), view, sequence, value), half));
            for liar in &self.keys {
                sent.push((message::vote(*liar, PREPARE, 1, view, sequence, &digest), half));
                sent.push((message::vote(*liar, COMMIT, 1, view, sequence, &digest), half));
            }
        }
        sent
    }

    // What it can show to be prepared: a proposal it heard, and the prepares for it, with its own.
    fn prepared(&self, chance: &mut Chance) -> Option<(Set, Read)> {
        let proposals: Vec<_> = self.heard.iter().filter(|(_, read)| read.kind == PRE_PREPARE).collect();
        let (envelope, proposal) = *chance.pick(&proposals)?;
        let is_for = |read: &Read| {
            read.kind == PREPARE
                && (read.view, read.sequence) == (proposal.view, proposal.sequence)
                && read.digest == proposal.digest
        };
        let mut prepares: Vec<Bytes> =
            self.heard.iter().filter(|(_, read)| is_for(read)).map(|(data, _)| data.clone()).collect();
        for key in &self.keys {
            prepares.push(message::vote(*key, PREPARE, 1, proposal.view, proposal.sequence, &proposal.digest));
        }
        prepares.truncate(200);
        Some(((envelope.clone(), prepares), proposal.clone()))
    }

    // With nothing, something old, or something wrong prepared.
    fn change_view(&self, chance: &mut Chance, key: usize) -> Vec<Sent> {
        let (view, sequence) = self.latest();
        let target = view + chance.between(1, 4);
        let last = if chance.permille(700) { sequence.saturating_sub(1) } else { sequence + chance.below(5) };
        let prepared = self.prepared(chance).filter(|_| chance.permille(600));
        let (set, digest) = match &prepared {
            Some((set, proposal)) if chance.permille(800) => (Some(set), proposal.digest.clone()),
            Some((set, _)) => (Some(set), vec![9; 32]),
            None => (None, Vec::new()),
        };
        let inner = message::view_change(key, target, last, &digest);
        let half = if chance.permille(500) { None } else { Some(chance.below(2)) };
        vec![(message::raw_view_change(key, chance.below(3), &inner, set), half)]
    }

    // With the view changes that it heard and its own, and any proposal as the kept one.
    fn open_view(&self, chance: &mut Chance) -> Vec<Sent> {
        let changes: Vec<&Read> =
            self.heard.iter().map(|(_, read)| read).filter(|read| read.kind == RAW_VIEW_CHANGE).collect();
        let Some(change) = chance.pick(&changes) else { return Vec::new() };
        let target = change.view;
        let primary = (target % self.validators as u64) as usize;
        let key = if self.keys.contains(&primary) { primary } else { self.keys[0] };
        let mut listed: Vec<Bytes> = Vec::new();
        let mut senders = Vec::new();
        for read in changes.iter().filter(|read| read.view == target) {
            if !senders.contains(&read.replica) {
                senders.push(read.replica);
                listed.push(read.inner.clone());
            }
        }
        for liar in self.keys.iter().filter(|liar| !senders.contains(liar)) {
            listed.push(message::view_change(*liar, target, change.sequence, &[]));
        }
        if chance.permille(300) {
            // That the others, too, have nothing prepared: said in their names.
            listed = (0..self.validators).map(|name| nothing_prepared(key, name, target, change.sequence)).collect();
        }
        let prepared = self.prepared(chance);
        let kept = prepared.as_ref().map(|((envelope, _), _)| envelope).filter(|_| chance.permille(600));
        let mut sent = vec![(
            message::new_view(key, chance.below(3), target, change.sequence, &listed, kept),
            Some(chance.below(2)),
        )];
        for half in 0..2 {
            if let Some(read) = chance.pick(&self.proposals()) {
                let sequence = change.sequence + 1;
                sent.push((message::pre_prepare(key, 1, target, sequence, &read.value), Some(half)));
                let digest = message::digest(&read.value);
                for liar in &self.keys {
                    sent.push((message::vote(*liar, PREPARE, 1, target, sequence, &digest), Some(half)));
                }
            }
        }
        sent
    }

    // A view that was waited for in vain, when the others ask for the next one: whoever goes back to it and votes there has
    // said before that it did not.
    fn open_late(&self, chance: &mut Chance) -> Vec<Sent> {
        let heard = self.heard.iter().rev().take(80).map(|(_, read)| read);
        let changes: Vec<&Read> = heard.filter(|read| read.kind == RAW_VIEW_CHANGE).collect();
        let Some(target) = changes.iter().map(|read| read.view).max().and_then(|highest| highest.checked_sub(1)) else {
            return Vec::new();
        };
        let primary = (target % self.validators as u64) as usize;
        let Some(last) = changes.iter().filter(|read| read.view == target).map(|read| read.sequence).max() else {
            return Vec::new();
        };
        let Some(value) = chance.pick(&self.proposals()).map(|read| read.value.clone()) else { return Vec::new() };
        if !self.keys.contains(&primary) {
            return Vec::new();
        }
        let mut listed: Vec<(usize, Bytes)> =
            self.keys.iter().map(|liar| (*liar, message::view_change(*liar, target, last, &[]))).collect();
        for read in changes.iter().filter(|read| read.view == target) {
            if listed.iter().all(|(by, _)| *by != read.replica) {
                listed.push((read.replica, read.inner.clone()));
            }
        }
        let listed: Vec<Bytes> = listed.into_iter().map(|(_, inner)| inner).collect();
        let digest = message::digest(&value);
        let mut sent = vec![
            (message::new_view(primary, 0, target, last, &listed, None), None),
            (message::pre_prepare(primary, 1, target, last + 1, &value), None),
        ];
        for liar in &self.keys {
            sent.push((message::vote(*liar, PREPARE, 1, target, last + 1, &digest), None));
            sent.push((message::vote(*liar, COMMIT, 1, target, last + 1, &digest), None));
        }
        sent
    }

    // Another value for the ledger at hand, in the next view that a liar leads: with forged words of the others that
    // nothing is prepared, or forged prepares that this one is.
    fn replace_value(&self, chance: &mut Chance) -> Vec<Sent> {
        let (view, sequence) = self.latest();
        let is_ours = |view: &u64| self.keys.contains(&((view % self.validators as u64) as usize));
        let next = (view + 1..=view + self.validators as u64).find(is_ours);
        let proposal = self.proposals().into_iter().rev().find(|read| read.sequence == sequence);
        let (Some(target), Some(proposal)) = (next, proposal) else { return Vec::new() };
        let primary = (target % self.validators as u64) as usize;
        let mut value = proposal.value.clone();
        if let Some(last) = value.last_mut() {
            *last = 201;
        }
        let digest = message::digest(&value);
        let proposed = message::pre_prepare(primary, 1, target, sequence, &value);
        let in_all_names = |forge: &dyn Fn(usize) -> Bytes| (0..self.validators).map(forge).collect::<Vec<Bytes>>();
        if chance.permille(500) {
            let listed = in_all_names(&|name| nothing_prepared(primary, name, target, sequence - 1));
            let opened = message::new_view(primary, 0, target, sequence - 1, &listed, None);
            let votes = self.keys.iter().flat_map(|liar| {
                [PREPARE, COMMIT].map(|kind| (message::vote(*liar, kind, 1, target, sequence, &digest), None))
            });
            return [(opened, None), (proposed, None)].into_iter().chain(votes).collect();
        }
        let prepares = in_all_names(&|name| {
            let genuine = message::vote(name, PREPARE, 1, target, sequence, &digest);
            let signature = message::read(&message::vote(primary, PREPARE, 2, target, sequence, &digest)).signature;
            if name == primary { genuine } else { message::seal_as(name, &message::read(&genuine).signed, &signature) }
        });
        let inner = message::view_change(primary, target + 1, sequence - 1, &digest);
        let set = (proposed, prepares);
        vec![(message::raw_view_change(primary, 0, &inner, Some(&set)), None)]
    }

    fn replay(&self, chance: &mut Chance) -> Vec<Sent> {
        (0..5).filter_map(|_| chance.pick(&self.heard)).map(|(data, _)| (data.clone(), None)).collect()
    }

    // In the name of others, or with a byte changed.
    fn forge(&self, chance: &mut Chance, key: usize) -> Vec<Sent> {
        let mut sent = Vec::new();
        if let Some((data, read)) = chance.pick(&self.heard) {
            let mut broken = data.to_vec();
            let at = chance.below(broken.len() as u64) as usize;
            broken[at] ^= 1 << chance.below(8);
            sent.push((broken.into(), None));
            if read.kind == NEW_VIEW {
                let changes: Vec<Bytes> = read.changes.iter().map(|_| read.changes[0].clone()).collect();
                sent.push((message::new_view(key, 0, read.view, read.sequence, &changes, None), None));
            }
        }
        let (view, sequence) = self.latest();
        // Signed by a liar, in the name of the next validator.
        let other = (key + 1) % self.validators;
        let mut content = Vec::new();
        message::number(&mut content, 1, view);
        message::number(&mut content, 2, sequence);
        message::number(&mut content, 3, other as u64);
        message::part(&mut content, 4, &[5; 32]);
        sent.push((message::seal(key, &message::pbft(1, COMMIT, &content)), None));
        sent
    }
}

// A view change in another's name, with that one's public key and a signature that is not its own.
fn nothing_prepared(liar: usize, name: usize, target: u64, last: u64) -> Bytes {
    let genuine = message::view_change(liar, target, last, &[]);
    if liar == name {
        return genuine;
    }
    let mut content = Vec::new();
    message::number(&mut content, 1, target);
    message::number(&mut content, 2, last);
    message::number(&mut content, 4, name as u64);
    message::seal_as(name, &message::pbft(0, message::VIEW_CHANGE, &content), &message::read(&genuine).signature)
}
