//! Sites: networks between which the way is narrow, as the operator lists them. A page is told at which of them it is, and
//! the peer engine lets each part cross about once.

use std::net::IpAddr;

/// Sites beyond so many make no sense.
pub(super) const MAX_SITES: usize = 256;

/// In the operator's order; this gateway's own is the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sites(Vec<Vec<Network>>);

/// An address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Network(IpAddr, u8);

impl Sites {
    /// Each of `all` is a site: networks such as "10.1.0.0/16", with spaces between. The first that is none is the error.
    pub(super) fn parse(all: &[String]) -> Result<Self, String> {
        let site = |text: &String| {
            let networks = text.split_whitespace();
            let networks: Option<Vec<Network>> = networks.map(Network::parse).collect();
            let networks = networks.filter(|networks| !networks.is_empty());
            networks.ok_or_else(|| text.clone())
        };
        let sites: Result<Vec<_>, String> = all.iter().map(site).collect();
        Ok(Self(sites?))
    }

    /// The number of the site of an address, 1 for this gateway's own; 0: it is at none of them.
    pub(crate) fn of(&self, address: IpAddr) -> u32 {
        let at = |networks: &Vec<Network>| networks.iter().any(|network| network.holds(address));
        let found = self.0.iter().position(at);
        found.map_or(0, |at| u32::try_from(at).map_or(0, |at| at + 1))
    }

    /// The number of this gateway's own; 0: none is listed.
    pub(crate) fn own(&self) -> u32 {
        u32::from(!self.0.is_empty())
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (address, bits): (IpAddr, u8) = (address.parse().ok()?, bits.parse().ok()?);
        let most = if address.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Self(address, bits))
    }

    fn holds(&self, address: IpAddr) -> bool {
        let differ = match (self.0, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                u128::from(u32::from(own) ^ u32::from(other)) << 96
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => u128::from(own) ^ u128::from(other),
            _ => return false,
        };
        differ.leading_zeros() >= u32::from(self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_at_the_first_site_that_holds_it() {
        let all = ["10.1.0.0/16 fd00:1::/32", "10.0.0.0/8", "192.0.2.7/32"].map(String::from);
        let sites = Sites::parse(&all).unwrap();
        for (address, site) in [
            ("10.1.255.3", 1),
            ("::ffff:10.1.0.1", 1),
            ("fd00:1:2::3", 1),
            ("fd00:2::3", 0),
            ("10.2.0.1", 2),
            ("192.0.2.7", 3),
            ("192.0.2.6", 0),
        ] {
            assert_eq!(sites.of(address.parse().unwrap()), site, "{address}");
        }
        assert_eq!((sites.own(), Sites::default().own()), (1, 0));
        let all = Sites::parse(&["0.0.0.0/0".into()]).unwrap();
        assert_eq!(all.of("8.8.8.8".parse().unwrap()), 1);
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "fd00::/129",
            "valley/8",
            "10.0.0.0/8 x",
        ] {
            let all = ["10.1.0.0/16".to_string(), text.to_string()];
            assert_eq!(Sites::parse(&all), Err(text.to_string()));
        }
    }
}
