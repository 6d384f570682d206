//! Gives peers hands and ears: what they say, what they hear, how they end.

use crate::dag::hash_of;
use crate::make;
use crate::stage::{Stage, address};
use bytes::Bytes;
use polypeer_engine::shell::bans::Severity;
use polypeer_engine::{Close, ConnectionId, Event, P2pAction, Reason};
use polypeer_kaspa::ledger::{Answer, Hash};
use polypeer_kaspa::wire::{self, Envelope, Hashes, Kind, Nonce, OneHash, Reject, Version};

/// Mouths.
impl Stage {
    /// The peer says a message.
    pub(crate) fn says(&mut self, connection: ConnectionId, kind: Kind, body: &[u8]) {
        self.types(connection, &wire::pack(kind, body, 0, 0));
    }

    /// The peer asks for something under a number.
    pub(crate) fn asks(&mut self, connection: ConnectionId, kind: Kind, body: &[u8], id: u32) {
        self.types(connection, &wire::pack(kind, body, id, 0));
    }

    /// The peer answers the request with this number.
    pub(crate) fn answers(&mut self, connection: ConnectionId, kind: Kind, body: &[u8], id: u32) {
        self.types(connection, &wire::pack(kind, body, 0, id));
    }

    /// The peer announces a block.
    pub(crate) fn announces(&mut self, connection: ConnectionId, hash: Hash) {
        self.says(connection, Kind::InvRelayBlock, &OneHash(hash).encode());
    }

    /// The peer announces transactions.
    pub(crate) fn offers(&mut self, connection: ConnectionId, ids: impl IntoIterator<Item = Hash>) {
        self.says(connection, Kind::InvTransactions, &make::hashes(ids));
    }

    /// The peer announces a block, and brings it when it is asked.
    pub(crate) fn relays(&mut self, connection: ConnectionId, block: &Bytes) {
        self.announces(connection, hash_of(block));
        let id = self.is_asked_for(connection, hash_of(block));
        self.answers(connection, Kind::Block, block, id);
    }

    /// Our ledger makes a block of its own.
    pub(crate) fn makes(&mut self, block: &Bytes) {
        self.ledger.dag.take_block(block);
        let answer = Answer::NewBlock { hash: hash_of(block), state: self.ledger.dag.state() };
        self.act(P2pAction::LedgerAnswered { ticket: None, answer });
    }

    /// The operator hands in a transaction.
    pub(crate) fn is_given(&mut self, transaction: &Bytes) -> Hash {
        let id = crate::toy::id_of(transaction);
        self.ledger.waiting.insert(id, transaction.clone());
        self.act(P2pAction::LedgerAnswered { ticket: None, answer: Answer::NewTransaction { id } });
        id
    }
}

/// Handshakes.
impl Stage {
    /// A Version unlike that of anyone before.
    pub(crate) fn new_version(&mut self) -> Version {
        self.next_peer += 1;
        make::version(self.next_peer)
    }

    /// The peer says all of its part.
    pub(crate) fn greets(&mut self, connection: ConnectionId, version: &Version) {
        self.says(connection, Kind::Version, &version.encode());
        self.says(connection, Kind::Verack, &[]);
        self.says(connection, Kind::Ready, &[]);
    }

    /// Someone who dialled us is ready and has told its addresses, and what was said so far is forgotten.
    pub(crate) fn guest(&mut self, remote: &str) -> ConnectionId {
        let version = self.new_version();
        self.guest_as(remote, &version)
    }

    pub(crate) fn guest_as(&mut self, remote: &str, version: &Version) -> ConnectionId {
        let guest = self.accept(remote);
        self.is_received(guest, version)
    }

    /// The same for someone whom we dialled.
    pub(crate) fn host(&mut self, remote: &str) -> ConnectionId {
        let host = self.dial(remote);
        let version = self.new_version();
        self.is_received(host, &version)
    }

    fn is_received(&mut self, connection: ConnectionId, version: &Version) -> ConnectionId {
        self.greets(connection, version);
        assert!(
            self.is_open(connection),
            "{:?} {:?}",
            self.hears(connection),
            self.engine.state().reasons.all().next()
        );
        self.says(connection, Kind::Addresses, &[]);
        self.hears(connection);
        connection
    }
}

/// Ears.
impl Stage {
    /// The kinds of what the peer was sent since this was asked last.
    pub(crate) fn hears_kinds(&mut self, connection: ConnectionId) -> Vec<Kind> {
        self.hears(connection).into_iter().map(|envelope| envelope.kind).collect()
    }

