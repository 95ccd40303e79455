//! Under which addresses this gateway is reached, for whoever asks. Pure: what it listens on goes in, multiaddrs come out.

use std::net::{IpAddr, SocketAddr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use serde::Serialize;

use super::{doors, websocket};

/// Interfaces beyond so many are not announced: a reservation's answer has room for this many (4 KiB).
pub(super) const MAX_INTERFACES: usize = 6;
/// Browsers warn about more STUN servers than a few; one for each family is enough.
const MAX_STUN: usize = 2;

/// What this gateway listens on at the moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reach {
    pub(super) peer: PeerId,
    /// As bound: maybe all interfaces.
    pub(super) http: SocketAddr,
    /// The operator's, or empty.
    pub(super) public_url: String,
    /// The addresses of this machine.
    pub(super) interfaces: Vec<IpAddr>,
    /// TCP, QUIC and WebRTC, each with the address of an interface.
    pub(super) listening: Vec<Multiaddr>,
    /// Likewise.
    pub(super) stun: Vec<SocketAddr>,
}

/// `GET /api/v1/peer`
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Described {
    peer: String,
    addresses: Vec<String>,
    stun: Vec<String>,
    /// Where who asked is, and where this gateway is; 0: not known.
    site: u32,
    gateway_site: u32,
}

impl Described {
    pub(super) fn at(self, site: u32, gateway_site: u32) -> Self {
        Self {
            site,
            gateway_site,
            ..self
        }
    }
}

impl Reach {
    /// For who asked under the name or address `host` (an HTTP Host header): what is reached from there, nearest first.
    /// Loopback is only told to who came that way.
    pub(crate) fn described(&self, host: Option<&str>) -> Described {
        let host = host.and_then(Host::parse);
        let asked = host.as_ref().and_then(|host| host.ip);
        let here = host.as_ref().is_some_and(Host::is_loopback);
        let mut addresses = Vec::new();
        if let Some(host) = &host {
            addresses.push(host.websocket(&self.public_url));
        }
        let mut own = self.websockets();
        own.extend(self.listening.iter().cloned());
        own.retain(|address| ip(address).is_some_and(|ip| here || !ip.is_loopback()));
        own.sort_by_key(|address| (ip(address) != asked, rank(address)));
        addresses.extend(own);
        let mut seen = Vec::new();
        for address in addresses {
            let address = websocket::with_peer(address, self.peer).to_string();
            if !seen.contains(&address) {
                seen.push(address);
            }
        }
        Described {
            peer: self.peer.to_string(),
            addresses: seen,
            stun: self.stun(asked, here),
            site: 0,
            gateway_site: 0,
        }
    }

    fn stun(&self, asked: Option<IpAddr>, here: bool) -> Vec<String> {
        let mut stun: Vec<_> = self.stun.clone();
        stun.retain(|server| here || !server.ip().is_loopback());
        stun.sort_by_key(|server| (Some(server.ip()) != asked, server.is_ipv6()));
        // The first of each family.
        let mut told: Vec<SocketAddr> = Vec::new();
        for server in stun {
            if !told.iter().any(|other| other.is_ipv4() == server.is_ipv4()) {
                told.push(server);
            }
        }
        let told = told.iter().take(MAX_STUN);
        told.map(|server| format!("stun:{server}")).collect()
    }

    /// What another gateway or IPFS node is told over HTTP: TCP and QUIC first, each address with our peer id; at most 20.
    pub(super) fn dialled(&self) -> Vec<String> {
        let mut all = self.announced();
        all.sort_by_key(|address| std::cmp::Reverse(rank(address)));
        let all = all.into_iter();
        let named = all.map(|address| websocket::with_peer(address, self.peer).to_string());
        named.take(20).collect()
    }

