//! Breaks files: the peer store's and the ledger's, with bytes changed, cut off, or nothing like them.

use bytes::Bytes;
use polypeer_engine::kit::chain::{Origin, Request};
use polypeer_engine::{Ledger, Now, Record, Table, Ticket};
use polypeer_ledger_reference::{Config, NetworkParameters, Payment, Reference, Wallet};
use polypeer_sim::Tape;
use polypeer_store::{Store, disk};
use std::panic::{set_hook, take_hook};
use std::sync::{LazyLock, Once};

/// What an input makes of a file: the input itself; or the file with bytes changed, each as a place (three bytes, a
/// fraction of the length) and what is added to it, and cut off when the last place is followed by nothing.
fn damaged(whole: &[u8], input: &[u8]) -> (bool, Vec<u8>) {
    let Some((flag, rest)) = input.split_first() else { return (true, Vec::new()) };
    if flag & 7 == 7 {
        return (true, rest.to_vec());
    }
    let mut bytes = whole.to_vec();
    let place = |at: &[u8; 3]| {
        let [a, b, c] = at.map(usize::from);
        // Half of the places are in the header, which has the most to say.
        match a & 1 {
            0 => (b << 8 | c) % 512,
            _ => (a << 16 | b << 8 | c) * whole.len() >> 24,
        }
    };
    let (changes, cut) = rest.as_chunks::<4>();
    for [a, b, c, change] in changes {
        let at = place(&[*a, *b, *c]);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = byte.wrapping_add(*change);
        }
    }
    if let [a, b, c] = cut {
        bytes.truncate(place(&[*a, *b, *c]));
    }
    (false, bytes)
}

/// A panic of redb's over a file in doubt is its word for damage, which the store catches; a fuzzer's hook would end the
/// process before that.
fn let_redb_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = take_hook();
        set_hook(Box::new(move |panic| {
            if !disk::is_in_doubt() {
                hook(panic);
            }
        }));
    });
}

/// The file of a store, and every state that it had.
static PEERS: LazyLock<(Vec<u8>, Vec<Vec<Record>>)> = LazyLock::new(|| {
    let disk = Tape::default();
    let store = Store::open_with_backend(disk.clone()).expect("memory");
    let mut states = vec![Vec::new()];
    for batch in 0..6_u8 {
        let record = |key: u8| Record {
            table: if key % 4 == 0 { Table::Bans } else { Table::Addresses },
            key: Bytes::copy_from_slice(&[batch * 3, key]),
            value: Some(Bytes::copy_from_slice(&[batch; 40])),
        };
        store.save(&(0..12).map(record).collect::<Vec<_>>()).expect("memory");
        states.push(store.load().expect("memory"));
    }
    // As a crash leaves it.
    let image = disk.bytes();
    (image, states)
});

/// A damaged store is refused and left as it is, or holds what it held at some time, and takes more.
pub fn peer_store(input: &[u8]) {
    let_redb_panic();
    let (is_foreign, bytes) = damaged(&PEERS.0, input);
    let disk = Tape::holding(bytes.clone());
    let Ok(store) = Store::open_with_backend(disk.clone()) else {
        assert_eq!(disk.bytes(), bytes, "what is refused is left as it is");
        return;
    };
    let loaded = store.load().expect("what opens is whole");
    assert!(is_foreign && loaded.is_empty() || PEERS.1.contains(&loaded), "it never held that");
    let more = Record { table: Table::Protocol, key: Bytes::new(), value: Some(Bytes::new()) };
    store.save(std::slice::from_ref(&more)).expect("memory");
    drop(store);
    let again = Store::open_with_backend(disk).expect("it was whole").load().expect("it was whole");
    assert_eq!(again, [loaded, vec![more]].concat());
}

fn config() -> Config {
    Config::in_memory(NetworkParameters::anya_devnet())
}

/// The file of a ledger, and how many transactions waited at its end.
static CHAIN: LazyLock<(Vec<u8>, usize)> = LazyLock::new(|| {
    const PAYMENTS: u64 = 4;
    let disk = Tape::default();
    let (mut ledger, reader) = Reference::open_with_backend(disk.clone(), config()).expect("memory");
    let wallet = Wallet::public_account(1).expect("there are 16");
    let recipient = Wallet::public_account(2).expect("there are 16").public_key();
    for sequence in 0..PAYMENTS {
        let payment = wallet.sign(b"anya-devnet\0\0\0\0\0", &Payment { recipient, amount: 5, fee: 1, sequence });
        let transactions = vec![Bytes::copy_from_slice(&payment)];
        let request = Request::TakeTransactions { transactions, origin: Origin::Operator };
        ledger.answer(Now::default(), vec![(Ticket(sequence), request)], &mut Vec::new());
    }
    let image = disk.bytes();
    (image, reader.waiting(0).0)
});

/// A damaged ledger is refused and left as it is, or is where it was at some time.
pub fn ledger_file(input: &[u8]) {
    let_redb_panic();
    let (_, bytes) = damaged(&CHAIN.0, input);
    let is_new = bytes.is_empty();
    let disk = Tape::holding(bytes.clone());
    let Ok((_ledger, reader)) = Reference::open_with_backend(disk.clone(), config()) else {
        assert_eq!(disk.bytes(), bytes, "what is refused is left as it is");
        return;
    };
    let genesis = NetworkParameters::anya_devnet().build().expect("the preset builds").genesis_hash();
    assert_eq!(reader.tip().hash, genesis);
    assert!(reader.waiting(0).0 <= CHAIN.1 && (!is_new || reader.waiting(0).0 == 0));
    assert_eq!(reader.account(&Wallet::public_account(1).expect("there are 16").public_key()).balance, 1_000_000_000);
}
