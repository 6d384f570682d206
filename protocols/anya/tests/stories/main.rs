//! Tells stories of AnYa nodes: a real engine, scripted peers or other engines, a small ledger.

#[cfg(test)]
mod blame;
#[cfg(test)]
mod catch_up;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod goodbye;
#[cfg(test)]
mod handshake;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod network;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod story;
#[cfg(test)]
mod strangers;
