//! Places hosts on a map: how far regions are from each other, and how good lines are.

use crate::link::LinkQuality;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where a host is: a row of its map's table. A map without regions has one, 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Region(pub u8);

/// How far places are from each other, and how good the lines between them are.
#[derive(Clone, Debug)]
pub struct Map {
    /// What holds for every line; its latency only where there are no regions.
    pub quality: LinkQuality,
    /// Names of the regions, in the order of their numbers.
    pub names: Vec<&'static str>,
    // One way, before jitter, a row for each region; empty when all places are alike.
    latencies: Vec<Vec<Duration>>,
}

/// The regions of [`Map::world`].
pub const WORLD_REGIONS: [&str; 10] =
    ["dallas", "toronto", "washington", "frankfurt", "london", "madrid", "osaka", "sydney", "tokyo", "sao-paulo"];

/// Average round trips between ten cities, in milliseconds, as IBM Cloud measured and published them for 27 July to 25
/// August 2024 ("Network latency dashboard for VPC", table 1). Within a city it is up to 2 ms there; 2 is used.
const WORLD_ROUND_TRIPS_MS: [[u16; 10]; 10] = [
    [2, 34, 31, 123, 113, 119, 150, 186, 143, 146],
    [34, 2, 19, 93, 82, 108, 168, 215, 162, 129],
    [31, 19, 2, 91, 75, 87, 172, 214, 164, 118],
    [123, 93, 91, 2, 13, 29, 232, 250, 233, 198],
    [113, 83, 75, 13, 2, 27, 244, 261, 243, 188],
    [122, 106, 88, 29, 27, 2, 257, 275, 258, 209],
    [150, 169, 172, 231, 243, 257, 2, 122, 9, 293],
    [186, 214, 214, 249, 261, 275, 122, 2, 115, 328],
    [143, 162, 166, 233, 244, 256, 9, 115, 2, 284],
    [144, 128, 119, 196, 187, 208, 291, 328, 283, 2],
];

impl Map {
    /// All places alike.
    pub fn uniform(quality: LinkQuality) -> Self {
        Self { quality, names: vec!["everywhere"], latencies: Vec::new() }
    }

    /// The table of the world's regions, [`WORLD_REGIONS`], with good lines.
    pub fn world() -> Self {
        let one_way = |trip: &u16| Duration::from_micros(u64::from(*trip) * 500);
        let latencies = WORLD_ROUND_TRIPS_MS.iter().map(|row| row.iter().map(one_way).collect()).collect();
        Self { quality: LinkQuality::default(), names: WORLD_REGIONS.to_vec(), latencies }
    }

    /// A rack: 100 µs and 1 GB/s between any two.
    pub fn rack() -> Self {
        let quality =
            LinkQuality { latency: Duration::from_micros(100), bandwidth: 1_000_000_000, ..LinkQuality::default() };
        Self::uniform(quality)
    }

    /// Phones and home lines: the world's regions with 60 % jitter, 500 kB/s, and a break every two hours.
    pub fn poor() -> Self {
        let quality =
            LinkQuality { jitter_percent: 60, bandwidth: 500_000, breaks_a_day: 12, ..LinkQuality::default() };
        Self { quality, ..Self::world() }
    }

    /// The map of this name: `uniform`, `world`, `rack` or `poor`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "uniform" => Some(Self::uniform(LinkQuality::default())),
            "world" => Some(Self::world()),
            "rack" => Some(Self::rack()),
            "poor" => Some(Self::poor()),
            _ => None,
        }
    }

    /// How long bytes take from one region to another, before jitter. A region that the map does not have counts as
    /// its first.
    pub fn latency(&self, from: Region, to: Region) -> Duration {
        let row = self.latencies.get(usize::from(from.0)).or(self.latencies.first());
        let found = row.and_then(|row| row.get(usize::from(to.0)).or(row.first()));
        found.copied().unwrap_or(self.quality.latency)
    }

    /// How many regions there are.
    pub fn regions(&self) -> usize {
        self.names.len()
    }
}

impl Default for Map {
    fn default() -> Self {
        Self::uniform(LinkQuality::default())
    }
}

impl From<LinkQuality> for Map {
    fn from(quality: LinkQuality) -> Self {
        Self::uniform(quality)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_is_as_wide_as_published() {
        let world = Map::world();
        assert_eq!(world.latency(Region(0), Region(1)), Duration::from_millis(17));
        assert_eq!(world.latency(Region(8), Region(9)), Duration::from_millis(142));
        assert_eq!(world.latency(Region(77), Region(0)), world.latency(Region(0), Region(0)));
        assert_eq!(Map::default().latency(Region(3), Region(4)), LinkQuality::default().latency);
        for name in ["uniform", "world", "rack", "poor"] {
            assert_eq!(Map::named(name).map(|map| map.regions() > 0), Some(true));
        }
    }
}
