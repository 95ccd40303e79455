//! What libp2p sees: listeners, and connections that come to them. Browsers dial us; we do not dial.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{
    AsyncWriteExt,
    future::{self, BoxFuture},
};
use libp2p::{
    Multiaddr, PeerId,
    core::{
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
        upgrade::{OutboundConnectionUpgrade, UpgradeInfo},
    },
    identity::Keypair,
    multiaddr::Protocol,
    noise,
};
use str0m::config::CryptoProvider;
use tokio::{
    net::UdpSocket,
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::timeout,
};

use super::{
    certificate::{Certificate, prologue},
    connection::Connection,
    server::{Arrival, Server},
};

/// A peer that has not proved who it is by then is dropped.
const PATIENCE: Duration = Duration::from_secs(15);
/// Connections in the making that wait to be looked at.
const WAITING: usize = 64;
/// Connections whose peer is not known yet: each costs about 100 KB, and anybody can begin one with a single packet.
const UNKNOWN: usize = 128;

type Upgrade = BoxFuture<'static, io::Result<(PeerId, Connection)>>;

/// The transport.
pub(in crate::swarm) struct Transport {
    key: Keypair,
    certificate: Certificate,
    crypto: Arc<CryptoProvider>,
    places: Arc<Semaphore>,
    arrive: mpsc::Sender<(ListenerId, Arrival)>,
    arrivals: mpsc::Receiver<(ListenerId, Arrival)>,
    listeners: HashMap<ListenerId, Listener>,
    events: VecDeque<TransportEvent<Upgrade, io::Error>>,
    waker: Option<Waker>,
}

/// Ends when dropped.
struct Listener {
    address: Multiaddr,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Transport {
    pub(in crate::swarm) fn new(key: Keypair, certificate: Certificate) -> Self {
        let (arrive, arrivals) = mpsc::channel(WAITING);
        Self {
            key,
            certificate,
            crypto: Arc::new(str0m::crypto::from_feature_flags()),
            places: Arc::new(Semaphore::new(UNKNOWN)),
            arrive,
            arrivals,
            listeners: HashMap::new(),
            events: VecDeque::new(),
            waker: None,
        }
    }

    fn listen(&mut self, id: ListenerId, address: SocketAddr) -> io::Result<()> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        let local = socket.local_addr()?;
        let (tell, mut told) = mpsc::channel(WAITING);
        let server = Server {
            socket,
            local,
            certificate: self.certificate.clone(),
            crypto: self.crypto.clone(),
            places: self.places.clone(),
            arrivals: tell,
        };
        let arrive = self.arrive.clone();
        let named = async move {
            while let Some(arrival) = told.recv().await {
                if arrive.send((id, arrival)).await.is_err() {
                    return;
                }
            }
        };
        let address = Multiaddr::from(local.ip())
            .with(Protocol::Udp(local.port()))
            .with(Protocol::WebRTCDirect)
            .with(Protocol::Certhash(
                self.certificate.fingerprint().multihash(),
            ));
        let listener = Listener {
            address: address.clone(),
            tasks: [tokio::spawn(server.run()), tokio::spawn(named)],
        };
        self.listeners.insert(id, listener);
        self.tell(TransportEvent::NewAddress {
            listener_id: id,
            listen_addr: address,
        });
        Ok(())
    }

    fn tell(&mut self, event: TransportEvent<Upgrade, io::Error>) {
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn prove(&self, arrival: Arrival) -> Upgrade {
        let (key, ours) = (self.key.clone(), self.certificate.fingerprint());
        // From here on the connection is closed whenever this is dropped.
        let connection = Connection::new(arrival.shared);
        let proved = async move {
            let failed = |what: &str| io::Error::new(io::ErrorKind::ConnectionAborted, what);
            let (theirs, channel) = (arrival.opened.await)
                .map_err(|_| failed("no connection within 10 s, or another end of it"))?;
            let noise = noise::Config::new(&key)
                .map_err(io::Error::other)?
                .with_prologue(prologue(theirs, ours));
            let protocol = noise.protocol_info().next();
            let protocol = protocol.expect("noise has one protocol");
            // The server speaks first.
            let (peer, mut channel) = noise
                .upgrade_outbound(channel, protocol)
                .await
                .map_err(io::Error::other)?;
            channel.close().await?;
            connection.proved();
            Ok((peer, connection))
        };
        Box::pin(async move { timeout(PATIENCE, proved).await? })
    }
}

impl libp2p::Transport for Transport {
    type Output = (PeerId, Connection);
    type Error = io::Error;
    type ListenerUpgrade = Upgrade;
    type Dial = future::Pending<io::Result<Self::Output>>;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        let Some(socket) = parse(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        self.listen(id, socket).map_err(TransportError::Other)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let Some(listener) = self.listeners.remove(&id) else {
            return false;
        };
        self.tell(TransportEvent::AddressExpired {
            listener_id: id,
            listen_addr: listener.address.clone(),
        });
        self.tell(TransportEvent::ListenerClosed {
            listener_id: id,
            reason: Ok(()),
        });
        true
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Upgrade, io::Error>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        while let Poll::Ready(Some((id, arrival))) = self.arrivals.poll_recv(cx) {
            let Some(listener) = self.listeners.get(&id) else {
                continue; // closed meanwhile, and with it the connection
            };
            return Poll::Ready(TransportEvent::Incoming {
                listener_id: id,
                local_addr: listener.address.clone(),
                send_back_addr: Multiaddr::from(arrival.from.ip())
                    .with(Protocol::Udp(arrival.from.port()))
                    .with(Protocol::WebRTCDirect),
                upgrade: self.prove(arrival),
            });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// `/ip4|ip6/…/udp/…/webrtc-direct` and nothing behind it.
fn parse(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Protocol::Udp(port)), Some(Protocol::WebRTCDirect), None) => {
            Some(SocketAddr::new(ip, port))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_an_interface_are_listened_on() {
        let parsed = |text: &str| parse(&text.parse().unwrap());
        assert_eq!(
            parsed("/ip6/::1/udp/9/webrtc-direct"),
            Some("[::1]:9".parse().unwrap())
        );
        for other in [
            "/ip4/127.0.0.1/udp/9",
            "/ip4/127.0.0.1/udp/9/quic-v1",
            "/ip4/127.0.0.1/tcp/9/ws",
            "/dns/localhost/udp/9/webrtc-direct",
        ] {
            assert_eq!(parsed(other), None, "{other}");
        }
    }
}
