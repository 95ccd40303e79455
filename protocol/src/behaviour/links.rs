//! Links: a peer and a stream, over one of the direct connections to that peer. When they stand, and when they end.

mod reports;

use std::sync::Arc;

use libp2p_identity::PeerId;
use libp2p_swarm::{ConnectionId, NotifyHandler, ToSwarm};

use super::{Behaviour, Command, Event, handler::MAX_LINKS, queue::Queue};
use crate::{
    name::StreamName,
    scheduler::{Input, Kind, Micros, Output},
    sorted::SortedMap,
};

/// A peer that was greeted opens its own side within this time.
const ANSWER: Micros = 10_000_000;
/// When its side ends it may come back on another connection within this time.
const RETURN: Micros = 1_000_000;
/// A gateway that does not follow the stream is asked again after this time, doubled each time up to [`RETRY_MAX`].
const RETRY: Micros = 1_000_000;
const RETRY_MAX: Micros = 30_000_000;

/// Dials that are waited for; an engine has fewer, and gives them up by itself.
const MAX_DIALLED: usize = 256;

/// A peer with a direct connection, or with something to try again.
#[derive(Default)]
pub(super) struct Peer {
    /// Direct ones, the newest last.
    connections: Vec<ConnectionId>,
    /// Whether it came as browsers do.
    of_web: bool,
    links: SortedMap<StreamName, Link>,
    /// When a gateway is greeted again, and how long the last pause was.
    retries: SortedMap<StreamName, (Micros, Micros)>,
}

/// A libp2p stream that the peer opened.
type ReaderId = (ConnectionId, u64);

struct Link {
    id: u64,
    /// Where is written.
    connection: ConnectionId,
    queue: Arc<Queue>,
    /// Whether the engine knows of it.
    stands: bool,
    control: Option<ReaderId>,
    parts: Option<ReaderId>,
    /// Until then the peer's control stream has to be there.
    until: Option<Micros>,
}

impl Behaviour {
    pub(super) fn connected(&mut self, peer: PeerId, connection: ConnectionId, of_web: bool) {
        let known = self.peers.or_insert_with(peer, Peer::default);
        known.connections.push(connection);
        known.of_web = of_web;
        let greeting = self.streams.iter().filter(|(_, followed)| followed.greets);
        let streams: Vec<StreamName> = greeting.map(|(stream, _)| stream.clone()).collect();
        for stream in streams {
            self.greet(peer, &stream);
        }
    }

