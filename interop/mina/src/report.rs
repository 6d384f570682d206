//! Prints what came of the rows.

use std::time::Duration;

/// What came of a row.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    /// What held, or what did not.
    pub(crate) result: Result<String, String>,
    /// How long it took, where that is known.
    pub(crate) took: Option<Duration>,
}

/// Prints the table; whether every row passed and there are as many as there must be.
pub(crate) fn print(outcomes: &[Outcome], wanted: usize, took: Duration) -> bool {
    println!("\n{:<34} {:<8} {:>7}  what", "row", "outcome", "seconds");
    for outcome in outcomes {
        let (word, what) = match &outcome.result {
            Ok(what) => ("ok", what),
            Err(what) => ("FAILED", what),
        };
        let seconds = outcome.took.map_or_else(|| "-".to_owned(), |took| format!("{:.1}", took.as_secs_f64()));
        println!("{:<34} {word:<8} {seconds:>7}  {what}", outcome.name);
    }
    let passed = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    println!("{passed} of {} rows passed, {wanted} were to be, {took:.0?}", outcomes.len());
    passed == wanted && outcomes.len() == wanted
}
