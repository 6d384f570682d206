//! Serves: the flows Block Request Receive and Transaction Request Receive, and everything that a peer needs to catch
//! up from us (Kaspa spec, sections 4.3 to 4.7). Answers are made as the peer reads; beyond one page none waits as
//! bytes.

mod answers;
mod genesis;
mod pruning;

use crate::ledger::{Hash, Keep, Request};
use crate::questions::Asked;
use crate::wire::{
    self, BLOCKS_ASKED_MAX, Envelope, Hashes, Kind, OptionalHashes, RequestAddresses, RequestBlockLocator,
    TRANSACTION_IDS_MAX, TwoHashes, WireError,
};
use crate::{Cx, Kaspa, Misbehavior, Ready};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::{ConnectionId, Overflow};
use pruning::{Long, Stream};

/// Requests of one peer that wait, as many as today's nodes keep of each flow (Kaspa spec, section 1.6).
const JOBS_MAX: usize = 256;
/// Bytes of them: twice the largest request of transactions.
const JOBS_BYTES_MAX: usize = 10 << 20;
/// Blocks read from the ledger for one page: 2 MiB each at most, and far less most of the time.
const BLOCKS_A_PAGE: usize = 16;
/// Bodies for one page: at 2 MiB each they still find room in a queue, where a whole request of 99 would not.
const BODIES_A_PAGE: usize = 24;
/// Transactions for one page.
const TRANSACTIONS_A_PAGE: usize = 256;
/// Bytes of headers in one message: a few thousand headers, and the next page is read while the peer checks this one.
const HEADERS_BYTES: u32 = 1 << 20;
/// Headers of one level of a proof in one message, and bytes of them (Kaspa spec, section 4.6.6).
const PROOF_ITEMS: u32 = 1 << 17;
const PROOF_BYTES: u32 = 16 << 20;
/// Blocks of an antipast that are walked (Kaspa spec, section 4.6.5).
const ANTIPAST_MAX: u32 = 992;

/// What a peer has asked and not been answered.
#[derive(Debug, Default)]
pub(crate) struct Serving {
    jobs: VecDeque<Job>,
    bytes: usize,
    // Whether the first job is with the ledger.
    is_asked: bool,
    walk: Option<Walk>,
    // One of each kind at most.
    streams: Vec<Stream>,
}

/// One request, in the words of the ledger.
#[derive(Debug)]
pub(crate) enum Job {
    /// Things by their hashes, page by page.
    List { what: List, hashes: Hashes, at: usize, id: u32 },
    /// A block locator.
    BlockLocator { high: Hash, limit: u32, id: u32 },
    /// A chain locator.
    ChainLocator { low: Option<Hash>, high: Option<Hash>, id: u32 },
    /// The next page of the walk.
    Headers,
    /// An antipast.
    Antipast { block: Hash, context: Hash, id: u32 },
    /// The proof, from the highest level down; for version 10 gathered whole.
    Proof { id: u32, level: u8, from: u32, levels: Vec<Bytes>, level_items: Vec<Bytes> },
    /// The next page of a long answer.
    Long(Long),
    /// Addresses, which the ledger need not be asked for.
    Addresses,
}

/// What is asked for by hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// Blocks to relay.
    Blocks,
    /// Blocks in the old way of catching up.
    IbdBlocks,
    /// Bodies.
    Bodies,
    /// Waiting transactions.
    Transactions,
}

/// A stream of headers, which waits for the peer's word after each message.
#[derive(Debug)]
struct Walk {
    low: Hash,
    high: Hash,
    id: u32,
    waits: bool,
}

