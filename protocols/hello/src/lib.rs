//! Speaks Hello.
