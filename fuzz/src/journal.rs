//! Breaks recordings: their entries.

use polypeer_anya::Anya;
use polypeer_engine::journal::{Head, Holds, MAGIC, Started, Stepped, Writer, digest, entry, put, take};
use polypeer_engine::kit::chain::Answer;
use polypeer_engine::{Engine, Now, P2pAction, P2pConfig, Protocol};
use polypeer_hello::Hello;
use polypeer_hello::tracker::{self, Tracker};
use polypeer_ledger_reference::Format;
use std::time::Duration;

/// Damage is found, and what reads as an entry is written to the same bytes again.
pub fn entries(input: &[u8]) {
    let Some((flag, bytes)) = input.split_first() else { return };
    let framed;
    let mut rest = if flag & 1 == 0 {
        bytes
    } else {
        framed = wrap(bytes);
        &framed
    };
    while let Ok((payload, length)) = entry(rest) {
        assert!(length >= 8 && length == payload.len() + 8);
        if let Ok(stepped) = take::<Stepped<Answer>>(payload) {
            let mut again = Vec::new();
            put(&stepped, &mut again).expect("it was an entry before");
            let (payload, _) = entry(&again).expect("what is written reads");
            assert_eq!(take::<Stepped<Answer>>(payload), Ok(stepped));
        }
        if let Ok(head) = Head::read(payload) {
            let mut again = Vec::new();
            put(&head, &mut again).expect("it was an entry before");
            let (payload, _) = entry(&again).expect("what is written reads");
            assert_eq!(Head::read(payload), Ok(head));
        }
        let _ = take::<Started<polypeer_anya::Config>>(payload);
        let _ = take::<Started<polypeer_hello::Config>>(payload);
        let _ = take::<Started<tracker::Config>>(payload);
        rest = &rest[length..];
    }
}

/// The bytes as the payload of a whole entry, so that what is inside is reached.
pub fn wrap(bytes: &[u8]) -> Vec<u8> {
    let mut out = (bytes.len() as u32).to_be_bytes().to_vec();
    out.extend_from_slice(&blake3::hash(bytes).as_bytes()[..4]);
    out.extend_from_slice(bytes);
    out
}

/// A file of entries that come as [`counted`] leaves them: here they get their hashes.
pub fn hashed(mut entries: &[u8]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    while let [high, low, rest @ ..] = entries {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*high) << 8 | usize::from(*low)));
        file.extend(wrap(payload));
        entries = rest;
    }
    file
}

/// An entry without its hash: two bytes of length and the payload.
pub fn counted(payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u16).to_be_bytes()[..], payload].concat()
}

/// Recordings of a node that was told the time, as the target of recordings takes them apart.
pub fn recordings() -> Vec<(&'static str, Vec<u8>)> {
    let joined = |payloads: Vec<Vec<u8>>| {
        let entries = payloads.iter().flat_map(|payload| counted(payload));
        std::iter::once(1).chain(entries).collect()
    };
    recorded().into_iter().map(|(name, payloads)| (name, joined(payloads))).collect()
}

/// The entries of such recordings, one by one.
pub fn payloads() -> Vec<(&'static str, Vec<u8>)> {
    const NAMES: [&str; 3] = ["head", "started", "stepped"];
    let (_, payloads) = recorded().swap_remove(0);
    NAMES.into_iter().zip(payloads).map(|(name, payload)| (name, [vec![1], payload].concat())).collect()
}

fn recorded() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let genesis = crate::ledger::block(0).0;
    let tracker = begun::<Tracker>(tracker::Config::default()).0;
    let files = [
        ("anya", record::<Anya<Format>>(polypeer_anya::Config::default())),
        ("hello", record::<Hello<Format>>(polypeer_hello::Config::new(genesis))),
        ("tracker", tracker.bytes().to_vec()),
    ];
    files.map(|(name, file)| (name, entries_of(&file))).into()
}

/// The payloads of a whole file.
pub fn entries_of(file: &[u8]) -> Vec<Vec<u8>> {
    let (mut payloads, mut rest) = (Vec::new(), &file[MAGIC.len()..]);
    while let Ok((payload, length)) = entry(rest) {
        payloads.push(payload.to_vec());
        rest = &rest[length..];
    }
    payloads
}

fn begun<P: Protocol>(protocol_config: P::Config) -> (Writer, Engine<P>, Now) {
    let now = Now { unix_ms: 1_767_225_700_000, ..Now::default() };
    let (config, seed) = (P2pConfig::default(), [7; 32]);
    let started = Started {
        network: "fuzz".into(),
        now,
        config: config.clone(),
        protocol_config: protocol_config.clone(),
        seed,
        records: Vec::new(),
    };
    let writer = Writer::new(&Head::new(P::NAME, Holds::Node), &started).expect("it is short");
    (writer, Engine::new(now, config, protocol_config, seed, &[], &mut Vec::new()), now)
}

fn record<P: Protocol<Answer = Answer>>(protocol_config: P::Config) -> Vec<u8> {
    let (mut writer, mut engine, mut now) = begun::<P>(protocol_config);
    for _ in 0..3 {
        now = now.after(Duration::from_secs(5));
        let mut effects = Vec::new();
        writer.before(now, &P2pAction::<Answer>::Wake).expect("it is short");
        engine.step(now, P2pAction::Wake, &mut effects);
        writer.after(now, &P2pAction::<Answer>::Wake, digest(&effects)).expect("it is short");
    }
    writer.bytes().to_vec()
}
