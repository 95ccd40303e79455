//! On which of its connections a peer is written to. One that vanished without a word (it was killed, its link is gone) leaves
//! a connection behind that stands for seconds, while it is back on another: what is written there would be lost. Pure.

use std::collections::HashMap;

use libp2p::{PeerId, swarm::ConnectionId};

/// Those of each peer; the last is the one on which it spoke last, or that was made last.
#[derive(Debug, Default)]
pub(super) struct Connections(HashMap<PeerId, Vec<ConnectionId>>);

impl Connections {
    /// It is made, or something came on it.
    pub(super) fn speaks(&mut self, peer: PeerId, connection: ConnectionId) {
        let all = self.0.entry(peer).or_default();
        if all.last() != Some(&connection) {
            all.retain(|other| *other != connection);
            all.push(connection);
        }
    }

    /// It has ended.
    pub(super) fn closed(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(all) = self.0.get_mut(&peer) {
            all.retain(|other| *other != connection);
            if all.is_empty() {
                self.0.remove(&peer);
            }
        }
    }

    /// Where to write.
    pub(super) fn best(&self, peer: &PeerId) -> Option<ConnectionId> {
        self.0.get(peer)?.last().copied()
    }

    /// All of a peer's.
    pub(super) fn of(&self, peer: &PeerId) -> Vec<ConnectionId> {
        self.0.get(peer).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_written_to_where_it_spoke_last() {
        let [old, new] = [1, 2].map(ConnectionId::new_unchecked);
        let (mut all, peer) = (Connections::default(), PeerId::random());
        assert_eq!(all.best(&peer), None);
        all.speaks(peer, old);
        assert_eq!(all.best(&peer), Some(old));
        // It was killed, and is back.
        all.speaks(peer, new);
        assert_eq!(all.best(&peer), Some(new));
        all.speaks(peer, old);
        assert_eq!(all.best(&peer), Some(old), "that one lives");
        assert_eq!(all.of(&peer), [new, old], "each once");
        all.closed(peer, old);
        assert_eq!(all.best(&peer), Some(new));
        all.closed(peer, new);
        assert_eq!((all.best(&peer), all.0.len()), (None, 0));
    }
}
