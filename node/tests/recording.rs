//! Looks into the recording of a running node for what must not be in it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

use serde_json::json;
use support::{Daemon, agree, folder};

fn contains(file: &[u8], secret: &[u8]) -> bool {
    file.windows(secret.len()).any(|window| window == secret)
}

/// A producer that makes blocks, pays, is asked with its token, and talks to a peer.
#[test]
fn a_recording_has_no_private_key_and_no_token() {
    for network in ["anya-devnet", "hello-devnet"] {
        let (one, other) = (folder(), folder());
        let path = one.path().join("recording");
        let node = Daemon::run(network, one.path(), &["--produce", "--record", path.to_str().unwrap()]);
        let peer = Daemon::run(network, other.path(), &["--produce", "--add-peer", &node.address()]);
        node.json(&["tx", "send", "--from", "1", "--to", "2", "--amount", "3"]);
        node.command(&["peers", "add", "127.0.0.1:9"]);
        agree(&[&node, &peer], 3);
        node.stop();
        let recording = std::fs::read(&path).unwrap();
        assert!(recording.len() > 1_000 && contains(&recording, network.as_bytes()), "something was recorded");
        for name in ["producer.key", "api.token"] {
            let hex = std::fs::read_to_string(one.path().join(name)).unwrap().trim().to_owned();
            let mut secret = [0; 32];
            const_hex::decode_to_slice(&hex, &mut secret).unwrap();
            let mut backwards = secret;
            backwards.reverse();
            for (form, bytes) in [
                ("bytes", &secret[..]),
                ("bytes backwards", &backwards),
                ("hex", hex.as_bytes()),
                ("capital hex", hex.to_uppercase().as_bytes()),
                ("half of it", &secret[..16]),
                ("the other half", &secret[16..]),
                ("a list of numbers", json!(secret).to_string().as_bytes()),
            ] {
                assert!(!contains(&recording, bytes), "{network}: {name} is in the recording, as {form}");
            }
        }
        // The public account that paid is public, but its secret has no business there either.
        assert!(!contains(&recording, &[1; 32]), "{network}");
    }
}
