//! One direct connection to a peer: writes what the links on it queue, reads what the peer opens. On a relayed
//! connection it does nothing at all.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use libp2p_swarm::{
    ConnectionHandler, ConnectionHandlerEvent, Stream, SubstreamProtocol,
    handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
};

use super::{
    Protocol, Protocols,
    alarm::Alarm,
    frames::{Fault, Read},
    pipe::{Frame, Pipe},
    queue::Queue,
    reader::{PATIENCE, Reader},
};
use crate::{
    message::{Message, Place},
    name::StreamName,
    scheduler::Micros,
};

/// Streams of one peer that are linked on one connection.
pub(super) const MAX_LINKS: usize = 8;
/// libp2p streams that a peer may have open on one connection: two for each link, and two that are about to replace
/// others.
pub(super) const MAX_READERS: usize = 2 * MAX_LINKS + 2;
/// A peer takes something of what it is sent within this time, microseconds.
const STALL: Micros = 3 * PATIENCE;

/// What the behaviour tells.
#[derive(Debug)]
#[expect(missing_docs, reason = "what a variant says tells of its fields")]
pub enum Command {
    /// Open the writing side of a link.
    Open {
        link: u64,
        stream: StreamName,
        queue: Arc<Queue>,
    },
    /// End it.
    Close { link: u64 },
    /// A libp2p stream that was named is wanted.
    Accept { reader: u64, max_message: usize },
    /// It is not, or not any more.
    Refuse { reader: u64 },
}

/// What the behaviour is told.
#[derive(Debug)]
#[expect(missing_docs, reason = "what a variant says tells of its fields")]
pub enum Report {
    /// Our side is open. Whether the peer takes part is not known: its consent is not waited for.
    Opened { link: u64 },
    /// Nothing can be written any more.
    Failed { link: u64, why: String },
    /// A part has left.
    Sent {
        link: u64,
        place: Place,
        bytes: usize,
    },
    /// The peer opened a libp2p stream; to be answered by Accept or Refuse.
    Named {
        reader: u64,
        protocol: Protocol,
        stream: StreamName,
    },
    /// A message came.
    Message {
        reader: u64,
        stream: StreamName,
        message: Message,
    },
    /// A part is coming.
    Progress {
        reader: u64,
        stream: StreamName,
        place: Place,
        bytes: usize,
    },
    /// A part came.
    Part {
        reader: u64,
        stream: StreamName,
        place: Place,
        bytes: Bytes,
    },
    /// It ended. `broken`: the peer does not keep to the protocol.
    Ended {
        reader: u64,
        stream: StreamName,
        broken: Option<String>,
    },
}

/// The writing side of one link.
struct Writer {
    link: u64,
    stream: StreamName,
    queue: Arc<Queue>,
    control: Side,
    parts: Side,
    /// When something was written last while there was something to write, and how much had been by then.
    moved: Option<(Micros, u64)>,
}

enum Side {
    /// Nothing needs it yet.
    Idle,
    Asked,
    Open(Box<Pipe<Stream>>),
}

impl Side {
    fn busy(&self) -> Option<u64> {
        match self {
            Self::Open(pipe) if pipe.is_busy() => Some(pipe.written),
            _ => None,
        }
    }
}

/// Handles one connection.
pub struct Handler {
    relayed: bool,
    now: fn() -> Micros,
    writers: Vec<Writer>,
    readers: VecDeque<Reader<Stream>>,
    next_reader: u64,
    requests: VecDeque<(u64, Protocol)>,
    reports: VecDeque<Report>,
    alarm: Alarm,
}

impl Handler {
    pub(super) fn new(relayed: bool, now: fn() -> Micros) -> Self {
        Self {
            relayed,
            now,
            writers: Vec::new(),
            readers: VecDeque::new(),
            next_reader: 0,
            requests: VecDeque::new(),
            reports: VecDeque::new(),
            alarm: Alarm::default(),
        }
    }

    fn fail(&mut self, link: u64, why: String) {
        let before = self.writers.len();
        self.writers.retain(|writer| writer.link != link);
        if self.writers.len() < before {
            self.reports.push_back(Report::Failed { link, why });
        }
    }

    fn poll_writers(&mut self, cx: &mut Context<'_>, now: Micros) {
        let mut failed = Vec::new();
        for writer in &mut self.writers {
            if let Err(why) = writer.poll(cx, now, &mut self.requests, &mut self.reports) {
                failed.push((writer.link, why));
            }
        }
        for (link, why) in failed {
            self.fail(link, why);
        }
    }

    /// Reads one frame of each stream in turn; what was read is told before more is taken in, so that a peer is read
    /// no faster than the engine follows.
    fn poll_readers(&mut self, cx: &mut Context<'_>, now: Micros) {
        for _ in 0..self.readers.len() {
            let Some(mut reader) = self.readers.pop_front() else {
                return;
            };
            let stream = reader.stream().cloned();
            let read = reader.poll(cx, now);
            if reader.is_late(now) {
                self.ended(&reader, None);
                continue;
            }
            let id = reader.id;
            let report = match (read, stream) {
                (Poll::Pending, _) => {
                    self.readers.push_back(reader);
                    continue;
                }
                (Poll::Ready(Ok(Read::Name(stream))), _) => Report::Named {
                    reader: id,
                    protocol: reader.protocol,
                    stream,
                },
                (Poll::Ready(Ok(Read::Message(message))), Some(stream)) => Report::Message {
                    reader: id,
                    stream,
                    message,
                },
                (Poll::Ready(Ok(Read::Progress { place, bytes })), Some(stream)) => {
                    Report::Progress {
                        reader: id,
                        stream,
                        place,
                        bytes,
                    }
                }
                (Poll::Ready(Ok(Read::Part { place, bytes })), Some(stream)) => Report::Part {
                    reader: id,
                    stream,
                    place,
                    bytes,
                },
                (Poll::Ready(Err(Fault::Broken(why))), _) => {
                    self.ended(&reader, Some(why.to_string()));
                    continue;
                }
                (Poll::Ready(_), _) => {
                    self.ended(&reader, None);
                    continue;
                }
            };
            self.reports.push_back(report);
            self.readers.push_back(reader);
        }
    }

