//! Where a gateway's HTTP is, as gateways tell each other by identify: a mirror with `/http` and `/https` addresses, which
//! nobody dials; a gateway by the WebSockets that its HTTP takes.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use tokio::{net::lookup_host, time::timeout};

use super::addresses::ip;
use crate::publish::is_origin;

/// A name is looked up for so long.
const PATIENCE: Duration = Duration::from_secs(3);
/// Addresses of one peer that are looked at.
const MAX_ADDRESSES: usize = 32;

/// The URL that an address of HTTP means, with the scheme's own port left out; `None` for any other address.
pub(crate) fn url(address: &Multiaddr) -> Option<String> {
    let parts: Vec<_> = address
        .iter()
        .filter(|part| !matches!(part, Protocol::P2p(_)))
        .collect();
    let [first, Protocol::Tcp(port), last] = &parts[..] else {
        return None;
    };
    let host = match first {
        Protocol::Ip4(ip) => ip.to_string(),
        Protocol::Ip6(ip) => format!("[{ip}]"),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => name.to_string(),
        _ => return None,
    };
    let (scheme, usual) = match last {
        Protocol::Http | Protocol::Ws(_) => ("http", 80),
        Protocol::Https | Protocol::Wss(_) => ("https", 443),
        _ => return None,
    };
    let url = match *port == usual {
        true => format!("{scheme}://{host}"),
        false => format!("{scheme}://{host}:{port}"),
    };
    is_origin(&url).then_some(url)
}

/// An HTTP address at an IP, as a mirror tells it.
pub(crate) fn address(http: SocketAddr) -> Multiaddr {
    Multiaddr::from(http.ip())
        .with(Protocol::Tcp(http.port()))
        .with(Protocol::Http)
}

/// The URL of the peer's HTTP that viewers are told, of those `addresses` that it tells: a name that leads to where it
/// comes `from`, or else that address itself. Whoever tells another's address is not believed: viewers would be sent there.
pub(crate) async fn checked(addresses: Vec<Multiaddr>, from: IpAddr) -> Option<String> {
    let known: Vec<_> = addresses.iter().take(MAX_ADDRESSES).collect();
    for address in &known {
        let named = address.iter().next();
        if let Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) = named
            && let Some(url) = url(address)
            && let Ok(Ok(mut found)) = timeout(PATIENCE, lookup_host((&*name, 0))).await
            && found.any(|found| found.ip() == from)
        {
            return Some(url);
        }
    }
    let mut here = known.iter().filter(|address| ip(address) == Some(from));
    here.find_map(|address| url(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_from_addresses_of_http_and_from_no_other() {
        for (address, expected) in [
            ("/ip4/10.0.0.1/tcp/8080/http", Some("http://10.0.0.1:8080")),
            ("/ip4/10.0.0.1/tcp/80/ws", Some("http://10.0.0.1")),
            ("/ip6/fd00::1/tcp/8080/http", Some("http://[fd00::1]:8080")),
            ("/dns/tv.mesh/tcp/443/https", Some("https://tv.mesh")),
            ("/dns/tv.mesh/tcp/8443/wss", Some("https://tv.mesh:8443")),
            ("/ip4/10.0.0.1/tcp/4101", None),
            ("/ip4/10.0.0.1/udp/4101/quic-v1", None),
            ("/dns/a b/tcp/80/http", None),
            ("/p2p-circuit", None),
        ] {
            let found = url(&address.parse().unwrap());
            assert_eq!(found.as_deref(), expected, "{address}");
        }
        let v6 = address("[fd00::1]:80".parse().unwrap());
        assert_eq!(url(&v6).as_deref(), Some("http://[fd00::1]"));
    }

    #[tokio::test]
    async fn nobody_speaks_for_another() {
        let addresses = |all: &[&str]| all.iter().map(|one| one.parse().unwrap()).collect();
        let (here, there): (IpAddr, IpAddr) =
            ("127.0.0.1".parse().unwrap(), "10.0.0.9".parse().unwrap());
        let own = ["/ip4/10.0.0.1/tcp/80/http", "/ip4/127.0.0.1/tcp/81/http"];
        let found = checked(addresses(&own), here).await;
        assert_eq!(found.as_deref(), Some("http://127.0.0.1:81"));
        assert_eq!(checked(addresses(&own), there).await, None);
        let named = ["/ip4/127.0.0.1/tcp/81/http", "/dns/localhost/tcp/443/https"];
        let found = checked(addresses(&named), here).await;
        assert_eq!(found.as_deref(), Some("https://localhost"));
        assert_eq!(checked(addresses(&named), there).await, None);
        let many = vec!["/ip4/10.0.0.1/tcp/80/http"; MAX_ADDRESSES];
        let many = [many, vec!["/ip4/10.0.0.9/tcp/80/http"]].concat();
        assert_eq!(checked(addresses(&many), there).await, None, "too many");
    }
}
