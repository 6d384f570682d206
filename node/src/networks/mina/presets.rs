//! Names the public networks (Mina spec, sections 1.2, 1.3 and 1.6).

use super::named;
use anyhow::Context as _;
use polypeer_ledger_mina::Rules;
use polypeer_protocols::mina::config::{Constants, Named};
use polypeer_protocols::mina::hash::text::read_state_hash;

/// A public network.
pub(super) struct Public {
    name: &'static str,
    /// The key of the private network follows from it.
    pub(super) chain_id: &'static str,
    genesis: &'static str,
    constants: Constants,
    seeds: &'static [&'static str],
}

static PUBLIC: &[Public] = &[
    Public {
        name: "mina-mainnet",
        chain_id: "a7351abc7ddf2ea92d1b38cc8e636c271c1dfd2c081c637f62ebc2af34eb7cc1",
        genesis: "3NK4BpDSekaqsG6tx8Nse2zJchRft2JpnbvMiog55WCr5xJZaKeP",
        constants: Constants::MAINNET,
        seeds: &[
            "/dns4/seed-1.mainnet.gcp.o1test.net/tcp/10003/p2p/12D3KooWCa1d7G3SkRxy846qTvdAFX69NnoYZ32orWVLqJcDVGHW",
            "/dns4/seed-2.mainnet.gcp.o1test.net/tcp/10003/p2p/12D3KooWK4NfthViCTyLgVQa1WvqDC1NccVxGruCXCZUt3GqvFvn",
        ],
    },
    Public {
        name: "mina-testnet",
        chain_id: "29936104443aaf264a7f0192ac64b1c7173198c1ed404c1bcff5e562e05eb7f6",
        genesis: "3NL93SipJfAMNDBRfQ8Uo8LPovC74mnJZfZYB5SK7mTtkL72dsPx",
        constants: Constants::DEVNET,
        seeds: &[
            "/dns4/seed-1.devnet.gcp.o1test.net/tcp/10003/p2p/12D3KooWAdgYL6hv18M3iDBdaK1dRygPivSfAfBNDzie6YqydVbs",
            "/dns4/seed-2.devnet.gcp.o1test.net/tcp/10003/p2p/12D3KooWLjs54xHzVmMmGYb7W5RVibqbwD1co7M2ZMfPgPm7iAag",
            "/dns4/seed-3.devnet.gcp.o1test.net/tcp/10003/p2p/12D3KooWEiGVAFC7curXWXiGZyMWnZK9h8BKr88U8D5PKV3dXciv",
        ],
    },
];

/// The public network of this name.
pub(super) fn find(name: &str) -> Option<&'static Public> {
    PUBLIC.iter().find(|public| public.name == name)
}

impl Public {
    /// By which its blocks follow each other.
    pub(super) fn rules(&self) -> anyhow::Result<Rules> {
        let genesis = read_state_hash(self.genesis).context("a preset's genesis is a state hash")?;
        Ok(Rules::public(genesis, self.constants))
    }

    /// Where a node finds its first peers.
    pub(super) fn seeds(&self) -> anyhow::Result<Vec<Named>> {
        self.seeds.iter().map(|text| named(text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polypeer_ledger_mina::{Config, Mina};
    use polypeer_protocols::mina;

    #[test]
    fn every_preset_is_a_network_with_seeds_that_are_named() {
        for public in PUBLIC {
            let rules = public.rules().unwrap();
            let identity = polypeer_ledger_mina::Identity::of_seed(&[1; 32]);
            let config = mina::Config::new(identity.peer_id(), public.chain_id, rules.genesis, rules.constants);
            // The keys stand in the spec beside the chain ids.
            let known = match public.name {
                "mina-mainnet" => "14dd173ece861212645c98d9bb1fdb1930aff5cfb59077ab27fe1375096bcc68",
                _ => "45818b1ab9bc781268800a92ee9f1155d4c779861924d99354c7cba83cb9d874",
            };
            assert_eq!(const_hex::encode(config.network_key()), known, "{}", public.name);
            assert!(public.seeds().unwrap().iter().all(|seed| seed.peer_id.is_some()));
            let (_, reader) = Mina::open(Config::in_memory(rules)).unwrap();
            assert_eq!(reader.standing().blocks, 0, "its first block is not known here");
        }
    }
}