/// Requests that come in.
impl Kaspa {
    /// A request: the table.
    pub(crate) fn on_request(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &mut Ready,
        envelope: &Envelope,
    ) -> Result<(), Misbehavior> {
        let (body, id) = (&envelope.body, envelope.request_id);
        let serving = &mut ready.serving;
        match envelope.kind {
            Kind::RequestRelayBlocks => serving.list(List::Blocks, Hashes::decode(body, BLOCKS_ASKED_MAX)?, id)?,
            Kind::RequestIbdBlocks => serving.list(List::IbdBlocks, Hashes::decode(body, BLOCKS_ASKED_MAX)?, id)?,
            Kind::RequestBlockBodies => serving.list(List::Bodies, Hashes::decode(body, BLOCKS_ASKED_MAX)?, id)?,
            Kind::RequestTransactions => {
                let ids = Hashes::decode(body, TRANSACTION_IDS_MAX).map_err(|error| match error {
                    WireError::TooMany => WireError::TooManyRequested,
                    other => other,
                })?;
                serving.list(List::Transactions, ids, 0)?;
            }
            Kind::RequestBlockLocator => {
                let RequestBlockLocator { high, limit } = RequestBlockLocator::decode(body)?;
                serving.push(Job::BlockLocator { high, limit, id }, Kind::RequestBlockLocator)?;
            }
            Kind::RequestIbdChainBlockLocator => {
                let OptionalHashes { low, high } = OptionalHashes::decode(body)?;
                serving.push(Job::ChainLocator { low, high, id }, Kind::RequestIbdChainBlockLocator)?;
            }
            Kind::RequestAddresses => {
                RequestAddresses::decode(body)?;
                serving.push(Job::Addresses, Kind::RequestAddresses)?;
            }
            Kind::RequestHeaders => self.on_request_headers(cx, connection, ready, envelope)?,
            Kind::RequestNextHeaders => self.on_request_next_headers(cx, connection, ready)?,
            Kind::RequestAntipast => {
                let TwoHashes { low: block, high: context } = TwoHashes::decode(body)?;
                serving.push(Job::Antipast { block, context, id }, Kind::RequestAntipast)?;
            }
            _ => self.on_pruning_request(cx, connection, ready, envelope)?,
        }
        self.serve(cx, connection, &mut ready.serving);
        Ok(())
    }

    fn on_request_headers(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &mut Ready,
        envelope: &Envelope,
    ) -> Result<(), Misbehavior> {
        if ready.serving.walk.is_some() {
            return Err(Misbehavior::Unexpected { expected: Kind::RequestNextHeaders, got: Kind::RequestHeaders });
        }
        let TwoHashes { low, high } = TwoHashes::decode(&envelope.body)?;
        let id = envelope.request_id;
        if low == high {
            cx.send(connection, wire::pack(Kind::DoneHeaders, &[], 0, id), Overflow::Close);
            return Ok(());
        }
        ready.serving.walk = Some(Walk { low, high, id, waits: false });
        ready.serving.push(Job::Headers, Kind::RequestHeaders)
    }

    // The peer has checked the last headers and wants more; after the last ones too.
    fn on_request_next_headers(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &mut Ready,
    ) -> Result<(), Misbehavior> {
        let idle = Misbehavior::Unexpected { expected: Kind::RequestHeaders, got: Kind::RequestNextHeaders };
        let walk = ready.serving.walk.as_mut().filter(|walk| walk.waits).ok_or(idle)?;
        if walk.low == walk.high {
            let frame = wire::pack(Kind::DoneHeaders, &[], 0, walk.id);
            ready.serving.walk = None;
            cx.send(connection, frame, Overflow::Close);
            return Ok(());
        }
        walk.waits = false;
        ready.serving.push(Job::Headers, Kind::RequestNextHeaders)
    }

