//! The driver: the ledger and our own wants, joined to a libp2p Swarm and to what is stored.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use cid::Cid;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour,
        NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        oneshot,
    },
    time::{Interval, MissedTickBehavior, interval},
};

use super::super::peers::Wanted;
use super::{
    connections::Connections,
    handler::{Budget, Command, Handler, Report},
    ledger::{Found, Input, Ledger, Output},
    message::Message,
    wants::{self, Wants},
};
use crate::{http::blocks::Blocks, metrics::Kind, store::Store};

/// How often the ledger looks at its time limits, and how often what is wanted is looked at.
const TICK: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(200);

/// What the driver's owner may count.
#[derive(Debug)]
pub(in crate::swarm) struct Sent {
    pub(in crate::swarm) kind: Kind,
    pub(in crate::swarm) bytes: usize,
}

/// Where blocks come from, and what tells that one was stored.
pub(in crate::swarm) struct Shelf {
    pub(in crate::swarm) store: Store,
    pub(in crate::swarm) blocks: Arc<Blocks>,
}

/// Bitswap 1.2.0.
pub(in crate::swarm) struct Behaviour {
    shelf: Shelf,
    stored: BoxFuture<'static, (Result<Cid, RecvError>, broadcast::Receiver<Cid>)>,
    ledger: Ledger,
    wants: Wants,
    /// Who waits for each block that is wanted.
    waiters: HashMap<Cid, Vec<oneshot::Sender<Option<Bytes>>>>,
    looks: FuturesUnordered<BoxFuture<'static, Input>>,
    connections: Connections,
    /// Bytes that each connection has not sent yet.
    unsent: HashMap<ConnectionId, usize>,
    held: HashSet<PeerId>,
    budget: Budget,
    tick: Interval,
    look: Interval,
    actions: VecDeque<ToSwarm<Sent, Command>>,
}

impl Behaviour {
    /// Serves what is on the shelf. Within a tokio runtime.
    pub(in crate::swarm) fn new(shelf: Shelf) -> Self {
        let [tick, look] = [TICK, LOOK].map(|every| {
            let mut interval = interval(every);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Self {
            stored: next(shelf.store.stored()),
            shelf,
            ledger: Ledger::default(),
            wants: Wants::default(),
            waiters: HashMap::new(),
            looks: FuturesUnordered::new(),
            connections: Connections::default(),
            unsent: HashMap::new(),
            held: HashSet::new(),
            budget: Budget::new(),
            tick,
            look,
            actions: VecDeque::new(),
        }
    }

    fn handle(&mut self, input: Input) {
        for output in self.ledger.handle(input, Instant::now()) {
            match output {
                Output::Look { peer, cid, bytes } => self.look(peer, cid, bytes),
                Output::Send {
                    peer,
                    message,
                    bytes,
                } => {
                    self.count(&message);
                    if let Some(connection) = self.connection(&peer) {
                        *self.unsent.entry(connection).or_default() += bytes.len();
                        let message = bytes;
                        self.command(
                            peer,
                            connection,
                            Command::Send {
                                message,
                                told: true,
                            },
                        );
                    }
                }
                Output::Drop(peer) => {
                    tracing::debug!(%peer, "a peer takes nothing of what it wants over bitswap");
                    self.close(peer, CloseConnection::All);
                }
            }
        }
    }

    /// A block is wanted of others.
    pub(in crate::swarm) fn want(&mut self, wanted: Wanted) {
        let Wanted {
            cid,
            from,
            patience,
            answer,
        } = wanted;
        self.waiters.entry(cid).or_default().push(answer);
        let connected = |peer: &PeerId| self.connections.best(peer).is_some();
        let from: Vec<_> = from.into_iter().filter(connected).collect();
        let asked = from.clone();
        self.wanting(wants::Input::Want {
            cid,
            from,
            patience,
        });
        for peer in asked {
            self.hold(peer);
        }
    }

    fn wanting(&mut self, input: wants::Input) {
        for output in self.wants.handle(input, Instant::now()) {
            match output {
                wants::Output::Send { peer, message } => {
                    if let Some(connection) = self.connection(&peer) {
                        let message = message.encode();
                        self.command(
                            peer,
                            connection,
                            Command::Send {
                                message,
                                told: false,
                            },
                        );
                    }
                }
                wants::Output::Got { cid, block } => self.answer(cid, Some(block)),
                wants::Output::Absent(cid) => {
                    self.answer(cid, None);
                    self.wanting(wants::Input::Forget(cid));
                }
                wants::Output::Drop(peer) => {
                    tracing::debug!(%peer, "a peer sends blocks that nobody asked for");
                    self.close(peer, CloseConnection::All);
                }
            }
        }
    }

    fn answer(&mut self, cid: Cid, block: Option<Bytes>) {
        for waiter in self.waiters.remove(&cid).unwrap_or_default() {
            let _ = waiter.send(block.clone()); // it does not want it any more
        }
    }

    /// What nobody waits for any more is not wanted any more.
    fn forget_abandoned(&mut self) {
        let mut abandoned = Vec::new();
        self.waiters.retain(|cid, waiters| {
            waiters.retain(|waiter| !waiter.is_closed());
            if waiters.is_empty() {
                abandoned.push(*cid);
            }
            !waiters.is_empty()
        });
        for cid in abandoned {
            self.wanting(wants::Input::Forget(cid));
        }
    }

    /// Off this task: a disk may be slow.
    fn look(&mut self, peer: PeerId, cid: Cid, bytes: bool) {
        let (blocks, store) = (self.shelf.blocks.clone(), self.shelf.store.clone());
        // Version 0 names the very same node.
        let name = match cid.version() {
            cid::Version::V0 => Cid::new_v1(meshlive_protocol::dag::DAG_PB, *cid.hash()),
            cid::Version::V1 => cid,
        };
        let look = async move {
            let found = if bytes {
                let read = blocks.get(None, name).await;
                read.map(|block| block.map_or(Found::Absent, Found::Block))
            } else {
                let here = tokio::task::spawn_blocking(move || store.has(&name)).await;
                let here = here.map_err(std::io::Error::other).flatten();
                here.map(|here| if here { Found::Here } else { Found::Absent })
            };
            let found = found.unwrap_or_else(|error| {
                tracing::warn!(%cid, %error, "a block that a peer wants cannot be read");
                Found::Absent
            });
            Input::Looked { peer, cid, found }
        };
        self.looks.push(look.boxed());
    }

    fn count(&mut self, message: &Message) {
        let (mut parts, mut others) = (0, 0);
        for (cid, block) in &message.blocks {
            if cid.codec() == meshlive_protocol::dag::RAW {
                parts += block.len();
            } else {
                others += block.len();
            }
        }
        for (kind, bytes) in [(Kind::Part, parts), (Kind::Other, others)] {
            if bytes > 0 {
                let sent = Sent { kind, bytes };
                self.actions.push_back(ToSwarm::GenerateEvent(sent));
            }
        }
    }

    fn connection(&self, peer: &PeerId) -> Option<ConnectionId> {
        self.connections.best(peer)
    }

    fn command(&mut self, peer: PeerId, connection: ConnectionId, command: Command) {
        self.actions.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(connection),
            event: command,
        });
    }

