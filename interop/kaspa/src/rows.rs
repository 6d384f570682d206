//! Lists what is said to a node and what it must do (Kaspa spec, section 8).
//!
//! A row does not know whom it judges, nor which side dialled: it runs against kaspad, so that the spec stays true,
//! and against our node, so that we answer alike; as listener and as dialler. Where our node is meant to differ, the
//! row says why, and the table shows it.

mod addresses;
mod blocks;
mod connecting;
mod greeting;
pub(crate) mod pruning;
mod sync;
mod transactions;

use crate::client::{Gzip, Hello, Line, Listener, Peer, Refused, SHORTLY, dial};
use crate::kaspad::Kaspad;
use crate::polypeer::{self, Polypeer};
use crate::pruned::Depths;
use crate::target::{Kind, Programs, Rules, Target};
use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

/// Which side dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The target listens.
    Listens,
    /// The target dials.
    Dials,
}

/// Where a row makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sides {
    /// Whoever dialled.
    Both,
    /// Only where the target listens, or where the side changes nothing and the row is dear.
    Listening,
    /// The same, and only for ours: it shows what a kaspad has not.
    Ours,
}

/// What a row does.
pub(crate) type Story = for<'a> fn(&'a mut Scene) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// A row of the spec's section 8.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// Its number in the spec.
    pub(crate) number: u8,
    /// What is said, in a word or two; also the name on the command line.
    pub(crate) name: &'static str,
    /// Where it makes sense.
    pub(crate) sides: Sides,
    /// Whether it waits for minutes, and therefore starts first.
    pub(crate) waits: bool,
    /// What it does.
    pub(crate) story: Story,
}

impl Row {
    /// Whether somebody means this row, by name or number.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name || name.parse() == Ok(self.number)
    }

    /// Whether it is due in this column.
    pub(crate) fn is_due(&self, kind: Kind, side: Side) -> bool {
        match self.sides {
            Sides::Both => true,
            Sides::Listening => side == Side::Listens,
            Sides::Ours => side == Side::Listens && kind == Kind::Polypeer,
        }
    }
}

/// How many rows the spec has.
pub(crate) const COUNT: usize = 35;

/// A line of a room's list.
macro_rules! row {
    ($number:literal, $name:literal, $sides:ident, $waits:literal, $story:path) => {
        $crate::rows::Row {
            number: $number,
            name: $name,
            sides: $crate::rows::Sides::$sides,
            waits: $waits,
            story: |scene| Box::pin($story(scene)),
        }
    };
}
pub(crate) use row;

/// Every row, in the spec's order.
pub(crate) fn all() -> Vec<Row> {
    let rooms: [&[Row]; 7] = [
        &greeting::ROWS,
        &connecting::ROWS,
        &addresses::ROWS,
        &blocks::ROWS,
        &sync::ROWS,
        &transactions::ROWS,
        &pruning::ROWS,
    ];
    let mut rows: Vec<Row> = rooms.into_iter().flatten().copied().collect();
    rows.sort_by_key(|row| row.number);
    rows
}

/// What a row has to work with.
pub(crate) struct Scene {
    /// Who is judged.
    pub(crate) target: Target,
    /// Whether there is time for more than a change needs.
    pub(crate) long: bool,
    programs: Arc<Programs>,
    folder: PathBuf,
    kind: Kind,
    side: Side,
    differences: Mutex<Vec<&'static str>>,
    figures: Mutex<Vec<String>>,
}

impl Scene {
    /// Starts the target, with everything that is written in a folder.
    pub(crate) async fn set(
        programs: Arc<Programs>,
        folder: PathBuf,
        kind: Kind,
        side: Side,
        long: bool,
    ) -> Result<Self> {
        let target = Target::start(kind, &programs, &folder, Rules::Simnet).await?;
        let (differences, figures) = (Mutex::default(), Mutex::default());
        Ok(Self { target, long, programs, folder, kind, side, differences, figures })
    }

    /// Starts another one of the same kind on a network with small parameters.
    pub(crate) async fn overridden(&self, name: &str, depths: &Depths) -> Result<Target> {
        Target::start(self.kind, &self.programs, &self.folder.join(name), Rules::Small(depths)).await
    }

