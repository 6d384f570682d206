//! Reads frames: one pass that checks and counts, and then as many walks as are wanted.

use super::{
    CONTROL, CONTROL_TOPIC, DATA, FROM, GRAFT, IHAVE, IHAVE_IDS, IWANT, IWANT_IDS, KEY, MESSAGES, PEER_ID, PEER_RECORD,
    PRUNE, PRUNE_BACK_OFF, PRUNE_PEERS, SEQNO, SIGNATURE, SUBSCRIBE, SUBSCRIBED_TOPIC, SUBSCRIPTIONS, TOPIC,
};
use crate::mesh::limits::{CONTROLS_MAX, IDS_MAX, MESSAGES_MAX, PRUNED_PEERS_MAX, SUBSCRIPTIONS_MAX, UNKNOWN_MAX};
use polypeer_engine::kit::protobuf::{Fields, ProtobufError, Value, varint, varint_length};

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Its length is not that of what follows.
    Length,
    /// It is not protobuf, or a field has another form than its own.
    Protobuf(ProtobufError),
    /// More of something than any node puts into one frame.
    TooMany,
}

impl From<ProtobufError> for Wrong {
    fn from(wrong: ProtobufError) -> Self {
        Self::Protobuf(wrong)
    }
}

/// How much of everything a frame has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Subscriptions.
    pub subscriptions: usize,
    /// Messages.
    pub messages: usize,
    /// IHAVE, IWANT, GRAFT and PRUNE.
    pub controls: usize,
    /// Identifiers in IHAVE and IWANT.
    pub ids: usize,
    /// Fields that are not known.
    pub unknown: usize,
    // Of peers in prunes, which are looked at by their first few.
    offers: usize,
}

/// One frame, checked and borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Rpc<'a> {
    body: &'a [u8],
    counted: Counted,
    is_shortest: bool,
}

impl<'a> Rpc<'a> {
    /// The RPC of a whole frame, its length included.
    pub fn decode(frame: &'a [u8]) -> Result<Self, Wrong> {
        let (length, head) = varint(frame)?;
        let body = frame.get(head..).unwrap_or_default();
        if length != body.len() as u64 {
            return Err(Wrong::Length);
        }
        let mut counted = Counted::default();
        let mut fields = Fields::of(body);
        let mut inner = 0;
        while let Some((number, value)) = fields.next()? {
            match number {
                SUBSCRIPTIONS => counted.subscription(value.bytes()?)?,
                MESSAGES => {
                    let message = value.bytes()?;
                    counted.message(message)?;
                    inner = 1 + varint_length(message.len() as u64) + message.len();
                }
                CONTROL => counted.control(value.bytes()?)?,
                _ => counted.unknown()?,
            }
        }
        let is_shortest = head == varint_length(length) && inner == body.len();
        Ok(Self { body, counted, is_shortest })
    }

    /// How much is in it.
    pub fn counted(&self) -> Counted {
        self.counted
    }

    /// Whether it is one message and nothing else, in the shortest encoding around it: if the message is canonical, the
    /// frame is byte for byte the one that we would send on.
    pub fn is_one_message(&self) -> bool {
        self.is_shortest && self.counted == Counted { messages: 1, ..Counted::default() }
    }

    /// Its subscriptions, in order.
    pub fn subscriptions(self) -> impl Iterator<Item = Subscription<'a>> {
        let body = if self.counted.subscriptions > 0 { self.body } else { &[] };
        each(body, SUBSCRIPTIONS).map(Subscription::of)
    }

    /// Its messages, in order.
    pub fn messages(self) -> impl Iterator<Item = Message<'a>> {
        let body = if self.counted.messages > 0 { self.body } else { &[] };
        each(body, MESSAGES).map(Message::of)
    }

    /// Its IHAVEs, in order.
    pub fn ihaves(self) -> impl Iterator<Item = IHave<'a>> {
        self.controls(IHAVE).map(|ihave| IHave { ihave })
    }

    /// The identifiers of all its IWANTs, in order.
    pub fn iwants(self) -> impl Iterator<Item = &'a [u8]> {
        self.controls(IWANT).flat_map(|iwant| each(iwant, IWANT_IDS))
    }

    /// The topics of its GRAFTs, in order.
    pub fn grafts(self) -> impl Iterator<Item = &'a [u8]> {
        self.controls(GRAFT).map(|graft| last(graft, CONTROL_TOPIC))
    }

    /// Its PRUNEs, in order.
    pub fn prunes(self) -> impl Iterator<Item = Prune<'a>> {
        self.controls(PRUNE).map(|prune| Prune { prune })
    }

    // Several control messages count as one.
    fn controls(self, number: u32) -> impl Iterator<Item = &'a [u8]> {
        let body = if self.counted.controls > 0 { self.body } else { &[] };
        each(body, CONTROL).flat_map(move |control| each(control, number))
    }
}

