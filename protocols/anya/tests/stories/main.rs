//! Tells stories of AnYa nodes: a real engine, scripted peers or other engines, a small ledger.

mod ledger;
mod network;
mod nodes;
mod story;
