//! Values that a configuration writes in its own way.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where to listen, or not at all: "IP:PORT" or "off".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Address(pub Option<SocketAddr>);

impl Address {
    /// Not at all.
    pub const OFF: Self = Self(None);

    /// Only for programs on the same machine.
    pub const fn loopback(port: u16) -> Self {
        Self(Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::OFF),
            _ => text.parse().map(|a| Self(Some(a))).map_err(|_| {
                format!("{text:?} is not an address to listen on: give IP:PORT such as 127.0.0.1:8080 or [::]:8080, or \"off\"")
            }),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

/// Where to listen beside HTTP: "IP:PORT", a port alone (at the IP of `listen.http`), or "off".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Beside {
    /// Not at all.
    Off,
    /// At the IP of `listen.http`. Where this port is taken, or HTTP itself takes any free one, any free one does:
    /// peers learn it from the gateway.
    Port(u16),
    /// There and nowhere else.
    At(SocketAddr),
}

impl FromStr for Beside {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let port = text.parse().map(Self::Port);
        port.or_else(|_| text.parse().map(Self::At)).map_err(|_| {
            format!("{text:?} is not an address to listen on: give IP:PORT such as 127.0.0.1:4101, a port such as 4101 (at the IP of listen.http), or \"off\"")
        })
    }
}

impl TryFrom<String> for Beside {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Port(port) => port.fmt(f),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl From<Beside> for String {
    fn from(beside: Beside) -> Self {
        beside.to_string()
    }
}

/// Durations as people write them: "200ms", "60s", "30days".
/// For a field: `#[serde(with = "crate::config::value::duration")] #[schemars(with = "String")]`.
pub mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// In the largest units that fit.
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*value))
    }

    /// Any sum of numbers with units.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text).map_err(|_| {
            D::Error::custom(format!(
                "{text:?} is not a duration: give a number and a unit such as \"200ms\", \"60s\" or \"30days\""
            ))
        })
    }
}
