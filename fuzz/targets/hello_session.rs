//! A Hello engine among arbitrary peers, clocks and ledgers: it never breaks the border's rules.
#![no_main]

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use polypeer_fuzz::{ledger, session};
use polypeer_hello::wire::{self, GetList, Hello, List, Question};
use polypeer_hello::{Config, Hello as Node};
use polypeer_ledger_reference::Format;

fuzz_target!(|input: &[u8]| session::run::<Node<Format>>(input, &Config::new(ledger::block(0).0), speak));

fn speak(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let height = usize::from(u.arbitrary::<u8>()?) % ledger::CHAIN_BLOCKS;
    let (hash, block) = ledger::block(height);
    let line = match u.int_in_range(0..=16u8)? {
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
        _ => return Ok(b"{\"FOO\":1}\n".repeat(usize::from(u.arbitrary::<u8>()?))),
    };
    Ok(line.to_vec())
}

fn question(u: &mut Unstructured<'_>, height: usize) -> Result<Question> {
    let hash = ledger::block(height).0;
    Ok(*u.choose(&[Question::Number(height as u64), Question::Hash(hash), Question::Transaction(hash)])?)
}
