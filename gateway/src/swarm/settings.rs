//! The settings of this room.

use libp2p::{Multiaddr, multiaddr::Protocol};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Dht,
    sites::{MAX_SITES, Sites},
};
use crate::config::Nonsense;

/// Limits of the peer-to-peer side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Peers that may be connected at once, over all transports, 1 to 100000. One more is disconnected; its viewer is
    /// served over HTTP alone.
    pub connections: u32,
    /// Connections that may be in the making at once, 1 to 10000.
    pub pending: u32,
    /// Connections that one peer may have at once, 1 to 64.
    pub connections_per_peer: u32,
    /// Bytes per second that viewers of one stream together are given over libp2p at most; what is above is theirs to get
    /// from each other or over HTTP. 0: this gateway pushes nothing.
    pub upload: u32,
    /// Whether this gateway is found by others on the same link (multicast DNS). Never where it listens on loopback only.
    pub mdns: bool,
    /// Where the names of streams (IPNS records) are told and looked for: "off"; "mesh", among peers with addresses of private
    /// networks; or "public", in the DHT of all IPFS nodes, where strangers learn of this gateway.
    pub dht: Dht,
    /// Whether they are also told over PubSub to peers that subscribe to them and asked of those. Nobody is dialled for it.
    pub pubsub: bool,
    /// For "public": multiaddrs of the peers to begin with, such as /ip4/192.0.2.1/tcp/4001/p2p/12D3…
    pub bootstrap: Vec<String>,
    /// Sites between which the way is narrow, such as a radio link: each its networks with spaces between, such as
    /// "10.1.0.0/16 fd00:1::/32", this gateway's own site first. Viewers of a site then take parts from each other, and each
    /// part crosses to it about once. An address at none of them may be anywhere. Empty: all are near each other.
    pub sites: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: 1024,
            pending: 256,
            connections_per_peer: 4,
            upload: 12_500_000,
            mdns: true,
            dht: Dht::Mesh,
            pubsub: true,
            bootstrap: Vec::new(),
            sites: Vec::new(),
        }
    }
}

impl Settings {
    /// Says which setting makes no sense.
    pub fn check(&self) -> Result<(), Nonsense> {
        for (name, value, most) in [
            ("p2p.connections", self.connections, 100_000),
            ("p2p.pending", self.pending, 10_000),
            ("p2p.connections_per_peer", self.connections_per_peer, 64),
        ] {
            if !(1..=most).contains(&value) {
                return Err(Nonsense::new(name, value, format!("give 1 to {most}")));
            }
        }
        for address in &self.bootstrap {
            if parse(address).is_none() {
                let remedy = "give a multiaddr with IP and peer id such as /ip4/192.0.2.1/tcp/4001/p2p/12D3…";
                return Err(Nonsense::new("p2p.bootstrap", address, remedy));
            }
        }
        if let Err(site) = Sites::parse(&self.sites) {
            let remedy = "give networks such as 10.1.0.0/16 with spaces between";
            return Err(Nonsense::new("p2p.sites", site, remedy));
        }
        if self.sites.len() > MAX_SITES {
            let remedy = format!("list at most {MAX_SITES} sites");
            return Err(Nonsense::new("p2p.sites", self.sites.len(), remedy));
        }
        if (self.dht == Dht::Public) == self.bootstrap.is_empty() {
            let remedy =
                "give p2p.dht = \"public\" and addresses in p2p.bootstrap together, or neither";
            return Err(Nonsense::new(
                "p2p.dht",
                format!("{:?}", self.dht).to_lowercase(),
                remedy,
            ));
        }
        Ok(())
    }

    /// Peers of the public DHT that are dialled at the start; none unless it is switched on.
    pub(super) fn first_peers(&self) -> impl Iterator<Item = Multiaddr> + '_ {
        self.bootstrap.iter().filter_map(|address| parse(address))
    }
}

fn parse(address: &str) -> Option<Multiaddr> {
    let address: Multiaddr = address.parse().ok()?;
    let mut parts = address.iter();
    let ip = matches!(parts.next(), Some(Protocol::Ip4(_) | Protocol::Ip6(_)));
    (ip && matches!(parts.last(), Some(Protocol::P2p(_)))).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense_and_nonsense_is_named() {
        let fine = Settings::default();
        assert_eq!((fine.check(), fine.dht), (Ok(()), Dht::Mesh));
        assert_eq!(fine.first_peers().count(), 0, "nobody is called");
        for (settings, name) in [
            (
                Settings {
                    connections: 0,
                    ..fine.clone()
                },
                "p2p.connections",
            ),
            (
                Settings {
                    pending: 10_001,
                    ..fine.clone()
                },
                "p2p.pending",
            ),
            (
                Settings {
                    connections_per_peer: 65,
                    ..fine.clone()
                },
                "p2p.connections_per_peer",
            ),
            (
                Settings {
                    dht: Dht::Public,
                    ..fine.clone()
                },
                "p2p.dht",
            ),
            (
                Settings {
                    dht: Dht::Public,
                    bootstrap: vec!["/dns4/bootstrap.libp2p.io/tcp/4001".into()],
                    ..fine
                },
                "p2p.bootstrap",
            ),
        ] {
            assert_eq!(settings.check().unwrap_err().setting, name);
        }
    }
}
