//! Stories of a Mina node, told through the engine with scripted peers. Each is told twice: same effects.

mod addresses;
mod blame;
mod gossip;
mod greeting;
mod held;
mod identity;
mod lanes;
mod make;
mod pings;
mod publishing;
mod questions;
mod stage;
mod status;
mod streams;
mod toy;