    pub(super) fn disconnected(&mut self, peer: PeerId, connection: ConnectionId) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        known.connections.retain(|one| *one != connection);
        let newest = known.connections.last().copied();
        let mut lost = Vec::new();
        for (stream, link) in known.links.iter_mut() {
            for reader in [&mut link.control, &mut link.parts] {
                *reader = reader.take_if(|(on, _)| *on != connection);
            }
            if link.connection == connection {
                lost.push((stream.clone(), link.control.take(), link.parts.take()));
            }
        }
        for (stream, control, parts) in lost {
            self.unlink(peer, &stream, "its connection is gone");
            let Some(newest) = newest else {
                continue;
            };
            self.link(peer, &stream, newest);
            // The peer may have moved already.
            if let Some(link) = self.link_of(peer, &stream) {
                (link.control, link.parts) = (control, parts);
            }
        }
        let now = (self.now)();
        if let Some(known) = self.peers.get_mut(&peer) {
            for link in known.links.values_mut() {
                if link.control.is_none() && link.until.is_none() {
                    link.until = Some(now + RETURN);
                }
            }
            if newest.is_none() {
                self.peers.remove(&peer);
            }
        }
        self.look_by(now + RETURN);
    }

    /// A dial came to nothing.
    pub(super) fn not_reached(&mut self, peer: PeerId) {
        for stream in self.dialled.remove(&peer).unwrap_or_default() {
            if self.link_of(peer, &stream).is_none() {
                self.inbox.push_back((stream, Input::Unlinked { peer }));
            }
        }
    }

    /// An engine wants a link: over a connection that stands, or by a new one.
    pub(super) fn dial(&mut self, stream: &StreamName, peer: PeerId) {
        if self.banned.contains(&peer) {
            let input = Input::Unlinked { peer };
            return self.inbox.push_back((stream.clone(), input));
        }
        if self.queue(peer, stream).is_some() {
            return;
        }
        if self.dialled.len() == MAX_DIALLED {
            self.dialled.pop_first();
        }
        let waiting = self.dialled.or_insert_with(peer, Vec::new);
        if !waiting.contains(stream) {
            waiting.push(stream.clone());
        }
        if !self.peers.contains_key(&peer) {
            return self.act(Event::Output {
                stream: stream.clone(),
                output: Output::Dial { peer },
            });
        }
        self.greet(peer, stream);
        if self.link_of(peer, stream).is_none() {
            self.not_reached(peer);
        }
    }

    /// Opens our side on the newest connection, unless there is a link.
    pub(super) fn greet(&mut self, peer: PeerId, stream: &StreamName) {
        let Some(known) = self.peers.get(&peer) else {
            return;
        };
        if let (None, Some(newest)) = (known.links.get(stream), known.connections.last()) {
            self.link(peer, stream, *newest);
        }
    }

    /// Begins a link, which stands when the peer is known to follow the stream.
    fn link(&mut self, peer: PeerId, stream: &StreamName, connection: ConnectionId) {
        let until = (self.now)() + ANSWER;
        let id = self.next_link;
        let queue = Arc::new(Queue::default());
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        if known.links.len() == MAX_LINKS {
            return;
        }
        self.next_link += 1;
        let link = Link {
            id,
            connection,
            queue: queue.clone(),
            stands: false,
            control: None,
            parts: None,
            until: Some(until),
        };
        known.links.insert(stream.clone(), link);
        let open = Command::Open {
            link: id,
            stream: stream.clone(),
            queue,
        };
        self.command(peer, connection, open);
        self.look_by(until);
    }

    /// The engine hears of the link.
    fn stands(&mut self, peer: PeerId, stream: &StreamName) {
        let kind = self.kind(peer);
        let Some(link) = self.link_of(peer, stream).filter(|link| !link.stands) else {
            return;
        };
        link.stands = true;
        if let Some(waiting) = self.dialled.get_mut(&peer) {
            waiting.retain(|one| one != stream);
            if waiting.is_empty() {
                self.dialled.remove(&peer);
            }
        }
        let input = Input::Linked { peer, kind };
        self.inbox.push_back((stream.clone(), input));
    }

    /// The peer began anew: so does the engine. What was queued for what was before is forgotten.
    fn begin_anew(&mut self, peer: PeerId, stream: &StreamName) {
        let kind = self.kind(peer);
        let Some(link) = self.link_of(peer, stream).filter(|link| link.stands) else {
            return;
        };
        link.queue.clear_parts();
        self.inbox
            .push_back((stream.clone(), Input::Unlinked { peer }));
        self.inbox
            .push_back((stream.clone(), Input::Linked { peer, kind }));
    }

    /// Links to a peer that turns out to be a gateway.
    pub(super) fn relabel(&mut self, peer: PeerId) {
        for stream in self.linked_streams(peer) {
            self.begin_anew(peer, &stream);
        }
    }

    /// Ends a link, whatever state it is in.
    pub(super) fn unlink(&mut self, peer: PeerId, stream: &StreamName, why: &str) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        let Some(link) = known.links.remove(stream) else {
            return;
        };
        self.act(Event::Unlinked {
            stream: stream.clone(),
            peer,
            why: why.to_owned(),
        });
        let close = Command::Close { link: link.id };
        self.command(peer, link.connection, close);
        for (connection, reader) in link.control.into_iter().chain(link.parts) {
            self.command(peer, connection, Command::Refuse { reader });
        }
        let waited = (self.dialled.get_mut(&peer)).is_some_and(|waiting| {
            let before = waiting.len();
            waiting.retain(|one| one != stream);
            waiting.len() < before
        });
        if link.stands || waited {
            self.inbox
                .push_back((stream.clone(), Input::Unlinked { peer }));
        }
        if self.gateways.contains(&peer) {
            self.retry(peer, stream);
        }
    }

    /// A gateway may only be starting: it is asked again as long as the connection stands.
    fn retry(&mut self, peer: PeerId, stream: &StreamName) {
        let greets = (self.streams.get(stream)).is_some_and(|followed| followed.greets);
        let now = (self.now)();
        let Some(known) = self.peers.get_mut(&peer).filter(|_| greets) else {
            return;
        };
        let last = known
            .retries
            .get(stream)
            .map_or(RETRY / 2, |(_, pause)| *pause);
        let pause = (2 * last).min(RETRY_MAX);
        known.retries.insert(stream.clone(), (now + pause, pause));
        self.look_by(now + pause);
    }

    /// Ends links whose peer has said nothing for too long, and greets gateways again.
    pub(super) fn look_at_links(&mut self, now: Micros) {
        self.look_at = None;
        let (mut silent, mut again, mut next) = (Vec::new(), Vec::new(), None::<Micros>);
        let mut sort = |at: Micros, to: &mut Vec<_>, peer: PeerId, stream: &StreamName| {
            if at <= now {
                to.push((peer, stream.clone()));
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        };
        for (peer, known) in self.peers.iter() {
            for (stream, link) in known.links.iter() {
                if let Some(until) = link.until {
                    sort(until, &mut silent, *peer, stream);
                }
            }
            for (stream, (at, _)) in known.retries.iter() {
                if !known.links.contains_key(stream) {
                    sort(*at, &mut again, *peer, stream);
                }
            }
        }
        if let Some(next) = next {
            self.look_by(next);
        }
        for (peer, stream) in silent {
            self.unlink(peer, &stream, "its control stream is not there");
        }
        for (peer, stream) in again {
            if self.streams.contains_key(&stream) {
                self.greet(peer, &stream);
            }
        }
    }

    fn look_by(&mut self, at: Micros) {
        self.look_at = Some(self.look_at.map_or(at, |before| before.min(at)));
    }

    fn command(&mut self, peer_id: PeerId, connection: ConnectionId, event: Command) {
        self.actions.push_back(ToSwarm::NotifyHandler {
            peer_id,
            handler: NotifyHandler::One(connection),
            event,
        });
    }

    fn kind(&self, peer: PeerId) -> Kind {
        if self.gateways.contains(&peer) {
            Kind::Gateway
        } else {
            Kind::Viewer
        }
    }

    fn link_of(&mut self, peer: PeerId, stream: &StreamName) -> Option<&mut Link> {
        self.peers.get_mut(&peer)?.links.get_mut(stream)
    }

    fn stream_of(&self, peer: PeerId, link: u64) -> Option<StreamName> {
        let links = &self.peers.get(&peer)?.links;
        let (stream, _) = links.iter().find(|(_, one)| one.id == link)?;
        Some(stream.clone())
    }

    /// What waits to be sent on a link that stands.
    pub(super) fn queue(&self, peer: PeerId, stream: &StreamName) -> Option<&Queue> {
        let link = self.peers.get(&peer)?.links.get(stream)?;
        link.stands.then_some(&*link.queue)
    }

    /// Streams that this peer and this one have a link for, or are making one.
    pub fn linked_streams(&self, peer: PeerId) -> Vec<StreamName> {
        let links = self.peers.get(&peer).map(|known| known.links.keys());
        links.into_iter().flatten().cloned().collect()
    }
}

