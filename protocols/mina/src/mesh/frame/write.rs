//! Writes frames: each once, whoever gets it.

use super::read::{Message, field_length};
use super::{
    CONTROL, CONTROL_TOPIC, DATA, GRAFT, IHAVE, IHAVE_IDS, IWANT, IWANT_IDS, KEY, MESSAGES, PEER_ID, PRUNE,
    PRUNE_BACK_OFF, PRUNE_PEERS, SIGNATURE, SIGNED_PREFIX, SUBSCRIBE, SUBSCRIBED_TOPIC, SUBSCRIPTIONS,
};
use crate::keys::PeerId;
use crate::mesh::MessageId;
use alloc::vec::Vec;
use bytes::Bytes;
use core::ops::Range;
use polypeer_engine::kit::protobuf::{Writer, varint_length};

/// Topics that begin or end.
pub fn subscriptions<'a>(topics: impl Iterator<Item = (&'a str, bool)>) -> Bytes {
    frame(|rpc| {
        for (topic, begins) in topics {
            rpc.nested(SUBSCRIPTIONS, |subscription| {
                subscription.present(SUBSCRIBE, begins);
                subscription.message(SUBSCRIBED_TOPIC, topic.as_bytes());
            });
        }
    })
}

/// The receiver is in our mesh.
pub fn graft(topic: &str) -> Bytes {
    control(GRAFT, |graft| graft.message(CONTROL_TOPIC, topic.as_bytes()))
}

/// The receiver is not in our mesh, for as many seconds, and may try these peers. Without seconds it is the form of
/// version 1.0.
pub fn prune(topic: &str, back_off: Option<u64>, peers: &[PeerId]) -> Bytes {
    control(PRUNE, |prune| {
        prune.message(CONTROL_TOPIC, topic.as_bytes());
        for peer in peers {
            prune.nested(PRUNE_PEERS, |offer| offer.message(PEER_ID, &peer.to_bytes()));
        }
        if let Some(seconds) = back_off {
            prune.present(PRUNE_BACK_OFF, seconds);
        }
    })
}

/// These messages can be asked for.
pub fn ihave(topic: &str, ids: &[MessageId]) -> Bytes {
    control(IHAVE, |ihave| {
        ihave.message(CONTROL_TOPIC, topic.as_bytes());
        ids.iter().for_each(|id| ihave.message(IHAVE_IDS, &id.0));
    })
}

/// These messages are asked for.
pub fn iwant(ids: &[MessageId]) -> Bytes {
    control(IWANT, |iwant| ids.iter().for_each(|id| iwant.message(IWANT_IDS, &id.0)))
}

/// One message, and where its data lies in the frame.
pub fn message(message: &Message<'_>) -> (Bytes, Range<usize>) {
    let length = message.encoded_length();
    let inside = 1 + varint_length(length as u64) + length;
    let mut frame = Writer::with_capacity(varint_length(inside as u64) + inside);
    frame.varint(inside as u64);
    frame.varint(u64::from(MESSAGES) << 3 | 2);
    frame.varint(length as u64);
    put(&mut frame, message, KEY);
    let frame = frame.finish();
    let data = data_in(frame.len(), message);
    (frame.into(), data)
}

/// Where the data lies in a frame of this length that is this one message in its canonical form, and nothing else.
pub fn data_in(length: usize, message: &Message<'_>) -> Range<usize> {
    let behind = message.fields().iter().skip(DATA as usize).filter_map(|(_, field)| *field).map(field_length).sum();
    let end = length.saturating_sub(behind);
    end.saturating_sub(message.data.map_or(0, <[u8]>::len))..end
}

/// What its author signs: the fields before the signature, written anew (section 3.5).
pub fn signed_bytes(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Writer::with_capacity(SIGNED_PREFIX.len() + message.encoded_length());
    bytes.raw(SIGNED_PREFIX);
    put(&mut bytes, message, SIGNATURE - 1);
    bytes.finish()
}

fn put(writer: &mut Writer, message: &Message<'_>, last: u32) {
    for (number, field) in message.fields() {
        if let Some(field) = field.filter(|_| number <= last) {
            writer.message(number, field);
        }
    }
}

fn control(number: u32, write: impl FnOnce(&mut Writer)) -> Bytes {
    frame(|rpc| rpc.nested(CONTROL, |control| control.nested(number, write)))
}

fn frame(write: impl FnOnce(&mut Writer)) -> Bytes {
    let mut rpc = Writer::default();
    write(&mut rpc);
    let rpc = rpc.finish();
    let mut frame = Writer::with_capacity(varint_length(rpc.len() as u64) + rpc.len());
    frame.varint(rpc.len() as u64);
    frame.raw(&rpc);
    frame.finish().into()
}
