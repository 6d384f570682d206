//! Stories of a BUMO node, told through the engine with scripted peers. Each is told twice: same effects.

mod addresses;
mod blame;
mod catching_up;
mod consensus;
mod greeting;
mod make;
mod noise;
mod peers;
mod pings;
mod recorded;
mod serving;
mod stage;
mod toy;
mod transactions;
mod upgrades;
