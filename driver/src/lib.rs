//! Acts: sockets, clock and entropy under an engine.
