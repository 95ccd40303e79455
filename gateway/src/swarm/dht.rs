//! Kademlia: IPNS records for whoever has a stream's name and no link. By default as `/ipfs/lan/kad/1.0.0`, which Kubo
//! speaks on private networks, and then no address outside of them is ever dialled for it, whoever tells it.
//!
//! It keeps IPNS records only, through [`Names`], which checks each one. Of providers it keeps nothing: who wants blocks
//! asks those it is connected to.

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use libp2p::core::{Endpoint, transport::PortUse};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, identify,
    kad::{
        self, Mode, ProviderRecord, Quorum, Record, RecordKey,
        store::{Error, RecordStore},
    },
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
    },
};
use meshlive_protocol::name::StreamName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{Names, key_of, name_of, now};

const MESH: StreamProtocol = StreamProtocol::new("/ipfs/lan/kad/1.0.0");
const PUBLIC: StreamProtocol = StreamProtocol::new("/ipfs/kad/1.0.0");
/// The longest message: a record, and the addresses of 20 peers.
const MAX_PACKET_BYTES: usize = 64 << 10;
/// Records are told again after this, ours and those of others.
const REPUBLISH: Duration = Duration::from_secs(4 * 3600);
const REPLICATE: Duration = Duration::from_secs(3600);
/// New peers are told our records together, not one by one.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// Addresses of one peer that are taken.
const MAX_ADDRESSES: usize = 8;

/// Where IPNS records are told and looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dht {
    /// Nowhere.
    Off,
    /// Among the peers of private networks that this gateway is connected to.
    #[default]
    Mesh,
    /// In the public DHT of IPFS: strangers everywhere are asked and told.
    Public,
}

/// [`Names`] as Kademlia sees them.
pub(super) struct Records {
    names: Arc<Names>,
    me: PeerId,
}

impl Records {
    fn record(&self, name: &StreamName, value: &[u8], told: bool) -> Record {
        Record {
            key: key_of(name).into(),
            value: value.to_vec(),
            publisher: told.then_some(self.me),
            expires: None, // what is given out is valid; see `Names::get`
        }
    }
}

impl RecordStore for Records {
    type RecordsIter<'a> = std::vec::IntoIter<Cow<'a, Record>>;
    type ProvidedIter<'a> = std::iter::Empty<Cow<'a, ProviderRecord>>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        let name = name_of(key.as_ref())?;
        let (bytes, _) = self.names.get(&name, now())?;
        Some(Cow::Owned(self.record(&name, &bytes, false)))
    }

    fn put(&mut self, record: Record) -> Result<(), Error> {
        // Kademlia has no word for "wrong"; whoever put it hears that it was not stored.
        let name = name_of(record.key.as_ref()).ok_or(Error::ValueTooLarge)?;
        let taken = self.names.take(&name, &record.value, now());
        taken.map(drop).map_err(|why| {
            tracing::debug!(%name, %why, "an IPNS record is not taken");
            Error::MaxRecords
        })
    }

    fn remove(&mut self, _: &RecordKey) {} // they end by themselves

    fn records(&self) -> Self::RecordsIter<'_> {
        let all = self.names.all(now()).into_iter();
        let records = all.map(|(name, bytes, told)| Cow::Owned(self.record(&name, &bytes, told)));
        records.collect::<Vec<_>>().into_iter()
    }

    fn add_provider(&mut self, _: ProviderRecord) -> Result<(), Error> {
        Err(Error::MaxProvidedKeys)
    }

    fn providers(&self, _: &RecordKey) -> Vec<ProviderRecord> {
        Vec::new()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        std::iter::empty()
    }

    fn remove_provider(&mut self, _: &RecordKey, _: &PeerId) {}
}

/// libp2p's Kademlia, kept to where it belongs.
pub(super) struct Behaviour {
    inner: kad::Behaviour<Records>,
    names: Arc<Names>,
    protocol: StreamProtocol,
    mesh: bool,
    /// When peers that are new are told our records.
    tell_at: Option<Instant>,
}

