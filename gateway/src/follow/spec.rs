//! What the operator wrote of a stream to follow: `k51…@/ip4/192.0.2.1/tcp/4101,/ip4/…?name=ALIAS&title=TITLE`, or `k51…` alone.

use std::str::FromStr;

use libp2p::{Multiaddr, multiaddr::Protocol};
use meshlive_protocol::name::StreamName;
use percent_encoding::percent_decode_str;

/// Gateways that one stream is followed at.
const MAX_GATEWAYS: usize = 16;
/// Longest text, bytes.
const MAX_BYTES: usize = 4096;

/// A stream to follow, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its name.
    pub stream: StreamName,
    /// Gateways that have it, the nearest first; none: it is looked for.
    pub gateways: Vec<Multiaddr>,
    /// What it is called here; by default its name.
    pub alias: String,
    /// What is shown of it.
    pub title: Option<String>,
}

/// What is wrong with it; names the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SpecError(String);

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        if text.len() > MAX_BYTES {
            return Err(SpecError(format!("give at most {MAX_BYTES} bytes")));
        }
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let (name, addresses) = match place.split_once('@') {
            Some((name, addresses)) => (name, addresses.split(',').collect()),
            None => (place, Vec::new()),
        };
        let stream: StreamName = name.parse().map_err(|error| {
            SpecError(format!(
                "{error}; `meshlive-gateway keys list` at the origin shows it"
            ))
        })?;
        let mut gateways = Vec::new();
        for address in addresses {
            gateways.push(gateway(address)?);
        }
        if gateways.len() > MAX_GATEWAYS {
            return Err(SpecError(format!("give at most {MAX_GATEWAYS} gateways")));
        }
        let (mut alias, mut title) = (None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            match key {
                "name" if is_alias(&value) => alias = Some(value),
                "name" => {
                    return Err(SpecError(format!(
                        "name={value}: give an alias of 1 to 64 letters a to z, digits, - and _"
                    )));
                }
                "title" => title = Some(value),
                key => {
                    return Err(SpecError(format!(
                        "{key} is not known here: give name or title"
                    )));
                }
            }
        }
        Ok(Self {
            alias: alias.unwrap_or_else(|| stream.to_string()),
            stream,
            gateways,
            title,
        })
    }
}

fn is_alias(text: &str) -> bool {
    let fits =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(fits) && text.parse::<StreamName>().is_err()
}

fn gateway(text: &str) -> Result<Multiaddr, SpecError> {
    let wrong = |why: &str| {
        SpecError(format!(
            "gateway {text:?} {why}: give a multiaddr such as /ip4/192.0.2.1/tcp/4101 or /ip4/192.0.2.1/udp/4101/quic-v1, as `p2p-tcp` in the gateway's ready line says"
        ))
    };
    let address: Multiaddr = text.parse().map_err(|_| wrong("is no multiaddr"))?;
    let parts: Vec<Protocol<'_>> = address.iter().collect();
    let fits = matches!(
        parts[..],
        [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Tcp(_)]
            | [
                Protocol::Ip4(_) | Protocol::Ip6(_),
                Protocol::Tcp(_),
                Protocol::P2p(_)
            ]
            | [
                Protocol::Ip4(_) | Protocol::Ip6(_),
                Protocol::Udp(_),
                Protocol::QuicV1
            ]
            | [
                Protocol::Ip4(_) | Protocol::Ip6(_),
                Protocol::Udp(_),
                Protocol::QuicV1,
                Protocol::P2p(_)
            ]
    );
    if fits {
        Ok(address)
    } else {
        Err(wrong("is not dialled from here"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "k51qzi5uqu5dlcuc1u4ucnzh2rufs8wgwbkkdqwyyq7jtsmmkopjyf9wuz1ylb";

    fn name() -> String {
        meshlive_protocol::key::SigningKey::from_secret([7; 32])
            .name()
            .to_string()
    }

    #[test]
    fn a_name_with_gateways_and_what_it_is_called() {
        let name = name();
        let text = format!(
            "{name}@/ip4/192.0.2.1/tcp/4101,/ip6/fd00::1/udp/4101/quic-v1?name=conf&title=The%20day"
        );
        let spec: Spec = text.parse().unwrap();
        assert_eq!(spec.stream.to_string(), name);
        assert_eq!((spec.gateways.len(), &*spec.alias), (2, "conf"));
        assert_eq!(spec.title.as_deref(), Some("The day"));
        let alone: Spec = format!("{name}@/ip4/192.0.2.1/tcp/1").parse().unwrap();
        assert_eq!((alone.gateways.len(), &alone.alias), (1, &name));
        let sought: Spec = format!("{name}?name=conf").parse().unwrap();
        assert_eq!((sought.gateways.len(), &*sought.alias), (0, "conf"));
    }

    #[test]
    fn nonsense_is_named_with_its_remedy() {
        let name = name();
        for (text, remedy) in [
            ("conf@/ip4/192.0.2.1/tcp/4101".to_owned(), "keys list"),
            (NAME[..60].to_owned(), "62 characters"),
            (format!("{name}@192.0.2.1:4101"), "/ip4/192.0.2.1/tcp/4101"),
            (format!("{name}@/ip4/192.0.2.1/tcp/8080/ws"), "p2p-tcp"),
            (format!("{name}@/dns4/node.mesh/tcp/4101"), "p2p-tcp"),
            (format!("{name}@"), "/ip4/192.0.2.1/tcp/4101"),
            (format!("{name}@/ip4/192.0.2.1/tcp/1?name={name}"), "alias"),
            (
                format!("{name}@/ip4/192.0.2.1/tcp/1?loop=1"),
                "name or title",
            ),
            (
                format!("{name}@{}", ["/ip4/192.0.2.1/tcp/1"; 17].join(",")),
                "16",
            ),
        ] {
            let error = text.parse::<Spec>().unwrap_err().to_string();
            assert!(error.contains(remedy), "{text}: {error}");
        }
    }
}
