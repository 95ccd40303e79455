//! IPNS over PubSub (specs.ipfs.tech/ipns/ipns-pubsub-router): who subscribes to a stream's topic hears of its newest
//! directory at once; who comes later asks for the record over libp2p-fetch. Only peers that are connected anyway: nobody is
//! dialled for it, and nobody learns here where others are.
//!
//! Files: `gossip` (libp2p's GossipSub, and what is let into it), `fetch` (libp2p-fetch) → here: what is said when.
//!
//! We subscribe to the topics of our own streams and of those that are followed, tell their records when they change and
//! again every ten minutes, and ask whoever else has such a topic what it knows. [`Names`] checks each record.

mod fetch;
mod gossip;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use libp2p::{
    PeerId, gossipsub,
    identity::Keypair,
    request_response::{Message, OutboundRequestId},
    swarm::NetworkBehaviour,
};
use meshlive_protocol::name::StreamName;
use multibase::Base;

use crate::names::{Names, key_of, name_of, now};
use fetch::Answer;
use gossip::Gossip;

/// Records are told again after this: for whoever missed one and cannot ask.
const AGAIN: Duration = Duration::from_secs(600);
/// Records that are told in one tick, so that peers with many streams do not take us for a flood.
const MOST_A_TICK: usize = 8;
/// Peers that are to be asked for a record, and requests that are under way at once.
const MAX_WAITING: usize = 256;
const MAX_ASKED: usize = 8;
/// Peers that have a topic already when we subscribe to it, and are asked.
const MAX_THERE: usize = 8;
/// What stands before a record's key in a topic.
const TOPIC: &str = "/record/";

/// A stream's topic.
fn topic_of(name: &StreamName) -> gossipsub::IdentTopic {
    let key = Base::Base64Url.encode(key_of(name));
    gossipsub::IdentTopic::new(format!("{TOPIC}{key}"))
}

/// The stream whose topic this is.
fn stream_of(topic: &gossipsub::TopicHash) -> Option<StreamName> {
    let key = topic.as_str().strip_prefix(TOPIC)?;
    name_of(&Base::Base64Url.decode(key).ok()?)
}

/// What runs on connections.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    gossip: Gossip,
    fetch: fetch::Behaviour,
}

impl Behaviour {
    pub(super) fn new(key: &Keypair, names: Arc<Names>) -> Self {
        Self {
            gossip: Gossip::new(key, names),
            fetch: fetch::behaviour(),
        }
    }
}

/// What is said when.
pub(super) struct Pubsub {
    names: Arc<Names>,
    subscribed: BTreeSet<StreamName>,
    /// What was told last of each stream.
    told: HashMap<StreamName, Bytes>,
    again_at: Instant,
    waiting: VecDeque<(PeerId, StreamName)>,
    asked: HashMap<OutboundRequestId, StreamName>,
}

impl Pubsub {
    pub(super) fn new(names: Arc<Names>) -> Self {
        Self {
            names,
            subscribed: BTreeSet::new(),
            told: HashMap::new(),
            again_at: Instant::now() + AGAIN,
            waiting: VecDeque::new(),
            asked: HashMap::new(),
        }
    }

    /// Something happened on a connection.
    pub(super) fn happened(&mut self, room: &mut Behaviour, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(gossipsub::Event::Message { message, .. }) => {
                // Checked, taken and passed on already.
                if let Some(name) = stream_of(&message.topic) {
                    self.told.insert(name, message.data.into());
                }
            }
            BehaviourEvent::Gossip(gossipsub::Event::Subscribed { peer_id, topic }) => {
                if let Some(name) = stream_of(&topic).filter(|name| self.names.is_told(name)) {
                    self.will_ask(peer_id, name);
                    self.ask(room);
                }
            }
            BehaviourEvent::Fetch(event) => self.fetched(room, event),
            BehaviourEvent::Gossip(_) => {}
        }
    }

    fn fetched(&mut self, room: &mut Behaviour, event: fetch::Event) {
        match event {
            fetch::Event::Message {
                message:
                    Message::Request {
                        request, channel, ..
                    },
                ..
            } => {
                let held = name_of(&request).and_then(|name| self.names.get(&name, now()));
                let answer = held.map(|(record, _)| record);
                let _ = room.fetch.send_response(channel, answer); // it has gone
            }
            fetch::Event::Message {
                message:
                    Message::Response {
                        request_id,
                        response,
                    },
                peer,
                ..
            } => {
                if let Some(name) = self.asked.remove(&request_id) {
                    self.taken(peer, &name, response);
                }
                self.ask(room);
            }
            fetch::Event::OutboundFailure {
                request_id, error, ..
            } => {
                tracing::debug!(%error, "a peer was asked for an IPNS record in vain");
                self.asked.remove(&request_id);
                self.ask(room);
            }
            fetch::Event::InboundFailure { .. } | fetch::Event::ResponseSent { .. } => {}
        }
    }

    /// A newer one is told at the next tick: it is not what was told last.
    fn taken(&self, peer: PeerId, name: &StreamName, answer: Answer) {
        let Some(record) = answer else {
            return;
        };
        if let Err(why) = self.names.take(name, &record, now()) {
            tracing::debug!(%peer, %name, %why, "a peer has an IPNS record that is not taken");
        }
    }

    /// Subscribes to what is new, and tells what has changed; called every second or so.
    pub(super) fn tick(&mut self, room: &mut Behaviour) {
        let streams = self.names.told();
        for name in &streams {
            if !self.subscribed.contains(name) {
                self.subscribe(room, name);
            }
        }
        if Instant::now() >= self.again_at {
            self.again_at = Instant::now() + AGAIN;
            self.told.clear();
        }
        let records =
            (streams.into_iter()).filter_map(|name| Some((self.names.get(&name, now())?.0, name)));
        let mut news: Vec<_> = records
            .filter(|(record, name)| self.told.get(name) != Some(record))
            .collect();
        if news.is_empty() {
            return;
        }
        let heard = room.gossip.topics_of_peers();
        news.retain(|(_, name)| heard.contains(&topic_of(name).hash()));
        for (record, name) in news.into_iter().take(MOST_A_TICK) {
            match room.gossip.publish(&topic_of(&name), &record) {
                Ok(()) => drop(self.told.insert(name, record)),
                Err(error) => tracing::debug!(%name, %error, "an IPNS record is not told yet"),
            }
        }
    }

    fn subscribe(&mut self, room: &mut Behaviour, name: &StreamName) {
        let topic = topic_of(name);
        if let Err(error) = room.gossip.subscribe(&topic) {
            tracing::warn!(%name, %error, "the topic of this stream's IPNS record cannot be had");
        }
        self.subscribed.insert(name.clone());
        for peer in room.gossip.peers_of(&topic.hash(), MAX_THERE) {
            self.will_ask(peer, name.clone());
        }
        self.ask(room);
    }

    /// Whoever is not asked for want of room tells by itself when it has news.
    fn will_ask(&mut self, peer: PeerId, name: StreamName) {
        let one = (peer, name);
        if self.waiting.len() < MAX_WAITING && !self.waiting.contains(&one) {
            self.waiting.push_back(one);
        }
    }

    fn ask(&mut self, room: &mut Behaviour) {
        while self.asked.len() < MAX_ASKED
            && let Some((peer, name)) = self.waiting.pop_front()
        {
            if room.fetch.is_connected(&peer) {
                let request = room.fetch.send_request(&peer, key_of(&name));
                self.asked.insert(request, name);
            }
        }
    }
}