    /// What other peers are told: by identify, and with each reservation. Loopback only where there is nothing else.
    pub(super) fn announced(&self) -> Vec<Multiaddr> {
        let mut all = self.websockets();
        all.extend(self.listening.iter().cloned());
        let loopback = |address: &Multiaddr| ip(address).is_none_or(|ip| ip.is_loopback());
        if !all.iter().all(loopback) {
            all.retain(|address| !loopback(address));
        }
        let secure = Protocol::Wss("/".into());
        all.extend(self.public(Protocol::Ws("/".into()), secure));
        all
    }

    /// Where its HTTP is, as a mirror's peer tells it: the operator's URL, or else every address.
    pub(crate) fn doors(&self) -> Vec<Multiaddr> {
        if let Some(public) = self.public(Protocol::Http, Protocol::Https) {
            return vec![public];
        }
        let places = places(self.http.ip(), &self.interfaces).into_iter();
        places
            .map(|ip| doors::address(SocketAddr::new(ip, self.http.port())))
            .collect()
    }

    /// The operator's URL as an address that ends with one of these.
    fn public(&self, open: Protocol<'static>, secure: Protocol<'static>) -> Option<Multiaddr> {
        let (rest, port, last) = match self.public_url.strip_prefix("https://") {
            Some(rest) => (rest, 443, secure),
            None => (self.public_url.strip_prefix("http://")?, 80, open),
        };
        let host = Host::parse(rest.split('/').next()?)?;
        let port = host.port.unwrap_or(port);
        Some(host.first().with(Protocol::Tcp(port)).with(last))
    }

    fn websockets(&self) -> Vec<Multiaddr> {
        let places = places(self.http.ip(), &self.interfaces);
        let port = self.http.port();
        let places = places
            .into_iter()
            .map(|ip| websocket::address(SocketAddr::new(ip, port)));
        places.collect()
    }
}

/// The addresses of `interfaces` that a socket bound to `listen` is reached at.
pub(super) fn places(listen: IpAddr, interfaces: &[IpAddr]) -> Vec<IpAddr> {
    match listen {
        IpAddr::V4(ip) if ip.is_unspecified() => {
            let v4 = interfaces.iter().copied().filter(IpAddr::is_ipv4);
            v4.collect()
        }
        // Linux takes both families there.
        IpAddr::V6(ip) if ip.is_unspecified() => interfaces.to_vec(),
        ip => vec![ip],
    }
}

