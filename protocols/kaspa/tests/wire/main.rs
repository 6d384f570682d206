//! Checks the wire against frames of a real node, the spec's vectors, two stock codecs and everything malformed.

mod again;
mod bad;
mod dag;
mod edit;
mod facts;
mod fixtures;
mod framing;
mod gzip;
mod limits;
mod oracle;
mod pruning;
mod reread;
mod vectors;
