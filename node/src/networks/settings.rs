//! Reads what every network's section has, whatever its protocol.

use super::Launch;
use crate::as_map;
use crate::config::{Section, target};
use polypeer_engine::{P2pConfig, Protocol, Target};
use std::net::{Ipv4Addr, SocketAddr};

/// Where it listens, if it does.
pub(super) fn listen<P: Protocol>(section: &Section, config: &P::Config) -> anyhow::Result<Option<SocketAddr>> {
    match section.text("listen") {
        Some("none") => Ok(None),
        Some(address) => Ok(Some(address.parse()?)),
        None => Ok(Some(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), P::profile(config).default_port))),
    }
}

/// What the operator decided; on a private network private addresses are ordinary ones.
pub(super) fn p2p(launch: &Launch<'_>, is_private: bool) -> anyhow::Result<P2pConfig> {
    let section = &launch.network.section;
    let targets = |key| section.list(key).iter().filter_map(|text| target(text)).collect::<Vec<Target>>();
    let as_map = launch.config.limits.text("asmap").map(|path| as_map::read(path.as_ref())).transpose()?;
    Ok(P2pConfig {
        listen: None,
        external: section.text("external").and_then(|text| text.parse().ok()),
        add_peers: targets("add_peer"),
        connect_only: targets("connect"),
        outbound_target: section.count_u32("out_peers"),
        inbound_max: section.count_u32("max_in_peers"),
        inbound_per_ip_max: launch.config.limits.count_u32("in_peers_per_ip_max"),
        discovery: !section.flag("no_discovery"),
        private_addresses: is_private,
        spare_loopback: launch.config.limits.flag("spare_loopback"),
        book_max: launch.config.limits.count_u32("addresses_max"),
        inbound_per_group_max: launch.config.limits.count_u32("in_peers_per_group_max"),
        as_map: as_map.unwrap_or_default(),
        upload_rate: launch.config.limits.count("upload_rate"),
    })
}
