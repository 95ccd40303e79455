//! libp2p's GossipSub, and what is let into it: topics of IPNS records, records that are newer than what is known, and no
//! more of one peer and of all together than there is memory for.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    gossipsub::{
        self, ConfigBuilder, DataTransform, IdentTopic, MaxCountSubscriptionFilter, Message,
        MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds, PublishError,
        RawMessage, SubscriptionError, TopicHash, TopicSubscriptionFilter, ValidationMode, Version,
    },
    identity::Keypair,
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};

use super::stream_of;
use crate::names::{Names, now};

/// What Kubo, js-libp2p and we all speak; older ones have floodsub. Each one more would be asked of every viewer in vain.
const PROTOCOL: &str = "/meshsub/1.1.0";
/// The longest message of the protocol; a record has 10 KiB at most.
const MAX_MESSAGE_BYTES: usize = 32 << 10;
/// Records in one of them.
const MAX_RECORDS: usize = 32;
/// Topics of one peer that are kept in mind.
pub(super) const MAX_TOPICS: usize = 256;
/// Messages that may wait for one slow peer.
const MAX_QUEUED: usize = 64;
/// Message ids that one peer is asked for in a second.
const MAX_WANTED: usize = 64;
/// Messages of one peer: this many at once and each second. Whoever sends more is disconnected.
pub(super) const BURST: u32 = 512;
const RATE: u32 = 32;
/// Those of all peers together; what is above is not read. The library keeps ids of messages for seconds: 60 MB at most.
const ALL_BURST: u32 = 2048;
const ALL_RATE: u32 = 256;

/// Only records of streams that we tell, and only newer ones: all else is neither kept nor passed on.
pub(in crate::swarm) struct Check(Arc<Names>);

impl DataTransform for Check {
    fn inbound_transform(&self, message: RawMessage) -> Result<Message, io::Error> {
        let name = stream_of(&message.topic).filter(|name| self.0.is_told(name));
        let name = name.ok_or(io::ErrorKind::Unsupported)?;
        match self.0.take(&name, &message.data, now()) {
            Ok(true) => Ok(Message {
                source: message.source,
                data: message.data,
                sequence_number: message.sequence_number,
                topic: message.topic,
            }),
            Ok(false) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(why) => {
                tracing::debug!(%name, %why, "an IPNS record is not taken");
                Err(io::Error::new(io::ErrorKind::InvalidData, why))
            }
        }
    }

    fn outbound_transform(&self, _: &TopicHash, data: Vec<u8>) -> Result<Vec<u8>, io::Error> {
        Ok(data)
    }
}

/// Topics of IPNS records, also of streams that nobody has here yet: they may come.
pub(in crate::swarm) struct Records;

impl TopicSubscriptionFilter for Records {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        stream_of(topic).is_some()
    }
}

pub(in crate::swarm) type Inner = gossipsub::Behaviour<Check, MaxCountSubscriptionFilter<Records>>;

/// A token bucket.
#[derive(Clone)]
pub(super) struct Allowance {
    burst: u32,
    rate: u32,
    left: f64,
    at: Instant,
}

impl Allowance {
    pub(super) fn new(burst: u32, rate: u32, now: Instant) -> Self {
        Self {
            burst,
            rate,
            left: burst.into(),
            at: now,
        }
    }

