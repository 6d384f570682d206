//! Keeps what every network needs: peers and slots, channels, dialer and address book, bans, alarms, reasons.

pub mod alarms;
pub mod bans;
pub mod book;
pub mod channels;
pub mod costs;
pub mod dialer;
pub mod peers;
pub mod reasons;
pub mod serving;
