//! Gossips by hand: frames of meshsub, messages signed as the spec has it (Mina spec, sections 3.3 to 3.5).

use super::PATIENCE;
use super::peer::{MESH, Peer, Stream};
use super::protobuf::{all, bytes, fields, framed, number, one, read_varint};
use anyhow::{Context, Result, bail};
use libp2p::identity::Keypair;
use std::time::{Duration, Instant};

/// The topic of all consensus traffic.
pub(crate) const TOPIC: &str = "coda/consensus-messages/0.0.1";

/// What a frame says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) subscribed: Vec<String>,
    pub(crate) data: Vec<Vec<u8>>,
    pub(crate) ihave: Vec<Vec<u8>>,
    pub(crate) iwant: Vec<Vec<u8>>,
    pub(crate) grafts: usize,
    /// The back-offs, in seconds.
    pub(crate) prunes: Vec<u64>,
}

impl Frame {
    fn read(message: &[u8]) -> Result<Self> {
        let mut frame = Self::default();
        let all_of = fields(message)?;
        for subscription in all(&all_of, 1) {
            let parts = fields(subscription.bytes())?;
            if one(&parts, 1).is_some_and(|value| value.number() == 1) {
                frame.subscribed.extend(one(&parts, 2).map(super::protobuf::Value::text));
            }
        }
        for published in all(&all_of, 2) {
            let parts = fields(published.bytes())?;
            frame.data.push(one(&parts, 2).map(|value| value.bytes().to_vec()).unwrap_or_default());
        }
        for control in all(&all_of, 3) {
            frame.read_control(control.bytes())?;
        }
        Ok(frame)
    }

    fn read_control(&mut self, control: &[u8]) -> Result<()> {
        let parts = fields(control)?;
        for ihave in all(&parts, 1) {
            self.ihave.extend(all(&fields(ihave.bytes())?, 2).map(|id| id.bytes().to_vec()));
        }
        for iwant in all(&parts, 2) {
            self.iwant.extend(all(&fields(iwant.bytes())?, 1).map(|id| id.bytes().to_vec()));
        }
        self.grafts += all(&parts, 3).count();
        for prune in all(&parts, 4) {
            self.prunes.push(one(&fields(prune.bytes())?, 3).map_or(0, super::protobuf::Value::number));
        }
        Ok(())
    }
}

/// A message that is complete but for its parts that are left out.
#[derive(Clone)]
pub(crate) struct Signed {
    fields: [Option<Vec<u8>>; 6],
}

impl Signed {
    /// A message of this author.
    pub(crate) fn new(author: &Keypair, seqno: u64, data: &[u8]) -> Result<Self> {
        let from = author.public().to_peer_id().to_bytes();
        let fields = [
            Some(from),
            Some(data.to_vec()),
            Some(seqno.to_be_bytes().to_vec()),
            Some(TOPIC.as_bytes().to_vec()),
            None,
            None,
        ];
        let mut message = Self { fields };
        message.sign(author)?;
        Ok(message)
    }

    /// Signs what is there.
    pub(crate) fn sign(&mut self, author: &Keypair) -> Result<()> {
        self.fields[4] = None;
        let key = self.fields[5].take();
        let signature = author.sign(&[&b"libp2p-pubsub:"[..], &self.encode()].concat())?;
        (self.fields[4], self.fields[5]) = (Some(signature), key);
        Ok(())
    }

    /// With the author's key beside it, as js has it.
    pub(crate) fn with_key(mut self, author: &Keypair) -> Self {
        self.fields[5] = Some(author.public().encode_protobuf());
        self
    }

    /// With another signature than the right one.
    pub(crate) fn forged(mut self) -> Self {
        if let Some(byte) = self.fields[4].as_mut().and_then(|signature| signature.first_mut()) {
            *byte ^= 1;
        }
        self
    }

    /// Without a number, and signed so.
    pub(crate) fn without_seqno(mut self, author: &Keypair) -> Result<Self> {
        self.fields[2] = None;
        self.sign(author)?;
        Ok(self)
    }

    fn encode(&self) -> Vec<u8> {
        let present = (1..).zip(&self.fields).filter_map(|(field, value)| Some(bytes(field, value.as_ref()?)));
        present.flatten().collect()
    }
}