    fn close(&mut self, peer: PeerId, connection: CloseConnection) {
        self.actions.push_back(ToSwarm::CloseConnection {
            peer_id: peer,
            connection,
        });
    }

    /// A connection stays while its peer waits for something.
    fn hold(&mut self, peer: PeerId) {
        let hold = self.ledger.serves(&peer) || self.wants.asks(&peer);
        let changed = if hold {
            self.held.insert(peer)
        } else {
            self.held.remove(&peer)
        };
        if changed {
            for connection in self.connections.of(&peer) {
                self.command(peer, connection, Command::Hold(hold));
            }
        }
    }

    fn closed(&mut self, peer: PeerId, connection: ConnectionId) {
        let lost = self.unsent.remove(&connection).unwrap_or(0);
        self.connections.closed(peer, connection);
        if self.connections.best(&peer).is_none() {
            self.held.remove(&peer);
            self.handle(Input::Gone(peer));
            self.wanting(wants::Input::Gone(peer));
        } else if lost > 0 {
            self.handle(Input::Sent { peer, bytes: lost });
        }
    }
}

/// The next block that is stored.
fn next(
    mut stored: broadcast::Receiver<Cid>,
) -> BoxFuture<'static, (Result<Cid, RecvError>, broadcast::Receiver<Cid>)> {
    async move { (stored.recv().await, stored) }.boxed()
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Sent;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.budget.clone()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.budget.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(made) => {
                self.connections.speaks(made.peer_id, made.connection_id);
            }
            FromSwarm::ConnectionClosed(gone) => self.closed(gone.peer_id, gone.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        report: THandlerOutEvent<Self>,
    ) {
        match report {
            Report::Message(message) => {
                self.connections.speaks(peer, connection);
                let Message {
                    wants: entries,
                    full,
                    blocks,
                    presences,
                } = message;
                if !blocks.is_empty() || !presences.is_empty() {
                    self.wanting(wants::Input::Answer {
                        peer,
                        blocks,
                        presences,
                    });
                }
                if !entries.is_empty() || full {
                    self.handle(Input::Wants {
                        peer,
                        entries,
                        full,
                    });
                }
            }
            Report::Sent(bytes) => {
                if let Some(unsent) = self.unsent.get_mut(&connection) {
                    *unsent = unsent.saturating_sub(bytes);
                }
                self.handle(Input::Sent { peer, bytes });
            }
            Report::Failed(why) => {
                tracing::debug!(%peer, why, "a connection with bitswap ends");
                self.close(peer, CloseConnection::One(connection));
            }
        }
        self.hold(peer);
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Poll::Ready(action);
            }
            if let Poll::Ready(Some(found)) = self.looks.poll_next_unpin(cx) {
                let Input::Looked { peer, .. } = found else {
                    unreachable!("a look ends with what it found");
                };
                self.handle(found);
                self.hold(peer);
            } else if let Poll::Ready((stored, receiver)) = self.stored.poll_unpin(cx) {
                match stored {
                    Ok(cid) => self.handle(Input::Stored(cid)),
                    Err(RecvError::Lagged(_)) => self.handle(Input::Missed),
                    // The store is gone, and with it the gateway.
                    Err(RecvError::Closed) => {
                        self.stored = futures::future::pending().boxed();
                        continue;
                    }
                }
                self.stored = next(receiver);
            } else if !self.wants.is_empty() && self.look.poll_tick(cx).is_ready() {
                self.wanting(wants::Input::Tick);
            } else if self.tick.poll_tick(cx).is_ready() {
                self.handle(Input::Tick);
                self.forget_abandoned();
                for peer in self.held.iter().copied().collect::<Vec<_>>() {
                    self.hold(peer);
                }
            } else {
                return Poll::Pending;
            }
        }
    }
}
