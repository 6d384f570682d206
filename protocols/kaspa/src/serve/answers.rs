//! Turns the ledger's answers into a peer's.

use super::{Job, List, Serving};
use crate::handshake::ready_mut;
use crate::ledger::{Answer, Hash, Headers, Refusal};
use crate::misbehavior::Banned;
use crate::wire::{self, Hashes, Items, Kind, OneHash};
use crate::{Cx, Kaspa, Misbehavior};
use bytes::Bytes;
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{ConnectionId, Overflow};

/// What is at least so long goes out with gzip, to peers that take it: pages of headers become half, of outputs a tenth.
/// What is shorter is blocks and bodies, of which a peer that reads wants the next one soon.
const GZIP_BYTES_MIN: usize = 64 << 10;
/// How often the price of a list deflating it costs: some 30 MB a second of headers.
const GZIP_COST: usize = 6;

impl Kaspa {
    /// The ledger answered the first of a peer's requests.
    pub(crate) fn on_served(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, answer: Answer) {
        let Some(ready) = ready_mut(cx, connection) else { return };
        let version = ready.version;
        let mut serving = core::mem::take(&mut ready.serving);
        serving.is_asked = false;
        let served = self.answer_first(cx, connection, &mut serving, answer, version);
        match served {
            Ok(()) => self.serve(cx, connection, &mut serving),
            Err(misbehavior) => cx.convict(connection, misbehavior),
        }
        if let Some(ready) = ready_mut(cx, connection) {
            ready.serving = serving;
        }
    }

    fn answer_first(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        serving: &mut Serving,
        answer: Answer,
        version: u32,
    ) -> Result<(), Misbehavior> {
        let Some(job) = serving.jobs.front_mut() else { return Ok(()) };
        match (job, answer) {
            (Job::List { what, hashes, at, id }, Answer::Blocks(found) | Answer::Bodies(found))
                if !found.is_empty() =>
            {
                let (what, id, first) = (*what, *id, *at);
                *at += found.len();
                let hashes = hashes.clone();
                return self.give_blocks(cx, connection, what, id, hashes.iter().skip(first).zip(found));
            }
            (Job::List { hashes, at, .. }, Answer::Transactions(found)) if !found.is_empty() => {
                let first = *at;
                *at += found.len();
                let hashes = hashes.clone();
                return self.give_transactions(cx, connection, hashes.iter().skip(first).zip(found));
            }
            (Job::BlockLocator { id, .. }, Answer::Locator(locator)) => {
                let body = Hashes::from_iter(locator?).encode();
                cx.owe(connection, Class::ListServed.price(body.len()));
                give(cx, connection, Kind::BlockLocator, &body, *id, true);
            }
            (Job::ChainLocator { id, .. }, Answer::Locator(locator)) => {
                let body = Hashes::from_iter(locator?).encode();
                cx.owe(connection, Class::ListServed.price(body.len()));
                give(cx, connection, Kind::IbdChainBlockLocator, &body, *id, false);
            }
            (Job::Headers, Answer::Headers(page)) => {
                serving.pop();
                return give_headers(cx, connection, serving, page);
            }
            (Job::Antipast { id, .. }, Answer::Headers(page)) => {
                let page = page?;
                let body = headers(&page.headers);
                cx.owe(connection, Class::ListServed.price(body.len()));
                give(cx, connection, Kind::BlockHeaders, &body, *id, false);
                give(cx, connection, Kind::DoneHeaders, &[], *id, false);
            }
            (Job::Proof { id, .. }, Answer::Blocks(found)) => {
                let id = *id;
                self.give_genesis_proof(cx, connection, version, id, &found)?;
            }
            (Job::Long(_), Answer::Blocks(found)) => return self.give_genesis_point(cx, connection, serving, &found),
            (Job::Proof { .. }, Answer::Kept(page)) => {
                return self.give_proof(cx, connection, serving, version, page);
            }
            (Job::Long(long), Answer::Kept(page)) => {
                let long = *long;
                return self.give_long(cx, connection, serving, long, version, page);
            }
            // An answer that fits no question is a fault of the ledger's, not a peer's.
            _ => {}
        }
        serving.pop();
        Ok(())
    }

    fn give_blocks(
        &self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        what: List,
        id: u32,
        found: impl Iterator<Item = (Hash, Option<Bytes>)>,
    ) -> Result<(), Misbehavior> {
        let kind = match what {
            List::Blocks => Kind::Block,
            List::IbdBlocks => Kind::IbdBlock,
            List::Bodies | List::Transactions => Kind::BlockBody,
        };
        for (hash, block) in found {
            let Some(block) = block else {
                let banned = Misbehavior::Banned(Banned::UnknownBlock(hash));
                return Err(if self.config.bans.unknown_block { banned } else { Misbehavior::UnknownBlock(hash) });
            };
            cx.owe(connection, Class::Lookup.price(block.len()));
            give(cx, connection, kind, &block, id, what == List::Blocks);
        }
        Ok(())
    }

    fn give_transactions(
        &self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        found: impl Iterator<Item = (Hash, Option<Bytes>)>,
    ) -> Result<(), Misbehavior> {
        for (id, transaction) in found {
            let Some(transaction) = transaction else {
                if self.config.bans.unknown_transaction {
                    return Err(Misbehavior::Banned(Banned::UnknownTransaction(id)));
                }
                give(cx, connection, Kind::TransactionNotFound, &OneHash(id).encode(), 0, true);
                continue;
            };
            cx.owe(connection, Class::Lookup.price(transaction.len()));
            give(cx, connection, Kind::Transaction, &transaction, 0, true);
        }
        Ok(())
    }
}

// The next message of a stream of headers; what follows waits for the peer's word.
fn give_headers(
    cx: &mut Cx<'_>,
    connection: ConnectionId,
    serving: &mut Serving,
    page: Result<Headers, Refusal>,
) -> Result<(), Misbehavior> {
    let page = page?;
    let Some(walk) = serving.walk.as_mut() else { return Ok(()) };
    (walk.low, walk.waits) = (page.reached, true);
    let id = walk.id;
    if page.headers.is_empty() {
        // Nothing lies between: only the end is left to say.
        serving.walk = None;
        give(cx, connection, Kind::DoneHeaders, &[], id, false);
        return Ok(());
    }
    let body = headers(&page.headers);
    cx.owe(connection, Class::ListServed.price(body.len()));
    give(cx, connection, Kind::BlockHeaders, &body, id, false);
    Ok(())
}

/// Sends an answer, as news or as history.
pub(super) fn give(cx: &mut Cx<'_>, connection: ConnectionId, kind: Kind, body: &[u8], id: u32, is_news: bool) {
    let is_long = body.len() >= GZIP_BYTES_MIN;
    let frame = if is_long && ready_mut(cx, connection).is_some_and(|ready| ready.takes_gzip) {
        cx.owe(connection, Class::ListServed.price(GZIP_COST * body.len()));
        wire::pack_gzip(kind, body, 0, id)
    } else {
        wire::pack(kind, body, 0, id)
    };
    if is_news {
        cx.send(connection, frame, Overflow::Close);
    } else {
        cx.serve(connection, frame);
    }
}

/// The header of the only block found.
pub(super) fn header_of(found: &[Option<Bytes>]) -> Option<Bytes> {
    let block = found.first()?.as_ref()?;
    wire::BlockView::decode(block).ok().map(|view| block.slice_ref(view.header))
}

/// The body of a message of headers.
pub(super) fn headers(headers: &[Bytes]) -> Bytes {
    Items::of(headers.iter().map(|header| &header[..])).encode()
}
