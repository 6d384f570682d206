//! Sections 1.1, 2 and 10.3: the longest message, and messages that end too early.

use super::bumo::{
    Draft, HELLO, Heard, Hello, LEDGERS, PATIENCE, PBFT, PEERS, PING, Peer, Said, TRANSACTION, UPGRADE, fixture,
};
use super::bumo_court::{Court, Plan};
use std::collections::BTreeSet;
use std::time::Duration;

/// What one message may have (section 1.1).
const MESSAGE_BYTES_MAX: usize = 32_000_000;
/// What memory may grow by from one longest message to the next: the allocator keeps some.
const GROWS_MAX: u64 = 8 << 20;
/// Cuts of one message: all of a short one, the first and the last bytes of a long one.
const CUTS: usize = 24;

/// A message of a type that nobody knows, of so many bytes.
fn padded(bytes: usize) -> Vec<u8> {
    let said = |length: usize| Said { kind: 99, is_request: true, sequence: 1, data: vec![0; length] }.bytes();
    let around = said(MESSAGE_BYTES_MAX / 2).len() - MESSAGE_BYTES_MAX / 2;
    let made = said(bytes - around);
    assert_eq!(made.len(), bytes);
    made
}

// A frame whose key is nothing, so that its payload stands there as it is: masking so much takes a test's time.
fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | 127][..], &(payload.len() as u64).to_be_bytes(), &[0; 4], payload].concat()
}

#[test]
fn a_message_of_32_000_000_bytes_is_read_and_one_byte_more_is_1009() {
    let court = Court::new(&Plan::new(1, None, Duration::from_secs(10)));
    let mut bystander = court.peer("beside it");
    let mut peer = court.peer("long");
    let longest = padded(MESSAGE_BYTES_MAX);
    let whole = plain(0x82, &longest);
    let mut memory = Vec::new();
    for round in 0..4 {
        if round % 2 == 0 {
            peer.socket.raw(&whole);
        } else {
            // The same in three parts.
            let thirds = longest.len() / 3;
            peer.socket.raw(&plain(0x02, &longest[..thirds]));
            peer.socket.raw(&plain(0x00, &longest[thirds..2 * thirds]));
            peer.socket.raw(&plain(0x80, &longest[2 * thirds..]));
        }
        // It was read to its end, and was of no interest.
        peer.is_served();
        bystander.is_served();
        memory.push(court.node.memory());
    }
    println!("resident after each: {memory:?}");
    assert!(memory[3] <= memory[1] + GROWS_MAX, "{memory:?}");
    assert!(memory[3] < memory[0].max(64 << 20) + 2 * MESSAGE_BYTES_MAX as u64, "{memory:?}");

    let code = |close: &[u8]| u16::from_be_bytes(close[..2].try_into().expect("a code"));
    let longer = padded(MESSAGE_BYTES_MAX + 1);
    let mut peer = court.peer("too long");
    // The header alone says it.
    peer.socket.raw(&plain(0x82, &longer)[..1 << 16]);
    assert_eq!(code(&peer.closed(PATIENCE).1), 1009);
    let mut peer = court.peer("too long in parts");
    peer.socket.raw(&plain(0x02, &longer[..MESSAGE_BYTES_MAX]));
    peer.socket.say_part(0, true, &longer[MESSAGE_BYTES_MAX..]);
    assert_eq!(code(&peer.closed(PATIENCE).1), 1009);
    bystander.is_served();
    let after = court.node.memory();
    assert!(after <= memory[3] + GROWS_MAX, "{after} after {memory:?}");
}

// One capture of each kind of message and form.
const CAPTURES: [&str; 17] = [
    "ping_request",
    "ping_response",
    "hello_request_dialer",
    "hello_response_ok",
    "hello_response_already_active",
    "peers_four",
    "transaction_pay_coin",
    "getledgers_2_2",
    "ledgers_2_2",
    "ledgers_with_tx",
    "ledger_upgrade_notify_r0",
    "pbft_preprepare_v2_s3",
    "pbft_prepare_v0_s2_r2",
    "pbft_commit_v0_s2_r0",
    "pbft_viewchange_raw_v5_prepared_r0",
    "pbft_newview_v2",
    "pbft_newview_v5_prepared",
];

