//! Holds the reference ledger of AnYa and Hello.
