//! The socket and its connections, with a client of str0m's that does not keep to what a peer should do.

use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::muxing::StreamMuxer;
use str0m::{
    Candidate, Event, IceCreds, Input, Output, Rtc,
    channel::{ChannelConfig, ChannelId},
    config::Fingerprint,
    net::{Protocol, Receive},
};
use tokio::{
    net::UdpSocket,
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{sleep_until, timeout},
};

use super::{
    certificate::Certificate,
    connection::Connection,
    server::{Arrival, Server},
    session::{MAX_EARLY, MAX_REFUSED},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A listening socket that ends with this.
struct Host {
    address: SocketAddr,
    places: Arc<Semaphore>,
    arrivals: mpsc::Receiver<Arrival>,
    _task: JoinSet<()>,
}

impl Host {
    async fn start(places: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let local = socket.local_addr().unwrap();
        let places = Arc::new(Semaphore::new(places));
        let (tell, arrivals) = mpsc::channel(8);
        let server = Server {
            socket: Arc::new(socket),
            local,
            certificate: Certificate::kept(folder.path()).unwrap(),
            crypto: Arc::new(str0m::crypto::from_feature_flags()),
            places: places.clone(),
            arrivals: tell,
        };
        let mut task = JoinSet::new();
        task.spawn(server.run());
        Self {
            address: local,
            places,
            arrivals,
            _task: task,
        }
    }
}

struct Client {
    rtc: Rtc,
    socket: UdpSocket,
    noise: ChannelId,
    open: Vec<ChannelId>,
    received: Vec<(ChannelId, Vec<u8>)>,
    over: bool,
}

impl Client {
    async fn new(host: SocketAddr, name: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let local = socket.local_addr().unwrap();
        let mut rtc = Rtc::builder()
            .set_fingerprint_verification(false)
            .build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp).unwrap());
        rtc.add_remote_candidate(Candidate::host(host, Protocol::Udp).unwrap());
        let ufrag = format!("libp2p+webrtc+v1/{name}");
        let credentials = IceCreds {
            pass: ufrag.clone(),
            ufrag,
        };
        let mut api = rtc.direct_api();
        api.set_remote_fingerprint(Fingerprint {
            hash_func: "sha-256".into(),
            bytes: vec![0; 32],
        });
        api.set_local_ice_credentials(credentials.clone());
        api.set_remote_ice_credentials(credentials);
        api.set_ice_controlling(true);
        api.start_dtls(true).unwrap();
        api.start_sctp(true);
        let noise = api.create_data_channel(ChannelConfig {
            negotiated: Some(0),
            ..ChannelConfig::default()
        });
        Self {
            rtc,
            socket,
            noise,
            open: Vec::new(),
            received: Vec::new(),
            over: false,
        }
    }

    /// Opens another channel.
    fn channel(&mut self) -> ChannelId {
        let mut api = self.rtc.direct_api();
        api.create_data_channel(ChannelConfig::default())
    }

    /// Runs until this holds.
    async fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut buffer = [0; 2048];
        while !holds(self) {
            assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
            let wake = loop {
                match self.rtc.poll_output().unwrap() {
                    Output::Timeout(at) => break at,
                    Output::Transmit(packet) => {
                        let _ = (self.socket).try_send_to(&packet.contents, packet.destination);
                    }
                    Output::Event(Event::ChannelOpen(id, _)) => self.open.push(id),
                    Output::Event(Event::ChannelClose(id)) => self.open.retain(|one| *one != id),
                    Output::Event(Event::ChannelData(data)) => {
                        self.received.push((data.id, data.data));
                    }
                    Output::Event(Event::Closed) => self.over = true,
                    Output::Event(_) => {}
                }
            };
            // Looked at again soon: what is waited for may happen on the other side.
            let wake = wake.min(Instant::now() + Duration::from_millis(5));
            tokio::select! {
                Ok((length, from)) = self.socket.recv_from(&mut buffer) => {
                    let local = self.socket.local_addr().unwrap();
                    let packet = Receive::new(Protocol::Udp, from, local, &buffer[..length]).unwrap();
                    self.rtc.handle_input(Input::Receive(Instant::now(), packet)).unwrap();
                }
                () = sleep_until(wake.into()) => {
                    self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
                }
            }
        }
    }

    /// Connected, and the channel of the handshake open.
    async fn connected(host: &Host, name: &str) -> Self {
        let mut client = Self::new(host.address, name).await;
        let noise = client.noise;
        client
            .until("a connection", |now| now.open.contains(&noise))
            .await;
        client
    }
}

