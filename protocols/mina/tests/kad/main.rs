//! Shows Kademlia: frames byte for byte, what is answered, how peers are asked, what liars reach, and look-ups over a
//! simulated network that churns.

mod answers;
mod asking;
mod lies;
mod lookups;
mod net;
mod schedule;
mod stage;
mod table;
mod vectors;
