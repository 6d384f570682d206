//! Pays between the public accounts at a steady rate.

use super::args::TxGenerate;
use super::ask::is_refused_for;
use super::exit::Failure;
use super::tx::Ledger;
use super::{put_json, put_line};
use crate::client::AskError;
use crate::purses::{Payer, Purses};
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// Accounts are shared out to at most so many hands, each with a connection of its own.
const HANDS_MAX: usize = 8;
/// How often progress is shown and the accounts' counts are read.
const PACE: Duration = Duration::from_secs(1);
/// A pause when every account waits for blocks, or the node for its store.
const FULL_PAUSE: Duration = Duration::from_millis(50);
/// A generator that is behind its rate does not catch up more than this: a stall must not become a flood.
const BURST_MAX: Duration = Duration::from_millis(250);

/// `polypeer tx generate`.
pub(super) fn generate(args: &TxGenerate, json: bool) -> Result<(), Failure> {
    if args.rate <= 0.0 {
        return Err(Failure::usage("--rate must be more than 0"));
    }
    let client = args.reach.client();
    let ledger = Ledger::find(&args.reach, &client)?;
    // The node stores what it acknowledges; hands side by side share a commit.
    let hands = usize::from(args.accounts.min(ledger.kind.payers_max())).min(HANDS_MAX);
    let tally = Tally::new(args.count);
    let end = args.time.map(|time| Instant::now() + time);
    let gap = Duration::from_secs_f64(hands as f64 / args.rate);
    thread::scope(|scope| {
        let start = |index: usize| {
            // Spread over one gap, so that a low rate is even too.
            let due = Instant::now() + gap.mul_f64(index as f64 / hands as f64);
            let purses = Purses::public(ledger.kind, args.accounts, hands, index);
            let (ledger, tally) = (&ledger, &tally);
            scope.spawn(move || {
                let ended = Hand { purses, ledger, tally, due, gap, end }.run();
                tally.at_work.fetch_sub(1, Ordering::Relaxed);
                ended
            })
        };
        tally.at_work.store(hands, Ordering::Relaxed);
        let hands: Vec<_> = (0..hands).map(start).collect();
        let watched = tally.watch(json);
        if watched.is_err() {
            // Nobody reads any more: no hand begins another.
            tally.left.store(0, Ordering::Relaxed);
        }
        let mut ended = hands.into_iter().map(|hand| hand.join());
        ended.try_for_each(|ended| ended.unwrap_or_else(|_| Err(Failure::new("a wallet broke"))))?;
        watched
    })?;
    tally.report("done", json)
}

/// What all hands have done.
struct Tally {
    left: AtomicU64,
    at_work: AtomicUsize,
    sent: AtomicU64,
    refused: AtomicU64,
    last_refusal: Mutex<Option<String>>,
}

impl Tally {
    fn new(count: Option<u64>) -> Self {
        let left = AtomicU64::new(count.unwrap_or(u64::MAX));
        Self {
            left,
            at_work: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last_refusal: Mutex::default(),
        }
    }

    // Takes one of those that are left to send.
    fn take(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    fn refused(&self, error: &AskError) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        *self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    // Shows progress until no hand is at work.
    fn watch(&self, json: bool) -> Result<(), Failure> {
        let is_terminal = io::stderr().is_terminal();
        let mut shown = Instant::now();
        while self.at_work.load(Ordering::Relaxed) > 0 {
            sleep(FULL_PAUSE);
            if shown.elapsed() < PACE {
                continue;
            }
            shown = Instant::now();
            if json {
                self.report("progress", true)?;
            } else if is_terminal {
                // A terminal that is gone shows nothing; the work goes on.
                let _ = write!(io::stderr(), "\r{}", self.words());
            }
        }
        if is_terminal && !json {
            eprintln!();
        }
        Ok(())
    }

    fn report(&self, event: &str, json: bool) -> Result<(), Failure> {
        let (sent, refused) = (self.sent.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed));
        if !json {
            return put_line(&self.words());
        }
        let why = self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        put_json(&json!({ "event": event, "sent": sent, "refused": refused, "last_refusal": why }))
    }

    fn words(&self) -> String {
        let (sent, refused) = (self.sent.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed));
        match &*self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(why) => format!("{sent} sent, {refused} refused: {why}"),
            None => format!("{sent} sent, {refused} refused"),
        }
    }
}

/// Some of the accounts, paying at their part of the rate.
struct Hand<'a> {
    purses: Purses,
    ledger: &'a Ledger<'a>,
    tally: &'a Tally,
    due: Instant,
    gap: Duration,
    end: Option<Instant>,
}

impl Hand<'_> {
    fn run(mut self) -> Result<(), Failure> {
        for (purse, key) in self.purses.keys().iter().enumerate() {
            let account = self.ledger.account(key)?;
            self.purses.restart(purse, account.sequence, account.next);
        }
        let mut count_due = Instant::now() + PACE;
        while self.end.is_none_or(|end| self.due < end) && self.tally.take() {
            sleep(self.due.saturating_duration_since(Instant::now()));
            while !self.send()? {
                if self.end.is_some_and(|end| Instant::now() >= end) {
                    return Ok(());
                }
            }
            let behind_max = Instant::now().checked_sub(BURST_MAX).unwrap_or(self.due);
            self.due = (self.due + self.gap).max(behind_max);
            if Instant::now() >= count_due {
                count_due = Instant::now() + PACE;
                self.count()?;
            }
        }
        Ok(())
    }

    // Sends one. Whether the node took it.
    fn send(&mut self) -> Result<bool, Failure> {
        let Some(draft) = self.purses.draft() else {
            sleep(FULL_PAUSE);
            self.count()?;
            return Ok(false);
        };
        match self.ledger.send(&draft.bytes) {
            Ok(_) => {
                self.purses.taken(draft.purse);
                self.tally.sent.fetch_add(1, Ordering::Relaxed);
                return Ok(true);
            }
            // Somebody else pays from the same account.
            Err(error) if is_refused_for(&error, &["replacement_fee_too_low"]) => self.purses.collided(draft.purse),
            Err(error) if is_refused_for(&error, &["sequence"]) => {
                self.tally.refused(&error);
                let account = self.ledger.account(&self.purses.keys()[draft.purse])?;
                self.purses.restart(draft.purse, account.sequence, account.next);
            }
            Err(error) if is_refused_for(&error, &["no_room", "balance"]) => {
                self.tally.refused(&error);
                sleep(FULL_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(false)
    }

    // Reads how far the chain has come.
    fn count(&mut self) -> Result<(), Failure> {
        for (purse, key) in self.purses.keys().iter().enumerate() {
            self.purses.confirmed(purse, self.ledger.account(key)?.sequence);
        }
        Ok(())
    }
}
