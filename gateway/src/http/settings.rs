//! The settings of this room.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Nonsense, value};

/// Limits of the HTTP doors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Connections at once, 1 to 1000000; one more is told so (503) and closed. A viewer takes two to four. Each is an open file: where
    /// the system allows fewer, fewer are taken.
    pub connections: usize,
    /// WebSockets among them (players and directory pages that are told what is new), 1 to 1000000.
    pub websockets: usize,
    /// A client that has not sent its whole request by then, or asks nothing more for so long, is disconnected; 1 s to 1 h.
    #[serde(with = "value::duration")]
    #[schemars(with = "String")]
    pub read_timeout: Duration,
    /// A client that takes no bytes for so long is disconnected; 1 s to 1 h.
    #[serde(with = "value::duration")]
    #[schemars(with = "String")]
    pub write_timeout: Duration,
    /// Bytes of parts that stay in memory after they were read, at most 1 GiB; up to as many again are taken for
    /// parts that many ask for at once.
    pub memory_bytes: usize,
    /// Whether /ipfs also gives what is not stored here, if an IPFS node that is connected has it: whoever reaches this gateway
    /// then has it fetch what they name. It is asked for over bitswap and checked; 16 MiB of it stay in memory for a while.
    pub fetch: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: 8192,
            websockets: 4096,
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(20),
            memory_bytes: 32 << 20,
            fetch: false,
        }
    }
}

impl Settings {
    /// Says which setting makes no sense.
    pub fn check(&self) -> Result<(), Nonsense> {
        for (name, value) in [
            ("http.connections", self.connections),
            ("http.websockets", self.websockets),
        ] {
            if !(1..=1_000_000).contains(&value) {
                return Err(Nonsense::new(name, value, "give 1 to 1000000"));
            }
        }
        for (name, value) in [
            ("http.read_timeout", self.read_timeout),
            ("http.write_timeout", self.write_timeout),
        ] {
            let bounds = Duration::from_secs(1)..=Duration::from_secs(3600);
            Nonsense::unless_within(name, value, bounds)?;
        }
        if self.memory_bytes > 1 << 30 {
            return Err(Nonsense::new(
                "http.memory_bytes",
                self.memory_bytes,
                "give at most 1073741824",
            ));
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
                "http.connections",
            ),
            (
                Settings {
                    websockets: 1_000_001,
                    ..fine.clone()
                },
                "http.websockets",
            ),
            (
                Settings {
                    read_timeout: Duration::ZERO,
                    ..fine.clone()
                },
                "http.read_timeout",
            ),
            (
                Settings {
                    write_timeout: Duration::from_secs(3601),
                    ..fine.clone()
                },
                "http.write_timeout",
            ),
            (
                Settings {
                    memory_bytes: (1 << 30) + 1,
                    ..fine
                },
                "http.memory_bytes",
            ),
        ] {
            assert_eq!(settings.check().unwrap_err().setting, name);
        }
    }
}
