//! Stories of a Hello node, told through the engine with scripted peers. Each is told twice: same effects.

mod greeting;
mod stage;
mod toy;
