//! One mesh, and peers that a test plays.

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use polypeer_engine::{ConnectionId, Direction, Frame, Now, Time};
use polypeer_mina::keys::PeerId;
use polypeer_mina::mesh::frame::{self, Message, Rpc};
use polypeer_mina::mesh::{
    About, CONSENSUS, Class, Fault, Mesh, MessageId, Output, Settings, TopicId, Verdict, Version,
};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// The topic of most tests: the first of the default settings.
pub(crate) const TOPIC: TopicId = TopicId(0);
/// When tests begin: late enough that everything can be older.
const START: Duration = Duration::from_secs(1_000);

/// The key of a node; node 0 is the one on stage.
pub(crate) fn key(number: u64) -> SigningKey {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    SigningKey::from_bytes(&seed)
}

pub(crate) fn name(number: u64) -> PeerId {
    PeerId::of_key(key(number).verifying_key().to_bytes())
}

/// The signature of what a node signs.
pub(crate) fn sign(number: u64, bytes: &[u8]) -> [u8; 64] {
    key(number).sign(bytes).to_bytes()
}

/// A signed message in a frame of its own.
pub(crate) fn signed(author: u64, seqno: u64, topic: &str, data: &[u8]) -> Bytes {
    let (from, seqno) = (name(author).to_bytes(), seqno.to_be_bytes());
    let unsigned = Message {
        from: Some(&from),
        data: Some(data),
        seqno: Some(&seqno),
        topic: Some(topic.as_bytes()),
        ..Message::default()
    };
    let signature = sign(author, &frame::signed_bytes(&unsigned));
    frame::message(&Message { signature: Some(&signature), ..unsigned }).0
}

/// Several messages or controls in one frame: what is behind their lengths, one behind the other.
pub(crate) fn joined(frames: &[Bytes]) -> Bytes {
    let bodies: Vec<u8> = frames.iter().flat_map(|frame| body(frame).to_vec()).collect();
    framed(&bodies)
}

/// What is behind a frame's length.
pub(crate) fn body(frame: &[u8]) -> &[u8] {
    let head = frame.iter().position(|byte| *byte < 0x80).expect("the length ends") + 1;
    &frame[head..]
}

/// Bytes behind their length.
pub(crate) fn framed(body: &[u8]) -> Bytes {
    let mut frame = Vec::new();
    prost::encoding::encode_varint(body.len() as u64, &mut frame);
    frame.extend_from_slice(body);
    frame.into()
}

/// What a frame to a peer says, for comparing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Subscribe(String, bool),
    Message(Vec<u8>),
    IHave(Vec<MessageId>),
    IWant(Vec<MessageId>),
    Graft(String),
    Prune(String, Option<u64>, usize),
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ids<'a>(ids: impl Iterator<Item = &'a [u8]>) -> Vec<MessageId> {
    ids.map(|id| MessageId(id.try_into().expect("32 bytes"))).collect()
}

/// Everything in a frame.
pub(crate) fn read(frame: &[u8]) -> Vec<Said> {
    let rpc = Rpc::decode(frame).expect("our own frame");
    let mut said: Vec<Said> = rpc.subscriptions().map(|one| Said::Subscribe(text(one.topic), one.begins)).collect();
    said.extend(rpc.messages().map(|message| Said::Message(message.data.unwrap_or_default().to_vec())));
    said.extend(rpc.ihaves().map(|ihave| Said::IHave(ids(ihave.ids()))));
    let wanted = ids(rpc.iwants());
    said.extend((!wanted.is_empty()).then_some(Said::IWant(wanted)));
    said.extend(rpc.grafts().map(|topic| Said::Graft(text(topic))));
    said.extend(rpc.prunes().map(|prune| Said::Prune(text(prune.topic()), prune.back_off(), prune.offers().count())));
    said
}

/// A peer's connection: even ones we dialled.
pub(crate) fn connection(number: u64) -> ConnectionId {
    ConnectionId::from_u64(number)
}

/// A mesh on stage. Its time goes on when a test says so.
pub(crate) struct Stage {
    pub(crate) mesh: Mesh,
    pub(crate) now: Time,
    pub(crate) out: Vec<Output>,
}

