//! Holds a chain in memory and serves it to whoever syncs from it (Kaspa spec, sections 4.4 to 4.6.5).

use super::hashing::hash_of;
use super::peer::{Heard, Peer};
use super::wire::{
    Block, BlockBody, BlockHeaders, BlockLocator, Empty, Hash32, Header, InvRelayBlock, KaspadMessage, Payload, get,
    get_all, hash, hashes,
};
use anyhow::{Context, Result, bail};
use std::collections::{BTreeSet, HashMap};

/// What a server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The first two bodies of a batch change places.
    SwappedBodies,
    /// The first body of a batch has no transactions.
    EmptyBody,
    /// The first headers have no header.
    EmptyHeaders,
    /// `DoneHeaders` is never said; every header travels alone before, which is no fault.
    NeverDone,
}

/// Headers that travel together.
const HEADERS_PER_MESSAGE: usize = 500;

/// Blocks, with the selected chain that first parents make.
pub(crate) struct Chain {
    blocks: HashMap<Hash32, Block>,
    selected: Vec<Hash32>,
}

impl Chain {
    /// Takes blocks, genesis among them, and the tip whose first parents are the selected chain.
    pub(crate) fn new(blocks: impl IntoIterator<Item = Block>, tip: Hash32) -> Self {
        let blocks: HashMap<Hash32, Block> = blocks.into_iter().map(|block| (hash_of(&block), block)).collect();
        let mut selected = vec![tip];
        let mut at = tip;
        while let Some(parent) = blocks.get(&at).and_then(|block| parents(block).first().copied()) {
            selected.push(parent);
            at = parent;
        }
        selected.reverse();
        Self { blocks, selected }
    }

    /// The block that everything else is below.
    pub(crate) fn tip(&self) -> Hash32 {
        self.selected.last().copied().unwrap_or_default()
    }

    /// The first block of the selected chain.
    pub(crate) fn genesis(&self) -> Hash32 {
        self.selected.first().copied().unwrap_or_default()
    }

    /// Says that the tip is there, and then answers until the target closes.
    pub(crate) async fn serve(&self, peer: &mut Peer, fault: Fault) -> Result<Option<String>> {
        peer.send(Payload::InvRelayBlock(InvRelayBlock { hash: hash(&self.tip()) }));
        let mut queue = Vec::new();
        loop {
            match peer.next().await {
                Heard::Message(message) => self.reply(peer, &message, fault, &mut queue)?,
                Heard::End(reason) => return Ok(reason),
            }
        }
    }

    fn reply(&self, peer: &Peer, request: &KaspadMessage, fault: Fault, queue: &mut Vec<Vec<Header>>) -> Result<()> {
        match request.payload.as_ref() {
            Some(Payload::RequestRelayBlocks(wanted)) => {
                for block in get_all(&wanted.hashes) {
                    peer.answer(request, Payload::Block(self.block(&block)?.clone()));
                }
            }
            Some(Payload::RequestBlockLocator(wanted)) => {
                let hashes = self.block_locator(&get(wanted.high_hash.as_ref()), wanted.limit);
                peer.answer(request, Payload::BlockLocator(BlockLocator { hashes: hashes_of(&hashes) }));
            }
            Some(Payload::RequestIbdChainBlockLocator(wanted)) => {
                let low = wanted.low_hash.as_ref().map_or(self.genesis(), |low| low.get());
                let high = wanted.high_hash.as_ref().map_or(self.tip(), |high| high.get());
                let hashes = self.chain_locator(&low, &high);
                peer.answer(request, Payload::IbdChainBlockLocator(BlockLocator { hashes: hashes_of(&hashes) }));
            }
            Some(Payload::RequestHeaders(wanted)) => {
                let all = self.between(&get(wanted.low_hash.as_ref()), &get(wanted.high_hash.as_ref()));
                let size = if fault == Fault::NeverDone { 1 } else { HEADERS_PER_MESSAGE };
                *queue = all.chunks(size).rev().map(<[Header]>::to_vec).collect();
                self.next_headers(peer, request, fault, queue);
            }
            Some(Payload::RequestNextHeaders(_)) => self.next_headers(peer, request, fault, queue),
            Some(Payload::RequestAntipast(wanted)) => {
                let headers = self.between(&get(wanted.block_hash.as_ref()), &get(wanted.context_hash.as_ref()));
                peer.answer(request, Payload::BlockHeaders(BlockHeaders { headers }));
                peer.answer(request, Payload::DoneHeaders(Empty {}));
            }
            Some(Payload::RequestBlockBodies(wanted)) => self.bodies(peer, request, get_all(&wanted.hashes), fault)?,
            _ => {}
        }
        Ok(())
    }

