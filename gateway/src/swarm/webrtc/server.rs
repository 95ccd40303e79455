//! One UDP socket: each packet goes to the connection that it belongs to, and who comes with a new STUN user name gets one.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use str0m::{config::CryptoProvider, ice::StunMessage};
use tokio::{
    net::UdpSocket,
    sync::{Semaphore, mpsc, oneshot},
    task::{Id, JoinSet},
    time::sleep,
};

use super::{
    certificate::Certificate,
    session::{Beginning, Opened, Packet, Session, is_stun},
    shared::Shared,
};

/// webrtc-direct.md: user names begin with this.
const UFRAG: &str = "libp2p+webrtc+v1/";
/// And are no longer than this with it.
const MAX_UFRAG: usize = 256;
/// Packets that wait for a connection's task; more are lost, and sent again.
const MAX_PACKETS: usize = 128;
/// Addresses that a connection's packets may come from.
const MAX_SOURCES: usize = 8;
/// Connections in the making from one host: a quarter of all, so that a stranger who never ends one keeps nobody else out.
const MAX_OF_HOST: usize = 32;
/// A known peer's address from which nothing came for so long may begin another connection: systems give ports anew, and
/// browsers ask whether we are still there every few seconds.
const IDLE: Duration = Duration::from_secs(6);
/// Names of connections that ended; who still asks under one of these is not answered.
const MAX_ENDED: usize = 1024;
/// No path carries a longer packet unbroken.
const MAX_PACKET: usize = 2048;
/// After a socket error, before the next try.
const BREATH: Duration = Duration::from_millis(50);

/// A connection in the making.
pub(super) struct Arrival {
    pub(super) from: SocketAddr,
    pub(super) shared: Arc<Shared>,
    pub(super) opened: oneshot::Receiver<Opened>,
}

pub(super) struct Server {
    pub(super) socket: Arc<UdpSocket>,
    pub(super) local: SocketAddr,
    pub(super) certificate: Certificate,
    pub(super) crypto: Arc<CryptoProvider>,
    /// Connections whose peer is not known yet, over all sockets.
    pub(super) places: Arc<Semaphore>,
    pub(super) arrivals: mpsc::Sender<Arrival>,
}

/// Which packet belongs to whom.
#[derive(Default)]
struct Sessions {
    tasks: JoinSet<()>,
    by_source: HashMap<SocketAddr, Source>,
    by_ufrag: HashMap<String, Id>,
    known: HashMap<Id, Known>,
    ended: VecDeque<String>,
}

/// An address: whose it is, and when a packet of that connection last came from it.
struct Source {
    id: Id,
    last: Instant,
}

struct Known {
    packets: mpsc::Sender<Packet>,
    shared: Arc<Shared>,
    ufrag: String,
    /// The host that it began from.
    host: IpAddr,
    sources: Vec<SocketAddr>,
}

impl Server {
    /// Until it is aborted; its connections end with it.
    pub(super) async fn run(self) {
        let mut sessions = Sessions::default();
        let mut buffer = [0; MAX_PACKET];
        loop {
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, from)) => self.take(&mut sessions, Instant::now(), from, &buffer[..length]),
                    Err(error) => self.stumble(&error).await,
                },
                Some(ended) = sessions.tasks.join_next_with_id() => {
                    sessions.forget(match ended {
                        Ok((id, ())) => id,
                        Err(error) => {
                            tracing::error!(%error, "a WebRTC connection's task");
                            error.id()
                        }
                    });
                }
            }
        }
    }

    /// A peer that is gone may be told of by the system at any moment; the socket stays.
    async fn stumble(&self, error: &io::Error) {
        tracing::debug!(%error, local = %self.local, "the WebRTC socket");
        sleep(BREATH).await;
    }

    fn take(&self, sessions: &mut Sessions, now: Instant, from: SocketAddr, bytes: &[u8]) {
        let Some(ufrag) = ufrag(bytes) else {
            if let Some(id) = sessions.owner(now, from) {
                sessions.pass(id, from, bytes);
            } // else of nobody we know
            return;
        };
        let id = match sessions.by_ufrag.get(&ufrag).copied() {
            Some(id) => sessions.claim(id, now, from).then_some(id),
            None if sessions.is_free(now, from, &ufrag) => self.begin(sessions, now, from, ufrag),
            None => None,
        };
        if let Some(id) = id {
            sessions.pass(id, from, bytes);
        }
    }

    /// A new connection, when there is room for one.
    fn begin(
        &self,
        sessions: &mut Sessions,
        now: Instant,
        from: SocketAddr,
        ufrag: String,
    ) -> Option<Id> {
        if sessions.unproved(from.ip()) >= MAX_OF_HOST {
            return None; // it asks again, and others are answered meanwhile
        }
        let place = self.places.clone().try_acquire_owned().ok()?;
        let room = self.arrivals.try_reserve().ok()?;
        let (tell, opened) = oneshot::channel();
        let (packets, receiver) = mpsc::channel(MAX_PACKETS);
        let shared = Arc::new(Shared::default());
        let session = Session::new(Beginning {
            socket: self.socket.clone(),
            local: self.local,
            from,
            ufrag: ufrag.clone(),
            certificate: self.certificate.clone(),
            crypto: self.crypto.clone(),
            packets: receiver,
            shared: shared.clone(),
            opened: tell,
            place,
        });
        let session = session
            .inspect_err(|error| tracing::debug!(%error, %from, "no WebRTC connection"))
            .ok()?;
        room.send(Arrival {
            from,
            shared: shared.clone(),
            opened,
        });
        let id = sessions.add(ufrag, from.ip(), packets, shared, session.run());
        sessions.add_source(id, now, from).then_some(id)
    }
}

