//! Plays a peer that others catch up from: it answers what is asked, one word at a time.

use crate::dag::Dag;
use crate::make;
use crate::stage::Stage;
use bytes::Bytes;
use polypeer_engine::ConnectionId;
use polypeer_kaspa::ledger::Hash;
use polypeer_kaspa::wire::{Envelope, Hashes, Items, Kind, OptionalHashes, RequestBlockLocator, TwoHashes};
use std::collections::{BTreeMap, VecDeque};

/// One answer: what, its bytes, and the number of the request.
pub(crate) type Word = (Kind, Bytes, u32);

/// The syncer.
#[derive(Clone, Debug)]
pub(crate) struct Syncer {
    pub(crate) dag: Dag,
    /// Headers in one message.
    pub(crate) headers_a_message: usize,
    /// The hashes of the bodies that it gave.
    pub(crate) bodies_given: Vec<Hash>,
    /// How many hashes each request of bodies had.
    pub(crate) batches: Vec<usize>,
    /// How many headers it gave.
    pub(crate) headers_given: usize,
    /// What it was asked, in order.
    pub(crate) asked: Vec<Kind>,
    pub(crate) walk: VecDeque<Bytes>,
    /// What it says of its pruning point to each kind of request; nothing while that is genesis.
    pub(crate) pruned: BTreeMap<Kind, Vec<(Kind, Bytes)>>,
}

impl Syncer {
    pub(crate) fn of(blocks: &[Bytes]) -> Self {
        Self {
            dag: Dag::of(blocks),
            headers_a_message: 1_000,
            bodies_given: Vec::new(),
            batches: Vec::new(),
            headers_given: 0,
            asked: Vec::new(),
            walk: VecDeque::new(),
            pruned: BTreeMap::new(),
        }
    }

    /// Answers until nothing more is asked.
    pub(crate) fn serves(&mut self, stage: &mut Stage, connection: ConnectionId) {
        assert_eq!(self.serves_until(stage, connection, |_| false), None);
    }

    /// Answers until something is asked that it does not answer: that.
    pub(crate) fn serves_until(
        &mut self,
        stage: &mut Stage,
        connection: ConnectionId,
        is_it: impl Fn(&Envelope) -> bool,
    ) -> Option<Envelope> {
        loop {
            let heard = stage.hears(connection);
            if heard.is_empty() {
                return None;
            }
            for (at, envelope) in heard.iter().enumerate() {
                if envelope.kind == Kind::Reject {
                    stage.has_not_heard(connection, &heard[at..]);
                    return None;
                }
                if is_it(envelope) {
                    stage.has_not_heard(connection, &heard[at + 1..]);
                    return Some(envelope.clone());
                }
                for (kind, body, id) in self.answer(envelope) {
                    stage.answers(connection, kind, &body, id);
                }
            }
        }
    }

    /// What it says to a request, which makes sense to it.
    pub(crate) fn answer(&mut self, envelope: &Envelope) -> Vec<Word> {
        self.try_answer(envelope).expect("our questions make sense")
    }

    /// What it says to a request, if it makes sense to it.
    pub(crate) fn try_answer(&mut self, envelope: &Envelope) -> Option<Vec<Word>> {
        self.asked.push(envelope.kind);
        let (body, id) = (&envelope.body, envelope.request_id);
        Some(match envelope.kind {
            Kind::RequestIbdChainBlockLocator => {
                let OptionalHashes { low, high } = OptionalHashes::decode(body).ok()?;
                let locator = self.dag.chain_locator(low, high).ok()?;
                vec![(Kind::IbdChainBlockLocator, make::hashes(locator), id)]
            }
            Kind::RequestHeaders => {
                let TwoHashes { low, high } = TwoHashes::decode(body).ok()?;
                self.walk = self.dag.between(&low, &high, u32::MAX).ok()?.headers.into();
                self.more_headers(id)
            }
            Kind::RequestNextHeaders => self.more_headers(id),
            Kind::RequestAntipast => {
                let TwoHashes { low, high } = TwoHashes::decode(body).ok()?;
                let page = self.dag.antipast(&low, &high, 992).ok()?;
                vec![(Kind::BlockHeaders, list(&page.headers), id), (Kind::DoneHeaders, Bytes::new(), id)]
            }
            Kind::RequestBlockBodies => self.bodies(body, id)?,
            Kind::RequestRelayBlocks => {
                let wanted = Hashes::decode(body, 99).ok()?;
                wanted.iter().map(|hash| Some((Kind::Block, self.dag.block(&hash)?, id))).collect::<Option<_>>()?
            }
            Kind::RequestBlockLocator => {
                let RequestBlockLocator { high, limit } = RequestBlockLocator::decode(body).ok()?;
                vec![(Kind::BlockLocator, make::hashes(self.dag.locator(&high, limit).ok()?), id)]
            }
            Kind::Ping => vec![(Kind::Pong, body.clone(), 0)],
            kind => {
                let words = self.pruned.get(&kind).into_iter().flatten();
                words.map(|(kind, body)| (*kind, body.clone(), id)).collect()
            }
        })
    }

    fn more_headers(&mut self, id: u32) -> Vec<Word> {
        let count = self.headers_a_message.min(self.walk.len());
        if count == 0 {
            return vec![(Kind::DoneHeaders, Bytes::new(), id)];
        }
        self.headers_given += count;
        let page: Vec<Bytes> = self.walk.drain(..count).collect();
        vec![(Kind::BlockHeaders, list(&page), id)]
    }

    fn bodies(&mut self, body: &Bytes, id: u32) -> Option<Vec<Word>> {
        let wanted = Hashes::decode(body, 99).ok()?;
        let bodies = wanted.iter().map(|hash| Some((Kind::BlockBody, self.dag.body(&hash)?, id)));
        let bodies = bodies.collect::<Option<Vec<Word>>>()?;
        self.batches.push(wanted.len());
        self.bodies_given.extend(wanted.iter());
        Some(bodies)
    }
}

/// A message of these items.
pub(crate) fn list(items: &[Bytes]) -> Bytes {
    Items::of(items.iter().map(|item| &item[..])).encode()
}
