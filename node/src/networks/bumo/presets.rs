//! Names the public networks: facts from the configurations that come with the original, version 1.3.3.

use super::payer::public_validator;
use polypeer_engine::Target;
use polypeer_ledger_bumo::Rules;

/// A public network.
pub(super) struct Public {
    name: &'static str,
    /// What HELLO carries.
    pub(super) network_id: i64,
    /// Where its nodes listen.
    pub(super) port: u16,
    seeds: &'static [&'static str],
    genesis_account: &'static str,
    slogan: &'static str,
    validators: &'static [&'static str],
}

/// Validators of the private network that is built in. Everybody knows their keys.
const DEVNET_VALIDATORS: u8 = 4;

static PUBLIC: &[Public] = &[
    Public {
        name: "bumo-mainnet",
        network_id: 10_000,
        port: 16_001,
        seeds: &[
            "seed1.bumo.io",
            "seed2.bumo.io",
            "seed3.bumo.io",
            "seed4.bumo.io",
            "seed5.bumo.io",
            "seed6.bumo.io",
            "seed7.bumo.io",
        ],
        genesis_account: "buQhQn789EEzY55A5k7KS1YqKi9Sc7QueBeE",
        slogan: "a new era of value",
        validators: &[
            "buQepro8K7vtL4rXpmXgeXgpSinfersGPhqq",
            "buQZuyLXnej9uhRMeHvb6MNEK8chYig8tEiE",
            "buQnXgA9n9xyTSRDZe5udvzBtummAdA3nMHB",
            "buQpAATLcXQXFDSw4Bqeec6CVWUZiKaXcj6i",
            "buQcoAnDCn21JXbN6chfW4XsfedCazGTEq8F",
            "buQntYq7qrC31vuRLhJuMvPxgbU32sFjviDr",
            "buQYySFa8S7r5TTydJ65RfA4uQyyRNbuK9mW",
            "buQky1gqTLikvUK3c4zPS1C6KEuCioYHcZ9h",
            "buQYzyhvtXxNRua21euMJrDErrBfu4HSrSdg",
            "buQnNS6D6mFT8Se1vHtgsJuraBst6n7rnk87",
            "buQj4cA7eW7akR6jzSKgd3Vx8tLEQLssW97z",
            "buQkrtMLQxENbx3vZagE2FzDjKgHQ2njq2S7",
            "buQiHJuDdXqf2Zx3ZfJ7pQ1MzgMnbA8ymo5p",
        ],
    },
    Public {
        name: "bumo-testnet",
        network_id: 20_000,
        port: 26_001,
        seeds: &["seed1.bumotest.io", "seed2.bumotest.io", "seed3.bumotest.io", "seed4.bumotest.io"],
        genesis_account: "buQBEoVrVjdHmUc97EA7nChJhAMD3UoXW5uk",
        slogan: "",
        validators: &[
            "buQjSCRX5rwBzKmhyry4qAFnLDubY3R5y83V",
            "buQdE6YSqWu61JdUh6zkcPW1aPHYQX3X4Scj",
            "buQBtykggdN9DDUCCSEK8rESXzXphzo9K6Kd",
            "buQfs9ksvqp3kWijbBKRvgnCBLnTZW7UZHJq",
            "buQqBLuHj1bBgcRGnmbhqEpSAY5TPktuRRVo",
            "buQsMHovSLu8ZBAQmjfXTdZqDq88aomrfinu",
            "buQsYKJBhAKhw8huhGV8Aye3z8txnZ91z6Wz",
        ],
    },
];

/// The public network of this name.
pub(super) fn find(name: &str) -> Option<&'static Public> {
    PUBLIC.iter().find(|public| public.name == name)
}

/// The addresses of the devnet's validators.
pub(super) fn validators() -> anyhow::Result<Vec<String>> {
    (1..=DEVNET_VALIDATORS).map(|number| Ok(public_validator(number)?.public().address())).collect()
}

impl Public {
    /// By which it makes its ledgers.
    pub(super) fn rules(&self) -> Rules {
        Rules { slogan: self.slogan.to_owned(), ..Rules::private(self.genesis_account, self.validators) }
    }

    /// Where a node finds its first peers.
    pub(super) fn seeds(&self) -> Vec<Target> {
        self.seeds.iter().map(|name| Target::Name((*name).to_owned(), self.port)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polypeer_ledger_bumo::{Bumo, Config};

    #[test]
    fn every_preset_founds_a_network() {
        for public in PUBLIC {
            let (_, reader) = Bumo::open(Config::in_memory(public.rules())).unwrap();
            assert_eq!(reader.standing().header.number, 1, "{}", public.name);
        }
    }
}