impl Sessions {
    fn add(
        &mut self,
        ufrag: String,
        from: IpAddr,
        packets: mpsc::Sender<Packet>,
        shared: Arc<Shared>,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Id {
        let id = self.tasks.spawn(task).id();
        self.by_ufrag.insert(ufrag.clone(), id);
        let known = Known {
            packets,
            shared,
            ufrag,
            host: host(from),
            sources: Vec::new(),
        };
        self.known.insert(id, known);
        id
    }

    /// Whose packets come from this address, which lives by that.
    fn owner(&mut self, now: Instant, from: SocketAddr) -> Option<Id> {
        let source = self.by_source.get_mut(&from)?;
        source.last = now;
        Some(source.id)
    }

    /// A request under the name of a connection came from this address. False when it has too many.
    fn claim(&mut self, id: Id, now: Instant, from: SocketAddr) -> bool {
        match self.by_source.get_mut(&from) {
            Some(source) if source.id == id => {
                source.last = now;
                true
            }
            Some(_) => true, // answered; but what else comes from there belongs to the newer one
            None => self.add_source(id, now, from),
        }
    }

    /// Whether a connection of this name may begin from there. A peer may have more than one from the same address, one
    /// after the other: the newer has it, but not from a peer that is known and alive.
    fn is_free(&self, now: Instant, from: SocketAddr, ufrag: &str) -> bool {
        let held = self.by_source.get(&from).is_some_and(|source| {
            let known = self.known.get(&source.id);
            let proved = known.is_some_and(|known| known.shared.state().proved);
            proved && now.saturating_duration_since(source.last) < IDLE
        });
        !held && !self.ended.iter().any(|ended| ended == ufrag)
    }

    /// Connections from a host whose peers are not known yet.
    fn unproved(&self, ip: IpAddr) -> usize {
        let from_there = self.known.values().filter(|known| known.host == host(ip));
        let unproved = from_there.filter(|known| !known.shared.state().proved);
        unproved.count()
    }

    fn pass(&self, id: Id, from: SocketAddr, bytes: &[u8]) {
        if let Some(known) = self.known.get(&id) {
            let bytes = bytes.to_vec();
            let _ = known.packets.try_send(Packet { from, bytes }); // full: lost, as any packet may be
        }
    }

    /// A browser tries from each of its addresses. False when it has too many.
    fn add_source(&mut self, id: Id, now: Instant, from: SocketAddr) -> bool {
        let Some(known) = self.known.get_mut(&id) else {
            return false;
        };
        let room = known.sources.len() < MAX_SOURCES;
        if room {
            known.sources.push(from);
            let before = self.by_source.insert(from, Source { id, last: now });
            if let Some(old) = before.and_then(|old| self.known.get_mut(&old.id)) {
                old.sources.retain(|one| *one != from);
            }
        }
        room
    }

    fn forget(&mut self, id: Id) {
        if let Some(known) = self.known.remove(&id) {
            self.by_ufrag.remove(&known.ufrag);
            for source in known.sources {
                self.by_source.remove(&source);
            }
            if self.ended.len() == MAX_ENDED {
                self.ended.pop_front();
            }
            self.ended.push_back(known.ufrag);
        }
    }
}

/// What one host has at least: an address, or in IPv6 a network of 64 bits.
fn host(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

/// The user fragment of a STUN binding request as webrtc-direct makes it: the same for both sides.
fn ufrag(packet: &[u8]) -> Option<String> {
    if !is_stun(packet) {
        return None;
    }
    let message = StunMessage::parse(packet).ok()?;
    if !message.is_binding_request() {
        return None;
    }
    let (ours, theirs) = message.split_username()?;
    let fits = ours == theirs && ours.starts_with(UFRAG) && ours.len() <= MAX_UFRAG;
    fits.then(|| ours.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A binding request with a user name, a priority, and an integrity that nobody looks at yet.
    fn request(username: &str) -> Vec<u8> {
        let mut attribute = vec![0, 6];
        attribute.extend((username.len() as u16).to_be_bytes());
        attribute.extend(username.as_bytes());
        attribute.resize(attribute.len().next_multiple_of(4), 0);
        attribute.extend([0, 0x24, 0, 4, 0, 0, 0, 1, 0, 8, 0, 20]);
        attribute.extend([0; 20]);
        let mut packet = vec![0, 1];
        packet.extend((attribute.len() as u16).to_be_bytes());
        packet.extend([0x21, 0x12, 0xa4, 0x42]);
        packet.extend([7; 12]);
        packet.extend(attribute);
        packet
    }

    /// A connection that does nothing, and what is passed to it.
    fn nobody(sessions: &mut Sessions, ufrag: &str) -> (Id, mpsc::Receiver<Packet>) {
        nobody_from(sessions, ufrag, address(1).ip())
    }

    fn nobody_from(
        sessions: &mut Sessions,
        ufrag: &str,
        from: IpAddr,
    ) -> (Id, mpsc::Receiver<Packet>) {
        let (packets, receiver) = mpsc::channel(MAX_PACKETS);
        let task = std::future::pending();
        let id = sessions.add(ufrag.into(), from, packets, Arc::default(), task);
        (id, receiver)
    }

    fn address(port: u16) -> SocketAddr {
        ([192, 0, 2, 7], port).into()
    }

    #[tokio::test]
    async fn connections_in_the_making_are_counted_by_host() {
        let mut sessions = Sessions::default();
        let start = Instant::now();
        for n in 0..3_u16 {
            let (id, _) = nobody(&mut sessions, &n.to_string());
            // The newer one has the address.
            assert!(sessions.add_source(id, start, address(1)));
            let from = Ipv6Addr::from_bits(0xfd << 120 | u128::from(n) << 32 | 1);
            let (id, _) = nobody_from(&mut sessions, &format!("other {n}"), from.into());
            sessions.known[&id].shared.state().proved = n == 0;
        }
        assert_eq!(sessions.unproved(address(99).ip()), 3);
        assert_eq!(
            sessions.unproved(Ipv6Addr::from_bits(0xfd << 120).into()),
            2
        );
        assert_eq!(sessions.unproved([192, 0, 2, 8].into()), 0);
    }

    #[tokio::test]
    async fn an_address_is_the_newer_connections_unless_its_peer_is_known_and_alive() {
        let mut sessions = Sessions::default();
        let (from, start) = (address(1), Instant::now());
        let (first, _) = nobody(&mut sessions, "first");
        assert!(sessions.is_free(start, from, "second"));
        assert!(sessions.claim(first, start, from));
        assert!(sessions.is_free(start, from, "second"), "not known yet");
        sessions.known[&first].shared.state().proved = true;
        assert!(!sessions.is_free(start, from, "second"));
        let later = start + IDLE;
        assert_eq!(sessions.owner(later, from), Some(first));
        assert!(!sessions.is_free(start + IDLE + IDLE / 2, from, "second"));
        let late = later + IDLE;
        assert!(sessions.is_free(late, from, "second"));
        let (second, _) = nobody(&mut sessions, "second");
        assert!(sessions.add_source(second, late, from));
        assert!(sessions.claim(first, late, from), "still answered");
        assert_eq!(sessions.owner(late, from), Some(second));
        sessions.forget(first);
        assert_eq!(sessions.owner(late, from), Some(second));
        sessions.forget(second);
        assert!(sessions.by_source.is_empty() && sessions.by_ufrag.is_empty());
        for (name, free) in [("first", false), ("second", false), ("third", true)] {
            assert_eq!(sessions.is_free(late, from, name), free, "{name}");
        }
    }

    #[tokio::test]
    async fn so_many_names_of_the_past_are_remembered() {
        let mut sessions = Sessions::default();
        for n in 0..=MAX_ENDED {
            let (id, _) = nobody(&mut sessions, &n.to_string());
            sessions.forget(id);
        }
        assert_eq!(sessions.ended.len(), MAX_ENDED);
        assert!(sessions.is_free(Instant::now(), address(1), "0"));
        assert!(!sessions.is_free(Instant::now(), address(1), "1"));
    }

    #[tokio::test]
    async fn a_connection_has_so_many_addresses_and_waiting_packets() {
        let mut sessions = Sessions::default();
        let (id, mut packets) = nobody(&mut sessions, "one");
        let now = Instant::now();
        for port in 0..20 {
            let room = usize::from(port) < MAX_SOURCES;
            assert_eq!(sessions.add_source(id, now, address(port)), room);
        }
        assert_eq!(sessions.by_source.len(), MAX_SOURCES);
        for _ in 0..2 * MAX_PACKETS {
            sessions.pass(id, address(0), b"packet");
        }
        sessions.forget(id);
        let mut waiting = 0;
        while packets.try_recv().is_ok() {
            waiting += 1;
        }
        assert_eq!(waiting, MAX_PACKETS);
        assert!(sessions.by_source.is_empty());
    }

    #[test]
    fn only_user_names_of_webrtc_direct_begin_a_connection() {
        let name = format!("{UFRAG}abc");
        assert_eq!(
            ufrag(&request(&format!("{name}:{name}"))),
            Some(name.clone())
        );
        for wrong in [
            "abc:abc".into(),
            format!("{name}:{UFRAG}other"),
            name.clone(),
            format!("{UFRAG}{0}:{UFRAG}{0}", "x".repeat(MAX_UFRAG)),
        ] {
            assert_eq!(ufrag(&request(&wrong)), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_packet_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), name in ".{0,80}") {
            let _ = ufrag(&bytes);
            let mut framed = request(&name);
            framed.extend(bytes);
            let _ = ufrag(&framed);
        }
    }
}
