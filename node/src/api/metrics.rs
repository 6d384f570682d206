//! Writes what is counted in Prometheus's words. Labels come from small fixed sets; no peer, no address.

use crate::networks::Meters;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;

type Labels = Vec<(&'static str, String)>;

/// All metrics of a node as text.
pub(super) fn encode(networks: &[(String, Meters)], is_ready: bool) -> String {
    let mut registry = Registry::with_prefix("polypeer");
    registry.register_collector(Box::new(Snapshot { networks: networks.to_vec(), is_ready }));
    let mut out = String::new();
    // Writing to a string never fails.
    let _ = text::encode(&mut out, &registry);
    out
}

#[derive(Debug)]
struct Snapshot {
    networks: Vec<(String, Meters)>,
    is_ready: bool,
}

impl Snapshot {
    // One row for each network and each of its labelled values.
    fn rows(&self, values: impl Fn(&Meters) -> Vec<(Labels, u64)>) -> Vec<(Labels, u64)> {
        let of = |(name, meters): &(String, Meters)| {
            let name = name.clone();
            values(meters).into_iter().map(move |(mut labels, value)| {
                labels.insert(0, ("network", name.clone()));
                (labels, value)
            })
        };
        self.networks.iter().flat_map(of).collect()
    }

    fn plain(&self, value: impl Fn(&Meters) -> u64) -> Vec<(Labels, u64)> {
        self.rows(|meters| vec![(Labels::new(), value(meters))])
    }

    fn words(&self, label: &'static str, values: impl Fn(&Meters) -> &[(&'static str, u64)]) -> Vec<(Labels, u64)> {
        self.rows(|meters| {
            values(meters).iter().map(|(word, value)| (vec![(label, (*word).to_owned())], *value)).collect()
        })
    }

    fn pair(&self, words: [&'static str; 2], value: impl Fn(&Meters) -> (u64, u64)) -> Vec<(Labels, u64)> {
        self.rows(|meters| {
            let (first, second) = value(meters);
            let label = |word: &str| vec![("direction", word.to_owned())];
            vec![(label(words[0]), first), (label(words[1]), second)]
        })
    }

    fn gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        const DIRECTIONS: [&str; 2] = ["inbound", "outbound"];
        let ready = vec![(Labels::new(), u64::from(self.is_ready))];
        gauge(encoder, "ready", "Whether the node is ready", &ready)?;
        let build = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        gauge(encoder, "build_info", "The program's version", &[(build, 1)])?;
        let peers = self.pair(DIRECTIONS, |own| (own.peers.inbound as u64, own.peers.outbound as u64));
        gauge(encoder, "peers", "Connections that stand", &peers)?;
        gauge(encoder, "peers_ready", "Peers whose handshake is finished", &self.plain(|own| own.ready))?;
        gauge(encoder, "dials", "Dials under way", &self.plain(|own| own.dialling))?;
        let addresses = self.rows(|own| {
            let label = |word: &str| vec![("state", word.to_owned())];
            let (all, proven) = own.addresses;
            vec![(label("proven"), proven), (label("unproven"), all.saturating_sub(proven))]
        });
        gauge(encoder, "addresses", "Entries of the address book", &addresses)?;
        gauge(encoder, "bans", "IP addresses that are refused", &self.plain(|own| own.bans))?;
        gauge(encoder, "height", "The height of the tip", &self.plain(|own| own.height))?;
        gauge(encoder, "mempool_transactions", "Transactions that wait", &self.plain(|own| own.mempool))?;
        let syncing = self.plain(|own| u64::from(own.syncing));
        gauge(encoder, "syncing", "Whether the network is catching up", &syncing)?;
        let help = "How near the network is to an eclipse, from 0 to 1";
        let mut family = encoder.encode_descriptor("eclipse_risk_ratio", help, None, MetricType::Gauge)?;
        for (name, meters) in &self.networks {
            let labels = [("network", name.as_str())];
            ConstGauge::new(f64::from(meters.eclipse_risk) / 100.0).encode(family.encode_family(&labels)?)?;
        }
        let imbalances = self.plain(|own| own.imbalances);
        gauge(encoder, "imbalances", "Sums of what came and went that do not add up; always 0", &imbalances)
    }

    fn counters(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        const FLOWS: [&str; 2] = ["received", "sent"];
        counter(encoder, "bytes", "Bytes over connections", &self.pair(FLOWS, |own| own.bytes))?;
        counter(encoder, "frames", "Frames over connections", &self.pair(FLOWS, |own| own.frames))?;
        let unsent = self.words("reason", |own| &own.unsent);
        counter(encoder, "frames_dropped", "Frames that were not sent", &unsent)?;
        let unread = self.words("reason", |own| &own.unread);
        counter(encoder, "bytes_ignored", "Bytes that came and were no part of a frame", &unread)?;
        let upload = self.words("class", |own| &own.upload);
        counter(encoder, "upload_bytes", "Bytes to send, as the upload cap sees them", &upload)?;
        let refused = self.words("class", |own| &own.refused);
        counter(encoder, "work_refused", "Work that a peer had no credit for", &refused)?;
        let shed = self.plain(|own| own.shed);
        counter(encoder, "connections_shed", "Connections closed because memory was short", &shed)?;
        let connections = self.pair(["inbound", "outbound"], |own| own.connections);
        counter(encoder, "connections", "Connections that came to stand", &connections)?;
        let judged = self.rows(|own| {
            let row = |(kind, outcome, count): &(&str, &str, u64)| {
                (vec![("kind", (*kind).to_owned()), ("outcome", (*outcome).to_owned())], *count)
            };
            own.judged.iter().map(row).collect()
        });
        counter(encoder, "judged", "Blocks and transactions that the ledger judged", &judged)
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.gauges(&mut encoder)?;
        self.counters(&mut encoder)
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, rows: &[(Labels, u64)]) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in rows {
        let value = ConstGauge::new(i64::try_from(*value).unwrap_or(i64::MAX));
        match labels.as_slice() {
            // Without labels there is one row, and no braces.
            [] => return value.encode(family),
            labels => value.encode(family.encode_family(&labels)?)?,
        }
    }
    Ok(())
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, rows: &[(Labels, u64)]) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in rows {
        ConstCounter::new(*value).encode(family.encode_family(&labels.as_slice())?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_prefix_and_counters_their_ending() {
        let judged = vec![("block", "accepted", 3)];
        let meters = Meters { bytes: (7, 9), judged, eclipse_risk: 25, ..Meters::default() };
        let text = encode(&[("net".into(), meters)], true);
        for line in [
            "polypeer_ready 1",
            "polypeer_eclipse_risk_ratio{network=\"net\"} 0.25",
            "polypeer_bytes_total{network=\"net\",direction=\"received\"} 7",
            "polypeer_bytes_total{network=\"net\",direction=\"sent\"} 9",
            "polypeer_judged_total{network=\"net\",kind=\"block\",outcome=\"accepted\"} 3",
            "# EOF",
        ] {
            assert!(text.lines().any(|other| other == line), "no {line:?} in\n{text}");
        }
        let is_ours = |line: &str| line.starts_with("polypeer_") || line.starts_with('#');
        assert!(text.lines().all(is_ours), "{text}");
    }
}
