//! Breaks AnYa: its framer, its payloads, its engine.

use crate::ledger;
use crate::pieces::{cut, head};
use crate::session::{self, Spoken};
use arbitrary::{Result, Unstructured};
use polypeer_anya::wire::{
    Framer, Kind, PHASE_OPEN, PHASE_POOL_AWAITED, Waypoint, address, code, decode_address, decode_connect, decode_hash,
    decode_info, decode_peers, error, frame, get_block, info, payload, peers, pool_entries,
};
use polypeer_anya::{Anya, Config};
use polypeer_engine::kit::chain::{Answer, Request, Tip};
use polypeer_engine::{Address, Direction, Framed, Protocol};
use polypeer_ledger_reference::Format;
use std::net::IpAddr;

/// Any split of a stream gives the same frames, and frames are what the stream holds.
pub fn framer(input: &[u8]) {
    let (flags, opened, sizes, stream) = head(input);
    let direction = if flags & 1 == 1 { Direction::Outbound } else { Direction::Inbound };
    let framer: Framer = Anya::<Format>::framer(&Config::default(), 0, direction);
    let open = if flags & 2 == 2 { PHASE_POOL_AWAITED } else { PHASE_OPEN };
    let whole = cut(framer.clone(), stream, &[], opened, open);
    assert_eq!(whole, cut(framer, stream, sizes, opened, open));
    let length = |given: &Framed| if let Framed::Frame(frame) = given { frame.len() } else { 0 };
    assert!(whole.given.iter().map(length).sum::<usize>() <= stream.len());
}

/// The framer once, for what it takes in memory.
pub fn framer_once(input: &[u8]) {
    let (_, opened, sizes, stream) = head(input);
    let framer: Framer = Anya::<Format>::framer(&Config::default(), 0, Direction::Inbound);
    drop(cut(framer, stream, sizes, opened, PHASE_OPEN));
}

/// What decodes is encoded to the same bytes again.
pub fn messages(bytes: &[u8]) {
    if let Ok(decoded) = decode_address(bytes) {
        assert_eq!(decode_address(&address(decoded)), Ok(decoded));
    }
    let _ = decode_connect(bytes);
    if let Ok(hash) = decode_hash(bytes) {
        assert_eq!(payload(&get_block(hash)), bytes);
    }
    if let Ok(decoded) = decode_info(bytes) {
        let claimed = decoded.claimed;
        let tip = Tip { hash: claimed.tip, height: claimed.height, work: claimed.work, genesis: claimed.genesis };
        assert_eq!(payload(&info(&claimed.network_id, &tip, &decoded.waypoints)), bytes);
    }
    if let Ok(decoded) = decode_peers(bytes) {
        assert_eq!(decode_peers(payload(&peers(&decoded))), Ok(decoded));
    }
    if let Ok(count) = pool_entries(bytes) {
        assert!(4 + 4 * count <= bytes.len());
    }
}

/// Every decoder once, for what it takes in memory.
pub fn decode(bytes: &[u8]) {
    let _ = (decode_address(bytes), decode_connect(bytes), decode_hash(bytes), pool_entries(bytes));
    drop(decode_info(bytes));
    drop(decode_peers(bytes));
}

/// An engine among arbitrary peers, clocks and ledgers: it never breaks the border's rules.
pub fn session(input: &[u8]) {
    session::run::<Anya<Format>>(input, &Config::default());
}

impl Spoken for Anya<Format> {
    fn speak(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        let place = Address::new(IpAddr::from([10, 0, 0, u.int_in_range(1..=4)?]), 7000);
        let height = usize::from(u.arbitrary::<u8>()?);
        let (hash, block) = ledger::block(height);
        Ok(match u.int_in_range(0..=17u8)? {
            0..=2 => frame(Kind::Connect, &address(place)).to_vec(),
            3 | 4 => frame(Kind::ConnectionAccepted, &address(place)).to_vec(),
            5 | 6 => {
                let network = Config::default().network_id;
                let ends: Vec<Waypoint> = [0, height % ledger::CHAIN_BLOCKS]
                    .iter()
                    .map(|height| (*height as u64, ledger::block(*height).0))
                    .collect();
                let waypoints = if ends[1].0 == 0 { &ends[..1] } else { &ends[..] };
                info(&network, &ledger::tip(height), waypoints).to_vec()
            }
            7 | 8 => frame(Kind::Block, block).to_vec(),
            9 => frame(Kind::GetBlock, &hash.0).to_vec().repeat(usize::from(u.arbitrary::<u8>()?)),
            10 => frame(Kind::Tx, &[u.arbitrary::<u8>()?; 153]).to_vec(),
            11 => peers(&vec![place; usize::from(u.arbitrary::<u8>()?)]).to_vec(),
            12 => frame(Kind::Mempool, &[&[0, 0, 0, 1, 0, 0, 0, 153][..], &[7; 153]].concat()).to_vec(),
            13 => error(&Kind::GetBlock.name(), &code::INVALID_PAYLOAD).to_vec(),
            _ => {
                let kinds = [
                    Kind::Disconnect,
                    Kind::DisconnectAck,
                    Kind::Ping,
                    Kind::Pong,
                    Kind::GetBlockchainInfo,
                    Kind::GetMempool,
                    Kind::GetPeers,
                ];
                frame(*u.choose(&kinds)?, &[]).to_vec()
            }
        })
    }

    fn answer(request: &Request, u: &mut Unstructured<'_>) -> Result<Option<Answer>> {
        ledger::answer(request, u)
    }

    fn unasked(u: &mut Unstructured<'_>) -> Result<Option<Answer>> {
        ledger::unasked(u).map(Some)
    }
}

/// Real messages, one after another: what the framer and the decoders are begun with.
pub fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let place = Address::new(IpAddr::from([10, 0, 0, 1]), 7000);
    let genesis = ledger::block(0);
    let two = [(0, genesis.0), (9, ledger::block(9).0)];
    vec![
        ("connect", frame(Kind::Connect, &address(place)).to_vec()),
        ("info", info(&Config::default().network_id, &ledger::tip(9), &two).to_vec()),
        ("block", frame(Kind::Block, &ledger::block(9).1).to_vec()),
        ("get_block", get_block(genesis.0).to_vec()),
        ("tx", frame(Kind::Tx, &[7; 153]).to_vec()),
        ("peers", peers(&[place, Address::new(IpAddr::from([0; 16]), 1)]).to_vec()),
        ("mempool", frame(Kind::Mempool, &[&[0, 0, 0, 1, 0, 0, 0, 153][..], &[7; 153]].concat()).to_vec()),
        ("error", error(&Kind::GetBlock.name(), &code::INVALID_PAYLOAD).to_vec()),
        ("ping", frame(Kind::Ping, &[]).to_vec()),
    ]
}
