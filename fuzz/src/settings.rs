//! Breaks the configuration file.

use polypeer::config::Config;
use std::path::Path;

/// Any text is a configuration or an error of one line.
pub fn config(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Err(error) = Config::parse(Path::new("polypeer.toml"), &text) {
        assert!(!error.to_string().is_empty());
    }
}

/// Configurations as people write them.
pub fn written() -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("node", text("[node]\napi = \"127.0.0.1:7400\"\nnetwork = [\"anya-devnet\"]\nlog = \"info\"\n")),
        ("network", text("[anya-devnet]\nlisten = \"0.0.0.0:7000\"\nadd_peer = [\"10.0.0.1:7000\"]\nproduce = true\n")),
        ("limits", text("[limits]\naddresses_max = 1_000\nqueue_bytes_max = 1048576\nspare_loopback = false\n")),
        (
            "own",
            text(
                "[networks.mine]\nprotocol = \"hello\"\nnetwork_id = \"first\"\ngenesis_time = 1\n\
                 produce_interval = \"100ms\"\naccounts = { \"00\" = 77 }\n",
            ),
        ),
    ]
}
