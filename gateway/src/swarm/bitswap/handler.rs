//! One connection: bitswap's messages off its libp2p streams and onto one.
//!
//! Peers may send any number of messages on a stream, or each on its own; we keep one stream and reuse it while there is
//! something to say. What was read is told before more is taken in.

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{
    AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered,
};
use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::ReadyUpgrade,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        },
    },
};
use tokio::{
    sync::Semaphore,
    time::{Sleep, sleep, timeout},
};

use super::message::{MAX_MESSAGE_BYTES, Message};

/// What is spoken.
pub(in crate::swarm) const PROTOCOL: StreamProtocol = StreamProtocol::new("/ipfs/bitswap/1.2.0");
/// libp2p streams that a peer may have open towards us on one connection; one more is reset. Some open one for each message.
pub(super) const MAX_STREAMS: usize = 16;
/// A message that has begun is here by then.
const PATIENCE: Duration = Duration::from_secs(30);
/// Our stream is closed when nothing was said on it for so long.
const QUIET: Duration = Duration::from_secs(2);
/// Messages that may wait to be written: more are only the cancels for a peer that reads nothing.
pub(super) const MAX_QUEUE: usize = 1024;
/// Messages up to here are read as they come, longer ones within a [`Budget`].
const SMALL_BYTES: usize = 64 << 10;

/// Bytes of long messages that are being read, over all connections: a hostile thousand takes no more memory than this.
#[derive(Clone)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    const BYTES: usize = 64 << 20;

    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(Self::BYTES)))
    }
}

/// What the behaviour tells.
#[derive(Debug)]
pub(in crate::swarm) enum Command {
    /// A whole message with its length before it. `told`: when it has left.
    Send { message: Bytes, told: bool },
    /// Whether the connection is to stay although nothing is said on it: the peer waits for something.
    Hold(bool),
}

/// What the behaviour is told.
#[derive(Debug)]
pub(in crate::swarm) enum Report {
    /// The peer said this.
    Message(Message),
    /// A message of so many bytes has left.
    Sent(usize),
    /// The peer cannot be served or does not keep to the protocol.
    Failed(&'static str),
}

type Read = Result<Option<(Message, Stream)>, &'static str>;

/// Handles one connection.
pub(in crate::swarm) struct Handler {
    budget: Budget,
    hold: bool,
    /// One for each stream; what was read is told before more is.
    reads: FuturesUnordered<BoxFuture<'static, Read>>,
    /// What is to be written, each with whether that is told.
    queue: VecDeque<(Bytes, bool)>,
    writer: Writer,
    failed: Option<&'static str>,
}

enum Writer {
    Closed,
    /// Asked for.
    Opening,
    /// `used`: something was sent on it before, so it may have been closed by the peer since.
    Writing {
        bytes: usize,
        used: bool,
        write: BoxFuture<'static, io::Result<Stream>>,
    },
    Quiet(Stream, std::pin::Pin<Box<Sleep>>),
    Closing(BoxFuture<'static, ()>),
}

impl Handler {
    pub(super) fn new(budget: Budget) -> Self {
        Self {
            budget,
            hold: false,
            reads: FuturesUnordered::new(),
            queue: VecDeque::new(),
            writer: Writer::Closed,
            failed: None,
        }
    }

