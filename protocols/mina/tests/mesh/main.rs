//! Shows the mesh: frames byte for byte, its rules one by one, floods, and a simulated network with everything that can
//! go wrong.

mod floods;
mod frames;
mod gossip;
mod members;
mod messages;
mod oracle;
mod publishing;
mod scores;
mod sim;
mod stage;
mod times;
mod vectors;
