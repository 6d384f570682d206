//! Stories of a Kaspa node, told through the engine with scripted peers. Each is told twice: same effects.

mod addresses;
mod bad_sources;
mod blame;
mod catching_up;
mod chaos;
mod dag;
mod greeting;
mod importing;
mod kept;
mod make;
mod noise;
mod orphans;
mod pace;
mod peers;
mod pings;
mod pruned;
mod recorded;
mod refusals;
mod relaying;
mod serving;
mod stage;
mod staged;
mod syncer;
mod toy;
mod transaction_limits;
mod transactions;
