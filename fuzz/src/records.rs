//! Breaks what an engine is begun with: records of any table, key and value.

use crate::ledger;
use polypeer_engine::{Address, Engine, Now, P2pAction, P2pConfig, Protocol, Record, Table};
use polypeer_hello::tracker::{self, Tracker};
use polypeer_ledger_reference::Format;
use std::net::IpAddr;
use std::time::Duration;

/// Wakes that an engine gets after its start.
const WAKES: usize = 12;

/// An engine begins with whatever its store holds, and what it then saves it can begin with again.
pub fn records(input: &[u8]) {
    let Some((flag, mut rest)) = input.split_first() else { return };
    let mut records = Vec::new();
    while let [table, key, value, left @ ..] = rest {
        let (key, left) = left.split_at(left.len().min(usize::from(*key)));
        let (value, left) = left.split_at(left.len().min(usize::from(*value)));
        let table = [Table::Addresses, Table::Bans, Table::Anchors, Table::Protocol][usize::from(table % 4)];
        let own = |bytes: &[u8]| bytes.to_vec().into();
        records.push(Record { table, key: own(key), value: Some(own(value)) });
        rest = left;
    }
    match flag % 3 {
        0 => begin::<polypeer_anya::Anya<Format>>(polypeer_anya::Config::default(), &records),
        1 => begin::<polypeer_hello::Hello<Format>>(polypeer_hello::Config::new(ledger::block(0).0), &records),
        _ => begin::<Tracker>(tracker::Config::default(), &records),
    }
}

fn begin<P: Protocol>(config: P::Config, records: &[Record]) {
    let mut now = Now { unix_ms: 1_767_225_700_000, ..Now::default() };
    let shell = P2pConfig { private_addresses: true, book_max: 64, ..P2pConfig::default() };
    let mut effects = Vec::new();
    let mut engine = Engine::<P>::new(now, shell, config, [7; 32], records, &mut effects);
    for _ in 0..WAKES {
        now = now.after(Duration::from_secs(7));
        engine.step(now, P2pAction::Wake, &mut effects);
        effects.clear();
    }
    assert!(engine.state().discovery.book.len() <= 64);
}

/// Records as an engine writes them.
pub fn kept() -> Vec<(&'static str, Vec<u8>)> {
    let entry = |table: u8, key: Vec<u8>, value: Vec<u8>| {
        [vec![0, table, key.len() as u8, value.len() as u8], key, value].concat()
    };
    let place = Address::new(IpAddr::from([10, 0, 0, 1]), 7000);
    let pack = |value: &dyn Fn() -> Result<Vec<u8>, postcard::Error>| value().expect("it has an encoding");
    let address = || pack(&|| postcard::to_allocvec(&place));
    let known = pack(&|| postcard::to_allocvec(&(Some(place.ip()), true, 1_767_225_600_000_u64, 1_u64, 2_u32)));
    let ip = pack(&|| postcard::to_allocvec(&place.ip()));
    let ban = pack(&|| postcard::to_allocvec(&(1_u8, 1_767_225_900_000_u64, "operator", true)));
    vec![
        ("address", entry(0, address(), known)),
        ("ban", entry(1, ip, ban)),
        ("anchor", entry(2, address(), Vec::new())),
        ("protocol", entry(3, address(), address())),
    ]
}
