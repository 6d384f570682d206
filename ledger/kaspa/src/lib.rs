//! Holds a Kaspa DAG of headers and bodies, without its outputs.
