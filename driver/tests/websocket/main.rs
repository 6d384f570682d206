//! Tells how WebSockets carry a network: with our own kind, with tokio-tungstenite, with what a real node sent, and with
//! those who mean harm.

mod abuse;
mod closing;
mod conservation;
mod control;
mod encrypted;
mod memory;
mod opening;
mod oracle;
mod raw;
mod recorded;
mod rules;
mod talking;
mod toy;
