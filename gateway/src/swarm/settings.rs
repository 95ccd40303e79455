//! The settings of this room.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: 1024,
            pending: 256,
            connections_per_peer: 4,
            upload: 12_500_000,
            mdns: true,
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
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense_and_nonsense_is_named() {
        let fine = Settings::default();
        assert_eq!(fine.check(), Ok(()));
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
                    ..fine
                },
                "p2p.connections_per_peer",
            ),
        ] {
            assert_eq!(settings.check().unwrap_err().setting, name);
        }
    }
}
