//! Hello's messages: nothing decodes that another JSON parser refuses, and what decodes survives a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polypeer_hello::wire::{self, Message, decode};

fuzz_target!(|bytes: &[u8]| {
    let line = [bytes, b"\n"].concat();
    let Ok(message) = decode(&line) else { return };
    let value: serde_json::Value = serde_json::from_slice(bytes).expect("what decodes is JSON");
    let entries = value.as_object().expect("what decodes is an object");
    assert_eq!(entries.len(), 1);
    assert!(entries.contains_key(message.method()), "the method is the key");
    let again = match &message {
        Message::Hello(hello) => wire::hello(hello),
        Message::Hey { block_count } => wire::hey(*block_count),
        Message::GetAddr(port) => wire::getaddr(port.unwrap_or(0)),
        Message::Addr(addresses) => wire::addr(addresses),
        Message::BroadcastBlock { number, hash: Some(hash) } => wire::broadcast_block(*number, hash),
        Message::BroadcastBlock { hash: None, .. } | Message::Reject => return,
        Message::GetBlock(question) => wire::getblock(question),
        Message::NotFound(question) => wire::notfound(question),
        Message::GetList(ask) => wire::getlist(ask),
        Message::List(list) => wire::list(list),
        Message::Block { number, data } => wire::block(*number, data),
        Message::PushTransaction(pack) => wire::push_transaction(pack),
        Message::BroadcastTransaction(id) => wire::broadcast_transaction(id),
    };
    let same = decode(&again).expect("what we encode decodes");
    match (&message, &same) {
        (Message::GetAddr(one), Message::GetAddr(two)) => assert_eq!(one.unwrap_or(0), two.unwrap_or(0)),
        (Message::Hello(one), Message::Hello(two)) => assert_eq!(one.block_count, two.block_count),
        _ => assert_eq!(message, same),
    }
});
