//! Plays the ledger: a DAG, waiting transactions, and outcomes that a story may dictate.

use crate::dag::{Dag, hash_of};
use crate::make;
use crate::staged::Staged;
use bytes::Bytes;
use polypeer_engine::{Ledger, Now, Ticket, To};
use polypeer_kaspa::ledger::{
    Answer, BlockOutcome, Branch, Hash, Import, ImportFault, Imported, Request, Status, TransactionOutcome,
};
use polypeer_kaspa::wire::TransactionView;
use std::collections::BTreeMap;

/// Which piece of an import it is.
pub(crate) type Refuses = fn(&Import) -> bool;

/// The toy.
#[derive(Clone, Debug)]
pub(crate) struct Toy {
    pub(crate) dag: Dag,
    pub(crate) waiting: BTreeMap<Hash, Bytes>,
    /// What is said of these blocks, whatever they are.
    pub(crate) outcomes: BTreeMap<Hash, BlockOutcome>,
    /// What is said of these transactions.
    pub(crate) verdicts: BTreeMap<Hash, TransactionOutcome>,
    /// Which pruning point a proof is found to be of, or what is wrong with all that is imported.
    pub(crate) proof: Result<Hash, ImportFault>,
    /// What a peer's pruning point is found to be, whatever it is; and what is wrong when it is caught up with.
    pub(crate) branch: Option<Branch>,
    pub(crate) path: Option<ImportFault>,
    /// What is said of this piece of an import, once.
    pub(crate) refuses: Option<(Refuses, ImportFault)>,
    /// What an import has brought so far, and what one has brought at last.
    pub(crate) staged: Staged,
    pub(crate) imported: Option<Staged>,
    catches_up: Option<Hash>,
    body_at_point: Option<Bytes>,
    /// What the node said of itself last.
    pub(crate) is_catching_up: bool,
    pub(crate) meets_full_nodes: bool,
    /// Every question, by its name.
    pub(crate) log: Vec<&'static str>,
}

pub(crate) fn id_of(transaction: &[u8]) -> Hash {
    TransactionView::decode(transaction).expect("it was decoded before").id()
}

impl Toy {
    /// One that holds these blocks, genesis first.
    pub(crate) fn with(blocks: &[Bytes]) -> Self {
        Self {
            dag: Dag::of(blocks),
            waiting: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            proof: Ok(Hash::ZERO),
            branch: None,
            path: None,
            refuses: None,
            catches_up: None,
            body_at_point: None,
            staged: Staged::default(),
            imported: None,
            is_catching_up: false,
            meets_full_nodes: false,
            log: Vec::new(),
        }
    }

    fn take_block(&mut self, block: &Bytes) -> BlockOutcome {
        let hash = hash_of(block);
        if let Some(outcome) = self.outcomes.get(&hash) {
            if matches!(outcome, BlockOutcome::Invalid(fault) if fault.is_of_header()) {
                self.dag.invalid.insert(hash);
            }
            return outcome.clone();
        }
        self.dag.take_block(block)
    }

    fn take_headers(&mut self, headers: &[Bytes]) -> (u32, Option<BlockOutcome>) {
        let mut taken = 0;
        for header in headers {
            let dictated = make::hash_of_header(header).and_then(|hash| self.outcomes.get(&hash).cloned());
            match dictated.unwrap_or_else(|| self.dag.take_header(header)) {
                BlockOutcome::Accepted | BlockOutcome::Known => taken += 1,
                fault => return (taken, Some(fault)),
            }
        }
        (taken, None)
    }

    fn take_bodies(&mut self, bodies: &[(Hash, Bytes)]) -> (u32, Option<BlockOutcome>) {
        let mut taken = 0;
        for (hash, body) in bodies {
            match self.outcomes.get(hash).cloned().unwrap_or_else(|| self.dag.take_body(hash, body)) {
                BlockOutcome::Accepted | BlockOutcome::Known => taken += 1,
                fault => return (taken, Some(fault)),
            }
        }
        (taken, None)
    }

    fn take_transaction(&mut self, transaction: &Bytes) -> (Hash, TransactionOutcome) {
        let id = id_of(transaction);
        let dictated = self.verdicts.get(&id).copied();
        let outcome = dictated.unwrap_or_else(|| {
            let is_new = self.waiting.insert(id, transaction.clone()).is_none();
            if is_new { TransactionOutcome::Accepted } else { TransactionOutcome::Known }
        });
        (id, outcome)
    }

    fn import(&mut self, piece: Import) -> Answer {
        let is_finish = piece == Import::Finish;
        if let Some((_, fault)) = self.refuses.take_if(|(is_it, _)| is_it(&piece)) {
            return Answer::Imported(Imported::Taken(Err(fault)));
        }
        let answer = match self.proof {
            _ if matches!(piece, Import::Compare { .. }) => self.compare(&piece),
            _ if matches!(piece, Import::CatchUp { .. }) && self.path.is_some() => {
                Imported::Begun(self.path.map_or_else(|| Ok(Default::default()), Err))
            }
            Err(fault) => Imported::Taken(Err(fault)),
            Ok(point) => self.catch_up(&piece).unwrap_or_else(|| self.staged.take(piece, point)),
        };
        if is_finish {
            self.imported = Some(self.staged.clone());
        }
        Answer::Imported(answer)
    }

    fn compare(&self, piece: &Import) -> Imported {
        let Import::Compare { point, .. } = piece else { panic!("{piece:?}") };
        let branch = match self.dag.status(point) {
            Status::Full => Branch::Sync,
            Status::HeaderOnly => Branch::CatchUp,
            _ => Branch::Strange,
        };
        Imported::Branch(self.branch.unwrap_or(branch))
    }

