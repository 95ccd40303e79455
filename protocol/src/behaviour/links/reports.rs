//! What the handlers of connections tell, and what it means for the links.

use libp2p_identity::PeerId;
use libp2p_swarm::ConnectionId;

use super::{
    super::{Behaviour, Command, Protocol, Report, SentKind},
    RETURN, ReaderId,
};
use crate::{
    message::{MAX_CONTROL_FRAME_BYTES, MAX_MESSAGE_BYTES},
    name::StreamName,
    scheduler::Input,
};

impl Behaviour {
    /// What a connection's handler tells.
    pub(in crate::behaviour) fn reported(
        &mut self,
        peer: PeerId,
        on: ConnectionId,
        report: Report,
    ) {
        match report {
            Report::Opened { link } => {
                if let Some(stream) = self.stream_of(peer, link) {
                    self.stands(peer, &stream);
                }
            }
            Report::Failed { link, why } => {
                if let Some(stream) = self.stream_of(peer, link) {
                    self.unlink(peer, &stream, &why);
                }
            }
            Report::Sent { link, place, bytes } => {
                if let Some(stream) = self.stream_of(peer, link) {
                    self.count(&stream, SentKind::Part, bytes);
                    let input = Input::Sent { peer, place, bytes };
                    self.inbox.push_back((stream, input));
                }
            }
            Report::Named {
                reader,
                protocol,
                stream,
            } => self.named(peer, (on, reader), protocol, &stream),
            Report::Message {
                reader,
                stream,
                message,
            } => {
                #[cfg(any(test, feature = "liar"))]
                if self.is_current(peer, &stream, (on, reader)) {
                    self.tell_lies(&stream, &message);
                }
                let input = Input::Message { peer, message };
                self.came((on, reader), peer, stream, input);
            }
            Report::Progress {
                reader,
                stream,
                place,
                bytes,
            } => {
                let input = Input::Progress { peer, place, bytes };
                self.came((on, reader), peer, stream, input);
            }
            Report::Part {
                reader,
                stream,
                place,
                bytes,
            } => {
                let input = Input::Part { peer, place, bytes };
                self.came((on, reader), peer, stream, input);
            }
            Report::Ended {
                reader,
                stream,
                broken,
            } => {
                if let Some(why) = broken {
                    self.unlink(peer, &stream, &why);
                    self.ban(peer);
                } else {
                    self.ended(peer, &stream, (on, reader));
                }
            }
        }
    }

    /// The engine hears of what was read, unless another libp2p stream has taken the place of the one it was read from.
    fn came(&mut self, reader: ReaderId, peer: PeerId, stream: StreamName, input: Input<'static>) {
        if self.is_current(peer, &stream, reader) {
            self.inbox.push_back((stream, input));
        }
    }

    /// The peer opened a libp2p stream for this stream: the proof that it follows it, too.
    fn named(&mut self, peer: PeerId, reader: ReaderId, protocol: Protocol, stream: &StreamName) {
        let (connection, id) = reader;
        let greets = self.streams.get(stream).map(|followed| followed.greets);
        // Gateways take no parts: nothing that they serve comes from a viewer.
        if greets.is_none_or(|greets| !greets && protocol == Protocol::Parts) {
            return self.command(peer, connection, Command::Refuse { reader: id });
        }
        let moved = self.link_of(peer, stream).is_some_and(|link| {
            let before = link.control.filter(|_| protocol == Protocol::Control);
            before.is_some_and(|(on, _)| on != connection && link.connection != connection)
        });
        if moved {
            self.unlink(peer, stream, "the peer writes on another connection");
        }
        if self.link_of(peer, stream).is_none() {
            self.link(peer, stream, connection);
        }
        let Some(link) = self.link_of(peer, stream) else {
            return self.command(peer, connection, Command::Refuse { reader: id });
        };
        let slot = match protocol {
            Protocol::Control => {
                link.until = None;
                &mut link.control
            }
            Protocol::Parts => &mut link.parts,
        };
        let replaced = slot.replace(reader);
        if let Some((connection, reader)) = replaced {
            self.command(peer, connection, Command::Refuse { reader });
            if protocol == Protocol::Control {
                self.begin_anew(peer, stream);
            }
        }
        if let Some(known) = self.peers.get_mut(&peer) {
            known.retries.remove(stream);
        }
        let accept = Command::Accept {
            reader: id,
            // Viewers have no manifests or announcements for a gateway.
            max_message: if greets == Some(true) {
                MAX_CONTROL_FRAME_BYTES
            } else {
                MAX_MESSAGE_BYTES
            },
        };
        self.command(peer, connection, accept);
        self.stands(peer, stream);
    }

    /// A libp2p stream of the peer ended: with its control stream the link ends, unless another comes soon.
    fn ended(&mut self, peer: PeerId, stream: &StreamName, reader: ReaderId) {
        let until = (self.now)() + RETURN;
        let Some(link) = self.link_of(peer, stream) else {
            return;
        };
        if link.parts == Some(reader) {
            link.parts = None;
        } else if link.control == Some(reader) {
            link.control = None;
            link.until = Some(until);
            self.look_by(until);
        }
    }

    fn is_current(&self, peer: PeerId, stream: &StreamName, reader: ReaderId) -> bool {
        let link = (self.peers.get(&peer)).and_then(|known| known.links.get(stream));
        link.is_some_and(|link| link.control == Some(reader) || link.parts == Some(reader))
    }
}
