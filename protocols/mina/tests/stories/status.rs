//! Stories of node status: Mina spec, section 2.5.

use crate::make::peer_id;
use crate::stage::*;
use polypeer_engine::ChannelEnd;
use polypeer_mina::streams::{IDENTIFY, MESH, NODE_STATUS};

const PEER: &str = "10.0.0.9:40000";
const KEYS: [&str; 11] = [
    "node_ip_addr",
    "node_peer_id",
    "sync_status",
    "peers",
    "block_producers",
    "protocol_state_hash",
    "ban_statuses",
    "k_block_hashes_and_timestamps",
    "git_commit",
    "uptime_minutes",
    "block_height_opt",
];

#[test]
fn ours_is_one_document_with_all_keys() {
    story(|stage| {
        let host = stage.dial("10.0.0.8:8302", 8);
        let peer = stage.guest(PEER, 7);
        stage.wait(seconds(120));
        let channel = stage.opens(peer, NODE_STATUS);
        let [document] = stage.hears_on(peer, channel).try_into().expect("one document");
        assert!(stage.finished.contains(&(peer, channel)));
        let document: serde_json::Value = serde_json::from_slice(&document).expect("JSON");
        for key in KEYS {
            assert!(document.get(key).is_some(), "{key}");
        }
        assert_eq!(document["node_peer_id"], peer_id(OURS).text());
        assert_eq!(document["uptime_minutes"], 2);
        assert_eq!(document["block_height_opt"], 1);
        assert_eq!(document["protocol_state_hash"], "3NL93SipJfAMNDBRfQ8Uo8LPovC74mnJZfZYB5SK7mTtkL72dsPx");
        assert_eq!(document["peers"][0]["peer_id"], peer_id(8).text());
        assert!(stage.is_open(host));
    });
}

#[test]
fn a_peer_that_shows_its_state_is_asked_once_and_its_height_shown() {
    story(|stage| {
        let peer = stage.guest_that(PEER, 7, &[IDENTIFY, MESH, NODE_STATUS]);
        let (_, channel, kind) = *stage.opened.last().expect("it is asked");
        assert_eq!(kind, NODE_STATUS);
        stage.says(peer, channel, b"{\"peers\":[],\"block_height");
        stage.says(peer, channel, b"_opt\":357934}");
        stage.stream_ends(peer, channel, ChannelEnd::Finished);
        let about = stage.peer(peer).map(|peer| polypeer_engine::Protocol::describe(stage.engine.protocol(), peer));
        assert_eq!(about.and_then(|about| about.synced_blocks), Some(357_934));
        stage.wait(seconds(300));
        assert_eq!(stage.opened.iter().filter(|(_, _, kind)| *kind == NODE_STATUS).count(), 1);
        assert!(stage.faults(peer).is_empty());
    });
}

#[test]
fn who_says_nothing_is_not_waited_for_and_who_says_too_much_is_cut() {
    story(|stage| {
        let peer = stage.guest_that(PEER, 7, &[IDENTIFY, MESH, NODE_STATUS]);
        let (_, channel, _) = *stage.opened.last().expect("it is asked");
        stage.wait(seconds(10));
        assert!(stage.reset.contains(&(peer, channel)) && stage.is_open(peer));
        assert!(stage.faults(peer).is_empty());
    });
    story(|stage| {
        let peer = stage.guest_that(PEER, 7, &[IDENTIFY, MESH, NODE_STATUS]);
        let (_, channel, _) = *stage.opened.last().expect("it is asked");
        stage.says(peer, channel, &vec![b' '; (256 << 10) + 1]);
        assert!(stage.reset.contains(&(peer, channel)) && stage.is_open(peer));
        assert_eq!(stage.faults(peer), ["malformed_status"]);
    });
    story(|stage| {
        let peer = stage.guest_that(PEER, 7, &[IDENTIFY, MESH, NODE_STATUS]);
        let (_, channel, _) = *stage.opened.last().expect("it is asked");
        stage.says(peer, channel, b"no");
        stage.stream_ends(peer, channel, ChannelEnd::Finished);
        assert_eq!(stage.faults(peer), ["malformed_status"]);
    });
}
