//! Shows questions and answers: frames byte for byte, real captures, what is served and asked, every limit, catching up.

mod asking;
mod blocks;
mod captured;
mod chain;
mod cutting;
mod malformed;
mod serving;
mod stage;
mod streams;
mod syncing;
mod vectors;
