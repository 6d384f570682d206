//! Reads one line as a message, or says why it is rejected.

use super::{
    ADDRESSES_MAX, AGENT_BYTES_MAX, BLOCK_BYTES_MAX, GetList, HASHES_MAX, Hello, List, Message, Method, PACK_MAX,
    Question, WAITING_MAX, hex,
};
use crate::Misbehavior;
use crate::json::{self, Cursor, Entry, Fault, Text};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use polypeer_engine::Address;
use polypeer_engine::kit::chain::Hash;

const REJECT: &str = "REJECT";
/// Characters of a REJECT's reason.
const REASON_MAX: usize = 128;

/// The message that a line holds.
///
/// # Errors
/// Each way in which a line breaks section 1 or 2; all of them are slips, and none for a REJECT is answered.
pub fn decode(line: &[u8]) -> Result<Message, Misbehavior> {
    let entry = json::check(line).map_err(refused)?;
    let key = entry.key.resolved();
    match payload(&key, &entry) {
        Some(Some(message)) => Ok(message),
        Some(None) if key == REJECT => Err(Misbehavior::MalformedReject),
        Some(None) => Err(Misbehavior::WrongForm(Method::from(&*key))),
        None => Err(Misbehavior::UnknownMethod(Method::from(&*key))),
    }
}

fn refused(fault: Fault<'_>) -> Misbehavior {
    let method = |key: Text<'_>| Method::new(key.chars());
    match fault {
        Fault::NotAnObject => Misbehavior::NotAnObject,
        Fault::Empty | Fault::Crowded => Misbehavior::NotOneEntry,
        // A REJECT is never answered, a malformed one neither.
        Fault::Duplicate(key) | Fault::TooDeep(Some(key)) if key.says(REJECT) => Misbehavior::MalformedReject,
        Fault::Duplicate(key) => Misbehavior::DuplicateKey(method(key)),
        Fault::TooDeep(key) => Misbehavior::TooDeep(key.map_or(Method::NONE, method)),
    }
}

// Nothing for an unknown method, nothing inside for a payload of the wrong form.
fn payload(key: &str, entry: &Entry<'_>) -> Option<Option<Message>> {
    let cursor = &mut Cursor::new(entry);
    Some(match key {
        "HELLO" => hello(cursor).map(Message::Hello),
        "HEY" => hey(cursor),
        "GETADDR" => getaddr(cursor),
        "ADDR" => addr(cursor),
        "BROADCASTBLOCK" => broadcast_block(cursor),
        "GETBLOCK" => question(cursor).map(Message::GetBlock),
        "GETLISTOFBLOCKS" => getlist(cursor).map(Message::GetList),
        "LISTOFBLOCKS" => list(cursor).map(Message::List),
        "BLOCK" => block(cursor),
        "PUSHTRANSACTION" => transactions(cursor).map(Message::PushTransaction),
        "BROADCASTTRANSACTION" => broadcast_transaction(cursor),
        "NOTFOUND" => question(cursor).map(Message::NotFound),
        REJECT => reject(cursor),
        _ => return None,
    })
}

// Reads an object's listed keys, in whatever order; what is not listed is passed over.
fn object<'a>(cursor: &mut Cursor<'a>, mut take: impl FnMut(&str, &mut Cursor<'a>) -> Option<bool>) -> Option<()> {
    cursor.object()?;
    while let Some(key) = cursor.key() {
        if !take(&key.resolved(), cursor)? {
            cursor.skip()?;
        }
    }
    Some(())
}

// Puts a value that has the right form in its place.
fn put<T>(place: &mut Option<T>, value: Option<T>) -> Option<bool> {
    *place = Some(value?);
    Some(true)
}

fn hello(cursor: &mut Cursor<'_>) -> Option<Hello> {
    let (mut block_count, mut time, mut port) = (None, None, None);
    let mut hello = Hello::default();
    object(cursor, |key, cursor| match key {
        "block_count" => put(&mut block_count, cursor.integer()),
        "time" => put(&mut time, cursor.integer()),
        "port" => put(&mut port, read_port(cursor)),
        "genesis" => put(&mut hello.genesis, hash(cursor)),
        "agent" => put(&mut hello.agent, agent(cursor)),
        "nonce" => put(&mut hello.nonce, fixed(cursor).map(u64::from_be_bytes)),
        _ => Some(false),
    })?;
    Some(Hello { block_count: block_count?, time: time?, port: port?, ..hello })
}

fn hey(cursor: &mut Cursor<'_>) -> Option<Message> {
    let mut block_count = None;
    object(cursor, |key, cursor| match key {
        "block_count" => put(&mut block_count, cursor.integer()),
        _ => Some(false),
    })?;
    Some(Message::Hey { block_count: block_count? })
}

fn getaddr(cursor: &mut Cursor<'_>) -> Option<Message> {
    let port = if cursor.null().is_some() { None } else { Some(read_port(cursor)?) };
    Some(Message::GetAddr(port))
}

fn addr(cursor: &mut Cursor<'_>) -> Option<Message> {
    let addresses = items(cursor, ADDRESSES_MAX, |cursor| address(&cursor.text()?.resolved()))?;
    let can_be_a_peer =
        |address: &Address| address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast();
    Some(Message::Addr(addresses.into_iter().filter(can_be_a_peer).collect()))
}

fn broadcast_block(cursor: &mut Cursor<'_>) -> Option<Message> {
    let (mut number, mut block) = (None, None);
    object(cursor, |key, cursor| match key {
        "number" => put(&mut number, cursor.integer()),
        "hash" => put(&mut block, hash(cursor)),
        _ => Some(false),
    })?;
    Some(Message::BroadcastBlock { number: number?, hash: block })
}

