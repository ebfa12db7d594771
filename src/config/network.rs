//! Networks, as config and policies write them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::problems::Problems;

/// Reads networks, as `10.0.0.0/8`; an address alone is the network of it.
pub fn networks(key: &str, written: &[String], problems: &mut Problems) -> Vec<IpNet> {
    let network = |text: &String| {
        let network = text.parse().or_else(|_| text.parse().map(|address: IpAddr| IpNet::from(address)));
        network.map_err(|_error| problems.add(key, format!("`{text}` is not a network; write one as 10.0.0.0/8"))).ok()
    };
    written.iter().filter_map(network).collect()
}

/// Whether one of them holds the address; an IPv4 address written in IPv6 is the IPv4 one.
pub fn hold(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}
