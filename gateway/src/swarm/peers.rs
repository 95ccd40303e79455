//! What the rest of the gateway asks of the swarm's task: to connect to a peer, and for blocks of it.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use cid::Cid;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    multiaddr::Protocol,
    swarm::{ConnectionId, DialError, SwarmEvent, dial_opts::DialOpts},
};
use meshlive_protocol::name::StreamName;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Met,
    behaviour::{Room, RoomEvent},
    bitswap,
};

/// Requests that may wait for the swarm's task.
const WAITING: usize = 64;

/// Why a peer or a block of it could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Unreached {
    /// No peer can be dialled so.
    #[error("{0} cannot be dialled: {1}; give an address that ends with /p2p/ and the peer's id")]
    Address(Multiaddr, String),
    /// None of those who were asked has it, or not in time.
    #[error("none of the peers that were asked has the block {0}")]
    Block(Cid),
    /// The gateway is ending.
    #[error("the gateway is ending")]
    Ending,
}

pub(super) enum Ask {
    Connect(Multiaddr, oneshot::Sender<Result<PeerId, Unreached>>),
    Block(Wanted),
    /// Who is connected and speaks bitswap.
    Connected(oneshot::Sender<Vec<PeerId>>),
    /// A stream's IPNS record is looked for; what is found is in `Names`.
    Name(StreamName),
    /// All connections to a peer end.
    Leave(PeerId),
}

/// A block, those who may have it, and who is told when it is here or when none of them has it.
pub(super) struct Wanted {
    pub(super) cid: Cid,
    pub(super) from: Vec<PeerId>,
    /// Who is silent for so long is not waited for: the next is asked, too.
    pub(super) patience: Duration,
    pub(super) answer: oneshot::Sender<Option<Bytes>>,
}

/// The door to the swarm's task. A clone is the same.
#[derive(Clone)]
pub(crate) struct Peers {
    asks: mpsc::Sender<Ask>,
    around: watch::Receiver<Vec<Met>>,
}

impl Peers {
    pub(super) fn new(around: watch::Receiver<Vec<Met>>) -> (Self, mpsc::Receiver<Ask>) {
        let (asks, asked) = mpsc::channel(WAITING);
        (Self { asks, around }, asked)
    }

    /// Other gateways that were met, the last first.
    pub(crate) fn around(&self) -> Vec<Met> {
        self.around.borrow().clone()
    }

    /// Connects to the peer at `address`, unless that is so already.
    ///
    /// # Errors
    /// Why that cannot be.
    pub(crate) async fn connect(&self, address: Multiaddr) -> Result<PeerId, Unreached> {
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::Connect(address, answer)).await?;
        answered.await.map_err(|_| Unreached::Ending)?
    }

    /// The bytes that `cid` names, from one of these peers over bitswap; whoever is dropped while it waits does not want
    /// it any more.
    ///
    /// # Errors
    /// Where none of them has it.
    pub(crate) async fn block(&self, cid: Cid, from: &[PeerId]) -> Result<Bytes, Unreached> {
        self.block_soon(cid, from, bitswap::PATIENCE).await
    }

    /// The same where one that is silent is waited for so long before the next is asked.
    ///
    /// # Errors
    /// Where none of them has it.
    pub(crate) async fn block_soon(
        &self,
        cid: Cid,
        from: &[PeerId],
        patience: Duration,
    ) -> Result<Bytes, Unreached> {
        let (answer, answered) = oneshot::channel();
        let from = from.to_vec();
        let wanted = Wanted {
            cid,
            from,
            patience,
            answer,
        };
        self.ask(Ask::Block(wanted)).await?;
        let block = answered.await.map_err(|_| Unreached::Ending)?;
        block.ok_or(Unreached::Block(cid))
    }

    /// Who is connected and speaks bitswap, in no order.
    ///
    /// # Errors
    /// When the gateway is ending.
    pub(crate) async fn connected(&self) -> Result<Vec<PeerId>, Unreached> {
        let (answer, answered) = oneshot::channel();
        self.ask(Ask::Connected(answer)).await?;
        answered.await.map_err(|_| Unreached::Ending)
    }

    /// Has a stream's IPNS record looked for among peers; [`crate::names::Names`] has what they tell.
    ///
    /// # Errors
    /// When the gateway is ending.
    pub(crate) async fn look_for(&self, name: StreamName) -> Result<(), Unreached> {
        self.ask(Ask::Name(name)).await
    }

    /// A peer was lost on a connection of its own: those of the swarm are gone as well, and over QUIC it would hear of that only
    /// after many seconds, in which blocks are asked for in vain.
    pub(crate) fn is_lost(&self, peer: PeerId) {
        let _ = self.asks.try_send(Ask::Leave(peer)); // too much is asked at once, or the end: it hears of it later
    }

    async fn ask(&self, ask: Ask) -> Result<(), Unreached> {
        self.asks.send(ask).await.map_err(|_| Unreached::Ending)
    }
}

/// Connections in the making that somebody waits for.
#[derive(Default)]
pub(super) struct Dials(HashMap<ConnectionId, (Multiaddr, Answer)>);

type Answer = oneshot::Sender<Result<PeerId, Unreached>>;

impl Dials {
    /// Dials, or answers at once.
    pub(super) fn dial(&mut self, swarm: &mut Swarm<Room>, address: Multiaddr, answer: Answer) {
        let Some(Protocol::P2p(peer)) = address.iter().last() else {
            let why = "it names no peer".to_owned();
            let _ = answer.send(Err(Unreached::Address(address, why))); // nobody waits any more
            return;
        };
        if swarm.is_connected(&peer) {
            let _ = answer.send(Ok(peer));
            return;
        }
        let dial = DialOpts::from(address.clone());
        let connection = dial.connection_id();
        match swarm.dial(dial) {
            Ok(()) => drop(self.0.insert(connection, (address, answer))),
            Err(error) => {
                let _ = answer.send(Err(Unreached::Address(address, why(&error))));
            }
        }
    }

    /// Answers to who waits for what happened.
    pub(super) fn happened(&mut self, event: &SwarmEvent<RoomEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished {
                connection_id,
                peer_id,
                ..
            } => {
                if let Some((_, answer)) = self.0.remove(connection_id) {
                    let _ = answer.send(Ok(*peer_id));
                }
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id,
                error,
                ..
            } => {
                if let Some((address, answer)) = self.0.remove(connection_id) {
                    let _ = answer.send(Err(Unreached::Address(address, why(error))));
                }
            }
            _ => {}
        }
    }
}

fn why(error: &DialError) -> String {
    match error {
        DialError::WrongPeerId { obtained, .. } => {
            format!("another peer answers there, {obtained}")
        }
        DialError::Transport(_) => "nobody answers there in a way that is understood".to_owned(),
        error => error.to_string(),
    }
}