/// The IP that an address begins with.
pub(super) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// The IP and port that an address begins with.
pub(super) fn socket(address: &Multiaddr) -> Option<SocketAddr> {
    let ip = ip(address)?;
    match address.iter().nth(1)? {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// Which transport an address is of; the name is a label of the metrics.
pub(super) fn transport(address: &Multiaddr) -> &'static str {
    let names = address.iter().map(|protocol| match protocol {
        Protocol::Ws(_) | Protocol::Wss(_) => "ws",
        Protocol::WebRTCDirect => "webrtc",
        Protocol::QuicV1 => "quic",
        _ => "",
    });
    names
        .filter(|name| !name.is_empty())
        .last()
        .unwrap_or("tcp")
}

/// Browsers' transports first.
fn rank(address: &Multiaddr) -> usize {
    let name = transport(address);
    let order = ["ws", "webrtc", "quic", "tcp"];
    order
        .iter()
        .position(|other| *other == name)
        .unwrap_or(order.len())
}

/// An HTTP Host header.
struct Host {
    name: String,
    ip: Option<IpAddr>,
    port: Option<u16>,
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, Some(port.parse().ok()?)),
            _ => (text, None),
        };
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        let ip = bare.unwrap_or(name).parse().ok();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let named = !name.is_empty() && name.len() <= 253 && name.chars().all(plain);
        (ip.is_some() || named).then(|| Self {
            name: name.to_ascii_lowercase(),
            ip,
            port,
        })
    }

    fn is_loopback(&self) -> bool {
        let local = self.name == "localhost" || self.name.ends_with(".localhost");
        local || self.ip.is_some_and(|ip| ip.is_loopback())
    }

    /// This gateway's WebSocket as it is seen from there: what a browser that has the page can dial in any case.
    fn websocket(&self, public_url: &str) -> Multiaddr {
        let rest = public_url.strip_prefix("https://").unwrap_or("");
        let authority = rest.split('/').next().unwrap_or("");
        let secure = Host::parse(authority).is_some_and(|public| public.name == self.name);
        let (port, last) = if secure {
            (443, Protocol::Wss("/".into()))
        } else {
            (80, Protocol::Ws("/".into()))
        };
        let port = self.port.unwrap_or(port);
        self.first().with(Protocol::Tcp(port)).with(last)
    }

    fn first(&self) -> Multiaddr {
        Multiaddr::empty().with(match self.ip {
            Some(IpAddr::V4(ip)) => Protocol::Ip4(ip),
            Some(IpAddr::V6(ip)) => Protocol::Ip6(ip),
            None => Protocol::Dns(self.name.clone().into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn reach(http: &str, interfaces: &[&str]) -> Reach {
        let interfaces: Vec<IpAddr> = interfaces.iter().map(|ip| ip.parse().unwrap()).collect();
        let http: SocketAddr = http.parse().unwrap();
        let places = places(http.ip(), &interfaces);
        let with = |rest: [Protocol<'static>; 2]| {
            let [a, b] = rest;
            let one = move |ip: &IpAddr| Multiaddr::from(*ip).with(a.clone()).with(b.clone());
            places.iter().map(one).collect::<Vec<_>>()
        };
        let tcp = places.iter();
        let mut listening: Vec<_> = tcp
            .map(|ip| Multiaddr::from(*ip).with(Protocol::Tcp(4101)))
            .collect();
        listening.extend(with([Protocol::Udp(4102), Protocol::WebRTCDirect]));
        let stun = places.iter().map(|ip| SocketAddr::new(*ip, 3478)).collect();
        Reach {
            peer: PEER.parse().unwrap(),
            http,
            public_url: String::new(),
            interfaces,
            listening,
            stun,
        }
    }

    /// Without the peer id that each must end with.
    fn told(reach: &Reach, host: Option<&str>) -> (Vec<String>, Vec<String>) {
        let described = reach.described(host);
        let bare = |address: &String| {
            let bare = address.strip_suffix(&format!("/p2p/{PEER}"));
            bare.expect(address).to_owned()
        };
        let addresses = described.addresses.iter().map(bare).collect();
        (addresses, described.stun)
    }

    #[test]
    fn whoever_asks_by_address_gets_that_address_first_and_never_an_unspecified_or_loopback_one() {
        let reach = reach("0.0.0.0:8080", &["127.0.0.1", "10.0.0.1", "192.168.1.2"]);
        let (addresses, stun) = told(&reach, Some("192.168.1.2:8080"));
        assert_eq!(
            addresses,
            [
                "/ip4/192.168.1.2/tcp/8080/ws",
                "/ip4/192.168.1.2/udp/4102/webrtc-direct",
                "/ip4/192.168.1.2/tcp/4101",
                "/ip4/10.0.0.1/tcp/8080/ws",
                "/ip4/10.0.0.1/udp/4102/webrtc-direct",
                "/ip4/10.0.0.1/tcp/4101",
            ]
        );
        assert_eq!(stun, ["stun:192.168.1.2:3478"]);
    }

    #[test]
    fn on_loopback_only_loopback_is_told_and_only_there() {
        let reach = reach("127.0.0.1:8080", &["127.0.0.1"]);
        let (addresses, stun) = told(&reach, Some("127.0.0.1:8080"));
        assert_eq!(addresses[0], "/ip4/127.0.0.1/tcp/8080/ws");
        assert_eq!(addresses.len(), 3);
        assert_eq!(stun, ["stun:127.0.0.1:3478"]);
        let (addresses, stun) = told(&reach, Some("node.mesh"));
        assert_eq!((addresses.len(), stun.len()), (1, 0));
        assert_eq!(addresses[0], "/dns/node.mesh/tcp/80/ws");
        assert_eq!(reach.announced().len(), 3);
    }

    #[test]
    fn a_name_and_a_forwarded_port_are_passed_on_as_they_were_asked_for() {
        let mut reach = reach("0.0.0.0:8080", &["127.0.0.1", "10.0.0.1"]);
        reach.public_url = "https://tv.mesh/".into();
        let first = |host| told(&reach, Some(host)).0[0].clone();
        assert_eq!(first("localhost:9000"), "/dns/localhost/tcp/9000/ws");
        assert_eq!(first("TV.mesh"), "/dns/tv.mesh/tcp/443/wss");
        assert_eq!(first("10.0.0.9"), "/ip4/10.0.0.9/tcp/80/ws");
        assert_eq!(first("[fd00::1]:8080"), "/ip6/fd00::1/tcp/8080/ws");
        assert_eq!(first("[fd00::1]"), "/ip6/fd00::1/tcp/80/ws");
    }

    #[test]
    fn a_host_that_is_none_changes_nothing() {
        let reach = reach("0.0.0.0:8080", &["10.0.0.1"]);
        let plain = reach.described(None);
        for host in [
            "",
            "a b",
            "x/y",
            "[::1",
            "n:port",
            &"x".repeat(254),
            "/p2p/x",
        ] {
            assert_eq!(reach.described(Some(host)), plain, "{host:?}");
        }
    }

    #[test]
    fn others_are_told_loopback_only_where_there_is_nothing_else() {
        let reach = reach("[::]:8080", &["127.0.0.1", "::1", "10.0.0.1", "fd00::1"]);
        let announced: Vec<_> = reach.announced().iter().map(Multiaddr::to_string).collect();
        assert_eq!(announced.len(), 6);
        assert!(announced.contains(&"/ip6/fd00::1/tcp/8080/ws".to_owned()));
        assert!(
            !announced
                .iter()
                .any(|a| a.contains("127.") || a.contains("/::1/"))
        );
        let (_, stun) = told(&reach, Some("[fd00::1]:8080"));
        assert_eq!(stun, ["stun:[fd00::1]:3478", "stun:10.0.0.1:3478"]);
    }

    #[test]
    fn the_operators_url_is_told_as_a_socket_and_as_the_only_door() {
        let mut reach = reach("0.0.0.0:8080", &["127.0.0.1", "10.0.0.1"]);
        let doors = |reach: &Reach| -> Vec<String> {
            let doors = reach.doors().into_iter();
            doors.map(|one| doors::url(&one).unwrap()).collect()
        };
        assert_eq!(
            doors(&reach),
            ["http://127.0.0.1:8080", "http://10.0.0.1:8080"]
        );
        for (url, door, socket) in [
            (
                "https://tv.mesh/",
                "https://tv.mesh",
                "/dns/tv.mesh/tcp/443/wss",
            ),
            (
                "http://tv.mesh:81",
                "http://tv.mesh:81",
                "/dns/tv.mesh/tcp/81/ws",
            ),
            (
                "http://10.0.0.7/",
                "http://10.0.0.7",
                "/ip4/10.0.0.7/tcp/80/ws",
            ),
        ] {
            reach.public_url = url.into();
            assert_eq!(doors(&reach), [door]);
            let announced = reach.announced();
            assert!(
                announced.contains(&socket.parse().unwrap()),
                "{announced:?}"
            );
        }
    }

    #[test]
    fn addresses_know_their_transport() {
        for (address, name) in [
            ("/ip4/10.0.0.1/tcp/1/ws", "ws"),
            ("/ip4/10.0.0.1/tcp/1", "tcp"),
            ("/ip4/10.0.0.1/udp/1/quic-v1", "quic"),
            ("/ip4/10.0.0.1/udp/1/webrtc-direct", "webrtc"),
        ] {
            assert_eq!(transport(&address.parse().unwrap()), name);
        }
    }
}