impl Behaviour {
    /// How many peers are linked here that did not come as browsers do: mirrors.
    pub fn mirrors(&self, stream: &StreamName) -> usize {
        let native = self.peers.values().filter(|known| !known.of_web);
        native
            .filter(|known| known.links.get(stream).is_some_and(|link| link.stands))
            .count()
    }

    /// Of these peers, those that reach this one: browsers and mirrors do not reach each other.
    pub(super) fn that_reach(&self, peer: PeerId, all: Vec<PeerId>) -> Vec<PeerId> {
        let of_web = |id: &PeerId| self.peers.get(id).map(|known| known.of_web);
        let own = of_web(&peer);
        let reach = |id: &PeerId| of_web(id).is_none() || of_web(id) == own;
        all.into_iter().filter(reach).collect()
    }
}

#[cfg(test)]
impl Behaviour {
    /// Direct connections to a peer, the newest last.
    pub(super) fn connections(&self, peer: PeerId) -> Vec<ConnectionId> {
        let known = self.peers.get(&peer);
        known.map_or(Vec::new(), |known| known.connections.clone())
    }

    pub(super) fn links_of(&self, peer: PeerId) -> usize {
        self.peers.get(&peer).map_or(0, |known| known.links.len())
    }
}

#[cfg(test)]
mod tests {
    use libp2p_identity::Keypair;

    use super::*;

    #[test]
    fn browsers_and_mirrors_are_not_introduced_to_each_other() {
        let mut room = Behaviour::new(|| 0);
        let peers = [0; 4].map(|_| Keypair::generate_ed25519().public().to_peer_id());
        for (at, peer) in peers.iter().enumerate() {
            let address: libp2p_core::Multiaddr = match at % 2 {
                0 => "/ip4/10.0.0.1/tcp/8080/ws".parse().unwrap(),
                _ => "/ip4/10.0.0.1/tcp/4101".parse().unwrap(),
            };
            let of_web = super::super::is_of_web(&address);
            room.connected(*peer, ConnectionId::new_unchecked(at), of_web);
        }
        let all = peers[1..].to_vec();
        assert_eq!(room.that_reach(peers[0], all.clone()), [peers[2]]);
        assert_eq!(room.that_reach(peers[1], all), [peers[1], peers[3]]);
        let stranger = Keypair::generate_ed25519().public().to_peer_id();
        assert_eq!(room.that_reach(peers[1], vec![stranger]), [stranger]);
    }
}
