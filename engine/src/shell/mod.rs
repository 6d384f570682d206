//! Keeps what every network needs: peers and slots, channels, dialer and address book, bans, alarms, reasons.

pub mod admission;
pub mod alarms;
pub mod bans;
pub mod book;
pub mod channels;
mod check;
pub mod costs;
pub mod dialer;
pub mod eviction;
pub mod peers;
pub mod reasons;
pub mod risk;
pub mod serving;
pub mod slips;
pub mod slots;
