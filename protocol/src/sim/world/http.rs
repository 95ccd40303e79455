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

impl Driver<'_> {
    /// Why a viewer asks HTTP for a part.
    fn why(&self, node: usize, place: Place) -> Why {
        let of = &self.shard.nodes[node];
        if of.lie.is_some() {
            return Why::Liar;
        }
        if of.own.is_waiting() {
            return Why::StartUp;
        }
        match of.engine.cause(place) {
            Cause::Alone => Why::Alone,
            _ if self.shard.now < of.own.joined + SETTLES => Why::Newcomer,
            Cause::Unheld => Why::Unheld,
            Cause::Refused => Why::Refused,
            Cause::Late => Why::Late,
            Cause::Unasked => Why::Unasked,
        }
    }

    pub(super) fn fetch(&mut self, node: usize, place: Place) {
        self.shard.count += 1;
        let token = self.shard.count;
        let now = self.shard.now;
        let before = self.shard.nodes[node].fetching.insert(place, (token, now));
        assert!(
            before.is_none(),
            "a part is fetched once at a time: {place:?}"
        );
        assert!(
            self.shard.nodes[node].engine.part(place).is_none(),
            "what is there is not fetched: {place:?}"
        );
        self.shard.nodes[node].fetches += 1;
        let way = self.common.way(node, 0);
        let open = self.common.up && self.common.scene.network.http;
        let Some(bytes) = self.common.parts.get(&place).filter(|_| open).cloned() else {
            return self.at(
                self.shard.now + 2 * way,
                Event::Fetched(node, place, None, self.shard.now, token, 0),
            );
        };
        let size = bytes.len();
        let since = self.shard.now;
        if self.shard.nodes[node].own.is_waiting() {
            self.shard.nodes[node].own.start_up += size as u64;
        }
        if self.common.scene.network.sites.is_some() {
            let (loss, random) = (self.common.scene.gateway.loss, &mut self.shard.random);
            let connections = &mut self.shard.nodes[node].connections;
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
            self.shard.nodes[node]
                .fetching
                .insert(place, (token, asked));
            return self.at(asked, Event::Asked(answer));
        }
        self.shard.nodes[0].fetched += size as u64;
        let (_, connection) = (self.shard.nodes[node].connections).round_trips(
            since,
            size,
            0.0,
            &mut self.shard.random,
        );
        let arrives = since + 2 * way + micros(size, self.common.scene.gateway.up);
        let event = Event::Fetched(node, place, Some(bytes), since, token, connection);
        self.through(node, arrives, size, event);
    }

    /// An answer waits for its turn; the gateway gives one after the other.
    pub(super) fn asked(&mut self, answer: Answer) {
        self.shard.answers.push_back(answer);
        if self.shard.answers.len() == 1 {
            self.at(self.shard.http_free.max(self.shard.now), Event::Answer);
        }
    }

    /// A viewer does not wait for a part any more: its connection is closed, no sooner than it has asked.
    pub(super) fn abort(&mut self, node: usize, place: Place) {
        let was = self.shard.nodes[node].fetching.remove(&place);
        let (token, asked) = was.expect("only what is being fetched is aborted");
        let late = self.shard.now + self.common.way(node, 0);
        self.at(late.max(asked), Event::Closed(node, token));
    }

    /// Nobody waits for this answer any more.
    pub(super) fn closed(&mut self, node: usize, token: u64) {
        let is_it = |answer: &Answer| answer.node == node && answer.token == token;
        self.shard.answers.retain(|answer| !is_it(answer));
    }

    /// The next answer leaves the gateway, unless nobody waits for it any more: its connection is closed then.
    pub(super) fn answer(&mut self) {
        if self.shard.now < self.shard.http_free {
            return self.at(self.shard.http_free, Event::Answer);
        }
        while let Some(answer) = self.shard.answers.pop_front() {
            if !self.common.addresses[answer.node].alive {
                continue;
            }
            let size = answer.bytes.len();
            self.shard.nodes[0].fetched += size as u64;
            if let Some(trace) = &mut self.shard.trace {
                trace.fetched[answer.why as usize] += size as u64;
            }
            self.shard.http_free = self.shard.now + micros(size, self.common.scene.gateway.up);
            let times = (
                self.shard.http_free,
                self.shard.http_free + self.common.way(answer.node, 0),
            );
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
        if !self.shard.answers.is_empty() {
            self.at(self.shard.http_free, Event::Answer);
        }
    }
}