    /// Replaces the target by one that does not spare loopback.
    pub(crate) async fn make_strict(&mut self) -> Result<()> {
        self.target = Target::start(self.kind, &self.programs, &self.folder.join("strict"), Rules::Strict).await?;
        Ok(())
    }

    /// Another one that does not spare loopback, and bans for this.
    pub(crate) async fn banning(&self, setting: &'static str) -> Result<Target> {
        let folder = self.folder.join("banning");
        Target::start(self.kind, &self.programs, &folder, Rules::Banning(setting)).await
    }

    /// A target on the network whose blocks need proof of work.
    pub(crate) async fn worker(&self, name: &str) -> Result<Target> {
        Target::start(self.kind, &self.programs, &self.folder.join(name), Rules::Work).await
    }

    /// A node of ours that makes such blocks, whoever is judged.
    pub(crate) async fn miner(&self, name: &str) -> Result<Polypeer> {
        let options = polypeer::Options { has_work: true, produces: true, ..polypeer::Options::default() };
        Polypeer::start(&self.programs.polypeer, &self.folder.join(name), options).await
    }

    /// A kaspad with ten thousand blocks, and one more that is new.
    pub(crate) async fn stocked(&self, name: &str) -> Result<Kaspad> {
        self.programs.stocked(&self.folder.join(name)).await
    }

    /// Something measured, for the table.
    pub(crate) fn figure(&self, text: String) {
        if let Ok(mut figures) = self.figures.lock() {
            figures.push(text);
        }
    }

    /// Whether the target dials.
    pub(crate) fn target_dials(&self) -> bool {
        self.side == Side::Dials
    }

    /// Whether the target is ours, which is then meant to differ, for this reason.
    pub(crate) fn ours_differs(&self, reason: &'static str) -> bool {
        let ours = self.kind == Kind::Polypeer;
        if ours && let Ok(mut differences) = self.differences.lock() {
            differences.retain(|known| *known != reason);
            differences.push(reason);
        }
        ours
    }

    /// What the row found meant to differ, and what it measured.
    pub(crate) fn findings(self) -> (Vec<&'static str>, Vec<String>) {
        (self.differences.into_inner().unwrap_or_default(), self.figures.into_inner().unwrap_or_default())
    }

    /// A stream without a handshake; kaspad's way with gzip.
    pub(crate) async fn line(&self) -> Result<Line> {
        self.line_with(Gzip::BOTH).await
    }

    /// A stream without a handshake.
    pub(crate) async fn line_with(&self, gzip: Gzip) -> Result<Line> {
        if self.side == Side::Listens {
            return dial(self.target.address(), gzip).await.context("the stream is refused");
        }
        let mut listener = Listener::open(gzip).await?;
        self.target.dial(listener.address).await?;
        // The listener may go: what has been opened lives on, and nobody comes a second time.
        listener.accept(SHORTLY).await
    }

    /// A connection after its handshake.
    pub(crate) async fn peer(&self) -> Result<Peer> {
        self.greet(&Hello::fresh()).await
    }

    /// A connection after its handshake, as somebody.
    pub(crate) async fn greet(&self, hello: &Hello) -> Result<Peer> {
        Ok(Peer::greet(self.line().await?, hello, self.target_dials()).await?)
    }

    /// A handshake that must come to nothing with this text, after our version was acknowledged.
    pub(crate) async fn refused(&self, hello: &Hello, text: &str) -> Result<()> {
        let refused = self.refused_outright(hello, text).await?;
        ensure!(refused.acknowledged || refused.reason.is_none(), "refused before `Verack`: {refused}");
        Ok(())
    }

    /// A handshake that must come to nothing with this text.
    pub(crate) async fn refused_outright(&self, hello: &Hello, text: &str) -> Result<Refused> {
        let Err(refused) = Peer::greet(self.line().await?, hello, self.target_dials()).await else {
            bail!("taken, where `{text}` is due");
        };
        match &refused.reason {
            Some(reason) => ensure!(reason.contains(text), "refused with `{reason}`, where `{text}` is due"),
            None => ensure!(self.target_dials(), "refused in silence, where `{text}` is due: {refused}"),
        }
        Ok(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::{COUNT, all};

    #[test]
    fn every_row_of_the_spec_is_there_once() {
        let numbers: Vec<usize> = all().iter().map(|row| usize::from(row.number)).collect();
        assert_eq!(numbers, (1..=COUNT).collect::<Vec<_>>());
    }
}
