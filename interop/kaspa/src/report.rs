//! Prints what came of the rows.

use crate::rows::{Row, Side};
use crate::runner::Outcome;
use crate::target::Kind;
use std::time::Duration;

/// Prints the table, what is meant to differ, what was measured and what failed; whether all is well.
pub(crate) fn print(rows: &[Row], kinds: &[Kind], outcomes: &[Outcome], took: Duration) -> bool {
    let columns: Vec<(Kind, Side)> =
        kinds.iter().flat_map(|kind| [(*kind, Side::Listens), (*kind, Side::Dials)]).collect();
    let mut cells = 0;
    let mut passed = 0;
    print!("\n{:>2}  {:<24}", "#", "row");
    columns.iter().for_each(|(kind, side)| print!(" {:<17}", format!("{kind:?} {side:?}").to_lowercase()));
    println!();
    for row in rows {
        print!("{:>2}  {:<24}", row.number, row.name);
        for (kind, side) in &columns {
            let due = row.is_due(*kind, *side);
            let outcome = outcomes.iter().find(|one| (one.row, one.kind, one.side) == (row.number, *kind, *side));
            cells += usize::from(due);
            passed += usize::from(outcome.is_some_and(|outcome| outcome.failure.is_none()));
            print!(" {:<17}", cell(due, outcome));
        }
        println!();
    }
    let named = |outcome: &Outcome| {
        let name = rows.iter().find(|row| row.number == outcome.row).map_or("", |row| row.name);
        format!("{} {name}, {:?} {:?}", outcome.row, outcome.kind, outcome.side).to_lowercase()
    };
    for outcome in outcomes {
        outcome.differences.iter().for_each(|reason| println!("differs: {}: {reason}", named(outcome)));
        outcome.figures.iter().for_each(|figure| println!("measured: {}: {figure}", named(outcome)));
    }
    for outcome in outcomes {
        outcome.failure.iter().for_each(|failure| println!("FAILED: {}: {failure}", named(outcome)));
    }
    println!("{} rows, {passed} of {cells} cells passed, {:.0?}", rows.len(), took);
    passed == cells
}

fn cell(due: bool, outcome: Option<&Outcome>) -> String {
    let Some(outcome) = outcome else { return if due { "MISSING" } else { "-" }.to_owned() };
    let seconds = outcome.took.as_secs_f64();
    match (&outcome.failure, outcome.differences.is_empty()) {
        (Some(_), _) => format!("FAILED {seconds:.1}"),
        (None, true) => format!("ok {seconds:.1}"),
        (None, false) => format!("differs {seconds:.1}"),
    }
}
