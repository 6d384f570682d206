//! Breaks Hello: its framer, its lines, the engines of its node and of its tracker.

use crate::ledger;
use crate::pieces::{cut, head};
use crate::session::{self, Spoken};
use arbitrary::{Result, Unstructured};
use polypeer_engine::kit::chain::{Answer, Request};
use polypeer_engine::{Address, Framed};
use polypeer_hello::tracker::{self, Nothing, Tracker};
use polypeer_hello::wire::{self, GetList, Hello, Lines, List, Message, OPEN, Question};
use polypeer_hello::{Config, Hello as Node};
use polypeer_ledger_reference::Format;
use std::net::IpAddr;

/// Any split of a stream gives the same lines, each with its one end.
pub fn framer(input: &[u8]) {
    let (flags, opened, sizes, stream) = head(input);
    let lines = Lines::new(usize::from(flags) * 16 + 1);
    let whole = cut(lines.clone(), stream, &[], opened, OPEN);
    assert_eq!(whole, cut(lines, stream, sizes, opened, OPEN));
    for given in &whole.given {
        if let Framed::Frame(line) = given {
            assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
        }
    }
}

/// The framer once, for what it takes in memory.
pub fn framer_once(input: &[u8]) {
    let (_, opened, sizes, stream) = head(input);
    drop(cut(Lines::new(4096), stream, sizes, opened, OPEN));
}

/// Nothing decodes that another JSON parser refuses, and what decodes survives a round trip.
pub fn messages(bytes: &[u8]) {
    let line = [bytes, b"\n"].concat();
    let Ok(message) = wire::decode(&line) else { return };
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
    let same = wire::decode(&again).expect("what we encode decodes");
    match (&message, &same) {
        (Message::GetAddr(one), Message::GetAddr(two)) => assert_eq!(one.unwrap_or(0), two.unwrap_or(0)),
        (Message::Hello(one), Message::Hello(two)) => assert_eq!(one.block_count, two.block_count),
        _ => assert_eq!(message, same),
    }
}

/// The decoder once, for what it takes in memory.
pub fn decode(bytes: &[u8]) {
    drop(wire::decode(bytes));
}

/// An engine among arbitrary peers, clocks and ledgers: it never breaks the border's rules.
pub fn session(input: &[u8]) {
    session::run::<Node<Format>>(input, &Config::new(ledger::block(0).0));
}

/// A tracker among arbitrary members and clocks.
pub fn tracker_session(input: &[u8]) {
    session::run::<Tracker>(input, &tracker::Config::default());
}

impl Spoken for Node<Format> {
    fn speak(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        speak(u)
    }

    fn answer(request: &Request, u: &mut Unstructured<'_>) -> Result<Option<Answer>> {
        ledger::answer(request, u)
    }

    fn unasked(u: &mut Unstructured<'_>) -> Result<Option<Answer>> {
        ledger::unasked(u).map(Some)
    }
}

impl Spoken for Tracker {
    fn speak(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        speak(u)
    }

    fn answer(request: &Nothing, _: &mut Unstructured<'_>) -> Result<Option<Nothing>> {
        match *request {}
    }

    fn unasked(_: &mut Unstructured<'_>) -> Result<Option<Nothing>> {
        Ok(None)
    }
}

fn speak(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let height = usize::from(u.arbitrary::<u8>()?) % ledger::CHAIN_BLOCKS;
    let (hash, block) = ledger::block(height);
    let line = match u.int_in_range(0..=17u8)? {
        0..=2 => wire::hello(&Hello {
            block_count: height as u64,
            time: 1_767_225_700,
            port: u.arbitrary()?,
            genesis: u.arbitrary::<bool>()?.then_some(ledger::block(0).0),
            agent: None,
            nonce: Some(u.int_in_range(0..=3)?),
        }),
        3..=5 => wire::hey(height as u64),
        6 => wire::getaddr(u.arbitrary()?),
        7 => wire::broadcast_block(height as u64, hash),
        8 => wire::getblock(&question(u, height)?),
        9 => wire::getlist(&GetList { from: u.arbitrary()?, latest: height as u64, transactions: vec![*hash] }),
        10 | 11 => {
            let from = usize::from(u.arbitrary::<u8>()?) % ledger::CHAIN_BLOCKS;
            let end = from.max(height);
            let hashes = (from + 1..=end).map(|height| ledger::block(height).0).collect();
            wire::list(&List { from: from as u64, latest: end as u64, parent: ledger::block(from).0, hashes })
        }
        12 => wire::block(height as u64, block),
        13 => wire::push_transaction(&[[u.arbitrary::<u8>()?; 153]]),
        14 => wire::broadcast_transaction(hash),
        15 => wire::notfound(&question(u, height)?),
        16 => {
            let named = |last| Address::new(IpAddr::from([10, 0, 2, last]), 7000);
            wire::addr(&(0..u.arbitrary::<u8>()?).map(named).collect::<Vec<_>>())
        }
        _ => return Ok(b"{\"FOO\":1}\n".repeat(usize::from(u.arbitrary::<u8>()?))),
    };
    Ok(line.to_vec())
}

fn question(u: &mut Unstructured<'_>, height: usize) -> Result<Question> {
    let hash = ledger::block(height).0;
    Ok(*u.choose(&[Question::Number(height as u64), Question::Hash(hash), Question::Transaction(hash)])?)
}

/// Real lines: what the framer and the decoder are begun with.
pub fn lines() -> Vec<(&'static str, Vec<u8>)> {
    let (hash, block) = ledger::block(9);
    let place = |last| Address::new(IpAddr::from([10, 0, 0, last]), 7000);
    let greeting = Hello {
        block_count: 9,
        time: 1_767_225_700,
        port: 7000,
        genesis: Some(ledger::block(0).0),
        agent: None,
        nonce: Some(3),
    };
    let list = List { from: 8, latest: 9, parent: ledger::block(8).0, hashes: vec![*hash] };
    let said = [
        ("hello", wire::hello(&greeting)),
        ("hey", wire::hey(9)),
        ("getaddr", wire::getaddr(7000)),
        ("addr", wire::addr(&[place(1), place(2)])),
        ("broadcast_block", wire::broadcast_block(9, hash)),
        ("getblock", wire::getblock(&Question::Number(9))),
        ("notfound", wire::notfound(&Question::Hash(*hash))),
        ("getlist", wire::getlist(&GetList { from: 1, latest: 9, transactions: vec![*hash] })),
        ("list", wire::list(&list)),
        ("block", wire::block(9, block)),
        ("push_transaction", wire::push_transaction(&[[7; 153]])),
        ("broadcast_transaction", wire::broadcast_transaction(hash)),
    ];
    said.into_iter().map(|(name, line)| (name, line.to_vec())).collect()
}