    // What is different while a pruning point is caught up with: one body at it, and its end.
    fn catch_up(&mut self, piece: &Import) -> Option<Imported> {
        if let Import::CatchUp { point, .. } = piece {
            self.catches_up = Some(*point);
        }
        if matches!(piece, Import::Begin(_)) {
            self.catches_up = None;
        }
        let point = self.catches_up?;
        Some(match piece {
            Import::MissingBodies { of, .. } => {
                assert_eq!(*of, point);
                let is_missing = !self.staged.full.contains(&point);
                Imported::MissingBodies(is_missing.then_some(point).into_iter().collect())
            }
            Import::Bodies(bodies) => {
                let (hash, body) = &bodies[0];
                assert_eq!((bodies.len(), *hash), (1, point));
                let mut dag = self.dag.clone();
                match dag.take_body(hash, body) {
                    BlockOutcome::Accepted => drop(self.staged.full.insert(point)),
                    fault => return Some(Imported::BodiesTaken(Some(fault))),
                }
                self.body_at_point = Some(body.clone());
                Imported::BodiesTaken(None)
            }
            Import::Finish => {
                let body = self.body_at_point.take().expect("it came first");
                assert_eq!(self.dag.take_body(&point, &body), BlockOutcome::Accepted);
                self.dag.point = Some(point);
                self.catches_up = None;
                Imported::Finished(Ok(self.dag.state()))
            }
            _ => return None,
        })
    }

    fn says(&mut self, request: Request) -> Option<Answer> {
        self.log.push(name(&request));
        let dag = &self.dag;
        Some(match request {
            Request::State => Answer::State(dag.state()),
            Request::Statuses(hashes) => Answer::Statuses(hashes.iter().map(|hash| dag.status(hash)).collect()),
            Request::TakeBlock(block) => {
                let outcome = self.take_block(&block);
                Answer::BlockTaken { hash: hash_of(&block), outcome, state: self.dag.state() }
            }
            Request::TakeHeaders(headers) => {
                let (taken, fault) = self.take_headers(&headers);
                Answer::HeadersTaken { taken, fault, state: self.dag.state() }
            }
            Request::TakeBodies(bodies) => {
                let (taken, fault) = self.take_bodies(&bodies);
                Answer::BodiesTaken { taken, fault, state: self.dag.state() }
            }
            Request::Blocks(hashes) => Answer::Blocks(hashes.iter().map(|hash| dag.block(hash)).collect()),
            Request::Bodies(hashes) => Answer::Bodies(hashes.iter().map(|hash| dag.body(hash)).collect()),
            Request::BlockLocator { high, limit } => Answer::Locator(dag.locator(&high, limit)),
            Request::ChainLocator { low, high } => Answer::Locator(dag.chain_locator(low, high)),
            Request::HeadersBetween { low, high, bytes_max } => Answer::Headers(dag.between(&low, &high, bytes_max)),
            Request::Antipast { block, context, count_max } => {
                Answer::Headers(dag.antipast(&block, &context, count_max))
            }
            Request::MissingBodies { of, count_max } => Answer::MissingBodies(dag.missing_bodies(&of, count_max)),
            Request::TakeTransactions { transactions, .. } => {
                Answer::TransactionsTaken(transactions.iter().map(|bytes| self.take_transaction(bytes)).collect())
            }
            Request::Transactions(ids) => {
                Answer::Transactions(ids.iter().map(|id| self.waiting.get(id).cloned()).collect())
            }
            Request::MissingTransactions(ids) => {
                Answer::MissingTransactions(ids.into_iter().filter(|id| !self.waiting.contains_key(id)).collect())
            }
            Request::Kept { keep, count_max, .. } => {
                Answer::Kept(self.imported.as_ref().map(|it| it.page(keep, count_max)))
            }
            Request::Import(piece) => self.import(piece),
            Request::CatchingUp(is_catching_up) => {
                self.is_catching_up = is_catching_up;
                return None;
            }
            Request::MeetsFullNodes(meets) => {
                self.meets_full_nodes = meets;
                return None;
            }
        })
    }
}

fn name(request: &Request) -> &'static str {
    match request {
        Request::State => "State",
        Request::Statuses(_) => "Statuses",
        Request::TakeBlock(_) => "TakeBlock",
        Request::TakeHeaders(_) => "TakeHeaders",
        Request::TakeBodies(_) => "TakeBodies",
        Request::Blocks(_) => "Blocks",
        Request::Bodies(_) => "Bodies",
        Request::BlockLocator { .. } => "BlockLocator",
        Request::ChainLocator { .. } => "ChainLocator",
        Request::HeadersBetween { .. } => "HeadersBetween",
        Request::Antipast { .. } => "Antipast",
        Request::MissingBodies { .. } => "MissingBodies",
        Request::TakeTransactions { .. } => "TakeTransactions",
        Request::Transactions(_) => "Transactions",
        Request::MissingTransactions(_) => "MissingTransactions",
        Request::Kept { .. } => "Kept",
        Request::Import(_) => "Import",
        Request::CatchingUp(_) => "CatchingUp",
        Request::MeetsFullNodes(_) => "MeetsFullNodes",
    }
}

impl Ledger for Toy {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, _: Now, requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        for (ticket, request) in requests {
            if let Some(answer) = self.says(request) {
                answers.push((To::Asker(ticket), answer));
            }
        }
    }
}
