//! The networks under judgment: private ones with the captures' validators and genesis.

use super::bumo::{Draft, Fields, Hello, Key, Peer, hex, sha256};
use super::node::Node;
use serde_json::Value;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The name of the network.
pub(crate) const NAME: &str = "mine";

/// A node of a network of the captures' first `validators` validators.
pub(crate) struct Plan {
    pub(crate) validators: usize,
    /// Which of them it is, if any.
    pub(crate) own: Option<usize>,
    pub(crate) interval: Duration,
    pub(crate) connect: Vec<SocketAddr>,
    /// Whether public account 1 has the coins, whom the program's own wallet knows.
    pub(crate) has_public_genesis: bool,
    /// Further lines.
    pub(crate) more: &'static str,
}

impl Plan {
    pub(crate) fn new(validators: usize, own: Option<usize>, interval: Duration) -> Self {
        Self { validators, own, interval, connect: Vec::new(), has_public_genesis: false, more: "" }
    }
}

/// A node, and the folder with its keys.
pub(crate) struct Court {
    pub(crate) node: Node,
    _keys: TempDir,
}

impl Court {
    pub(crate) fn new(plan: &Plan) -> Self {
        let keys = TempDir::new().expect("a folder");
        let file = |name: &str, key: &Key| {
            let path = keys.path().join(name);
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&path).expect("a file");
            std::io::Write::write_all(&mut file, key.text().as_bytes()).expect("it is written");
            path.to_str().expect("a path").to_owned()
        };
        let quoted = |texts: Vec<String>| texts.iter().map(|it| format!("\"{it}\"")).collect::<Vec<_>>().join(", ");
        let validators = (0..plan.validators).map(|number| Key::validator(number).address).collect();
        let connect = plan.connect.iter().map(SocketAddr::to_string).collect();
        let mut section = format!(
            "protocol = \"bumo\"\nnetwork_id = 30000\nvalidators = [{}]\ninterval = \"{}ms\"\nconnect = [{}]\n\
             node_key_file = \"{}\"\n{}\n",
            quoted(validators),
            plan.interval.as_millis(),
            quoted(connect),
            file("node", &Key::node(plan.own.unwrap_or(4))),
            plan.more
        );
        if !plan.has_public_genesis {
            section += &format!("genesis_account = \"{}\"\n", Key::genesis().address);
        }
        if let Some(own) = plan.own {
            section += &format!("validation_key_file = \"{}\"\n", file("validator", &Key::validator(own)));
        }
        section += "[limits]\nspare_loopback = true\n";
        Self { node: Node::start_own(NAME, &section), _keys: keys }
    }

    /// A connection of this node identity, shaken hands with.
    pub(crate) fn peer(&self, name: &str) -> Peer {
        Peer::ready(self.node.address, name)
    }

    pub(crate) fn height(&self) -> i64 {
        self.node.get("/api/v1/status").expect("a status")["networks"][0]["height"].as_i64().expect("a height")
    }

    pub(crate) fn wait_for_height(&self, height: i64, within: Duration) {
        let deadline = Instant::now() + within;
        while self.height() < height {
            assert!(Instant::now() < deadline, "never at height {height}: {}", self.height());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn block(&self, which: &str) -> Option<Value> {
        self.node.get(&format!("/api/v1/networks/{NAME}/blocks/{which}"))
    }
}

/// A GetLedgers.
pub(crate) fn get_ledgers(begin: i64, end: i64, chain_id: i64) -> Vec<u8> {
    Draft::new().number(1, begin).number(2, end).number(3, 5).number(4, chain_id).done()
}

/// A payment of the genesis account's.
#[derive(Clone)]
pub(crate) struct Payment {
    pub(crate) nonce: i64,
    pub(crate) chain_id: i64,
    pub(crate) is_forged: bool,
}

impl Payment {
    pub(crate) fn new(nonce: i64) -> Self {
        Self { nonce, chain_id: 0, is_forged: false }
    }

    /// Its envelope, signed by `key`, who pays the captures' account "a".
    pub(crate) fn envelope(&self, key: &Key) -> Vec<u8> {
        let to = Key::named("bumo-test-acct-a").address;
        let pay = Draft::new().bytes(1, to.as_bytes()).number(2, 10_000_000).done();
        let operation = Draft::new().number(1, 7).part(10, &pay).done();
        let draft = Draft::new().bytes(1, key.address.as_bytes()).number(2, self.nonce).number(3, 1_000_000);
        let transaction = draft.number(4, 1_000).part(7, &operation).number(8, self.chain_id).done();
        let signed = if self.is_forged { [&transaction[..], b"x"].concat() } else { transaction.clone() };
        Draft::new().part(1, &transaction).part(2, &key.signature(&signed)).done()
    }
}

/// A transaction's identifier: the hash of what is signed.
pub(crate) fn id_of(envelope: &[u8]) -> String {
    hex(&sha256(Fields::read(envelope).bytes(1)))
}

/// HELLO with something changed.
pub(crate) fn hello_with(name: &str, change: impl FnOnce(&mut Hello)) -> Vec<u8> {
    let mut hello = Hello::of(name);
    change(&mut hello);
    hello.data()
}
