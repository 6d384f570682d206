//! Judges and makes coinbase payloads: blue score, subsidy, the miner's script, extra data (Kaspa spec, section 5.6).

use crate::params::Params;

/// Bytes before the script: the score, the subsidy, the script's version and its length.
const HEAD_BYTES: usize = 8 + 8 + 2 + 1;
/// A twelfth of 365.25 days, in seconds.
const MONTH_S: u64 = 2_629_800;
/// The subsidies of a second in the first twelve months in which it falls, with 27 bits behind the point: 44,000,000,000
/// sompi, divided by the twelfth root of two each month. Every year has half of the year before.
const YEAR: [u64; 12] = [
    5_905_580_032_000_000_000,
    5_574_125_293_690_733_485,
    5_261_273_680_383_983_971,
    4_965_981_078_902_716_819,
    4_687_261_977_639_596_558,
    4_424_186_177_503_609_592,
    4_175_875_687_467_068_327,
    3_941_501_794_352_173_438,
    3_720_282_297_077_819_330,
    3_511_478_896_136_198_578,
    3_314_394_729_586_826_218,
    3_128_372_047_344_592_973,
];
const POINT_BITS: u64 = 27;

/// What a payload says, as far as a block is held to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) blue_score: u64,
    pub(crate) subsidy: u64,
}

impl Payload {
    /// Reads a payload of the right form.
    pub(crate) fn read(bytes: &[u8], params: &Params) -> Option<Self> {
        if bytes.len() > params.coinbase_payload_bytes_max {
            return None;
        }
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let (numbers, _) = head.as_chunks::<8>();
        let [blue_score, subsidy] = [numbers.first()?, numbers.get(1)?].map(|bytes| u64::from_le_bytes(*bytes));
        let script = usize::from(head[HEAD_BYTES - 1]);
        (script <= params.coinbase_script_bytes_max && script <= rest.len()).then_some(Self { blue_score, subsidy })
    }

    /// The bytes, for a script of version 0 that is short enough.
    pub(crate) fn write(&self, script: &[u8], extra: &[u8]) -> Vec<u8> {
        let length = u8::try_from(script.len()).unwrap_or(u8::MAX);
        let script = script.get(..usize::from(length)).unwrap_or(script);
        let (score, subsidy) = (self.blue_score.to_le_bytes(), self.subsidy.to_le_bytes());
        [&score[..], &subsidy, &[0, 0, length], script, extra].concat()
    }
}

/// What a block with this score may create.
pub(crate) fn subsidy(params: &Params, daa_score: u64) -> u64 {
    let Some(since) = daa_score.checked_sub(params.subsidy_falls_at) else { return params.subsidy_flat };
    let (earlier_rate, raised_at) = params.raised;
    let rate = params.blocks_per_second();
    let (seconds, rate) = if raised_at < params.subsidy_falls_at {
        (since / rate, rate)
    } else if daa_score < raised_at {
        (since / earlier_rate.max(1), earlier_rate.max(1))
    } else {
        ((raised_at - params.subsidy_falls_at) / earlier_rate.max(1) + (daa_score - raised_at) / rate, rate)
    };
    subsidy_of_second(seconds / MONTH_S).div_ceil(rate)
}

fn subsidy_of_second(month: u64) -> u64 {
    let first_year = YEAR[(month % 12) as usize];
    u32::try_from(POINT_BITS + month / 12).ok().and_then(|bits| first_year.checked_shr(bits)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsidies_fall_as_the_networks_table_says() {
        for (month, subsidy) in [
            (0, 44_000_000_000),
            (1, 41_530_469_757),
            (11, 23_308_188_075),
            (12, 22_000_000_000),
            (13, 20_765_234_878),
            (100, 136_417_277),
            (250, 23_550),
            (400, 4),
            (424, 1),
            (425, 0),
            (10_000, 0),
            (u64::MAX, 0),
        ] {
            assert_eq!(subsidy_of_second(month), subsidy, "month {month}");
        }
    }

    #[test]
    fn the_month_is_counted_at_both_rates() {
        let params = Params::mainnet();
        let falls_at = params.subsidy_falls_at;
        assert_eq!(subsidy(&params, falls_at - 1), 50_000_000_000);
        assert_eq!(subsidy(&params, falls_at), 44_000_000_000);
        assert_eq!(subsidy(&params, falls_at + MONTH_S), 41_530_469_757);
        let (_, raised_at) = params.raised;
        let months = (raised_at - falls_at) / MONTH_S;
        assert_eq!(subsidy(&params, raised_at), subsidy_of_second(months).div_ceil(10));
        assert_eq!(subsidy(&params, raised_at + 10 * MONTH_S), subsidy_of_second(months + 1).div_ceil(10));
        assert_eq!(subsidy(&Params::simnet(), 0), 5_000_000_000);
        assert_eq!(subsidy(&Params::devnet(), 0), 4_400_000_000);
    }

    #[test]
    fn a_payload_is_read_when_its_lengths_fit() {
        let params = Params::simnet();
        let payload = Payload { blue_score: 7, subsidy: 9 };
        let bytes = payload.write(&[1, 2, 3], b"extra");
        assert_eq!(Payload::read(&bytes, &params), Some(payload));
        assert_eq!(Payload::read(&bytes[..HEAD_BYTES + 3], &params), Some(payload));
        assert_eq!(Payload::read(&bytes[..HEAD_BYTES + 2], &params), None);
        assert_eq!(Payload::read(&payload.write(&[1; 150], &[0; 35]), &params), Some(payload));
        assert_eq!(Payload::read(&payload.write(&[1; 151], b""), &params), None);
        assert_eq!(Payload::read(&payload.write(&[1; 150], &[0; 36]), &params), None);
    }
}
