//! Holds the commands to what scripts rely on: exit codes, streams, one line for what went wrong.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

use serde_json::Value as Json;
use std::os::unix::fs::PermissionsExt;
use support::{Daemon, folder, output, polypeer, text};

/// Runs a command that must end with this code and one line that has these words.
#[track_caller]
fn refused(args: &[&str], code: i32, words: &[&str]) {
    let output = output(args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(words.iter().all(|word| stderr.contains(word)), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?} printed {}", text(&output.stdout));
    if code != 2 {
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    }
}

#[test]
fn wrong_usage_is_2() {
    refused(&["nonsense"], 2, &["nonsense"]);
    refused(&["run", "--nonsense"], 2, &["--nonsense"]);
    refused(&["run"], 2, &["--network", "anya-devnet"]);
    refused(&["run", "--network", "anya-devnett"], 2, &["did you mean `anya-devnet`?"]);
    refused(&["run", "--network", "anya-devnet", "--listen", "x"], 2, &["--listen", "an address"]);
    refused(
        &["run", "--network", "anya-devnet", "--network", "hello-devnet", "--listen", "127.0.0.1:0"],
        2,
        &["NAME="],
    );
    refused(&["devnet", "--networks", "anja"], 2, &["did you mean `anya`?"]);
    refused(&["devnet", "--nodes", "1"], 2, &["--nodes"]);
    refused(&["tx", "send", "--from", "17", "--to", "1", "--amount", "1"], 2, &["1 to 16"]);
}

#[test]
fn no_daemon_is_69() {
    for args in [
        &["status"][..],
        &["peers"],
        &["peers", "list"],
        &["peers", "add", "127.0.0.1:1"],
        &["addresses"],
        &["bans"],
        &["why", "1"],
        &["events"],
        &["tx", "send", "--from", "1", "--to", "2", "--amount", "1"],
        &["tx", "generate", "--rate", "1"],
    ] {
        refused(&[args, &["--api", "127.0.0.1:9"]].concat(), 69, &["no node answers at http://127.0.0.1:9"]);
    }
}

#[test]
fn a_data_folder_that_cannot_be_made_is_73() {
    let args = ["run", "--network", "anya-devnet", "--data-dir", "/proc/polypeer"];
    refused(&args, 73, &["cannot make the data folder /proc/polypeer"]);
}

#[test]
fn a_data_folder_in_use_is_75_and_names_the_process() {
    let folder = folder();
    let daemon = Daemon::run("anya-devnet", folder.path(), &[]);
    let path = folder.path().to_str().unwrap();
    let holder = format!("process {}", daemon.id());
    refused(&["run", "--network", "hello-devnet", "--data-dir", path, "--api", "127.0.0.1:0"], 75, &[path, &holder]);
    // What was refused has taken nothing away from whom it was refused for.
    assert_eq!(daemon.status()["name"], "anya-devnet");
    assert!(folder.path().join("api.address").exists());
}

#[test]
fn a_wrong_configuration_is_78() {
    let folder = folder();
    let file = folder.path().join("polypeer.toml");
    let path = file.to_str().unwrap();
    for (content, words) in [
        ("[anya-devnet]\nlissten = \"none\"\n", ["polypeer.toml:2", "did you mean `listen`?"]),
        ("[anya-devnet]\nout_peers = \"many\"\n", ["polypeer.toml:2", "a whole number"]),
        ("[[anya", ["polypeer.toml:1", ""]),
    ] {
        std::fs::write(&file, content).unwrap();
        refused(&["config", "check", path], 78, &words);
        refused(&["config", "show", "--config", path], 78, &words);
        refused(&["run", "--network", "anya-devnet", "--config", path], 78, &words);
    }
    refused(&["config", "check", "/nonexistent"], 78, &["cannot read the configuration /nonexistent"]);
    let mut command = polypeer(&["config", "check"]);
    let output = command.env("POLYPEER_ANYA_DEVNET__LISSTEN", "none").output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
}

#[test]
fn the_configuration_says_where_values_come_from() {
    let folder = folder();
    let file = folder.path().join("polypeer.toml");
    std::fs::write(&file, "[anya-devnet]\nout_peers = 3\n").unwrap();
    let args = ["config", "show", "--origin", "--network", "anya-devnet", "--config", file.to_str().unwrap()];
    let run = polypeer(&args).env("POLYPEER_ANYA_DEVNET__PING_TIMEOUT", "7s").output().unwrap();
    let shown = text(&run.stdout);
    assert!(run.status.success());
    assert!(shown.contains(&format!("out_peers = 3 # {}:2", file.display())), "{shown}");
    assert!(shown.contains("ping_timeout = \"7s\" # environment POLYPEER_ANYA_DEVNET__PING_TIMEOUT"), "{shown}");
    assert!(shown.contains("liveness_interval = \"30s\" # default"), "{shown}");
    // What is shown without origins is itself a good configuration.
    let shown = output_of(&["config", "show"]);
    std::fs::write(&file, shown).unwrap();
    assert!(output(&["config", "check", file.to_str().unwrap()]).status.success());
}

fn output_of(args: &[&str]) -> String {
    let output = output(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn help_manual_completions_and_schema_are_on_stdout() {
    assert!(output_of(&["--help"]).contains("devnet"));
    assert!(output_of(&["--version"]).starts_with("polypeer "));
    assert!(output_of(&["man"]).contains(".TH"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(output_of(&["completions", shell]).contains("polypeer"), "{shell}");
    }
    let schema: Json = serde_json::from_str(&output_of(&["config", "schema"])).unwrap();
    assert_eq!(schema["properties"]["anya-devnet"]["properties"]["listen"]["type"], "string");
}

#[test]
fn keys_are_made_for_their_owner_alone_and_shown() {
    let folder = folder();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (scheme, name) in [("ed25519", "validation.key"), ("sm2", "sm2.key")] {
        let path = file(name);
        let made = output_of(&["keys", "generate", &path, "--network", "bumo-devnet", "--scheme", scheme]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let secret = std::fs::read_to_string(&path).unwrap();
        assert!(secret.starts_with("priv") && !made.contains(secret.trim()), "{made}");
        assert!(made.starts_with("address     bu") && made.contains("public key  b"), "{made}");
        assert_eq!(output_of(&["keys", "show", &path]), made);
        let shown: Json = serde_json::from_str(&output_of(&["--json", "keys", "show", &path])).unwrap();
        assert!(made.contains(shown["address"].as_str().unwrap()), "{shown}");
        assert!(made.contains(shown["public_key"].as_str().unwrap()), "{shown}");
        // Nothing is written over.
        refused(&["keys", "generate", &path], 1, &[&path, "there already"]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), secret);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        refused(&["keys", "show", &path], 1, &[&path, "0600"]);
    }
    assert_ne!(output_of(&["keys", "generate", &file("a")]), output_of(&["keys", "generate", &file("b")]));
    refused(&["keys", "generate", &file("none/there")], 1, &["none/there", "No such file"]);
    refused(&["keys", "show", &file("none")], 1, &["none", "No such file"]);
    refused(&["keys", "generate", &file("c"), "--scheme", "rsa"], 2, &["rsa", "ed25519, sm2"]);
    refused(&["keys", "generate", &file("c"), "--network", "bum"], 2, &["did you mean `bumo`?"]);
    refused(
        &["keys", "generate", &file("c"), "--network", "anya-devnet"],
        2,
        &["no network `anya-devnet` has key files"],
    );
    assert!(!folder.path().join("c").exists());
}

/// What the README says of a network of one's own works as it stands there, but for the ports.
#[test]
fn the_readmes_own_network_runs_as_written() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let told = &readme[readme.find("A BUMO network is made by its validators.").unwrap()..];
    let fenced = |kind: &str| {
        let opens = format!("```{kind}\n");
        told.split(&*opens).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let folder = folder();
    let here = folder.path();
    std::fs::write(here.join("mine.toml"), &fenced("toml")[0]).unwrap();
    let commands = fenced("sh");
    let words = |line: &str| {
        let line = line.split('#').next().unwrap();
        line.split_whitespace().skip_while(|word| *word != "polypeer").skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let keys = words(&commands[0]);
    let made = polypeer(&keys.iter().map(String::as_str).collect::<Vec<_>>()).current_dir(here).output().unwrap();
    assert!(made.status.success() && text(&made.stdout).contains("buQ"), "{}", text(&made.stderr));
    let run: Vec<String> =
        words(&commands[1]).iter().map(|word| word.replace("0.0.0.0:36001", "127.0.0.1:0")).collect();
    assert_eq!(run[..3], ["run", "--network", "mine"]);
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    let daemon = Daemon::start_through(&format!("cd {}", here.display()), &run, &here.join("data"));
    let network = &daemon.status();
    assert_eq!((network["name"].as_str(), network["protocol"].as_str()), (Some("mine"), Some("bumo")));
    assert_eq!(network["height"], 1, "its first ledger is made from the file");
}

#[test]
fn secrets_are_private_and_survive() {
    let folder = folder();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let daemon = Daemon::run("anya-devnet", folder.path(), &["--produce"]);
    let before = (read("api.token"), read("producer.key"));
    for name in ["api.token", "producer.key"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    daemon.stop();
    let _daemon = Daemon::run("anya-devnet", folder.path(), &["--produce"]);
    assert_eq!((read("api.token"), read("producer.key")), before);
}

#[test]
fn a_port_in_use_is_said_plainly() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = folder();
    let path = folder.path().to_str().unwrap();
    let run = ["run", "--network", "anya-devnet", "--data-dir", path];
    refused(&[&run[..], &["--listen", &address]].concat(), 1, &[&address]);
    refused(&[&run[..], &["--listen", "127.0.0.1:0", "--api", &address]].concat(), 1, &[&address, "API"]);
}
