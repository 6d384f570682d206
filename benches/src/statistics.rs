//! Sums rounds up: geometric means and how sure one can be of them.

/// A ratio over many rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Score {
    /// Geometric mean.
    pub(crate) mean: f64,
    /// Lower end of the 95 % interval.
    pub(crate) low: f64,
    /// Upper end.
    pub(crate) high: f64,
}

/// Resamples of the bootstrap: the interval's ends move by less than the noise with more of them.
const RESAMPLES: usize = 10_000;

/// The geometric mean of `ratios` with its bootstrap interval. One ratio of zero, a round that lost something,
/// makes the score zero.
pub(crate) fn score(ratios: &[f64]) -> Score {
    if ratios.is_empty() || ratios.iter().any(|ratio| !ratio.is_finite() || *ratio <= 0.0) {
        return Score { mean: 0.0, low: 0.0, high: 0.0 };
    }
    let logs: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let sum: f64 = (0..logs.len()).map(|_| logs[pick(&mut chance, logs.len())]).sum();
            sum / logs.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((means.len() - 1) as f64 * share).round() as usize].exp();
    Score { mean: (logs.iter().sum::<f64>() / logs.len() as f64).exp(), low: at(0.025), high: at(0.975) }
}

/// The geometric mean of figures.
pub(crate) fn geometric_mean(figures: &[f64]) -> f64 {
    if figures.is_empty() || figures.iter().any(|figure| *figure <= 0.0) {
        return 0.0;
    }
    (figures.iter().map(|figure| figure.ln()).sum::<f64>() / figures.len() as f64).exp()
}

/// The value in the middle; zero when there is none.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => (sorted[even / 2 - 1] + sorted[even / 2]) / 2.0,
    }
}

impl Score {
    /// Whether two equal things were told to be equal: what an A/A run must show.
    pub(crate) fn is_quiet(self) -> bool {
        self.low <= 1.0 && self.high >= 1.0 && self.high / self.mean <= 1.05 && self.low / self.mean >= 0.95
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} [{:.3}, {:.3}]", self.mean, self.low, self.high)
    }
}

// Marsaglia's xorshift, seeded the same each time: a report can be computed again from its rows.
fn pick(chance: &mut u64, below: usize) -> usize {
    *chance ^= *chance << 13;
    *chance ^= *chance >> 7;
    *chance ^= *chance << 17;
    ((u128::from(*chance) * below as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ratios_leave_no_doubt() {
        let score = score(&[2.0; 10]);
        assert!((score.mean - 2.0).abs() < 1e-9 && (score.low - 2.0).abs() < 1e-9 && (score.high - 2.0).abs() < 1e-9);
        assert!(!score.is_quiet());
    }

    #[test]
    fn the_mean_is_geometric_and_inside_its_interval() {
        let score = score(&[0.5, 2.0, 0.5, 2.0, 1.0, 1.0]);
        assert!((score.mean - 1.0).abs() < 1e-9);
        assert!(score.low < 1.0 && score.high > 1.0 && !score.is_quiet());
    }

    #[test]
    fn noise_within_one_percent_is_quiet() {
        assert!(score(&[0.99, 1.01, 1.0, 1.005, 0.995]).is_quiet());
    }

    #[test]
    fn a_round_that_lost_something_scores_nothing() {
        assert_eq!(score(&[2.0, 0.0, 2.0]).mean, 0.0);
        assert_eq!(score(&[]).mean, 0.0);
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }
}