impl Stage {
    /// One that follows the topic of all consensus traffic.
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let mut stage = Self::idle(settings);
        stage.mesh.subscribe(stage.now, TOPIC, &mut stage.out);
        stage
    }

    /// One that follows nothing.
    pub(crate) fn idle(settings: Settings) -> Self {
        let now = Time::ZERO + START;
        Self { mesh: Mesh::new(settings, name(0), [3; 32]), now, out: Vec::new() }
    }

    /// A peer comes that follows the topic. Its number is its connection and its key.
    pub(crate) fn join(&mut self, number: u64) -> ConnectionId {
        let peer = self.connect(number);
        self.mesh.opened(self.now, peer, Version::V1_1, &mut self.out);
        self.say(peer, &frame::subscriptions([(CONSENSUS, true)].into_iter()));
        peer
    }

    pub(crate) fn connect(&mut self, number: u64) -> ConnectionId {
        let peer = connection(number);
        let direction = if number.is_multiple_of(2) { Direction::Outbound } else { Direction::Inbound };
        let ip = Some(IpAddr::V4(Ipv4Addr::new(10, 0, (number >> 8) as u8, number as u8)));
        self.mesh.connected(self.now, peer, About { id: name(number), direction, ip });
        peer
    }

    /// So many peers come, and two heartbeats pass: the mesh is full.
    pub(crate) fn crowd(&mut self, count: u64) {
        for number in 1..=count {
            self.join(number);
        }
        self.beats(2);
        self.out.clear();
    }

    /// A peer sends a frame.
    pub(crate) fn say(&mut self, peer: ConnectionId, frame: &Bytes) {
        self.mesh.receive(self.now, peer, Frame::from(frame), &mut self.out);
        assert!(self.mesh.is_sound());
    }

    /// Time passes, and it is woken as it wants to be.
    pub(crate) fn pass(&mut self, wait: Duration) {
        let until = self.now + wait;
        while let Some(at) = self.mesh.next_wake().filter(|at| *at <= until) {
            self.now = at;
            self.mesh.wake(self.now, &mut self.out);
            assert!(self.mesh.is_sound());
            assert!(self.mesh.next_wake().is_none_or(|next| next > at), "it would never sleep again");
        }
        self.now = until;
    }

    pub(crate) fn beats(&mut self, count: u32) {
        self.pass(Duration::from_secs(1) * count);
    }

    /// What came out since it was last asked for.
    pub(crate) fn outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.out)
    }

    /// What was sent to a peer, and is not asked for again.
    pub(crate) fn heard(&mut self, peer: ConnectionId) -> Vec<Said> {
        let mut heard = Vec::new();
        self.out.retain(|output| match output {
            Output::Send { peer: to, frame, .. } if *to == peer => {
                heard.extend(read(frame));
                false
            }
            _ => true,
        });
        heard
    }

    /// Who was sent a message with this data, in order.
    pub(crate) fn sent(&self, data: &[u8]) -> Vec<ConnectionId> {
        let to = |output: &Output| match output {
            Output::Send { peer, frame, class: Class::Message } => {
                read(frame).contains(&Said::Message(data.to_vec())).then_some(*peer)
            }
            _ => None,
        };
        self.out.iter().filter_map(to).collect()
    }

    pub(crate) fn delivered(&self) -> Vec<MessageId> {
        let id = |output: &Output| if let Output::Deliver { id, .. } = output { Some(*id) } else { None };
        self.out.iter().filter_map(id).collect()
    }

    pub(crate) fn faults(&self) -> Vec<(ConnectionId, Fault)> {
        let fault = |output: &Output| {
            if let Output::Penalty { peer, fault } = output { Some((*peer, *fault)) } else { None }
        };
        self.out.iter().filter_map(fault).collect()
    }

    /// Everything that is being judged is judged so.
    pub(crate) fn judge(&mut self, verdict: Verdict) {
        for id in self.delivered() {
            self.mesh.judged(self.now, id, verdict, &mut self.out);
            assert!(self.mesh.is_sound());
        }
    }

    /// A peer brings a message of its own, and it is accepted. What came out is forgotten.
    pub(crate) fn spread(&mut self, from: u64, data: &[u8]) -> MessageId {
        self.out.clear();
        self.say(connection(from), &signed(from, 1, CONSENSUS, data));
        let id = self.delivered()[0];
        self.judge(Verdict::Accept);
        self.out.clear();
        id
    }

    pub(crate) fn publish(&mut self, topic: TopicId, data: &[u8]) {
        let now = Now { monotonic: self.now, unix_ms: 1_700_000_000_000 };
        let data = Bytes::copy_from_slice(data);
        let ticket = self.mesh.publish(now, topic, data, &mut self.out).expect("it is new");
        let signature = self.out.iter().find_map(|output| match output {
            Output::Sign { ticket: of, bytes } if *of == ticket => Some(sign(0, bytes)),
            _ => None,
        });
        self.mesh.signed(self.now, ticket, Some(&signature.expect("it asks")), &mut self.out);
    }

    pub(crate) fn members(&self) -> Vec<u64> {
        self.mesh.members(TOPIC).iter().map(|peer| peer.as_u64()).collect()
    }
}

/// Parts of what all settings are by default.
pub(crate) fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    change(&mut settings);
    settings
}