#[tokio::test]
async fn one_channel_that_is_closed_while_it_is_written_to_ends_no_other() {
    let mut host = Host::start(1).await;
    let mut client = Client::connected(&host, "reset").await;
    let arrival = host.arrivals.recv().await.unwrap();
    let (_fingerprint, _handshake) = arrival.opened.await.unwrap();
    let mut connection = Connection::new(arrival.shared);
    connection.proved();
    let (first, second) = (client.channel(), client.channel());
    let host = tokio::spawn(async move {
        let mut streams = Vec::new();
        for _ in 0..2 {
            let next = poll_fn(|cx| Pin::new(&mut connection).poll_inbound(cx));
            streams.push(next.await.unwrap());
        }
        let (mut second, mut first) = (streams.pop().unwrap(), streams.pop().unwrap());
        // More than fits on the way, until it fails.
        let writing =
            tokio::spawn(async move { while first.write_all(&[7; 16_000]).await.is_ok() {} });
        let mut text = [0; 5];
        second.read_exact(&mut text).await.unwrap();
        second.write_all(&text).await.unwrap();
        timeout(PATIENCE, writing).await.unwrap().unwrap();
        second.write_all(b"after").await.unwrap();
        (connection, second)
    });
    client.until("data", |now| now.received.len() > 100).await;
    client.rtc.direct_api().close_data_channel(first);
    let frame = [7, 0x12, 5, b'h', b'e', b'l', b'l', b'o'];
    let mut said = false;
    client
        .until("the other channel's echo and more", |now| {
            if !said && let Some(mut raw) = now.rtc.channel(second) {
                said = raw.write(true, &frame).unwrap();
            }
            let heard = |text: &[u8]| {
                let mut of_second = now.received.iter().filter(|(id, _)| *id == second);
                of_second.any(|(_, data)| data.ends_with(text))
            };
            heard(b"hello") && heard(b"after")
        })
        .await;
    assert!(!client.over);
    drop(host.await.unwrap());
    client.until("the end", |now| now.over).await;
}

#[tokio::test]
async fn who_opens_streams_without_end_is_left() {
    let mut host = Host::start(1).await;
    let mut client = Client::connected(&host, "streams").await;
    let arrival = host.arrivals.recv().await.unwrap();
    let connection = Connection::new(arrival.shared);
    connection.proved();
    let mut asked = 0;
    client
        .until("the end", |now| {
            for _ in 0..8 {
                now.channel();
                asked += 1;
            }
            now.over || connection.is_over()
        })
        .await;
    assert!(asked > MAX_REFUSED, "{asked}");
}

#[tokio::test]
async fn who_talks_without_saying_who_it_is_is_left() {
    let mut host = Host::start(1).await;
    let mut client = Client::connected(&host, "early").await;
    let arrival = host.arrivals.recv().await.unwrap();
    let connection = Connection::new(arrival.shared);
    assert_eq!(host.places.available_permits(), 0);
    let (noise, mut sent) = (client.noise, 0);
    client
        .until("the end", |now| {
            if let Some(mut raw) = now.rtc.channel(noise)
                && raw.write(true, &[0; 1000]).unwrap()
            {
                sent += 1;
            }
            now.over || connection.is_over()
        })
        .await;
    assert!(sent > MAX_EARLY / 2, "{sent}");
}

#[tokio::test]
async fn there_are_so_many_places_for_the_unknown_and_a_peer_that_is_known_has_left_its_own() {
    let mut host = Host::start(1).await;
    let client = Client::connected(&host, "known").await;
    let arrival = host.arrivals.recv().await.unwrap();
    let mut second = Client::new(host.address, "waits").await;
    let noise = second.noise;
    let refused = timeout(
        Duration::from_secs(2),
        second.until("a place", |now| now.open.contains(&noise)),
    );
    assert!(refused.await.is_err());
    let connection = Connection::new(arrival.shared);
    connection.proved();
    second
        .until("a place", |now| now.open.contains(&noise))
        .await;
    drop(client);
}