    fn ended(&mut self, reader: &Reader<Stream>, broken: Option<String>) {
        if let Some(stream) = reader.stream() {
            self.reports.push_back(Report::Ended {
                reader: reader.id,
                stream: stream.clone(),
                broken,
            });
        }
    }

    /// Ready when something is due.
    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Micros) -> Poll<()> {
        let readers = self.readers.iter().filter_map(|reader| reader.wake_at(now));
        let writers = self.writers.iter().filter_map(Writer::wake_at);
        self.alarm.poll(readers.chain(writers).min(), now, cx)
    }
}

impl Writer {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: Micros,
        requests: &mut VecDeque<(u64, Protocol)>,
        reports: &mut VecDeque<Report>,
    ) -> Result<(), String> {
        let queue = &self.queue;
        queue.wake_on_push(cx);
        if let Side::Open(pipe) = &mut self.control {
            let next = || queue.next_message().map(|message| Frame::message(&message));
            if let Poll::Ready(Err(error)) = pipe.poll(cx, next) {
                return Err(format!("its control stream: {error}"));
            }
        }
        match &mut self.parts {
            Side::Idle if queue.has_parts() => {
                self.parts = Side::Asked;
                requests.push_back((self.link, Protocol::Parts));
            }
            Side::Idle | Side::Asked => {}
            Side::Open(pipe) => loop {
                let next = || {
                    let (place, part) = queue.next_part()?;
                    Some(Frame::part(place, part))
                };
                match pipe.poll(cx, next) {
                    Poll::Pending => break,
                    Poll::Ready(Ok((place, bytes))) => reports.push_back(Report::Sent {
                        link: self.link,
                        place,
                        bytes,
                    }),
                    Poll::Ready(Err(error)) => return Err(format!("its parts stream: {error}")),
                }
            },
        }
        let written = match (self.control.busy(), self.parts.busy()) {
            (None, None) => {
                self.moved = None;
                return Ok(());
            }
            (control, parts) => control.unwrap_or(0) + parts.unwrap_or(0),
        };
        match self.moved {
            Some((_, before)) if before != written => self.moved = Some((now, written)),
            None => self.moved = Some((now, written)),
            Some((since, _)) if now >= since + STALL => {
                return Err("it took nothing for 30 s".into());
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn wake_at(&self) -> Option<Micros> {
        self.moved.map(|(since, _)| since + STALL)
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Command;
    type ToBehaviour = Report;
    type InboundProtocol = Protocols;
    type OutboundProtocol = Protocols;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = (u64, Protocol);

    fn listen_protocol(&self) -> SubstreamProtocol<Protocols> {
        let protocols = if self.relayed {
            Protocols::Neither
        } else {
            Protocols::Both
        };
        SubstreamProtocol::new(protocols, ())
    }

    fn connection_keep_alive(&self) -> bool {
        !self.writers.is_empty()
    }

    fn on_behaviour_event(&mut self, command: Command) {
        match command {
            Command::Open {
                link,
                stream,
                queue,
            } => {
                self.requests.push_back((link, Protocol::Control));
                self.writers.push(Writer {
                    link,
                    stream,
                    queue,
                    control: Side::Asked,
                    parts: Side::Idle,
                    moved: None,
                });
            }
            Command::Close { link } => self.writers.retain(|writer| writer.link != link),
            Command::Accept {
                reader: id,
                max_message,
            } => {
                for reader in self.readers.iter_mut().filter(|reader| reader.id == id) {
                    reader.accept(max_message);
                }
            }
            Command::Refuse { reader } => self.readers.retain(|one| one.id != reader),
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<Protocols, Protocols, (), (u64, Protocol)>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (protocol, stream),
                ..
            }) => {
                self.readers.push_back(Reader::new(
                    self.next_reader,
                    protocol,
                    stream,
                    (self.now)(),
                ));
                self.next_reader += 1;
                // Dropped is reset: that is all a peer with too many hears.
                self.readers.truncate(MAX_READERS);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: (link, protocol),
            }) => {
                let Some(writer) = self.writers.iter_mut().find(|one| one.link == link) else {
                    return;
                };
                let open = Side::Open(Box::new(Pipe::new(stream, Frame::name(&writer.stream))));
                match protocol {
                    Protocol::Control => {
                        writer.control = open;
                        self.reports.push_back(Report::Opened { link });
                    }
                    Protocol::Parts => writer.parts = open,
                }
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError {
                info: (link, _),
                error,
            }) => self.fail(link, error.to_string()),
            _ => {}
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Protocols, (u64, Protocol), Report>> {
        loop {
            if let Some((link, protocol)) = self.requests.pop_front() {
                let protocol_info =
                    SubstreamProtocol::new(Protocols::One(protocol), (link, protocol));
                return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                    protocol: protocol_info,
                });
            }
            if let Some(report) = self.reports.pop_front() {
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(report));
            }
            let now = (self.now)();
            self.poll_writers(cx, now);
            self.poll_readers(cx, now);
            if self.requests.is_empty()
                && self.reports.is_empty()
                && self.poll_timer(cx, now).is_pending()
            {
                return Poll::Pending;
            }
        }
    }
}
