//! A peer that speaks our protocols with its own hands: it opens libp2p streams and gives them to the test.

use std::{
    collections::VecDeque,
    convert::Infallible,
    task::{Context, Poll},
};

use futures::StreamExt;
use libp2p::{Multiaddr, PeerId, core::Endpoint, core::transport::PortUse, identity::Keypair};
use libp2p_swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, Stream, SubstreamProtocol, Swarm, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
    handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound},
};
use tokio::sync::mpsc;

use super::{
    super::{Protocol, Protocols},
    node::swarm,
};

/// What the test has of it.
pub(super) struct Raw {
    pub(super) me: PeerId,
    /// libp2p streams that it opened, or why not.
    pub(super) opened: mpsc::UnboundedReceiver<Option<Stream>>,
    orders: mpsc::UnboundedSender<Order>,
}

enum Order {
    Dial(Multiaddr),
    Open(PeerId, Protocol),
}

impl Raw {
    /// Runs by itself until dropped. What others open it takes and never reads.
    pub(super) fn start() -> Self {
        let (give, opened) = mpsc::unbounded_channel();
        let (orders, mut received) = mpsc::unbounded_channel();
        let key = Keypair::generate_ed25519();
        let wishes = Wishes {
            give,
            wishes: VecDeque::new(),
        };
        let (mut swarm, _): (Swarm<Wishes>, _) = swarm(wishes, &key);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    order = received.recv() => match order {
                        None => return,
                        Some(Order::Dial(address)) => swarm.dial(address).unwrap(),
                        Some(Order::Open(peer, protocol)) => {
                            swarm.behaviour_mut().wishes.push_back((peer, protocol));
                        }
                    },
                    _ = swarm.select_next_some() => {}
                }
            }
        });
        Self {
            me: key.public().to_peer_id(),
            opened,
            orders,
        }
    }

    pub(super) fn dial(&self, address: &Multiaddr) {
        self.orders.send(Order::Dial(address.clone())).ok().unwrap();
    }

    pub(super) fn open(&self, peer: PeerId, protocol: Protocol) {
        self.orders.send(Order::Open(peer, protocol)).ok().unwrap();
    }
}

struct Wishes {
    give: mpsc::UnboundedSender<Option<Stream>>,
    wishes: VecDeque<(PeerId, Protocol)>,
}

impl NetworkBehaviour for Wishes {
    type ConnectionHandler = Hand;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Hand::new(self.give.clone()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Hand::new(self.give.clone()))
    }

    fn on_swarm_event(&mut self, _: FromSwarm) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        match self.wishes.pop_front() {
            None => Poll::Pending,
            Some((peer_id, event)) => Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::Any,
                event,
            }),
        }
    }
}

struct Hand {
    give: mpsc::UnboundedSender<Option<Stream>>,
    wishes: VecDeque<Protocol>,
    /// What others opened.
    unread: Vec<Stream>,
}

impl Hand {
    fn new(give: mpsc::UnboundedSender<Option<Stream>>) -> Self {
        Self {
            give,
            wishes: VecDeque::new(),
            unread: Vec::new(),
        }
    }
}

impl ConnectionHandler for Hand {
    type FromBehaviour = Protocol;
    type ToBehaviour = Infallible;
    type InboundProtocol = Protocols;
    type OutboundProtocol = Protocols;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Protocols> {
        SubstreamProtocol::new(Protocols::Both, ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn on_behaviour_event(&mut self, wish: Protocol) {
        self.wishes.push_back(wish);
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<Protocols, Protocols>) {
        match event {
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol, ..
            }) => {
                let _ = self.give.send(Some(protocol));
            }
            ConnectionEvent::DialUpgradeError(_) => {
                let _ = self.give.send(None);
            }
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (_, stream),
                ..
            }) => self.unread.push(stream),
            _ => {}
        }
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Protocols, (), Infallible>> {
        match self.wishes.pop_front() {
            None => Poll::Pending,
            Some(protocol) => Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(Protocols::One(protocol), ()),
            }),
        }
    }
}
