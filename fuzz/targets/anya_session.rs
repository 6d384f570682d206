//! An AnYa engine among arbitrary peers, clocks and ledgers: it never breaks the border's rules.
#![no_main]

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use polypeer_anya::wire::{address, frame, info, peers};
use polypeer_anya::wire::{Kind, Waypoint};
use polypeer_anya::{Anya, Config};
use polypeer_engine::Address;
use polypeer_fuzz::{ledger, session};
use polypeer_ledger_reference::Format;
use std::net::IpAddr;

fuzz_target!(|input: &[u8]| session::run::<Anya<Format>>(input, &Config::default(), speak));

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
        13 => polypeer_anya::wire::error(&Kind::GetBlock.name(), &polypeer_anya::wire::code::INVALID_PAYLOAD).to_vec(),
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
