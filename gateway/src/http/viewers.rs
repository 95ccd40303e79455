//! Who watches a stream: pure counting, `now` is an argument.
//!
//! A viewer is an open announcement socket. Players without one (native HLS, mpv) are the distinct clients
//! (address and user agent) that asked for a playlist within [`RECENT`]; one whose page also holds a socket counts once.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use axum::{
    Extension,
    http::{HeaderMap, HeaderValue, header},
};
use tokio::time::Instant;

use super::serve::Peer;

/// A player that reloads its playlist comes back within this time, even where segments are long.
const RECENT: Duration = Duration::from_secs(10);
/// Players without a socket that are remembered; more are not counted.
const MAX_PLAYERS: usize = 10_000;

/// One client as far as it can be told from others: a hash of its address and user agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Client(u64);

/// The viewers of one stream.
#[derive(Default)]
pub(super) struct Viewers {
    hasher: RandomState,
    sockets: HashMap<Client, usize>,
    open: usize,
    players: HashMap<Client, Instant>,
}

impl Viewers {
    /// The client that sent these headers; behind a reverse proxy all have its address.
    pub(super) fn client(&self, peer: Option<Extension<Peer>>, headers: &HeaderMap) -> Client {
        let user_agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes);
        Client(self.hasher.hash_one((
            peer.map(|Extension(Peer(address))| address.ip()),
            user_agent,
        )))
    }

    /// An announcement socket opened. The number of sockets is limited where they are accepted.
    pub(super) fn opened(&mut self, client: Client) {
        *self.sockets.entry(client).or_default() += 1;
        self.open += 1;
    }

    /// It closed.
    pub(super) fn closed(&mut self, client: Client) {
        if let Entry::Occupied(mut sockets) = self.sockets.entry(client) {
            self.open -= 1;
            *sockets.get_mut() -= 1;
            if *sockets.get() == 0 {
                sockets.remove();
            }
        }
    }

    /// A playlist was asked for.
    pub(super) fn asked(&mut self, client: Client, now: Instant) {
        if self.players.len() >= MAX_PLAYERS && !self.players.contains_key(&client) {
            self.forget(now);
            if self.players.len() >= MAX_PLAYERS {
                return;
            }
        }
        self.players.insert(client, now);
    }

    /// How many there are.
    pub(super) fn count(&mut self, now: Instant) -> usize {
        self.forget(now);
        let without_socket = self
            .players
            .keys()
            .filter(|client| !self.sockets.contains_key(client));
        self.open + without_socket.count()
    }

    fn forget(&mut self, now: Instant) {
        self.players
            .retain(|_, asked| now.duration_since(*asked) < RECENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(viewers: &Viewers, address: u32, user_agent: &'static str) -> Client {
        let headers =
            HeaderMap::from_iter([(header::USER_AGENT, HeaderValue::from_static(user_agent))]);
        viewers.client(
            Some(Extension(Peer(
                (std::net::Ipv4Addr::from(address), 1).into(),
            ))),
            &headers,
        )
    }

    #[test]
    fn sockets_and_players_count_once_each() {
        let (mut viewers, start) = (Viewers::default(), Instant::now());
        let (page, mpv) = (client(&viewers, 1, "browser"), client(&viewers, 1, "mpv"));
        viewers.opened(page);
        viewers.opened(page);
        assert_eq!(viewers.count(start), 2);
        viewers.asked(page, start);
        viewers.asked(mpv, start);
        viewers.asked(mpv, start);
        assert_eq!(viewers.count(start), 3);
        assert_eq!(viewers.count(start + Duration::from_millis(9_999)), 3);
        assert_eq!(viewers.count(start + RECENT), 2);
        viewers.closed(page);
        viewers.closed(page);
        viewers.closed(page);
        assert_eq!(viewers.count(start + RECENT), 0);
        assert!(viewers.sockets.is_empty() && viewers.players.is_empty());
    }

    #[test]
    fn no_more_players_are_remembered_than_the_limit_and_old_ones_make_room() {
        let (mut viewers, start) = (Viewers::default(), Instant::now());
        for n in 0..20_000 {
            let player = client(&viewers, n, "");
            viewers.asked(player, start);
        }
        assert_eq!(viewers.count(start), MAX_PLAYERS);
        let late = client(&viewers, 99_999, "");
        viewers.asked(late, start + RECENT);
        assert_eq!(viewers.count(start + RECENT), 1);
    }
}