    /// Puts the peer's next request to the ledger, if its channel has room for the answer.
    pub(crate) fn serve(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, serving: &mut Serving) {
        while !serving.is_asked
            && let Some(job) = serving.jobs.front()
        {
            let may = if job.is_news() { cx.may_answer(connection) } else { cx.may_serve(connection) };
            if !may {
                return;
            }
            let is_of_book = matches!(job, Job::Addresses);
            let Some(request) = serving.next_request(&self.config.genesis, self.is_unpruned()) else {
                serving.pop();
                if is_of_book {
                    self.give_addresses(cx, connection);
                }
                continue;
            };
            serving.is_asked = true;
            self.ask_ledger(cx, request, Asked::Serve(connection));
        }
    }
}

impl Serving {
    fn list(&mut self, what: List, hashes: Hashes, id: u32) -> Result<(), Misbehavior> {
        self.push(Job::List { what, hashes, at: 0, id }, what.request())
    }

    fn push(&mut self, job: Job, kind: Kind) -> Result<(), Misbehavior> {
        let bytes = job.bytes();
        if self.jobs.len() >= JOBS_MAX || self.bytes + bytes > JOBS_BYTES_MAX {
            return Err(Misbehavior::QueueFull(kind));
        }
        self.bytes += bytes;
        self.jobs.push_back(job);
        Ok(())
    }

    fn pop(&mut self) {
        if let Some(job) = self.jobs.pop_front() {
            self.bytes -= job.bytes();
        }
    }

    // What the first job wants of the ledger next; nothing when it is done.
    fn next_request(&self, genesis: &Hash, is_unpruned: bool) -> Option<Request> {
        Some(match self.jobs.front()? {
            Job::List { what, hashes, at, .. } => what.page(hashes, *at)?,
            Job::BlockLocator { high, limit, .. } => Request::BlockLocator { high: *high, limit: *limit },
            Job::ChainLocator { low, high, .. } => Request::ChainLocator { low: *low, high: *high },
            Job::Headers => {
                let walk = self.walk.as_ref()?;
                Request::HeadersBetween { low: walk.low, high: walk.high, bytes_max: HEADERS_BYTES }
            }
            Job::Antipast { block, context, .. } => {
                Request::Antipast { block: *block, context: *context, count_max: ANTIPAST_MAX }
            }
            // While nothing is pruned: genesis on every level, and the only pruning point.
            Job::Proof { .. } | Job::Long(Long::Anticone) if is_unpruned => Request::Blocks(alloc::vec![*genesis]),
            Job::Proof { level, from, .. } => Request::Kept {
                keep: Keep::Proof { level: *level, from: *from },
                count_max: PROOF_ITEMS,
                bytes_max: PROOF_BYTES,
            },
            Job::Long(long) => self.next_of(*long)?,
            Job::Addresses => return None,
        })
    }
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Self::List { hashes, .. } => hashes.encode().len(),
            _ => 0,
        }
    }

    // Whether history yields to it: it is about news, or short.
    fn is_news(&self) -> bool {
        let is_of_news = matches!(self, Self::List { what: List::Blocks | List::Transactions, .. });
        is_of_news || matches!(self, Self::BlockLocator { .. } | Self::Addresses)
    }
}

impl List {
    fn request(self) -> Kind {
        match self {
            Self::Blocks => Kind::RequestRelayBlocks,
            Self::IbdBlocks => Kind::RequestIbdBlocks,
            Self::Bodies => Kind::RequestBlockBodies,
            Self::Transactions => Kind::RequestTransactions,
        }
    }

    fn page(self, hashes: &Hashes, at: usize) -> Option<Request> {
        let count = match self {
            Self::Blocks | Self::IbdBlocks => BLOCKS_A_PAGE,
            Self::Bodies => BODIES_A_PAGE,
            Self::Transactions => TRANSACTIONS_A_PAGE,
        };
        let page: alloc::vec::Vec<Hash> = hashes.iter().skip(at).take(count).collect();
        if page.is_empty() {
            return None;
        }
        Some(match self {
            Self::Blocks | Self::IbdBlocks => Request::Blocks(page),
            Self::Bodies => Request::Bodies(page),
            Self::Transactions => Request::Transactions(page),
        })
    }
}
