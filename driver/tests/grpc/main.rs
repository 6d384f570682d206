//! Tells how calls of gRPC carry a network: with our own kind, with tonic, and with those who mean harm.

mod abuse;
mod closing;
mod conservation;
mod memory;
mod opening;
mod oracle;
mod raw;
mod talking;
mod toy;
