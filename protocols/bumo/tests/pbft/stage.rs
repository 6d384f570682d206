//! One machine and a ledger that answers at once, or as the test says.

use crate::{keys, message};
use bytes::Bytes;
use polypeer_bumo::hash::{Hash, sha256};
use polypeer_bumo::ledger::{Judgement, Proposal, Tip};
use polypeer_bumo::pbft::{Ignored, Output, Pbft, Seen, Settings, Timers};
use polypeer_bumo::proof::{self, Validators};
use polypeer_engine::{Now, Time};
use std::time::Duration;

/// A ledger every ten seconds: the original's.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
const EPOCH_MS: u64 = 1_700_000_000_000;

/// A machine on stage.
pub(crate) struct Stage {
    pub(crate) machine: Pbft,
    own: Option<usize>,
    settings: Settings,
    now: u64,
    pub(crate) tip: Tip,
    /// What it will propose next.
    pub(crate) value: Vec<u8>,
    /// Whether all proposals are doubtful.
    pub(crate) doubts: bool,
    /// Whether signatures are kept back; they are in `unsigned` then.
    pub(crate) holds_signatures: bool,
    pub(crate) unsigned: Vec<(u64, Bytes, Bytes)>,
    /// What it sent.
    pub(crate) sent: Vec<Bytes>,
    pub(crate) repeated: usize,
    /// What it closed.
    pub(crate) closed: Vec<Bytes>,
    pub(crate) behind: Vec<i64>,
    pub(crate) equivocators: Vec<usize>,
}

pub(crate) fn validators(count: usize) -> Validators {
    Validators::new((0..count).map(|number| keys::key(number).address.clone()).collect())
}

/// A ledger of this number that was closed in this view by these.
pub(crate) fn tip(count: usize, sequence: u64, view: u64, by: &[usize]) -> Tip {
    let digest = [sequence as u8; 32];
    let commits: Vec<Bytes> =
        by.iter().map(|signer| message::vote(*signer, message::COMMIT, 1, view, sequence, &digest)).collect();
    let commits: Vec<&[u8]> = commits.iter().map(AsRef::as_ref).collect();
    Tip {
        seq: sequence as i64,
        value_hash: Hash(digest),
        close_time: if sequence == 1 { 0 } else { (EPOCH_MS as i64) * 1000 },
        validators: validators(count),
        validators_before: validators(count),
        proof: if by.is_empty() { Bytes::new() } else { proof::build(&commits) },
        ..Tip::default()
    }
}

impl Stage {
    /// A validator of this number, or a follower, on this ledger.
    pub(crate) fn new(own: Option<usize>, tip: Tip) -> Self {
        Self::with(own, tip, Timers::scaled(INTERVAL))
    }

    pub(crate) fn with(own: Option<usize>, tip: Tip, timers: Timers) -> Self {
        let settings = Settings { verify: keys::verify, ..Settings::new(timers) };
        let tip = Tip { signer: own.map(|own| keys::key(own).address.clone()), ..tip };
        let machine = Pbft::new(settings.clone(), now(0), &tip);
        let mut stage = Self {
            machine,
            own,
            settings,
            now: 0,
            tip,
            value: b"a value".to_vec(),
            doubts: false,
            holds_signatures: false,
            unsigned: Vec::new(),
            sent: Vec::new(),
            repeated: 0,
            closed: Vec::new(),
            behind: Vec::new(),
            equivocators: Vec::new(),
        };
        stage.carry_out();
        stage
    }

    /// It crashes and comes back with its log.
    pub(crate) fn restart(&mut self) {
        self.machine = Pbft::new(self.settings.clone(), now(self.now), &self.tip);
        self.unsigned.clear();
        self.carry_out();
    }

    /// A message comes.
    pub(crate) fn hear(&mut self, data: &Bytes) -> Result<Seen, Ignored> {
        let seen = self.machine.receive(Time::from_micros(self.now), data);
        self.carry_out();
        seen
    }

    /// Time passes, and it is woken as it wants to be.
    pub(crate) fn pass(&mut self, wait: Duration) {
        let until = self.now + wait.as_micros() as u64;
        while let Some(at) = self.machine.alarm().map(|at| at.as_micros().max(self.now)).filter(|at| *at <= until) {
            self.now = at;
            self.machine.tick(Time::from_micros(at));
            self.carry_out();
        }
        self.now = until;
    }

    /// Takes what was sent since the last time.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.sent)
    }

    /// The same, taken apart.
    pub(crate) fn said(&mut self) -> Vec<message::Read> {
        self.take().iter().map(|sent| message::read(sent)).collect()
    }

    /// Another ledger came.
    pub(crate) fn moves(&mut self, tip: Tip) {
        self.tip = Tip { signer: self.tip.signer.clone(), ..tip };
        self.machine.moved(now(self.now), &self.tip);
        self.carry_out();
    }

    /// Answers signatures that were kept back.
    pub(crate) fn sign_held(&mut self) {
        for (ticket, pbft, keep) in std::mem::take(&mut self.unsigned) {
            self.sign(ticket, &pbft, keep);
        }
        self.carry_out();
    }

    fn sign(&mut self, ticket: u64, pbft: &Bytes, keep: Bytes) {
        let own = self.own.expect("a follower signs nothing");
        if !keep.is_empty() {
            self.tip.kept.push(keep);
        }
        self.machine.signed(Time::from_micros(self.now), ticket, Ok(keys::signed(own, pbft)));
    }

    fn carry_out(&mut self) {
        loop {
            let outputs = self.machine.outputs();
            if outputs.is_empty() {
                return;
            }
            outputs.into_iter().for_each(|output| self.answer(output));
        }
    }

    fn answer(&mut self, output: Output) {
        let at = Time::from_micros(self.now);
        match output {
            Output::Propose => {
                let value = Bytes::from(self.value.clone());
                let proposal = Proposal { digest: sha256(&value), value, seq: self.tip.seq + 1 };
                self.machine.proposed(at, Ok(proposal));
            }
            Output::Judge { digest, value } => {
                assert_eq!(sha256(&value), digest);
                let judgement = if self.doubts { Judgement::Doubtful } else { Judgement::Valid };
                self.machine.judged(at, digest, judgement);
            }
            Output::Sign { ticket, pbft, keep } if self.holds_signatures => self.unsigned.push((ticket, pbft, keep)),
            Output::Sign { ticket, pbft, keep } => self.sign(ticket, &pbft, keep),
            Output::Close { value, proof } => self.close(value, proof),
            Output::Broadcast { envelope, is_repeat } => {
                self.repeated += usize::from(is_repeat);
                self.sent.push(envelope);
            }
            Output::Behind { sequence } => self.behind.push(sequence),
            Output::Equivocation { replica, .. } => self.equivocators.push(replica),
        }
    }

    fn close(&mut self, value: Bytes, proof: Bytes) {
        let digest = sha256(&value);
        proof::check_proof(&proof, &digest, &self.tip.validators, 0).expect("a proof");
        self.closed.push(value);
        let close_time = now(self.now).unix_ms as i64 * 1000;
        let tip =
            Tip { seq: self.tip.seq + 1, value_hash: digest, close_time, proof, kept: Vec::new(), ..self.tip.clone() };
        self.moves(tip);
    }
}

fn now(at: u64) -> Now {
    Now { monotonic: Time::from_micros(at), unix_ms: EPOCH_MS + at / 1000 }
}