    fn next_headers(&self, peer: &Peer, request: &KaspadMessage, fault: Fault, queue: &mut Vec<Vec<Header>>) {
        match queue.pop() {
            Some(_) if fault == Fault::EmptyHeaders => {
                peer.answer(request, Payload::BlockHeaders(BlockHeaders::default()));
            }
            Some(headers) => peer.answer(request, Payload::BlockHeaders(BlockHeaders { headers })),
            None if fault == Fault::NeverDone => {}
            None => peer.answer(request, Payload::DoneHeaders(Empty {})),
        }
    }

    fn bodies(&self, peer: &Peer, request: &KaspadMessage, mut wanted: Vec<Hash32>, fault: Fault) -> Result<()> {
        if fault == Fault::SwappedBodies && wanted.len() > 1 {
            wanted.swap(0, 1);
        }
        for (at, one) in wanted.iter().enumerate() {
            let mut transactions = self.block(one)?.transactions.clone();
            if fault == Fault::EmptyBody && at == 0 {
                transactions.clear();
            }
            peer.answer(request, Payload::BlockBody(BlockBody { transactions }));
        }
        Ok(())
    }

    /// A block by its hash.
    pub(crate) fn block(&self, hash: &Hash32) -> Result<&Block> {
        self.blocks.get(hash).with_context(|| format!("asked for {}, which we never spoke of", const_hex::encode(hash)))
    }

    /// Hashes from high to low at steps of 1, 2, 4, ... along the selected chain; nothing for what is off it.
    fn chain_locator(&self, low: &Hash32, high: &Hash32) -> Vec<Hash32> {
        let place = |wanted: &Hash32| self.selected.iter().position(|one| one == wanted);
        let (Some(low), Some(high)) = (place(low), place(high)) else { return Vec::new() };
        let mut locator = Vec::new();
        let (mut at, mut step) = (high, 1);
        while at > low {
            locator.extend(self.selected.get(at));
            at = at.saturating_sub(step);
            step *= 2;
        }
        locator.extend(self.selected.get(low));
        locator
    }

    /// As kaspad makes it, by places in the chain instead of blue scores.
    fn block_locator(&self, high: &Hash32, limit: u32) -> Vec<Hash32> {
        let Some(place) = self.selected.iter().position(|one| one == high) else { return vec![*high] };
        let mut locator = Vec::new();
        let (mut at, mut step) = (Some(place), 1);
        while let Some(here) = at {
            locator.extend(self.selected.get(here));
            at = here.checked_sub(step);
            step *= 2;
            if locator.len() == limit as usize {
                break;
            }
        }
        locator
    }

    /// Headers in the past of one block, itself included, that are not in the past of another; by blue work.
    fn between(&self, below: &Hash32, above: &Hash32) -> Vec<Header> {
        let known = self.past(below);
        let mut wanted: Vec<Header> = self
            .past(above)
            .difference(&known)
            .filter_map(|one| self.blocks.get(one).and_then(|block| block.header.clone()))
            .collect();
        wanted.sort_by(|one, other| {
            (one.blue_work.len(), &one.blue_work).cmp(&(other.blue_work.len(), &other.blue_work))
        });
        wanted
    }

    fn past(&self, of: &Hash32) -> BTreeSet<Hash32> {
        let mut past = BTreeSet::new();
        let mut open = vec![*of];
        while let Some(one) = open.pop() {
            if past.insert(one) {
                open.extend(self.blocks.get(&one).map(parents).unwrap_or_default());
            }
        }
        past
    }
}

/// A block's direct parents.
pub(crate) fn parents(block: &Block) -> Vec<Hash32> {
    let run = block.header.as_ref().and_then(|header| header.parents.first());
    run.map(|run| get_all(&run.parent_hashes)).unwrap_or_default()
}

fn hashes_of(all: &[Hash32]) -> Vec<super::wire::Hash> {
    hashes(all)
}

/// Announces a block and delivers it when it is asked for; the request is handed back.
pub(crate) async fn offer(peer: &mut Peer, block: &Block) -> Result<KaspadMessage> {
    let name = hash_of(block);
    let request = announce(peer, &name).await?;
    peer.answer(&request, Payload::Block(block.clone()));
    Ok(request)
}

/// Announces a hash and waits until it is asked for, with an id.
pub(crate) async fn announce(peer: &mut Peer, name: &Hash32) -> Result<KaspadMessage> {
    peer.send(Payload::InvRelayBlock(InvRelayBlock { hash: hash(name) }));
    let request = peer
        .wait("request for the announced block", |message| match &message.payload {
            Some(Payload::RequestRelayBlocks(wanted)) => (get_all(&wanted.hashes) == [*name]).then(|| message.clone()),
            _ => None,
        })
        .await?;
    if request.request_id == 0 {
        bail!("a block is requested without an id");
    }
    Ok(request)
}
