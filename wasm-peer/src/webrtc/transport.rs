//! The half of this transport that dials and listens.

use std::{
    collections::VecDeque,
    future::{Ready, ready},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures::{
    FutureExt, StreamExt,
    channel::{mpsc, oneshot},
    future::BoxFuture,
};
use libp2p::identity::Keypair;
use libp2p_core::{
    Multiaddr, PeerId,
    multiaddr::Protocol,
    transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};

use super::{
    Connection, Error,
    behaviour::{News, Request},
    direct,
};

/// Dials `/webrtc` and `/webrtc-direct`, listens on `/webrtc`; see [`new`](super::new).
pub struct Transport {
    key: Keypair,
    requests: mpsc::UnboundedSender<Request>,
    news: mpsc::UnboundedReceiver<News>,
    listening: Arc<AtomicBool>,
    listener: Option<ListenerId>,
    circuits: Vec<Multiaddr>,
    events: VecDeque<TransportEvent<Upgrade, Error>>,
    waker: Option<Waker>,
}

type Upgrade = Ready<Result<(PeerId, Connection), Error>>;

impl Transport {
    pub(crate) fn new(
        key: Keypair,
        requests: mpsc::UnboundedSender<Request>,
        news: mpsc::UnboundedReceiver<News>,
        listening: Arc<AtomicBool>,
    ) -> Self {
        Self {
            key,
            requests,
            news,
            listening,
            listener: None,
            circuits: Vec::new(),
            events: VecDeque::new(),
            waker: None,
        }
    }

    fn announced(&self, circuit: Multiaddr) -> Multiaddr {
        circuit
            .with(Protocol::WebRTC)
            .with(Protocol::P2p(self.key.public().to_peer_id()))
    }

    fn news(&mut self, news: News) {
        match news {
            News::Arrived(peer, connection, circuit) => {
                let Some(listener_id) = self.listener else {
                    return; // dropped, and so closed
                };
                // Where it could be dialled again. An address without an IP breaks what js-libp2p makes of identify.
                let webrtc = circuit.with(Protocol::WebRTC);
                self.events.push_back(TransportEvent::Incoming {
                    listener_id,
                    upgrade: ready(Ok((peer, connection))),
                    send_back_addr: webrtc.clone().with(Protocol::P2p(peer)),
                    local_addr: webrtc,
                });
            }
            News::Circuit(circuit) => {
                if let Some(listener_id) = self.listener {
                    let listen_addr = self.announced(circuit.clone());
                    let event = TransportEvent::NewAddress {
                        listener_id,
                        listen_addr,
                    };
                    self.events.push_back(event);
                }
                self.circuits.push(circuit);
            }
            News::CircuitExpired(circuit) => {
                self.circuits.retain(|known| *known != circuit);
                if let Some(listener_id) = self.listener {
                    let listen_addr = self.announced(circuit);
                    let event = TransportEvent::AddressExpired {
                        listener_id,
                        listen_addr,
                    };
                    self.events.push_back(event);
                }
            }
        }
    }
}

impl libp2p_core::Transport for Transport {
    type Output = (PeerId, Connection);
    type Error = Error;
    type ListenerUpgrade = Upgrade;
    type Dial = BoxFuture<'static, Result<(PeerId, Connection), Error>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Error>> {
        if address != Multiaddr::empty().with(Protocol::WebRTC) || self.listener.is_some() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        self.listener = Some(id);
        self.listening.store(true, Ordering::Relaxed);
        for circuit in self.circuits.clone() {
            let listen_addr = self.announced(circuit);
            self.events.push_back(TransportEvent::NewAddress {
                listener_id: id,
                listen_addr,
            });
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        if self.listener != Some(id) {
            return false;
        }
        self.listener = None;
        self.listening.store(false, Ordering::Relaxed);
        self.events.push_back(TransportEvent::ListenerClosed {
            listener_id: id,
            reason: Ok(()),
        });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        true
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        opts: DialOpts,
    ) -> Result<Self::Dial, TransportError<Error>> {
        if opts.role.is_listener() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        if let Some(server) = direct::server(&address) {
            return Ok(direct::dial(self.key.clone(), server));
        }
        let Some((peer, relay)) = introduced(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let (reply, made) = oneshot::channel();
        let request = Request { peer, relay, reply };
        let requests = self.requests.clone();
        // Asked for when it is polled: of several addresses the first that works is enough.
        Ok(async move {
            let asked = requests.unbounded_send(request);
            asked.map_err(|_| Error::Gone)?;
            Ok((peer, made.await.unwrap_or(Err(Error::Gone))?))
        }
        .boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Upgrade, Error>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            match self.news.poll_next_unpin(cx) {
                Poll::Ready(Some(news)) => self.news(news),
                Poll::Ready(None) | Poll::Pending => {
                    self.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }
}

/// Reads `[/…/p2p-circuit]/webrtc/p2p/<peer>`: the peer, and the relay if one is named.
fn introduced(address: &Multiaddr) -> Option<(PeerId, Option<Multiaddr>)> {
    let mut relay = address.clone();
    let (Protocol::P2p(peer), Protocol::WebRTC) = (relay.pop()?, relay.pop()?) else {
        return None;
    };
    if relay.is_empty() {
        return Some((peer, None));
    }
    let mut circuits = relay
        .iter()
        .filter(|protocol| *protocol == Protocol::P2pCircuit);
    let once = circuits.next().is_some() && circuits.next().is_none();
    let last = relay.iter().last() == Some(Protocol::P2pCircuit);
    (once && last).then_some((peer, Some(relay)))
}
