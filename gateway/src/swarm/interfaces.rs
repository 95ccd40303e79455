//! The addresses of this machine, and which of them a listener is to be on.

use std::net::IpAddr;

/// Every address that a peer could reach this machine at, in a steady order. IPv6 link-local ones are left out: they mean
/// nothing without the name of an interface, which no multiaddr carries.
pub(super) fn addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "the system does not tell its addresses; give one with --http");
        Vec::new()
    });
    let mut addresses: Vec<IpAddr> = interfaces.iter().map(|i| i.ip()).collect();
    addresses.retain(|ip| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()));
    addresses.sort_by_key(|ip| (!ip.is_loopback(), ip.is_ipv6(), *ip));
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_loopback_address() {
        let addresses = addresses();
        assert!(addresses.contains(&"127.0.0.1".parse().unwrap()));
        assert!(addresses.iter().all(|ip| !ip.is_unspecified()));
    }
}
