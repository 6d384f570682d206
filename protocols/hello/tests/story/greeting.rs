//! Handshakes (Hello spec, section 3).

use crate::stage::*;
use crate::toy::{Toy, chain, genesis, hash_of};
use polypeer_engine::{Close, P2pAction};
use serde_json::json;

#[test]
fn a_dialler_is_greeted_with_hey_and_hello() {
    story(|stage| {
        let guest = stage.accept("127.0.0.1:40000");
        assert!(stage.hears(guest).is_empty(), "the dialler speaks first");
        stage.says(guest, hello(1));
        let heard = stage.hears(guest);
        assert_eq!(heard.iter().map(method).collect::<Vec<_>>(), ["HEY", "HELLO"]);
        assert_eq!(heard[0], hey(1));
        let ours = &heard[1]["HELLO"];
        assert_eq!(ours["block_count"], 1);
        assert_eq!(ours["time"], START_UNIX_MS / 1000);
        assert_eq!(ours["port"], 7444);
        assert_eq!(ours["genesis"], hex(hash_of(&genesis())));
        assert!(ours["agent"].as_str().is_some_and(|agent| agent.starts_with("polypeer/")));
        assert!(ours["nonce"].as_str().is_some_and(|nonce| nonce.len() == 16));
        stage.says(guest, hey(1));
        let heard = stage.hears_one(guest);
        assert_eq!(heard, json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0}}));
    });
}

#[test]
fn we_dial_greet_and_ask_for_addresses_and_blocks() {
    story(|stage| {
        let host = stage.dial("10.0.0.1:7444");
        assert_eq!(stage.hears_methods(host), ["HELLO"]);
        stage.says(host, hey(5));
        assert!(stage.hears(host).is_empty());
        stage.says(host, hello(5));
        let heard = stage.hears(host);
        assert_eq!(heard, [hey(1), json!({"GETADDR": 7444}), json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0}})]);
    });
}