    /// Writes what waits; returns the bytes of a message that has left.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Wrote> {
        loop {
            match &mut self.writer {
                Writer::Closed if self.queue.is_empty() => return Poll::Pending,
                Writer::Closed => {
                    self.writer = Writer::Opening;
                    return Poll::Ready(Wrote::Open);
                }
                Writer::Opening => return Poll::Pending,
                Writer::Writing { bytes, used, write } => {
                    let (bytes, used) = (*bytes, *used);
                    match std::task::ready!(write.poll_unpin(cx)) {
                        Ok(stream) => {
                            let sent = self.queue.pop_front();
                            self.writer = Writer::Quiet(stream, Box::pin(sleep(QUIET)));
                            if sent.is_some_and(|(_, told)| told) {
                                return Poll::Ready(Wrote::Message(bytes));
                            }
                        }
                        // The peer closed it meanwhile: said again on a new one.
                        Err(_) if used => self.writer = Writer::Closed,
                        Err(_) => {
                            self.writer = Writer::Closed;
                            self.queue.clear();
                            self.failed = Some("a message could not be written");
                            return Poll::Pending;
                        }
                    }
                }
                Writer::Quiet(_, sleep) => {
                    let quiet = sleep.poll_unpin(cx).is_ready();
                    if self.queue.is_empty() && !quiet {
                        return Poll::Pending;
                    }
                    let Writer::Quiet(mut stream, _) =
                        std::mem::replace(&mut self.writer, Writer::Closed)
                    else {
                        unreachable!("it was quiet a line above");
                    };
                    match self.queue.front() {
                        Some((message, _)) => self.writer = writing(stream, message.clone(), true),
                        None => {
                            let close = async move { drop(stream.close().await) };
                            self.writer = Writer::Closing(close.boxed());
                        }
                    }
                }
                Writer::Closing(close) => {
                    if self.queue.is_empty() {
                        std::task::ready!(close.poll_unpin(cx));
                    }
                    self.writer = Writer::Closed;
                }
            }
        }
    }
}

/// What came of writing.
enum Wrote {
    Open,
    Message(usize),
}

fn writing(mut stream: Stream, message: Bytes, used: bool) -> Writer {
    Writer::Writing {
        bytes: message.len(),
        used,
        write: async move {
            stream.write_all(&message).await?;
            stream.flush().await?;
            Ok(stream)
        }
        .boxed(),
    }
}

/// The next message of a stream, or `None` at its end.
async fn read(mut stream: Stream, budget: Budget) -> Read {
    const CUT: &str = "a message is cut short";
    let mut length = 0_usize;
    for shift in (0..28).step_by(7) {
        let mut byte = [0];
        match stream.read(&mut byte).await {
            Ok(0) if shift == 0 => return Ok(None),
            Err(_) if shift == 0 => return Ok(None), // reset: it has nothing more to say
            Ok(1) => {}
            _ => return Err(CUT),
        }
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            if length > MAX_MESSAGE_BYTES {
                break;
            }
            let whole = timeout(PATIENCE, body(&mut stream, length, &budget)).await;
            let body = whole.map_err(|_| "a message takes too long")?.ok_or(CUT)?;
            let message = Message::decode(&body.into())
                .map_err(|_| "what came is no message, or has too much in it")?;
            return Ok(Some((message, stream)));
        }
    }
    Err("a message is over the limit of 4 MiB")
}

/// Memory is taken as bytes come, not as they are promised.
async fn body(stream: &mut Stream, length: usize, budget: &Budget) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let first = length.min(SMALL_BYTES);
    stream
        .take(first as u64)
        .read_to_end(&mut body)
        .await
        .ok()?;
    let more = length - first;
    if more > 0 && body.len() == first {
        let units = u32::try_from(length).expect("below 4 MiB");
        let _room = budget.0.acquire_many(units).await.ok()?;
        stream.take(more as u64).read_to_end(&mut body).await.ok()?;
    }
    (body.len() == length).then_some(body)
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Command;
    type ToBehaviour = Report;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.hold
    }

    fn on_behaviour_event(&mut self, command: Command) {
        match command {
            Command::Send { .. } if self.queue.len() >= MAX_QUEUE => {
                self.failed = Some("it takes nothing of what it is sent");
            }
            Command::Send { message, told } => self.queue.push_back((message, told)),
            Command::Hold(hold) => self.hold = hold,
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) if self.reads.len() < MAX_STREAMS => {
                self.reads.push(read(stream, self.budget.clone()).boxed());
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                ..
            }) => {
                self.writer = match self.queue.front() {
                    Some((message, _)) => writing(stream, message.clone(), false),
                    None => Writer::Quiet(stream, Box::pin(sleep(QUIET))),
                };
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { .. }) => {
                self.writer = Writer::Closed;
                self.queue.clear();
                self.failed = Some("it opens no stream for bitswap");
            }
            _ => {}
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Report>> {
        use ConnectionHandlerEvent::{NotifyBehaviour, OutboundSubstreamRequest};
        match self.poll_write(cx) {
            Poll::Ready(Wrote::Message(bytes)) => {
                return Poll::Ready(NotifyBehaviour(Report::Sent(bytes)));
            }
            Poll::Ready(Wrote::Open) => {
                return Poll::Ready(OutboundSubstreamRequest {
                    protocol: SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ()),
                });
            }
            Poll::Pending => {}
        }
        if let Some(why) = self.failed.take() {
            return Poll::Ready(NotifyBehaviour(Report::Failed(why)));
        }
        while let Poll::Ready(Some(read_)) = self.reads.poll_next_unpin(cx) {
            match read_ {
                Ok(Some((message, stream))) => {
                    self.reads.push(read(stream, self.budget.clone()).boxed());
                    return Poll::Ready(NotifyBehaviour(Report::Message(message)));
                }
                Ok(None) => {}
                Err(why) => return Poll::Ready(NotifyBehaviour(Report::Failed(why))),
            }
        }
        Poll::Pending
    }
}
