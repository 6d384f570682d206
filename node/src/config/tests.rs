//! Tells stories of layers: who wins, and what is refused.

use super::*;
use std::io::Write;

const NAME: &str = "anya-devnet";

/// Loads from a file's text, variables and flags.
fn load(text: &str, variables: &[(&str, &str)], givens: &[Given]) -> Result<Config, ConfigError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(file.path()), variables, givens)
}

fn given(section: &str, key: &'static str, text: &str) -> Given {
    Given { section: section.into(), key, text: text.into(), flag: "--flag" }
}

/// What a configuration is refused with.
fn refusal(text: &str, variables: &[(&str, &str)]) -> String {
    load(text, variables, &[]).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn every_default_and_preset_fits_its_key() {
    let config = Config::defaults();
    for section in config.sections() {
        for key in &section.keys {
            assert!(key.doc.ends_with('.'), "[{}] {}: a doc is a sentence", section.name, key.name);
            assert_eq!(section.get(key.name).is_some(), key.default.is_some() || section.get(key.name).is_some());
        }
        let mut names: Vec<_> = section.keys.iter().map(|key| key.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), section.keys.len(), "[{}] has a key twice", section.name);
    }
}

#[test]
fn stronger_layers_win() {
    let variable = ("POLYPEER_ANYA_DEVNET__OUT_PEERS", "3");
    let text = "[anya-devnet]\nout_peers = 2\n";
    let out_peers = |text: &str, variables: &[(&str, &str)], givens: &[Given]| {
        let config = load(text, variables, givens).unwrap();
        let setting = config.network(NAME).unwrap().section.get("out_peers").unwrap().clone();
        (setting.value, setting.origin)
    };
    assert_eq!(out_peers("", &[], &[]), (Value::Count(8), Origin::Default));
    let (value, origin) = out_peers(text, &[], &[]);
    assert!(matches!((value, origin), (Value::Count(2), Origin::File(_, 2))));
    let of_environment = Origin::Environment(variable.0.into());
    assert_eq!(out_peers(text, &[variable], &[]), (Value::Count(3), of_environment));
    let flag = given(NAME, "out_peers", "4");
    assert_eq!(out_peers(text, &[variable], &[flag]), (Value::Count(4), Origin::CommandLine("--flag")));
}

#[test]
fn unknown_keys_suggest_the_nearest() {
    assert!(refusal("[node]\nappi = \"x\"\n", &[]).ends_with(":2: unknown key `appi` in [node]; did you mean `api`?"));
    assert!(refusal("[anya-devnett]\n", &[]).contains("did you mean `anya-devnet`?"));
    assert!(refusal("", &[("POLYPEER_NODE__LOGS", "x")]).contains("did you mean `log`?"));
    assert!(refusal("", &[("POLYPEER_NODDE__LOG", "x")]).contains("did you mean `NODE`?"));
    assert!(refusal("listen = \"x\"\n", &[]).contains("outside any section"));
    let unknown = Config::defaults().network("anya").map(|_| ()).unwrap_err();
    assert_eq!(unknown.to_string(), "unknown network `anya`; did you mean `anya-devnet`?");
}

#[test]
fn wrong_values_name_their_line() {
    for (text, line, word) in [
        ("[node]\n\napi = 5\n", 3, "an address such as"),
        ("[anya-devnet]\nhandshake_timeout = \"5\"\n", 2, "a time such as"),
        ("[anya-devnet]\nout_peers = -1\n", 2, "a whole number"),
        ("[anya-devnet]\nadd_peer = [\"nonsense\"]\n", 2, "HOST:PORT"),
        ("[anya-devnet]\nout_peers = 1\nout_peers = 2\n", 3, "duplicate"),
        ("[anya-devnet\n", 1, ""),
    ] {
        let refusal = refusal(text, &[]);
        assert!(refusal.contains(&format!(":{line}: ")) && refusal.contains(word), "{refusal}");
        assert_eq!(refusal.lines().count(), 1, "{refusal}");
    }
}

#[test]
fn only_variables_with_a_section_are_meant() {
    assert!(load("", &[("POLYPEER_TESTS", "1"), ("PATH", "x"), ("OTHER__KEY", "x")], &[]).is_ok());
}

#[test]
fn own_networks_have_their_protocols_keys() {
    let key = "ab".repeat(32);
    let text = format!(
        "[networks.my-net]\nprotocol = \"anya\"\nnetwork_id = \"mine\"\ngenesis_time = 5\ntarget = 0x2000ffff\n\
         accounts = {{ \"{key}\" = 7 }}\nping_timeout = \"1s\"\nlisten = \"127.0.0.1:9\"\n"
    );
    let config = load(&text, &[("POLYPEER_NETWORKS__MY_NET__OUT_PEERS", "1")], &[given("my-net", "produce", "true")]);
    let config = config.unwrap();
    let network = config.network("my-net").unwrap();
    let section = &network.section;
    assert!(network.is_own && section.flag("produce"));
    assert_eq!((section.text("network_id"), section.text("target")), (Some("mine"), Some("2000ffff")));
    assert_eq!((section.count("out_peers"), section.count("genesis_time")), (1, 5));
    assert_eq!(section.accounts("accounts").unwrap()[&key], 7);
}

#[test]
fn own_networks_can_come_from_the_environment() {
    let config = load("", &[("POLYPEER_NETWORKS__MY_NET__PROTOCOL", "anya")], &[]).unwrap();
    assert!(config.network("my-net").unwrap().is_own);
}

#[test]
fn own_networks_need_a_name_and_a_protocol() {
    for (text, word) in [
        ("[networks.x]\n", "`protocol` is missing"),
        ("[networks.x]\nprotocol = \"anja\"\n", "unknown protocol `anja`"),
        ("[networks.X]\nprotocol = \"anya\"\n", "a network's name"),
        ("[networks.anya-devnet]\nprotocol = \"anya\"\n", "cannot be told"),
        ("[networks.x]\nprotocol = \"anya\"\nnetwork_id = \"seventeen bytes!!\"\n", "at most 16 bytes"),
        ("[networks.longer-than-16-bytes]\nprotocol = \"anya\"\n", "network id"),
        ("[networks.x]\nprotocol = \"hello\"\ntarget = \"ff00ffff\"\n", "target"),
        ("[anya-devnet]\ntarget = \"2000ffff\"\n", "unknown key `target`"),
    ] {
        let refusal = refusal(text, &[]);
        assert!(refusal.contains(word), "{refusal}");
    }
}

#[test]
fn the_schema_has_every_key() {
    let schema = schema();
    for section in Config::defaults().sections() {
        for key in &section.keys {
            let property = &schema["properties"][&section.name]["properties"][key.name];
            assert!(property["description"].is_string(), "[{}] {}", section.name, key.name);
        }
    }
}