/// What a message is known by: a hash of what it says, keyed with where it is said.
pub(crate) fn id(data: &[u8]) -> Vec<u8> {
    blake2b_simd::Params::new().hash_length(32).key(TOPIC.as_bytes()).hash(data).as_bytes().to_vec()
}

/// Both streams.
pub(crate) struct Gossip {
    ours: Stream,
    theirs: Stream,
    number: std::cell::Cell<u64>,
    keypair: Keypair,
}

impl Gossip {
    /// Opens ours, and waits for the node's.
    pub(crate) fn open(peer: &Peer, keypair: Keypair) -> Result<Self> {
        let ours = peer.open(MESH)?;
        Ok(Self { ours, theirs: peer.opened(MESH)?, number: std::cell::Cell::new(1), keypair })
    }

    /// The same, subscribed and within the node's mesh.
    pub(crate) fn join(peer: &Peer, keypair: Keypair) -> Result<Self> {
        let gossip = Self::open(peer, keypair)?;
        gossip.subscribe()?;
        gossip.graft()?;
        Ok(gossip)
    }

    /// Says a frame.
    pub(crate) fn say(&self, message: &[u8]) -> Result<()> {
        self.ours.say(&framed(message))
    }

    pub(crate) fn subscribe(&self) -> Result<()> {
        self.say(&bytes(1, &[number(1, 1), bytes(2, TOPIC.as_bytes())].concat()))
    }

    pub(crate) fn graft(&self) -> Result<()> {
        self.say(&bytes(3, &bytes(3, &bytes(1, TOPIC.as_bytes()))))
    }

    pub(crate) fn prune(&self, back_off: u64) -> Result<()> {
        let topic = bytes(1, TOPIC.as_bytes());
        self.say(&bytes(3, &bytes(4, &[topic, number(3, back_off)].concat())))
    }

    pub(crate) fn ihave(&self, ids: &[Vec<u8>]) -> Result<()> {
        let ids: Vec<u8> = ids.iter().flat_map(|id| bytes(2, id)).collect();
        self.say(&bytes(3, &bytes(1, &[bytes(1, TOPIC.as_bytes()), ids].concat())))
    }

    pub(crate) fn iwant(&self, ids: &[Vec<u8>]) -> Result<()> {
        let ids: Vec<u8> = ids.iter().flat_map(|id| bytes(1, id)).collect();
        self.say(&bytes(3, &bytes(2, &ids)))
    }

    /// Publishes a message of our own.
    pub(crate) fn publish(&self, data: &[u8]) -> Result<()> {
        self.number.set(self.number.get() + 1);
        self.send(&Signed::new(&self.keypair, self.number.get(), data)?)
    }

    /// Sends a message, whoever made it.
    pub(crate) fn send(&self, message: &Signed) -> Result<()> {
        self.say(&bytes(2, &message.encode()))
    }

    /// Whoever has our key.
    pub(crate) fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    /// Says a length that a frame has, and nothing of the frame.
    pub(crate) fn begin(&self, length: u64) -> Result<()> {
        self.ours.say(&super::protobuf::varint(length))
    }

    /// Our stream.
    pub(crate) fn ours(&self) -> &Stream {
        &self.ours
    }

    /// The next frame of the node's.
    pub(crate) fn next(&self, limit: Duration) -> Result<Frame> {
        let frame = self.theirs.take(limit, |heard| {
            let (length, rest) = read_varint(heard)?;
            Some(heard.len() - rest.len() + usize::try_from(length).ok()?)
        })?;
        let (_, message) = read_varint(&frame).context("a frame has a length")?;
        Frame::read(message)
    }

    /// Hears frames until one has what is looked for.
    pub(crate) fn until<T>(&self, mut look: impl FnMut(&Frame) -> Option<T>) -> Result<T> {
        let until = Instant::now() + PATIENCE;
        loop {
            let Some(left) = until.checked_duration_since(Instant::now()) else { bail!("it is not said in time") };
            if let Some(found) = look(&self.next(left)?) {
                return Ok(found);
            }
        }
    }

    /// Hears messages until this one comes. All that came, this one last.
    pub(crate) fn hear_until(&self, last: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut heard = Vec::new();
        self.until(|frame| {
            heard.extend_from_slice(&frame.data);
            frame.data.iter().any(|data| data == last).then_some(())
        })?;
        Ok(heard)
    }
}