fn question(cursor: &mut Cursor<'_>) -> Option<Question> {
    let (mut number, mut block, mut transaction) = (None, None, None);
    object(cursor, |key, cursor| match key {
        "number" => put(&mut number, cursor.integer()),
        "hash" => put(&mut block, hash(cursor)),
        "transaction" => put(&mut transaction, hash(cursor)),
        _ => Some(false),
    })?;
    match (number, block, transaction) {
        (Some(number), None, None) => Some(Question::Number(number)),
        (None, Some(hash), None) => Some(Question::Hash(hash)),
        (None, None, Some(id)) => Some(Question::Transaction(id)),
        _ => None,
    }
}

fn getlist(cursor: &mut Cursor<'_>) -> Option<GetList> {
    let (mut from, mut latest, mut transactions) = (None, None, None);
    object(cursor, |key, cursor| match key {
        "from" => put(&mut from, cursor.integer()),
        "latest" => put(&mut latest, cursor.integer()),
        "transactions" => put(&mut transactions, items(cursor, WAITING_MAX, hash)),
        _ => Some(false),
    })?;
    Some(GetList { from: from?, latest: latest?, transactions: transactions.unwrap_or_default() })
}

fn list(cursor: &mut Cursor<'_>) -> Option<List> {
    let (mut from, mut latest, mut parent, mut hashes) = (None, None, None, None);
    object(cursor, |key, cursor| match key {
        "from" => put(&mut from, cursor.integer()),
        "latest" => put(&mut latest, cursor.integer()),
        "parent" => put(&mut parent, hash(cursor)),
        "hashes" => put(&mut hashes, items(cursor, HASHES_MAX, hash)),
        _ => Some(false),
    })?;
    let list = List { from: from?, latest: latest?, parent: parent?, hashes: hashes? };
    // Both are below 2^54, so the sum is far from its end.
    (list.from + list.hashes.len() as u64 <= list.latest).then_some(list)
}

fn block(cursor: &mut Cursor<'_>) -> Option<Message> {
    let (mut number, mut data) = (None, None);
    object(cursor, |key, cursor| match key {
        "number" => put(&mut number, cursor.integer()),
        "data" => put(&mut data, bytes(cursor, BLOCK_BYTES_MAX)),
        _ => Some(false),
    })?;
    Some(Message::Block { number: number?, data: data? })
}

fn transactions(cursor: &mut Cursor<'_>) -> Option<Vec<Bytes>> {
    // A transaction has no limit of its own here: the line has one.
    let transactions = items(cursor, PACK_MAX, |cursor| bytes(cursor, usize::MAX))?;
    (!transactions.is_empty()).then_some(transactions)
}

fn broadcast_transaction(cursor: &mut Cursor<'_>) -> Option<Message> {
    let mut id = None;
    object(cursor, |key, cursor| match key {
        "id" => put(&mut id, hash(cursor)),
        _ => Some(false),
    })?;
    Some(Message::BroadcastTransaction(id?))
}

fn reject(cursor: &mut Cursor<'_>) -> Option<Message> {
    let (mut method, mut reason) = (None, None);
    object(cursor, |key, cursor| match key {
        "method" => put(&mut method, printable(cursor, Method::LENGTH_MAX)),
        "reason" => put(&mut reason, printable(cursor, REASON_MAX)),
        _ => Some(false),
    })?;
    method.and(reason)?;
    Some(Message::Reject)
}

// An array of at most `max` items.
fn items<'a, T>(
    cursor: &mut Cursor<'a>,
    max: usize,
    mut item: impl FnMut(&mut Cursor<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    cursor.array()?;
    let mut items = Vec::new();
    while cursor.has_item() {
        if items.len() == max {
            return None;
        }
        items.push(item(cursor)?);
    }
    Some(items)
}

fn read_port(cursor: &mut Cursor<'_>) -> Option<u16> {
    u16::try_from(cursor.integer()?).ok()
}

fn hash(cursor: &mut Cursor<'_>) -> Option<Hash> {
    fixed(cursor).map(Hash)
}

fn fixed<const N: usize>(cursor: &mut Cursor<'_>) -> Option<[u8; N]> {
    let mut out = [0; N];
    hex::fill(cursor.text()?.resolved().as_bytes(), &mut out).then_some(out)
}

fn bytes(cursor: &mut Cursor<'_>, max: usize) -> Option<Bytes> {
    hex::bytes(cursor.text()?.resolved().as_bytes(), max).map(Bytes::from)
}

fn agent(cursor: &mut Cursor<'_>) -> Option<String> {
    let agent = cursor.text()?.resolved();
    (agent.len() <= AGENT_BYTES_MAX).then(|| agent.into_owned())
}

fn printable(cursor: &mut Cursor<'_>, max: usize) -> Option<()> {
    let text = cursor.text()?.resolved();
    (text.len() <= max && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))).then_some(())
}

// `ip:port`, IPv6 as `[ip]:port`; a v4-mapped one is IPv4. Names and missing ports are no addresses.
fn address(text: &str) -> Option<Address> {
    let (ip, port) = text.rsplit_once(':')?;
    let ip: IpAddr = match ip.strip_prefix('[') {
        Some(ip) => ip.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.into(),
        None => ip.parse::<Ipv4Addr>().ok()?.into(),
    };
    let is_plain = port.bytes().all(|byte| byte.is_ascii_digit()) && (port.len() == 1 || !port.starts_with('0'));
    Some(Address::new(ip, port.parse().ok().filter(|_| is_plain)?))
}
