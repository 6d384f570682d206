//! Encrypts a BUMO deployment: nodes with certificates of one authority talk, others do not get in, and files that cannot
//! be used are said with the key that names them.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use support::{Daemon, eventually, folder, output, text};

const NETWORK: &str = "bumo-devnet";
const NAME: &str = "polypeer";

/// One that signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Writes the files of a node, and a configuration that names them.
    fn equip(&self, folder: &Path) -> PathBuf {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![NAME.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let files =
            [("certificate", certificate.pem()), ("key", key.serialize_pem()), ("authorities", self.pem.clone())];
        let mut config = format!("[{NETWORK}]\n");
        for (what, pem) in files {
            let path = folder.join(format!("{what}.pem"));
            std::fs::write(&path, pem).unwrap();
            config.push_str(&format!("tls_{what}_file = {path:?}\n"));
        }
        let file = folder.join("polypeer.toml");
        std::fs::write(&file, config).unwrap();
        file
    }
}

fn start(folder: &Path, config: Option<&Path>, connect: Option<&str>) -> Daemon {
    let mut more = vec!["--no-discovery"];
    more.extend(config.iter().flat_map(|config| ["--config", config.to_str().unwrap()]));
    more.extend(connect.iter().flat_map(|address| ["--connect", address]));
    Daemon::run(NETWORK, folder, &more)
}

fn ready(daemon: &Daemon) -> Vec<Json> {
    let peers = daemon.look("peers");
    peers.as_array().unwrap().iter().filter(|peer| peer["ready"] == true).cloned().collect()
}

#[test]
fn nodes_of_one_authority_talk_and_others_do_not_get_in() {
    let (authority, other) = (Authority::new(), Authority::new());
    let folders = [(); 4].map(|()| folder());
    let [one, two, stranger, plain] = folders.each_ref().map(|folder| folder.path());
    let listener = start(one, Some(&authority.equip(one)), None);
    let address = listener.address();
    let foreign = start(stranger, Some(&other.equip(stranger)), Some(&address));
    let clear = start(plain, None, Some(&address));
    let friend = start(two, Some(&authority.equip(two)), Some(&address));
    let peers = eventually("the two are peers", || Some(ready(&friend)).filter(|peers| peers.len() == 1));
    assert_eq!(peers[0]["addr"].as_str().unwrap(), address);
    // Each says the name that the other shows.
    let names = [&listener, &friend].map(|daemon| ready(daemon)[0]["node_address"].as_str().unwrap().to_owned());
    assert!(names[0] != names[1] && names.iter().all(|name| name.starts_with("bu")), "{names:?}");
    for outsider in [&foreign, &clear] {
        eventually("it was tried", || {
            let why = outsider.look(&format!("why/{address}"));
            why.as_array().unwrap().iter().any(|why| why["what"] == "backed_off").then_some(())
        });
        assert_eq!(ready(outsider).len(), 0);
    }
    assert_eq!(ready(&listener).len(), 1, "nobody but the friend got in");
}

#[test]
fn files_that_cannot_be_used_are_said_with_their_key_and_line() {
    let folder = folder();
    let config = Authority::new().equip(folder.path());
    let good = std::fs::read_to_string(&config).unwrap();
    let missing = folder.path().join("nowhere.pem");
    let garbage = folder.path().join("garbage.pem");
    std::fs::write(&garbage, "no key").unwrap();
    let line = |key: &str| good.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    let with = |path: &Path, key: &str| good.replace(&line(key), &format!("{key} = {path:?}"));
    let keys = |key: &str, path: &Path| format!("[{NETWORK}]\n{key} = {path:?}\n");
    for (content, words) in [
        (with(&missing, "tls_certificate_file"), ["polypeer.toml:2", "tls_certificate_file", "nowhere.pem"]),
        (with(&missing, "tls_key_file"), ["polypeer.toml:3", "tls_key_file", "nowhere.pem"]),
        (with(&missing, "tls_authorities_file"), ["polypeer.toml:4", "tls_authorities_file", "nowhere.pem"]),
        (with(&garbage, "tls_key_file"), ["polypeer.toml:2", "files of TLS cannot be used", ""]),
        (good.replace(&line("tls_key_file"), ""), ["polypeer.toml:2", "it needs `tls_key_file` too", ""]),
        (keys("node_key_file", &missing), ["polypeer.toml:2", "node_key_file", "nowhere.pem"]),
        (keys("validation_key_file", &missing), ["polypeer.toml:2", "validation_key_file", "nowhere.pem"]),
        (keys("validation_key_file", &garbage), ["polypeer.toml:2", "validation_key_file", "0600"]),
    ] {
        std::fs::write(&config, &content).unwrap();
        let data = folder.path().join("data");
        let (path, data) = (config.to_str().unwrap(), data.to_str().unwrap());
        let listen = ["--listen", "127.0.0.1:0", "--api", "none", "--metrics", "none", "--data-dir", data];
        let output = output(&[&["run", "--network", NETWORK, "--config", path][..], &listen].concat());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{content}: {stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{content}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}
