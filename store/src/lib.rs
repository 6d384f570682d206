//! Remembers addresses, bans and anchors.
