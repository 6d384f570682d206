//! Stories of a Hello node, told through the engine with scripted peers. Each is told twice: same effects.

mod blame;
mod catching_up;
mod doors;
mod finding;
mod greeting;
mod noise;
mod rejects;
mod relaying;
mod serving;
mod stage;
mod strangers;
mod toy;
mod tracking;