// Where a message may end: before and behind each of its fields.
fn ends(data: &[u8]) -> BTreeSet<usize> {
    let (mut at, mut ends) = (0, BTreeSet::from([0]));
    while at < data.len() {
        let varint = |at: &mut usize| {
            let (mut number, mut shift) = (0_u64, 0);
            loop {
                let byte = data[*at];
                *at += 1;
                number |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return number;
                }
            }
        };
        let key = varint(&mut at);
        let length = varint(&mut at);
        at += if key & 7 == 2 { length as usize } else { 0 };
        ends.insert(at);
    }
    ends
}

fn cuts(length: usize) -> Vec<usize> {
    if length <= 2 * CUTS {
        return (0..length).collect();
    }
    (0..CUTS).chain(length - CUTS..length).collect()
}

// Whether the connection is closed for what was said, with an empty CLOSE; else it answers.
fn is_closed(peer: &mut Peer) -> bool {
    let nonce = Draft::new().number(1, 5_151).done();
    peer.request(PING, &nonce);
    let is_last = |heard: &Heard| match heard {
        Heard::Close(_) => true,
        Heard::Said(said) => (said.kind, said.is_request) == (PING, false) && said.data == nonce,
        _ => false,
    };
    match peer.until(PATIENCE, is_last).pop() {
        Some(Heard::Close(payload)) => {
            assert!(payload.is_empty(), "an empty CLOSE: {payload:?}");
            true
        }
        _ => false,
    }
}

/// Every message cut short: its envelope, which is garbage then, and what is in it.
#[test]
fn messages_that_end_too_early_are_garbage_or_close_the_connection() {
    let court = Court::new(&Plan::new(4, None, Duration::from_secs(10)));
    let mut bystander = court.peer("beside it");
    let (mut closed, mut open, mut number) = (0, 0, 0);
    for capture in CAPTURES {
        let whole = fixture(&format!("{capture}.hex"));
        let said = Said::read(&whole);
        let mut next = || {
            number += 1;
            court.peer(&format!("cutting {number}"))
        };
        // Half an envelope says nothing: it is borne, some times.
        let mut peer = next();
        let at: Vec<usize> = cuts(whole.len()).into_iter().filter(|cut| !ends(&whole).contains(cut)).collect();
        for cut in at.iter().step_by(at.len().div_ceil(8)) {
            peer.socket.say(2, &whole[..*cut]);
        }
        assert!(!is_closed(&mut peer), "{capture}: garbage is borne");
        let closes = matches!(said.kind, PING | TRANSACTION | PBFT | UPGRADE);
        let ends = ends(&said.data);
        for cut in cuts(said.data.len()) {
            let mut peer = next();
            peer.say(&Said { data: said.data[..cut].to_vec(), ..said.clone() });
            let is_closed = is_closed(&mut peer);
            if !ends.contains(&cut) {
                assert_eq!(is_closed, closes, "{capture} at {cut} of {}", said.data.len());
            }
            closed += usize::from(is_closed);
            open += usize::from(!is_closed);
        }
        bystander.is_served();
    }
    println!("{closed} cuts closed the connection, {open} were borne");
    assert!(closed > 100 && open > 100);
    // Before HELLO it is the same, but that nothing else is heard.
    let hello = Hello::of("cut short").data();
    for cut in cuts(hello.len()).into_iter().filter(|cut| !ends(&hello).contains(cut)) {
        let mut peer = Peer::dial(court.node.address);
        peer.say(&Said { kind: HELLO, is_request: true, sequence: 0, data: hello[..cut].to_vec() });
        let said = peer.wait_for(HELLO, false);
        assert_eq!(said.fields().number(1), 2, "half a HELLO is refused, at {cut}: {said:?}");
    }
    bystander.is_served();
    for kind in [PEERS, LEDGERS] {
        bystander.request(kind, &[0x0a]);
    }
    bystander.is_served();
}