impl Counted {
    fn add(count: &mut usize, max: usize) -> Result<(), Wrong> {
        *count += 1;
        if *count > max { Err(Wrong::TooMany) } else { Ok(()) }
    }

    fn unknown(&mut self) -> Result<(), Wrong> {
        Self::add(&mut self.unknown, UNKNOWN_MAX)
    }

    fn subscription(&mut self, subscription: &[u8]) -> Result<(), Wrong> {
        Self::add(&mut self.subscriptions, SUBSCRIPTIONS_MAX)?;
        let mut fields = Fields::of(subscription);
        while let Some((number, value)) = fields.next()? {
            match number {
                SUBSCRIBE => drop(value.bool()?),
                SUBSCRIBED_TOPIC => drop(value.bytes()?),
                _ => self.unknown()?,
            }
        }
        Ok(())
    }

    #[inline]
    fn message(&mut self, message: &[u8]) -> Result<(), Wrong> {
        Self::add(&mut self.messages, MESSAGES_MAX)?;
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                FROM..=KEY => drop(value.bytes()?),
                _ => self.unknown()?,
            }
        }
        Ok(())
    }

    fn control(&mut self, control: &[u8]) -> Result<(), Wrong> {
        let mut fields = Fields::of(control);
        while let Some((number, value)) = fields.next()? {
            if !(IHAVE..=PRUNE).contains(&number) {
                self.unknown()?;
                continue;
            }
            Self::add(&mut self.controls, CONTROLS_MAX)?;
            self.inside(number, value.bytes()?)?;
        }
        Ok(())
    }

    fn inside(&mut self, control: u32, message: &[u8]) -> Result<(), Wrong> {
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match (control, number) {
                (IHAVE, IHAVE_IDS) | (IWANT, IWANT_IDS) => {
                    value.bytes()?;
                    Self::add(&mut self.ids, IDS_MAX)?;
                }
                (IHAVE | GRAFT | PRUNE, CONTROL_TOPIC) => drop(value.bytes()?),
                (PRUNE, PRUNE_PEERS) => self.offer(value.bytes()?)?,
                (PRUNE, PRUNE_BACK_OFF) => drop(value.u64()?),
                _ => self.unknown()?,
            }
        }
        Ok(())
    }

    // A prune may offer more than is looked at, but not without end.
    fn offer(&mut self, offer: &[u8]) -> Result<(), Wrong> {
        Self::add(&mut self.offers, CONTROLS_MAX * PRUNED_PEERS_MAX)?;
        let mut fields = Fields::of(offer);
        while let Some((number, value)) = fields.next()? {
            match number {
                PEER_ID | PEER_RECORD => drop(value.bytes()?),
                _ => self.unknown()?,
            }
        }
        Ok(())
    }
}

/// One subscription, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// Whether it begins.
    pub begins: bool,
    /// The topic's name.
    pub topic: &'a [u8],
}

impl<'a> Subscription<'a> {
    fn of(message: &'a [u8]) -> Self {
        let mut subscription = Self { begins: false, topic: &[] };
        for (number, value) in walk(message) {
            match (number, value) {
                (SUBSCRIBE, Value::Varint(begins)) => subscription.begins = begins != 0,
                (SUBSCRIBED_TOPIC, Value::Bytes(topic)) => subscription.topic = topic,
                _ => {}
            }
        }
        subscription
    }
}