impl Behaviour {
    /// `None` where it is off.
    pub(super) fn new(me: PeerId, names: Arc<Names>, dht: Dht) -> Option<Self> {
        let protocol = match dht {
            Dht::Off => return None,
            Dht::Mesh => MESH,
            Dht::Public => PUBLIC,
        };
        let mesh = dht == Dht::Mesh;
        let mut config = kad::Config::new(protocol.clone());
        config
            .set_max_packet_size(MAX_PACKET_BYTES)
            .set_record_ttl(None) // a record says itself how long it is valid
            .set_publication_interval(Some(REPUBLISH))
            .set_replication_interval(Some(REPLICATE));
        let records = Records {
            names: names.clone(),
            me,
        };
        let mut inner = kad::Behaviour::with_config(me, records, config);
        // On a mesh everyone is reached; in public only who is seen to be.
        inner.set_mode(mesh.then_some(Mode::Server));
        Some(Self {
            inner,
            names,
            protocol,
            mesh,
            tell_at: None,
        })
    }

    /// A peer says what it speaks and where it listens.
    pub(super) fn identified(&mut self, peer: PeerId, info: &identify::Info) {
        if !info.protocols.contains(&self.protocol) {
            return;
        }
        let fit = info.listen_addrs.iter().filter(|one| self.may_dial(one));
        let fit: Vec<_> = fit.take(MAX_ADDRESSES).collect();
        for address in fit {
            self.inner.add_address(&peer, address.clone());
        }
    }

    /// Something happened in it.
    pub(super) fn happened(&mut self, event: &kad::Event) {
        match event {
            kad::Event::RoutingUpdated {
                is_new_peer: true, ..
            } => self.tell_soon(),
            kad::Event::OutboundQueryProgressed {
                result: kad::QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))),
                ..
            } => {
                if let Some(name) = name_of(found.record.key.as_ref())
                    && let Err(why) = self.names.take(&name, &found.record.value, now())
                {
                    tracing::debug!(%name, %why, "a peer has an IPNS record that is not taken");
                }
            }
            _ => {}
        }
    }

    /// A record that we tell is new, or a peer is.
    pub(super) fn tell_soon(&mut self) {
        self.tell_at.get_or_insert(Instant::now() + TELL_AFTER);
    }

    /// Tells them if that is due; called every second or so.
    pub(super) fn tick(&mut self) {
        if self.tell_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        self.tell_at = None;
        for (name, bytes, told) in self.names.all(now()) {
            if told {
                let record = Record::new(key_of(&name), bytes.to_vec());
                if let Err(error) = self.inner.put_record(record, Quorum::One) {
                    tracing::warn!(%name, %error, "this IPNS record is not told");
                }
            }
        }
    }

    /// Looks among peers for a newer record of a stream; what is found is taken.
    pub(super) fn look_for(&mut self, name: &StreamName) {
        self.inner.get_record(key_of(name).into());
    }

    /// Never outside of the mesh, whatever a peer says of where another is.
    fn may_dial(&self, address: &Multiaddr) -> bool {
        !self.mesh || is_private(address)
    }
}

/// Whether an address is one of private networks, this link or this machine. Names are not: looking one up asks somebody.
pub(super) fn is_private(address: &Multiaddr) -> bool {
    let ip = match address.iter().next() {
        Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
        Some(Protocol::Ip6(ip)) => ip.to_canonical(),
        _ => return false,
    };
    match ip {
        // 100.64.0.0/10 too: carriers' networks, which meshes number themselves by.
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared
        }
        // 0200::/7 too: Yggdrasil's.
        IpAddr::V6(ip) => {
            let yggdrasil = ip.segments()[0] & 0xfe00 == 0x0200;
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || yggdrasil
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = <kad::Behaviour<Records> as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = kad::Event;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner
            .handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let mut known = self
            .inner
            .handle_pending_outbound_connection(connection, peer, addresses, role)?;
        known.retain(|address| self.may_dial(address));
        Ok(known)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner
            .handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.inner
            .on_connection_handler_event(peer, connection, event);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_private_networks_are_dialled() {
        for (address, private) in [
            ("/ip4/10.1.2.3/tcp/4001", true),
            ("/ip4/192.168.1.1/udp/4001/quic-v1", true),
            ("/ip4/127.0.0.1/tcp/1", true),
            ("/ip4/100.64.7.1/tcp/1", true),
            ("/ip6/fd00::1/tcp/1", true),
            ("/ip6/201:abcd::1/tcp/1", true),
            ("/ip6/::ffff:10.0.0.1/tcp/1", true),
            ("/ip4/8.8.8.8/tcp/4001", false),
            ("/ip6/2001:db8::1/tcp/1", false),
            ("/ip6/::ffff:8.8.8.8/tcp/1", false),
            ("/dns4/bootstrap.libp2p.io/tcp/4001", false),
            ("/p2p-circuit", false),
        ] {
            assert_eq!(is_private(&address.parse().unwrap()), private, "{address}");
        }
    }
}
