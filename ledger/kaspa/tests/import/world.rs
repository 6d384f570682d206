//! A ledger to import into, and the time.

use crate::syncer::SYNCER;
use bytes::Bytes;
use polypeer_engine::kit::chain::{Hash, Origin};
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use polypeer_kaspa::ledger::{Answer, Import, ImportFault, Imported, Keep, Progress, Request, State, Status};
use polypeer_ledger_kaspa::{Config, Kaspa, Params, Reader};
use std::path::Path;

/// A day after the newest block of the fixtures.
pub(crate) const START_MS: u64 = 1_795_300_000_000;

/// The small network's rules (spec, section 7.3).
pub(crate) fn params(finality_depth: u64, pruning_depth: u64) -> Params {
    let json = format!(
        r#"{{ "timestamp_deviation_tolerance": 16, "difficulty_window_size": 32, "min_difficulty_window_size": 16,
        "pruning_proof_m": 16, "blockrate": {{ "target_time_per_block": 100, "ghostdag_k": 10,
        "past_median_time_sample_rate": 1, "difficulty_sample_rate": 1, "max_block_parents": 10,
        "mergeset_size_limit": 32, "merge_depth": 64, "finality_depth": {finality_depth},
        "pruning_depth": {pruning_depth}, "coinbase_maturity": 10 }} }}"#
    );
    Params::simnet().with_overrides(&json).unwrap()
}

/// The rules of the recorded conversations.
pub(crate) fn config() -> Config {
    Config::in_memory(params(300, 700))
}

pub(crate) struct World {
    pub(crate) ledger: Kaspa,
    pub(crate) reader: Reader,
    pub(crate) now: Now,
    ticket: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::open(config())
    }

    pub(crate) fn on(path: &Path) -> Self {
        Self::open(Config { path: Some(path.to_owned()), ..config() })
    }

    pub(crate) fn open(config: Config) -> Self {
        Self::over(Kaspa::open(config).unwrap())
    }

    pub(crate) fn over((ledger, reader): (Kaspa, Reader)) -> Self {
        Self { ledger, reader, now: Now { monotonic: Time::from_micros(7), unix_ms: START_MS }, ticket: 0 }
    }

    /// A ledger that has imported what the syncer sent.
    pub(crate) fn imported() -> Self {
        let mut world = Self::new();
        world.give_all(&SYNCER.pieces);
        world
    }

    pub(crate) fn batch(&mut self, requests: Vec<Request>) -> Vec<Answer> {
        let tickets = self.ticket + 1..;
        self.ticket += requests.len() as u64;
        let mut answers = Vec::new();
        self.ledger.answer(self.now, tickets.map(Ticket).zip(requests).collect(), &mut answers);
        answers.into_iter().filter(|(to, _)| *to != To::Engine).map(|(_, answer)| answer).collect()
    }

    pub(crate) fn ask(&mut self, request: Request) -> Answer {
        let mut answers = self.batch(vec![request]);
        assert_eq!(answers.len(), 1);
        answers.remove(0)
    }

    pub(crate) fn give(&mut self, piece: &Import) -> Imported {
        match self.ask(Request::Import(piece.clone())) {
            Answer::Imported(imported) => imported,
            other => panic!("{other:?}"),
        }
    }

    /// Gives pieces, all of which are right.
    pub(crate) fn give_all(&mut self, pieces: &[Import]) {
        for (piece, at) in pieces.iter().zip(0..) {
            let imported = self.give(piece);
            assert!(is_good(&imported), "piece {at}: {imported:?}");
        }
    }

    /// Lets what was taken become durable, which is when a reader shows it: an answer to the operator takes care of it.
    pub(crate) fn save(&mut self) {
        self.ask(Request::TakeTransactions { transactions: Vec::new(), origin: Origin::Operator });
    }

    /// Begins, and gives what is said not to be there. What was there.
    pub(crate) fn goes_on(&mut self, pieces: &[Import]) -> Progress {
        let Imported::Begun(Ok(there)) = self.give(&pieces[0]) else { panic!("it does not begin") };
        let rest: Vec<Import> = pieces[1..].iter().filter(|piece| !is_there(piece, there)).cloned().collect();
        self.give_all(&rest);
        there
    }

    pub(crate) fn state(&mut self) -> State {
        match self.ask(Request::State) {
            Answer::State(state) => state,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn status(&mut self, hash: Hash) -> Status {
        match self.ask(Request::Statuses(vec![hash])) {
            Answer::Statuses(statuses) => statuses[0],
            other => panic!("{other:?}"),
        }
    }

    /// A part of what was imported, page by page; nothing when nothing was.
    pub(crate) fn kept(&mut self, keep: impl Fn(u64) -> Keep, count_max: u32, bytes_max: u32) -> Option<Vec<Bytes>> {
        let mut items = Vec::new();
        loop {
            let request = Request::Kept { keep: keep(items.len() as u64), count_max, bytes_max };
            let page = match self.ask(request) {
                Answer::Kept(page) => page?,
                other => panic!("{other:?}"),
            };
            assert!(page.is_last || !page.items.is_empty());
            assert!(page.items.len() <= count_max as usize);
            items.extend(page.items);
            if page.is_last {
                return Some(items);
            }
        }
    }

    /// Everything that an import promises to hold.
    pub(crate) fn check_holds_all(&mut self) {
        let state = self.state();
        assert_eq!((state.sink.hash, state.header_tip.hash), (SYNCER.sink, SYNCER.sink));
        assert_eq!(Some(&state.pruning_point), SYNCER.chain.last());
        self.save();
        assert_eq!(self.reader.state(), state);
        let hashes = SYNCER.bodies.iter().map(|(hash, _)| *hash).collect();
        let Answer::Bodies(bodies) = self.ask(Request::Bodies(hashes)) else { panic!("bodies") };
        for (body, (hash, expected)) in bodies.iter().zip(&SYNCER.bodies) {
            assert_eq!(body.as_ref(), Some(expected), "{hash:?}");
        }
        let locator = self.ask(Request::ChainLocator { low: None, high: None });
        assert_eq!(locator, Answer::Locator(Ok(SYNCER.chain.clone())));
    }
}

/// Whether a piece need not come again.
pub(crate) fn is_there(piece: &Import, there: Progress) -> bool {
    match piece {
        Import::Proof { .. } | Import::ProofEnd => there.proof,
        Import::PruningPoints(_) | Import::Trusted(_) | Import::TrustedEnd | Import::Blocks(_) | Import::BlocksEnd => {
            there.base
        }
        Import::LanesBegin { .. } | Import::Lanes(_) => there.lanes,
        Import::Outputs(_) | Import::OutputsEnd => there.outputs,
        _ => false,
    }
}

/// Whether a piece was taken.
pub(crate) fn is_good(imported: &Imported) -> bool {
    match imported {
        Imported::Taken(taken) => taken.is_ok(),
        Imported::Proof(proof) => proof.is_ok(),
        Imported::Begun(progress) => progress.is_ok(),
        Imported::Branch(_) => true,
        Imported::Finished(state) => state.is_ok(),
        Imported::HeadersTaken(fault) | Imported::BodiesTaken(fault) => fault.is_none(),
        Imported::Statuses(_) | Imported::MissingBodies(_) => true,
    }
}

/// What is wrong with a piece, if that is told by a fault of the import.
pub(crate) fn fault(imported: &Imported) -> Option<ImportFault> {
    match imported {
        Imported::Taken(taken) => taken.err(),
        Imported::Proof(proof) => proof.err(),
        Imported::Begun(progress) => progress.err(),
        Imported::Finished(state) => state.err(),
        _ => None,
    }
}
