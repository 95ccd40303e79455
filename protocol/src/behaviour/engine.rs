//! The behaviour's side of the engines: what they are told, what they ask for, when they are woken.

use std::task::Context;

use bytes::Bytes;
use libp2p_identity::PeerId;
use libp2p_swarm::{CloseConnection, ToSwarm};

use super::{Behaviour, Event, MAX_BANNED, Queue, SentKind};
use crate::{
    manifest::Rejected,
    message::{Message, Place},
    name::StreamName,
    scheduler::{Input, Micros, Output, Scheduler},
};

/// A stream that is followed.
pub(super) struct Followed {
    pub(super) scheduler: Scheduler,
    pub(super) greets: bool,
}

impl Behaviour {
    /// Tells one engine, and does what it asks for. What others (or itself) are to hear of that waits in the inbox.
    pub(super) fn handle(&mut self, stream: &StreamName, input: Input<'_>) -> Result<(), Rejected> {
        let now = (self.now)();
        let Some(followed) = self.streams.get_mut(stream) else {
            return Ok(());
        };
        let taken = followed.scheduler.handle(input, now);
        self.pump(stream);
        taken
    }

    /// Empties the inbox. To be called at the end of whatever may have filled it.
    pub(super) fn settle(&mut self) {
        while let Some((stream, input)) = self.inbox.pop_front() {
            // Only an envelope from outside is rejected by an error.
            let _ = self.handle(&stream, input);
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Does what an engine asks for.
    pub(super) fn pump(&mut self, stream: &StreamName) {
        while let Some(output) =
            (self.streams.get_mut(stream)).and_then(|followed| followed.scheduler.output())
        {
            match output {
                Output::Send {
                    peer,
                    message: Message::Neighbours(all),
                } => {
                    let all = self.that_reach(peer, all);
                    if !all.is_empty() {
                        self.send(stream, peer, &Message::Neighbours(all));
                    }
                }
                Output::Send { peer, message } => self.send(stream, peer, &message),
                Output::SendPart { peer, place, bytes } => {
                    self.send_part(stream, peer, place, bytes);
                }
                Output::Unsend { peer, place } => {
                    if let Some(queue) = self.queue(peer, stream) {
                        queue.unsend(place);
                    }
                }
                Output::Drop { peer, ban, why } => {
                    self.unlink(peer, stream, why);
                    if ban {
                        self.ban(peer);
                    }
                }
                Output::Dial { peer } => self.dial(stream, peer),
                output => self.act(Event::Output {
                    stream: stream.clone(),
                    output,
                }),
            }
        }
    }

    pub(super) fn act(&mut self, event: Event) {
        self.actions.push_back(ToSwarm::GenerateEvent(event));
    }

    fn send(&mut self, stream: &StreamName, peer: PeerId, message: &Message) {
        let Some(queue) = self.queue(peer, stream) else {
            return;
        };
        let encoded = message.encode();
        let bytes = encoded.len();
        if queue.push_message(encoded).is_err() {
            return self.unlink(peer, stream, "it does not take what it is told");
        }
        let kind = match message {
            Message::Announcement { .. } | Message::Manifest { .. } => SentKind::Announcement,
            _ => SentKind::Other,
        };
        self.count(stream, kind, bytes);
    }

    /// An engine that waits for [`Input::Sent`] never fills the queue: a link on which it is full does not move.
    fn send_part(&mut self, stream: &StreamName, peer: PeerId, place: Place, part: Bytes) {
        #[cfg(any(test, feature = "liar"))]
        let part = self.liar.give(part);
        let full = |queue: &Queue| queue.push_part(place, part).is_err();
        if self.queue(peer, stream).is_some_and(full) {
            self.unlink(peer, stream, "it does not take what it is given");
        }
    }

    pub(super) fn count(&mut self, stream: &StreamName, kind: SentKind, bytes: usize) {
        *self.sent.or_insert_with((stream.clone(), kind), || 0) += bytes;
    }

    /// Ends all connections to a peer and takes none of it any more.
    pub(super) fn ban(&mut self, peer: PeerId) {
        if self.banned.contains(&peer) {
            return;
        }
        if self.banned.len() == MAX_BANNED {
            self.banned.pop_front();
        }
        self.banned.push_back(peer);
        for stream in self.linked_streams(peer) {
            self.unlink(peer, &stream, "it is banned");
        }
        self.actions.push_back(ToSwarm::CloseConnection {
            peer_id: peer,
            connection: CloseConnection::All,
        });
    }

    /// Wakes engines and looks at links when it is time, and sees to it that the Swarm comes back in time.
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) {
        loop {
            let now = (self.now)();
            if self.look_at.is_some_and(|at| at <= now) {
                self.look_at_links(now);
                self.settle();
            }
            let due: Vec<StreamName> = (self.streams.iter())
                .filter(|(_, followed)| followed.scheduler.wake_at().is_some_and(|at| at <= now))
                .map(|(stream, _)| stream.clone())
                .collect();
            for stream in due {
                let _ = self.handle(&stream, Input::Wake);
            }
            self.settle();
            let at = self.next_wake();
            if self.alarm.poll(at, now, cx).is_pending() {
                return;
            }
        }
    }

    fn next_wake(&self) -> Option<Micros> {
        let engines = self
            .streams
            .values()
            .filter_map(|followed| followed.scheduler.wake_at());
        engines.chain(self.look_at).min()
    }
}
