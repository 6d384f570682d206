//! Speaks AnYa.
