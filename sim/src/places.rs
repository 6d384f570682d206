//! Gives the nodes of a plan their addresses: honest ones spread over many networks, swarms crowded into few.

use crate::plan::Plan;
use polypeer_engine::shell::book::Book;
use polypeer_engine::{Address, AsMap, Now, P2pConfig, Random, Record, Time};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The port that everybody listens on.
const PORT: u16 = 7_000;
/// Networks (/8) that the honest are spread over; none of them is private or reserved.
const WIDE: (u8, usize) = (20, 70);
/// The network (/8) of the swarms, and how many of its groups (/16) they have.
const SWARM: (u8, usize) = (130, 4);
/// The network (/8) of places where nobody is.
const NOWHERE: u8 = 140;
/// How many of them a poisoned book names: more than any one answer does.
const POISONED: u16 = 2_000;

/// Where a node is.
pub(crate) fn address(plan: &Plan, node: usize) -> Address {
    let is_of_a_swarm = plan.attack(node).is_some_and(|attack| attack.is_of_a_swarm());
    let [high, low] = (node as u16).to_be_bytes();
    let ip = if is_of_a_swarm {
        [SWARM.0, (node % SWARM.1) as u8, high, low]
    } else {
        // A plan has at most 10,000 nodes, so that the second number is below 143.
        [WIDE.0 + (node % WIDE.1) as u8, (node / WIDE.1) as u8, 7, 1]
    };
    Address::new(IpAddr::from(ip), PORT)
}

/// The records of a book in which places stand as proven where nobody is.
pub(crate) fn poisoned(unix_ms: u64, random: &mut Random) -> Vec<Record> {
    let mut secret = [0; 32];
    secret.chunks_mut(8).for_each(|part| part.copy_from_slice(&random.number().to_be_bytes()));
    let mut book = Book::new(secret, P2pConfig::default().book_max as usize, AsMap::default());
    let mut records = Vec::new();
    for nth in 0..POISONED {
        let [high, low] = nth.to_be_bytes();
        let address = Address::new(IpAddr::from([NOWHERE, high, low, 1]), PORT);
        book.learn(address, None, unix_ms, random);
        book.good(address, Now { monotonic: Time::ZERO, unix_ms });
        records.extend(book.take_changes());
    }
    records
}

/// Who is where.
pub(crate) fn names(plan: &Plan) -> BTreeMap<IpAddr, usize> {
    (0..plan.nodes).map(|node| (address(plan, node).ip(), node)).collect()
}
