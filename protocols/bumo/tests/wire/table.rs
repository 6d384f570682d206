//! Holds ARCHITECTURE.md's table of the source document's messages to what the code says.

use polypeer_bumo::wire::Kind;
use std::fs;

#[test]
fn the_table_of_messages_tells_numbers_and_spread() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md");
    let text = fs::read_to_string(path).expect("the map");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| `OVERLAY_MSGTYPE_"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let told: Vec<_> = rows.iter().map(|row| (row[0].trim_matches('`'), row[1], row[3])).collect();
    let numbers = ["3", "4", "5", "6", "7"];
    let known = Kind::ALL.into_iter().skip(2).zip(numbers).map(|(kind, number)| {
        assert_eq!(kind.number().to_string(), number);
        (kind.name(), number, if kind.is_broadcast() { "broadcast" } else { "unicast" })
    });
    assert_eq!(told, known.collect::<Vec<_>>());
}
