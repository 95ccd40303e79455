//! From what the configuration asks for to sockets that can be had.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
};

use crate::{
    StartError,
    config::{Config, value::Beside},
};

/// One listener of this room, by the name of its flag and of its entry in the ready line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Tcp,
    Quic,
    WebRtc,
    Stun,
}

impl Way {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "p2p-tcp",
            Self::Quic => "p2p-quic",
            Self::WebRtc => "p2p-webrtc",
            Self::Stun => "stun",
        }
    }

    fn bind(self, address: SocketAddr) -> io::Result<()> {
        match self {
            Self::Tcp => TcpListener::bind(address).map(drop),
            Self::Quic | Self::WebRtc | Self::Stun => UdpSocket::bind(address).map(drop),
        }
    }
}

/// Where each is to listen; port 0 for any free one. Ways that are off are left out.
///
/// # Errors
/// When an address that was asked for explicitly cannot be had.
pub(super) fn plan(
    config: &Config,
    http: SocketAddr,
) -> Result<Vec<(Way, SocketAddr)>, StartError> {
    let any_port = config.listen.http.0.is_some_and(|asked| asked.port() == 0);
    let listen = &config.listen;
    let ways = [
        (Way::Tcp, listen.p2p_tcp),
        (Way::Quic, listen.p2p_quic),
        (Way::WebRtc, listen.p2p_webrtc),
        (Way::Stun, listen.stun),
    ];
    let mut plan = Vec::new();
    for (way, beside) in ways {
        match beside {
            Beside::Off => {}
            Beside::Port(port) => {
                let wanted = SocketAddr::new(http.ip(), if any_port { 0 } else { port });
                let address = match way.bind(wanted) {
                    Ok(()) => wanted,
                    Err(error) => {
                        tracing::warn!(%error, "{} = {port} cannot be had, so a free port is taken", way.name());
                        SocketAddr::new(http.ip(), 0)
                    }
                };
                plan.push((way, address));
            }
            Beside::At(address) => {
                way.bind(address).map_err(|error| StartError::Listen {
                    what: way.name(),
                    address,
                    error,
                })?;
                plan.push((way, address));
            }
        }
    }
    Ok(plan)
}

/// The addresses that libp2p's TCP and QUIC are to bind for `ip`: `[::]` means both families.
pub(super) fn families(ip: IpAddr) -> Vec<IpAddr> {
    match ip {
        IpAddr::V6(v6) if v6.is_unspecified() => vec![ip, Ipv4Addr::UNSPECIFIED.into()],
        ip => vec![ip],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Address;

    fn config(http: &str) -> Config {
        let mut config = Config::default();
        config.listen.http = http.parse::<Address>().unwrap();
        config.listen.p2p_quic = Beside::Off;
        config.listen.p2p_webrtc = Beside::Off;
        config.listen.stun = Beside::Off;
        config
    }

    #[test]
    fn a_port_alone_is_at_the_ip_of_http_and_gives_way_to_whom_has_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let http = "127.0.0.1:8080".parse().unwrap();
        let mut config = config("127.0.0.1:8080");
        config.listen.p2p_tcp = Beside::Port(port);
        let any = (Way::Tcp, "127.0.0.1:0".parse().unwrap());
        assert_eq!(plan(&config, http).unwrap(), [any]);
        drop(taken);
        let there = (Way::Tcp, SocketAddr::new(http.ip(), port));
        assert_eq!(plan(&config, http).unwrap(), [there]);
    }

    #[test]
    fn where_http_takes_any_port_all_do() {
        let config = config("127.0.0.1:0");
        let http = "127.0.0.1:5555".parse().unwrap();
        let any = (Way::Tcp, "127.0.0.1:0".parse().unwrap());
        assert_eq!(plan(&config, http).unwrap(), [any]);
    }

    #[test]
    fn an_address_that_was_asked_for_is_had_or_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let mut config = config("127.0.0.1:8080");
        config.listen.p2p_tcp = Beside::At(address);
        let error = plan(&config, "127.0.0.1:8080".parse().unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--p2p-tcp") && error.contains(&address.to_string()),
            "{error}"
        );
        config.listen.p2p_tcp = Beside::Off;
        assert_eq!(plan(&config, address).unwrap(), []);
    }

    #[test]
    fn all_of_ipv6_means_ipv4_too() {
        let all: IpAddr = "::".parse().unwrap();
        assert_eq!(families(all), [all, "0.0.0.0".parse().unwrap()]);
        let one: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(families(one), [one]);
    }
}