    /// The one message that the peer was sent, which is of this kind.
    pub(crate) fn hears_one(&mut self, connection: ConnectionId, kind: Kind) -> Envelope {
        let heard = self.hears(connection);
        let kinds: Vec<Kind> = heard.iter().map(|envelope| envelope.kind).collect();
        assert_eq!(kinds, [kind]);
        let one = &heard[0];
        one.clone()
    }

    pub(crate) fn hears_nothing(&mut self, connection: ConnectionId) {
        assert_eq!(self.hears_kinds(connection), []);
    }

    /// The peer was told of this block, and of nothing else.
    pub(crate) fn hears_of(&mut self, connection: ConnectionId, hash: Hash) {
        let inv = self.hears_one(connection, Kind::InvRelayBlock);
        assert_eq!(OneHash::decode(&inv.body), Ok(OneHash(hash)));
    }

    /// The peer was asked for this block alone. Under which number.
    pub(crate) fn is_asked_for(&mut self, connection: ConnectionId, hash: Hash) -> u32 {
        let request = self.hears_one(connection, Kind::RequestRelayBlocks);
        assert_eq!(Hashes::decode(&request.body, 1).expect("one").iter().collect::<Vec<_>>(), [hash]);
        assert_ne!(request.request_id, 0);
        assert_eq!(request.response_id, 0);
        request.request_id
    }

    /// The peer was asked for these transactions, in this order, and for nothing else.
    pub(crate) fn is_asked_for_transactions(&mut self, connection: ConnectionId, ids: &[Hash]) {
        let request = self.hears_one(connection, Kind::RequestTransactions);
        let asked = Hashes::decode(&request.body, wire::TRANSACTION_IDS_MAX).expect("hashes");
        assert_eq!(asked.iter().collect::<Vec<_>>(), ids);
        assert_eq!((request.request_id, request.response_id), (0, 0));
    }

    /// The peer was told of these transactions, and of nothing else.
    pub(crate) fn hears_of_transactions(&mut self, connection: ConnectionId, ids: &[Hash]) {
        let inv = self.hears_one(connection, Kind::InvTransactions);
        let told = Hashes::decode(&inv.body, wire::TRANSACTION_IDS_MAX).expect("hashes");
        assert_eq!(told.iter().collect::<Vec<_>>(), ids);
    }

    /// The connection ended with this Reject, as the last word.
    pub(crate) fn is_rejected(&mut self, connection: ConnectionId, text: &str) {
        let heard = self.hears(connection);
        let last = heard.last().unwrap_or_else(|| panic!("heard nothing instead of {text}"));
        assert_eq!(last.kind, Kind::Reject, "{heard:?} instead of {text}");
        assert_eq!(Reject::decode(&last.body).expect("a Reject").reason, text);
        assert!(!self.is_open(connection));
        assert_eq!(self.closed.get(&connection), Some(&Close::Lingering));
    }

    /// The connection ended without a word.
    pub(crate) fn is_cut(&mut self, connection: ConnectionId) {
        let heard = self.hears(connection);
        assert!(heard.iter().all(|envelope| envelope.kind != Kind::Reject), "{heard:?}");
        assert!(!self.is_open(connection), "still open: {heard:?}");
        assert_eq!(self.closed.get(&connection), Some(&Close::Now));
    }

    /// The peer is there and served.
    pub(crate) fn is_well(&mut self, connection: ConnectionId) {
        assert!(self.is_open(connection), "{:?}", self.hears(connection));
        self.hears(connection);
        self.says(connection, Kind::Ping, &Nonce(77).encode());
        assert!(self.hears_kinds(connection).contains(&Kind::Pong));
    }
}

/// Marks.
impl Stage {
    /// What is remembered about an IP address, newest first.
    pub(crate) fn reasons(&self, of: &str) -> Vec<Reason> {
        self.engine.state().reasons.about(address(of).ip()).map(|record| record.reason.clone()).collect()
    }

    /// How firmly an IP address is refused.
    pub(crate) fn severity(&self, of: &str) -> Option<Severity> {
        self.engine.state().bans.get(self.now, address(of).ip()).map(|ban| ban.severity)
    }

    /// How many slips a peer has.
    pub(crate) fn slips(&self, connection: ConnectionId) -> usize {
        self.engine.state().peers[&connection].slips.len()
    }

    /// What people were told.
    pub(crate) fn notes(&self) -> Vec<&str> {
        fn text(event: &Event) -> Option<&str> {
            if let Event::Note(text) = event { Some(text) } else { None }
        }
        self.events.iter().filter_map(text).collect()
    }

    /// How much there is of a stock.
    pub(crate) fn stock(&self, name: &str) -> usize {
        self.engine.stock().iter().find(|stock| stock.name == name).unwrap_or_else(|| panic!("{name}")).count
    }
}
