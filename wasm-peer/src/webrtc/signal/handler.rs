//! The signalling of one relayed connection.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use futures::{
    FutureExt,
    channel::{mpsc, oneshot},
    future::{self, Either},
};
use futures_timer::Delay;
use libp2p_core::{Multiaddr, PeerId, upgrade::ReadyUpgrade};
use libp2p_swarm::{
    ConnectionHandler, ConnectionHandlerEvent, Stream, StreamProtocol, SubstreamProtocol,
    handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
};

use super::{
    run::run,
    session::{PATIENCE, Role},
};
use crate::webrtc::{Connection, Error, behaviour::News};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/webrtc-signaling/0.0.1");

/// Who waits for the connection that was asked for.
pub type Reply = oneshot::Sender<Result<Connection, Error>>;

/// Asked of the handler.
#[derive(Debug)]
pub enum Command {
    /// Make a connection.
    Initiate(Reply),
    /// Take part in the session the other side began ...
    Accept,
    /// ... or do not.
    Refuse,
}

/// Told by the handler.
#[derive(Debug)]
pub enum Told {
    /// The other side began a session; [`Command::Accept`] or [`Command::Refuse`] is due.
    Asked,
    /// The session that was begun or accepted here is over.
    Over(Role),
}

/// Runs at most one session in each direction.
pub struct Handler {
    peer: PeerId,
    circuit: Multiaddr,
    ice: Vec<String>,
    news: mpsc::UnboundedSender<News>,
    wanted: Option<Reply>,
    requested: Option<Reply>,
    offered: Option<Stream>,
    running: [Option<oneshot::Receiver<()>>; 2], // by role; ends with the session
    told: VecDeque<Told>,
    waker: Option<Waker>,
}

impl Handler {
    /// Of a connection to `peer` over `circuit` (`…/p2p-circuit`); `ice`: URLs of STUN servers; what the other side initiates and makes is told by `news`.
    pub(crate) fn new(
        peer: PeerId,
        circuit: Multiaddr,
        ice: Vec<String>,
        news: mpsc::UnboundedSender<News>,
        wanted: Option<Reply>,
    ) -> Self {
        Self {
            peer,
            circuit,
            ice,
            news,
            wanted,
            requested: None,
            offered: None,
            running: [None, None],
            told: VecDeque::new(),
            waker: None,
        }
    }

    /// The session outlives this handler: the other side may close the circuit as soon as it is connected.
    fn start(&mut self, role: Role, stream: Stream, reply: Option<Reply>) {
        let (done, running) = oneshot::channel();
        self.running[role as usize] = Some(running);
        let (peer, circuit) = (self.peer, self.circuit.clone());
        let (news, ice) = (self.news.clone(), self.ice.clone());
        wasm_bindgen_futures::spawn_local(async move {
            let mut reply = reply;
            let session = std::pin::pin!(run(stream, role, &ice));
            // What waits for the browser's promises has an end, too; and nobody may want the connection any more.
            let unwanted = future::poll_fn(|cx| match &mut reply {
                Some(reply) => reply.poll_canceled(cx),
                None => Poll::Pending,
            });
            let end = future::select(Delay::new(2 * PATIENCE), unwanted);
            let result = match future::select(session, end).await {
                Either::Left((result, _)) => result,
                Either::Right(_) => Err(Error::Session("no connection in time")),
            };
            match (reply, result) {
                (Some(reply), result) => drop(reply.send(result)),
                (None, Ok(connection)) => {
                    drop(news.unbounded_send(News::Arrived(peer, connection, circuit)))
                }
                (None, Err(_)) => {}
            }
            drop(done);
        });
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Command;
    type ToBehaviour = Told;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.wanted.is_some()
            || self.requested.is_some()
            || self.offered.is_some()
            || self.running.iter().any(Option::is_some)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Told>> {
        if let Some(wanted) = self.wanted.take() {
            self.requested = Some(wanted);
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        for role in [Role::Initiator, Role::Responder] {
            if let Some(running) = &mut self.running[role as usize]
                && running.poll_unpin(cx).is_ready()
            {
                self.running[role as usize] = None;
                self.told.push_back(Told::Over(role));
            }
        }
        if let Some(told) = self.told.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(told));
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, command: Command) {
        match command {
            Command::Initiate(reply) => {
                if self.requested.is_some() || self.running[Role::Initiator as usize].is_some() {
                    let _ =
                        reply.send(Err(Error::Session("a session with this peer runs already")));
                } else {
                    self.wanted = Some(reply);
                }
            }
            Command::Accept => {
                if let Some(stream) = self.offered.take() {
                    self.start(Role::Responder, stream, None);
                }
            }
            Command::Refuse => self.offered = None,
        }
        self.wake();
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            // One at a time: further streams are reset by being dropped.
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol, ..
            }) if self.offered.is_none() && self.running[Role::Responder as usize].is_none() => {
                self.offered = Some(protocol);
                self.told.push_back(Told::Asked);
                self.wake();
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol, ..
            }) => {
                if let Some(reply) = self.requested.take() {
                    self.start(Role::Initiator, protocol, Some(reply));
                }
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                if let Some(reply) = self.requested.take() {
                    let _ = reply.send(Err(Error::Signalling(error.to_string())));
                    self.told.push_back(Told::Over(Role::Initiator));
                    self.wake();
                }
            }
            _ => {}
        }
    }
}
