//! Puts the target between real kaspads and watches what the network does.
//!
//! These rows too run with a kaspad in the target's place: what it cannot do is not asked of ours.

mod attacking;
mod banning;
mod catching_up;
mod importing;
mod outrun;
mod relaying;
mod staying;
mod syncing;
mod working;

use crate::rows::Row;

/// How many there are.
pub(crate) const COUNT: usize = 17;

/// Every one. Their numbers go on after the spec's.
pub(crate) fn all() -> Vec<Row> {
    let rooms: [&[Row]; 9] = [
        &staying::ROWS,
        &relaying::ROWS,
        &syncing::ROWS,
        &attacking::ROWS,
        &importing::ROWS,
        &working::ROWS,
        &banning::ROWS,
        &outrun::ROWS,
        &catching_up::ROWS,
    ];
    rooms.into_iter().flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::{COUNT, all};

    #[test]
    fn every_scenario_is_there_once() {
        let numbers: Vec<usize> = all().iter().map(|row| usize::from(row.number)).collect();
        assert_eq!(numbers, (crate::rows::COUNT + 1..=crate::rows::COUNT + COUNT).collect::<Vec<_>>());
    }
}