    /// Whether one more may pass.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.left = (self.left + passed * f64::from(self.rate)).min(self.burst.into());
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

/// The library's behaviour behind its limits.
pub(in crate::swarm) struct Gossip {
    inner: Inner,
    heard: HashMap<PeerId, Allowance>,
    all: Allowance,
    /// They sent too much.
    floods: HashSet<PeerId>,
}

impl Gossip {
    pub(super) fn new(key: &Keypair, names: Arc<Names>) -> Self {
        let config = ConfigBuilder::default()
            .protocol_id(PROTOCOL, Version::V1_1)
            .support_floodsub()
            .max_transmit_size(MAX_MESSAGE_BYTES)
            .max_control_message_size(MAX_MESSAGE_BYTES)
            .max_publish_messages(MAX_RECORDS)
            .max_control_messages_sent(MAX_WANTED)
            .connection_handler_queue_len(MAX_QUEUED)
            .idontwant_message_size_threshold(usize::MAX) // of a later version than ours
            .validation_mode(ValidationMode::Strict)
            .message_id_fn(id)
            .build()
            .expect("these settings go together");
        let filter = MaxCountSubscriptionFilter {
            filter: Records,
            max_subscribed_topics: MAX_TOPICS,
            max_subscriptions_per_request: MAX_MESSAGE_BYTES,
        };
        let authenticity = MessageAuthenticity::Signed(key.clone());
        let mut inner = Inner::new_with_subscription_filter_and_transform(
            authenticity,
            config,
            filter,
            Check(names),
        )
        .expect("it signs, and says so");
        // Nobody is judged by points: records prove themselves, and a whole village may have one address. But without
        // points the library never forgets what it was promised.
        let points = PeerScoreParams {
            ip_colocation_factor_weight: 0.0,
            behaviour_penalty_weight: 0.0,
            slow_peer_weight: 0.0,
            retain_score: Duration::ZERO,
            ..PeerScoreParams::default()
        };
        inner
            .with_peer_score(points, PeerScoreThresholds::default())
            .expect("these points go together");
        let now = Instant::now();
        Self {
            inner,
            heard: HashMap::new(),
            all: Allowance::new(ALL_BURST, ALL_RATE, now),
            floods: HashSet::new(),
        }
    }

    pub(super) fn subscribe(&mut self, topic: &IdentTopic) -> Result<(), SubscriptionError> {
        self.inner.subscribe(topic).map(drop)
    }

    pub(super) fn publish(
        &mut self,
        topic: &IdentTopic,
        record: &[u8],
    ) -> Result<(), PublishError> {
        self.inner.publish(topic.hash(), record).map(drop)
    }

    /// What peers are subscribed to.
    pub(super) fn topics_of_peers(&self) -> HashSet<TopicHash> {
        let peers = self.inner.all_peers();
        peers.flat_map(|(_, topics)| topics).cloned().collect()
    }

    /// Peers that are subscribed to a topic, `most` at most.
    pub(super) fn peers_of(&self, topic: &TopicHash, most: usize) -> Vec<PeerId> {
        let peers = self.inner.all_peers();
        let there = peers.filter(|(_, topics)| topics.contains(&topic));
        there.map(|(peer, _)| *peer).take(most).collect()
    }
}

/// As Kubo names messages, so that what is promised is known when it comes.
fn id(message: &Message) -> MessageId {
    let source = message.source.map(PeerId::to_bytes).unwrap_or_default();
    let number = message.sequence_number.unwrap_or_default().to_be_bytes();
    MessageId::from([&source[..], &number].concat())
}

impl NetworkBehaviour for Gossip {
    type ConnectionHandler = <Inner as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = gossipsub::Event;

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
        if let FromSwarm::ConnectionClosed(closed) = &event
            && closed.remaining_established == 0
        {
            self.heard.remove(&closed.peer_id);
            self.floods.remove(&closed.peer_id);
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let now = Instant::now();
        let full = || Allowance::new(BURST, RATE, now);
        if !self.heard.entry(peer).or_insert_with(full).take(now) {
            self.floods.insert(peer);
        } else if self.all.take(now) {
            self.inner
                .on_connection_handler_event(peer, connection, event);
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(peer_id) = self.floods.iter().next().copied() {
            self.floods.remove(&peer_id);
            tracing::debug!(peer = %peer_id, "a peer floods PubSub: it is disconnected");
            return Poll::Ready(ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::All,
            });
        }
        self.inner.poll(cx)
    }
}
