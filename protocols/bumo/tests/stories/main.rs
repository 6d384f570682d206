//! Stories of a BUMO node, told through the engine with scripted peers. Each is told twice: same effects.

mod greeting;
mod make;
mod peers;
mod stage;
mod toy;
