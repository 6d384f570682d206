//! Runs rows side by side, those that wait first.

use crate::rows::{Row, Scene, Side};
use crate::target::{Kind, Programs};
use anyhow::{Result, anyhow};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Rows at once: nodes that wait cost memory, those that work share two cores.
const AT_ONCE: usize = 28;
/// Rows at once among those that do not wait for minutes, so that one of them is not timed out by the others' load.
const AT_ONCE_BUSY: usize = 4;
/// Rows that failed beside thirty other nodes on two cores are judged once more, alone, and the table says so. With more
/// of them something is wrong that no quiet mends.
const AGAIN_MAX: usize = 3;
/// No row takes longer.
const ROW_MAX: Duration = Duration::from_secs(480);
/// No row takes longer in a long run.
const ROW_MAX_LONG: Duration = Duration::from_secs(900);

/// What came of a row in one column.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The row's number.
    pub(crate) row: u8,
    /// Who was judged.
    pub(crate) kind: Kind,
    /// Who dialled.
    pub(crate) side: Side,
    /// What went wrong, if something did.
    pub(crate) failure: Option<String>,
    /// What is meant to differ from kaspad.
    pub(crate) differences: Vec<&'static str>,
    /// What was measured.
    pub(crate) figures: Vec<String>,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Runs every row in every column that it has.
pub(crate) async fn run_all(rows: &[Row], kinds: &[Kind], programs: Arc<Programs>, long: bool) -> Vec<Outcome> {
    let mut jobs: Vec<(Row, Kind, Side)> = Vec::new();
    for row in rows {
        for kind in kinds {
            let sides = [Side::Listens, Side::Dials].into_iter().filter(|side| row.is_due(*kind, *side));
            jobs.extend(sides.map(|side| (*row, *kind, side)));
        }
    }
    jobs.sort_by_key(|(row, ..)| !row.waits);
    let (all, busy) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Semaphore::new(AT_ONCE_BUSY)));
    let mut running = JoinSet::new();
    for (row, kind, side) in jobs {
        let (all, busy, programs) = (Arc::clone(&all), Arc::clone(&busy), Arc::clone(&programs));
        running.spawn(async move {
            // Neither is ever closed.
            let _turn = all.acquire().await;
            let _busy = if row.waits { None } else { Some(busy.acquire().await) };
            run_one(row, kind, side, programs, long, "").await
        });
    }
    let mut outcomes = Vec::new();
    while let Some(outcome) = running.join_next().await {
        match outcome {
            Ok(outcome) => outcomes.push(outcome),
            // The row is then missing in the table, which is a failure.
            Err(error) => eprintln!("a row has panicked: {error}"),
        }
    }
    judge_again(&mut outcomes, rows, &programs, long).await;
    outcomes
}

async fn judge_again(outcomes: &mut [Outcome], rows: &[Row], programs: &Arc<Programs>, long: bool) {
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    if failed > AGAIN_MAX {
        return;
    }
    for outcome in outcomes.iter_mut() {
        let row = rows.iter().find(|row| row.number == outcome.row);
        let (Some(row), Some(failure)) = (row, outcome.failure.clone()) else { continue };
        let (kind, side) = (outcome.kind, outcome.side);
        *outcome = run_one(*row, kind, side, Arc::clone(programs), long, "-again").await;
        outcome.figures.push(format!("judged again alone, for beside the others: {failure}"));
    }
}

async fn run_one(row: Row, kind: Kind, side: Side, programs: Arc<Programs>, long: bool, attempt: &str) -> Outcome {
    let name = format!("{}-{}-{kind:?}-{side:?}{attempt}", row.number, row.name);
    let folder = programs.root.join(name.to_lowercase());
    let started = Instant::now();
    let limit = if long { ROW_MAX_LONG } else { ROW_MAX };
    let keep = programs.keep;
    let result = timeout(limit, play(row, kind, side, programs, folder.clone(), long)).await;
    let took = started.elapsed();
    let (failure, (differences, figures)) = match result.unwrap_or_else(|_| Err(anyhow!("not done within {limit:?}"))) {
        Ok(findings) => (None, findings),
        Err(error) => (Some(format!("{error:#}")), Default::default()),
    };
    if failure.is_none() && !keep {
        // What passed has nothing to show; a file that cannot be removed goes with the whole folder.
        let _ = std::fs::remove_dir_all(&folder);
    }
    let verdict = failure.as_deref().unwrap_or("ok");
    eprintln!("{:>2} {:<24} {kind:?} {side:?}: {verdict} ({took:.1?})", row.number, row.name);
    Outcome { row: row.number, kind, side, failure, differences, figures, took }
}

type Findings = (Vec<&'static str>, Vec<String>);

async fn play(
    row: Row,
    kind: Kind,
    side: Side,
    programs: Arc<Programs>,
    folder: PathBuf,
    long: bool,
) -> Result<Findings> {
    let mut scene = Scene::set(programs, folder, kind, side, long).await?;
    (row.story)(&mut scene).await?;
    Ok(scene.findings())
}
