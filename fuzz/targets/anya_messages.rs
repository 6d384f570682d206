//! AnYa's payloads: what decodes is encoded to the same bytes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use polypeer_anya::wire::{
    address, decode_address, decode_connect, decode_hash, decode_info, decode_peers, get_block, info, payload, peers,
    pool_entries,
};
use polypeer_engine::kit::chain::Tip;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(decoded) = decode_address(bytes) {
        assert_eq!(decode_address(&address(decoded)), Ok(decoded));
    }
    let _ = decode_connect(bytes);
    if let Ok(hash) = decode_hash(bytes) {
        assert_eq!(payload(&get_block(hash)), bytes);
    }
    if let Ok(decoded) = decode_info(bytes) {
        let claimed = decoded.claimed;
        let tip = Tip { hash: claimed.tip, height: claimed.height, work: claimed.work, genesis: claimed.genesis };
        assert_eq!(payload(&info(&claimed.network_id, &tip, &decoded.waypoints)), bytes);
    }
    if let Ok(decoded) = decode_peers(bytes) {
        assert_eq!(decode_peers(payload(&peers(&decoded))), Ok(decoded));
    }
    if let Ok(count) = pool_entries(bytes) {
        assert!(4 + 4 * count <= bytes.len());
    }
});
