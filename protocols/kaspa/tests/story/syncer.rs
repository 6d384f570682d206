//! Plays a peer that others catch up from: it answers what is asked, one word at a time.

use crate::dag::Dag;
use crate::make;
use crate::stage::Stage;
use bytes::Bytes;
use polypeer_engine::ConnectionId;
use polypeer_kaspa::ledger::Hash;
use polypeer_kaspa::wire::{Envelope, Hashes, Items, Kind, OptionalHashes, RequestBlockLocator, TwoHashes};
use std::collections::VecDeque;

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

    /// What it says to a request.
    pub(crate) fn answer(&mut self, envelope: &Envelope) -> Vec<Word> {
        self.asked.push(envelope.kind);
        let (body, id) = (&envelope.body, envelope.request_id);
        match envelope.kind {
            Kind::RequestIbdChainBlockLocator => {
                let OptionalHashes { low, high } = OptionalHashes::decode(body).expect("two hashes");
                let locator = self.dag.chain_locator(low, high).expect("our questions make sense");
                vec![(Kind::IbdChainBlockLocator, make::hashes(locator), id)]
            }
            Kind::RequestHeaders => {
                let TwoHashes { low, high } = TwoHashes::decode(body).expect("two hashes");
                let page = self.dag.between(&low, &high, u32::MAX).expect("our questions make sense");
                self.walk = page.headers.into();
                self.more_headers(id)
            }
            Kind::RequestNextHeaders => self.more_headers(id),
            Kind::RequestAntipast => {
                let TwoHashes { low, high } = TwoHashes::decode(body).expect("two hashes");
                let page = self.dag.antipast(&low, &high, 992).expect("our questions make sense");
                vec![(Kind::BlockHeaders, list(&page.headers), id), (Kind::DoneHeaders, Bytes::new(), id)]
            }
            Kind::RequestBlockBodies => self.bodies(body, id),
            Kind::RequestRelayBlocks => {
                let wanted = Hashes::decode(body, 99).expect("hashes");
                wanted.iter().map(|hash| (Kind::Block, self.dag.block(&hash).expect("it is here"), id)).collect()
            }
            Kind::RequestBlockLocator => {
                let RequestBlockLocator { high, limit } = RequestBlockLocator::decode(body).expect("a request");
                let locator = self.dag.locator(&high, limit).expect("it is here");
                vec![(Kind::BlockLocator, make::hashes(locator), id)]
            }
            Kind::Ping => vec![(Kind::Pong, body.clone(), 0)],
            _ => Vec::new(),
        }
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

    fn bodies(&mut self, body: &Bytes, id: u32) -> Vec<Word> {
        let wanted = Hashes::decode(body, 99).expect("at most 99");
        self.batches.push(wanted.len());
        self.bodies_given.extend(wanted.iter());
        wanted.iter().map(|hash| (Kind::BlockBody, self.dag.body(&hash).expect("it is here"), id)).collect()
    }
}

/// A message of these items.
pub(crate) fn list(items: &[Bytes]) -> Bytes {
    Items::of(items.iter().map(|item| &item[..])).encode()
}
