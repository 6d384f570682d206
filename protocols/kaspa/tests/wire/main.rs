//! Checks the wire against frames of a real node, the spec's vectors, two stock codecs and everything malformed.

mod vectors;