/// One message. A field that is there and empty is another thing than one that is not, and signed differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// The author's peer id.
    pub from: Option<&'a [u8]>,
    /// The payload.
    pub data: Option<&'a [u8]>,
    /// The author's number of it.
    pub seqno: Option<&'a [u8]>,
    /// The topic's name.
    pub topic: Option<&'a [u8]>,
    /// The author's signature.
    pub signature: Option<&'a [u8]>,
    /// The author's key.
    pub key: Option<&'a [u8]>,
    /// Whether its bytes are those that we would write: each field once, in order, in the shortest form, and no other.
    pub is_canonical: bool,
}

impl<'a> Message<'a> {
    #[inline]
    fn of(message: &'a [u8]) -> Self {
        let mut read = Self::default();
        let (mut before, mut is_ascending) = (0, true);
        for (number, value) in walk(message) {
            let field = match number {
                FROM => &mut read.from,
                DATA => &mut read.data,
                SEQNO => &mut read.seqno,
                TOPIC => &mut read.topic,
                SIGNATURE => &mut read.signature,
                KEY => &mut read.key,
                _ => {
                    is_ascending = false;
                    continue;
                }
            };
            if let Value::Bytes(bytes) = value {
                *field = Some(bytes);
            }
            is_ascending &= number > before;
            before = number;
        }
        // Each field's key is one byte, so what is longer has a number that is longer than it need be.
        read.is_canonical = is_ascending && read.encoded_length() == message.len();
        read
    }

    /// All fields in the order of their numbers.
    pub(super) fn fields(&self) -> [(u32, Option<&'a [u8]>); 6] {
        [
            (FROM, self.from),
            (DATA, self.data),
            (SEQNO, self.seqno),
            (TOPIC, self.topic),
            (SIGNATURE, self.signature),
            (KEY, self.key),
        ]
    }

    /// Bytes that it takes in its canonical form.
    pub(super) fn encoded_length(&self) -> usize {
        self.fields().iter().filter_map(|(_, field)| *field).map(field_length).sum()
    }
}

/// Bytes that a field takes, its key and length included.
pub(super) fn field_length(field: &[u8]) -> usize {
    1 + varint_length(field.len() as u64) + field.len()
}

/// One IHAVE.
#[derive(Clone, Copy, Debug)]
pub struct IHave<'a> {
    ihave: &'a [u8],
}

impl<'a> IHave<'a> {
    /// The topic's name.
    pub fn topic(self) -> &'a [u8] {
        last(self.ihave, CONTROL_TOPIC)
    }

    /// The identifiers, as they came.
    pub fn ids(self) -> impl Iterator<Item = &'a [u8]> {
        each(self.ihave, IHAVE_IDS)
    }
}

/// One PRUNE.
#[derive(Clone, Copy, Debug)]
pub struct Prune<'a> {
    prune: &'a [u8],
}

impl<'a> Prune<'a> {
    /// The topic's name.
    pub fn topic(self) -> &'a [u8] {
        last(self.prune, CONTROL_TOPIC)
    }

    /// How many seconds we shall keep away, if it says so.
    pub fn back_off(self) -> Option<u64> {
        let seconds = |(number, value)| match (number, value) {
            (PRUNE_BACK_OFF, Value::Varint(seconds)) => Some(seconds),
            _ => None,
        };
        walk(self.prune).filter_map(seconds).last()
    }

    /// Other peers, those that are looked at.
    pub fn offers(self) -> impl Iterator<Item = Offer<'a>> {
        each(self.prune, PRUNE_PEERS)
            .take(PRUNED_PEERS_MAX)
            .map(|offer| Offer { id: last(offer, PEER_ID), record: last(offer, PEER_RECORD) })
    }
}

/// A peer that another offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer<'a> {
    /// Its id.
    pub id: &'a [u8],
    /// Its signed record; empty when there is none.
    pub record: &'a [u8],
}

// The fields of a message that was checked: there is no error left to meet.
fn walk(message: &[u8]) -> impl Iterator<Item = (u32, Value<'_>)> {
    let mut fields = Fields::of(message);
    core::iter::from_fn(move || fields.next().ok().flatten())
}

fn each(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    walk(message).filter_map(move |(at, value)| match value {
        Value::Bytes(bytes) if at == number => Some(bytes),
        _ => None,
    })
}

// The last of a field counts.
fn last(message: &[u8], number: u32) -> &[u8] {
    each(message, number).last().unwrap_or_default()
}
