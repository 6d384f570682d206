//! Shows the agreement: its rules one by one, against the captured messages, beside a validator that shares no code with
//! it, and in a simulated network with everything that can go wrong.

mod fixtures;
mod keys;
mod message;
mod neighbour;
mod rules;
mod sim;
mod stage;
