//! Serves: the daemon and the embedding API.
