//! Plays a peer from a script: says what a row wants said, and reports what comes back.
//!
//! It shares nothing with the implementation that it judges: tonic carries, prost spells, and the hashes are its own.

mod bridge;
pub(crate) mod chain;
pub(crate) mod hashing;
mod line;
mod peer;
mod service;
pub(crate) mod wire;

pub(crate) use bridge::{Bridge, Bridgehead};
pub(crate) use line::{Gzip, Line, dial};
pub(crate) use peer::{Heard, Hello, Manners, Peer, Refused, SHORTLY};
pub(crate) use service::Listener;

#[cfg(test)]
mod tests {
    use super::wire::{Nonce, Payload, Reject};
    use super::*;

    async fn pair(gzip: Gzip) -> (Peer, Peer) {
        let mut listener = Listener::open(gzip).await.unwrap();
        let (dialled, accepted) = tokio::join!(dial(listener.address, gzip), listener.accept(SHORTLY));
        let (ours, theirs) = (Hello::fresh(), Hello::fresh());
        let greetings =
            tokio::join!(Peer::greet(dialled.unwrap(), &ours, false), Peer::greet(accepted.unwrap(), &theirs, true));
        (greetings.0.unwrap(), greetings.1.unwrap())
    }

    #[tokio::test]
    async fn two_scripted_peers_understand_each_other_with_and_without_gzip() {
        for gzip in [Gzip::NONE, Gzip::BOTH] {
            let (mut one, mut other) = pair(gzip).await;
            other.manners = Manners::NONE;
            one.send(Payload::Ping(Nonce { nonce: 5 }));
            other.send(Payload::Reject(Reject { reason: "enough".to_owned() }));
            assert_eq!(other.wait_for("Ping").await.unwrap().payload, Some(Payload::Ping(Nonce { nonce: 5 })));
            drop(other);
            one.rejected("enough").await.unwrap();
        }
    }
}
