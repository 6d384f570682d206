//! Stories of a Kaspa node, told through the engine with scripted peers. Each is told twice: same effects.

mod addresses;
mod dag;
mod greeting;
mod make;
mod orphans;
mod peers;
mod pings;
mod relaying;
mod serving;
mod stage;
mod syncer;
mod toy;
mod transactions;
