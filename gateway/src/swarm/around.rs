//! Other gateways that this one has met: on its link by multicast DNS, through the DHT, or because they came. Pure.

use std::net::IpAddr;

use libp2p::{Multiaddr, PeerId, identify, multiaddr::Protocol};

use super::{addresses::ip, dht::is_private};

/// How gateways call themselves by identify.
const AGENT: &str = "meshlive/";
/// Gateways that are kept in mind, those that were met last; and addresses of each.
const MAX_KNOWN: usize = 64;
const MAX_ADDRESSES: usize = 8;

/// A gateway, and where it listens for other gateways.
pub(crate) type Met = (PeerId, Vec<Multiaddr>);

/// All that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Around(Vec<Met>);

impl Around {
    /// A peer says who it is; it comes `from` there. True if that is news.
    pub(super) fn identified(
        &mut self,
        peer: PeerId,
        info: &identify::Info,
        from: Option<IpAddr>,
    ) -> bool {
        if !info.agent_version.starts_with(AGENT) {
            return false;
        }
        // Nobody has others dialled at an address of the Internet that is not its own.
        let own = |address: &Multiaddr| ip(address).is_some() && ip(address) == from;
        let mut fit: Vec<Multiaddr> = (info.listen_addrs.iter())
            .filter(|one| is_dialled(one) && (own(one) || is_private(one)))
            .take(MAX_ADDRESSES)
            .cloned()
            .collect();
        // First where it comes from: that is reached from here.
        fit.sort_by_key(|address| !own(address));
        if fit.is_empty() || self.0.contains(&(peer, fit.clone())) {
            return false;
        }
        self.0.retain(|(known, _)| *known != peer);
        self.0.push((peer, fit));
        if self.0.len() > MAX_KNOWN {
            self.0.remove(0);
        }
        true
    }

    /// Those that were met last come first.
    pub(super) fn all(&self) -> Vec<Met> {
        self.0.iter().rev().cloned().collect()
    }
}

/// Whether gateways dial each other there: TCP or QUIC at an IP.
pub(crate) fn is_dialled(address: &Multiaddr) -> bool {
    let parts: Vec<_> = address
        .iter()
        .filter(|part| !matches!(part, Protocol::P2p(_)))
        .collect();
    matches!(
        parts[..],
        [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Tcp(_)]
            | [
                Protocol::Ip4(_) | Protocol::Ip6(_),
                Protocol::Udp(_),
                Protocol::QuicV1
            ]
    )
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;

    use super::*;

    fn info(agent: &str, addresses: &[&str]) -> (PeerId, identify::Info) {
        let key = Keypair::generate_ed25519().public();
        let info = identify::Info {
            public_key: key.clone(),
            protocol_version: "/meshlive/1".into(),
            agent_version: agent.into(),
            listen_addrs: addresses.iter().map(|one| one.parse().unwrap()).collect(),
            protocols: Vec::new(),
            observed_addr: Multiaddr::empty(),
            signed_peer_record: None,
        };
        (key.to_peer_id(), info)
    }

    #[test]
    fn gateways_are_known_where_they_can_be_dialled_and_none_speaks_for_the_internet() {
        let mut around = Around::default();
        let all = [
            "/ip4/10.0.0.2/tcp/8080/ws",
            "/ip4/10.0.0.2/tcp/4101",
            "/ip4/192.0.2.9/tcp/4101",
            "/ip4/192.0.2.1/udp/4101/quic-v1",
            "/dns4/tv.mesh/tcp/4101",
        ];
        let (peer, told) = info("meshlive/0.1", &all);
        let from = "192.0.2.1".parse().ok();
        assert!(around.identified(peer, &told, from));
        assert!(!around.identified(peer, &told, from), "no news");
        let expected = [all[3], all[1]].map(|one| one.parse().unwrap());
        assert_eq!(around.all(), [(peer, expected.to_vec())]);
        for other in ["meshlive-mirror/0.1", "meshlive-viewer/0.1", "kubo/0.22"] {
            let (peer, told) = info(other, &all);
            assert!(!around.identified(peer, &told, from), "{other}");
        }
    }

    #[test]
    fn no_more_than_the_limits_the_newest_first() {
        let mut around = Around::default();
        let many: Vec<String> = (1..100).map(|n| format!("/ip4/10.0.0.{n}/tcp/1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let mut last = None;
        for _ in 0..MAX_KNOWN + 5 {
            let (peer, told) = info("meshlive/0.1", &many);
            around.identified(peer, &told, None);
            last = Some(peer);
        }
        let all = around.all();
        assert_eq!((all.len(), all[0].1.len()), (MAX_KNOWN, MAX_ADDRESSES));
        assert_eq!(Some(all[0].0), last);
    }
}
