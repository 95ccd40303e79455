//! The gateway's HTTP: one answer after the other leaves it.

use super::*;
use crate::{
    scheduler::cause::Cause,
    sim::trace::{SETTLES, Why},
};

/// What the gateway's HTTP was asked for.
pub(super) struct Answer {
    node: usize,
    place: Place,
    bytes: Bytes,
    since: Micros,
    token: u64,
    connection: usize,
    why: Why,
}

impl World {
    /// Why a viewer asks HTTP for a part.
    fn why(&self, node: usize, place: Place) -> Why {
        let of = &self.nodes[node];
        if of.lie.is_some() {
            return Why::Liar;
        }
        if of.own.is_waiting() {
            return Why::StartUp;
        }
        match of.engine.cause(place) {
            Cause::Alone => Why::Alone,
            _ if self.now < of.own.joined + SETTLES => Why::Newcomer,
            Cause::Unheld => Why::Unheld,
            Cause::Refused => Why::Refused,
            Cause::Late => Why::Late,
            Cause::Unasked => Why::Unasked,
        }
    }

    pub(super) fn fetch(&mut self, node: usize, place: Place) {
        self.count += 1;
        let token = self.count;
        let before = self.nodes[node].fetching.insert(place, token);
        assert!(
            before.is_none(),
            "a part is fetched once at a time: {place:?}"
        );
        assert!(
            self.nodes[node].engine.part(place).is_none(),
            "what is there is not fetched: {place:?}"
        );
        self.nodes[node].fetches += 1;
        let way = self.way(node, 0);
        let open = self.up && self.scene.network.http;
        let Some(bytes) = self.parts.get(&place).filter(|_| open).cloned() else {
            return self.at(
                self.now + 2 * way,
                Event::Fetched(node, place, None, self.now, token, 0),
            );
        };
        let size = bytes.len();
        let since = self.now;
        if self.nodes[node].own.is_waiting() {
            self.nodes[node].own.start_up += size as u64;
        }
        if self.scene.network.sites.is_some() {
            let (loss, random) = (self.scene.gateway.loss, &mut self.random);
            let connections = &mut self.nodes[node].connections;
            let (trips, connection) = connections.round_trips(since, size, loss, random);
            let asked = since + (2 * trips - 1) * way;
            let answer = Answer {
                node,
                place,
                bytes,
                since,
                token,
                connection,
                why: self.why(node, place),
            };
            return self.at(asked, Event::Asked(answer));
        }
        self.nodes[0].fetched += size as u64;
        let (_, connection) =
            (self.nodes[node].connections).round_trips(since, size, 0.0, &mut self.random);
        let arrives = since + 2 * way + micros(size, self.scene.gateway.up);
        let event = Event::Fetched(node, place, Some(bytes), since, token, connection);
        self.through(node, arrives, size, event);
    }

    /// An answer waits for its turn; the gateway gives one after the other.
    pub(super) fn asked(&mut self, answer: Answer) {
        self.answers.push_back(answer);
        if self.answers.len() == 1 {
            self.at(self.http_free.max(self.now), Event::Answer);
        }
    }

    /// The next answer leaves the gateway, unless nobody waits for it any more: its connection is closed then.
    pub(super) fn answer(&mut self) {
        if self.now < self.http_free {
            return self.at(self.http_free, Event::Answer);
        }
        let waits = |world: &Self, answer: &Answer| {
            let node = &world.nodes[answer.node];
            node.alive && node.fetching.get(&answer.place) == Some(&answer.token)
        };
        while let Some(answer) = self.answers.pop_front() {
            if !waits(self, &answer) {
                continue;
            }
            let size = answer.bytes.len();
            self.nodes[0].fetched += size as u64;
            if let Some(trace) = &mut self.trace {
                trace.fetched[answer.why as usize] += size as u64;
            }
            self.http_free = self.now + micros(size, self.scene.gateway.up);
            let times = (self.http_free, self.http_free + self.way(answer.node, 0));
            let event = Event::Fetched(
                answer.node,
                answer.place,
                Some(answer.bytes),
                answer.since,
                answer.token,
                answer.connection,
            );
            self.sets_out((0, answer.node, HTTP), times, size, event);
            break;
        }
        if !self.answers.is_empty() {
            self.at(self.http_free, Event::Answer);
        }
    }
}
