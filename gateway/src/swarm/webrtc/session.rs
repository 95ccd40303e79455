//! One connection: ICE, DTLS and SCTP, driven by a task of its own from the first packet to the last.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use str0m::{
    Candidate, Event, IceConnectionState, IceCreds, Input, Output, Rtc, RtcError,
    channel::{ChannelConfig, ChannelId},
    config::CryptoProvider,
    net::{Protocol, Receive},
};
use tokio::{
    net::UdpSocket,
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::sleep_until,
};

use super::{
    certificate::{Certificate, Fingerprint},
    channel::Channel,
    connection::Stream,
    shared::Shared,
};

/// From the first packet to an open channel.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A browser checks its consent every few seconds; one that is silent for so long after ICE noticed is gone.
const SILENCE: Duration = Duration::from_secs(15);
/// Saying good-bye takes no longer.
const GOODBYE: Duration = Duration::from_secs(1);
/// While streams of nobody wait for their end they are looked at so often.
const LOOK: Duration = Duration::from_secs(1);
/// Packets taken in before what they caused goes out.
const BATCH: usize = 32;
/// Bytes that wait in SCTP for acknowledgements or for room in the network.
const SCTP_BUFFER: usize = 128 << 10;
/// Packets of DTLS before it is known who the other side is; a handshake takes a few dozen.
pub(super) const MAX_EARLY: usize = 512;
/// Streams beyond what a connection may have; who opens more does not stop.
pub(super) const MAX_REFUSED: usize = 256;
/// The channel on which both sides prove who they are.
const NOISE: u16 = 0;

/// One received packet.
pub(super) struct Packet {
    pub(super) from: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// RFC 7983: whether a packet is STUN rather than DTLS.
pub(super) fn is_stun(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| *first < 4)
}

/// The other side's certificate, and the stream on which it is to prove who it is.
pub(super) type Opened = (Fingerprint, Stream);

pub(super) struct Session {
    rtc: Rtc,
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    packets: mpsc::Receiver<Packet>,
    shared: Arc<Shared>,
    noise: ChannelId,
    /// Whom to tell that the Noise channel is open.
    opened: Option<oneshot::Sender<Opened>>,
    /// A place among those of whom it is not known who they are.
    place: Option<OwnedSemaphorePermit>,
    /// Packets of DTLS while it had that.
    early: usize,
    /// Channels that the other side opened beyond its share.
    refused: usize,
    opening: HashSet<ChannelId>,
    /// The task ends then, whatever happens.
    end: Option<Instant>,
    /// ICE has noticed that the other side is silent: when this becomes an end.
    gone: Option<Instant>,
}

/// What a session begins with.
pub(super) struct Beginning {
    pub(super) socket: Arc<UdpSocket>,
    pub(super) local: SocketAddr,
    pub(super) from: SocketAddr,
    pub(super) ufrag: String,
    pub(super) certificate: Certificate,
    pub(super) crypto: Arc<CryptoProvider>,
    pub(super) packets: mpsc::Receiver<Packet>,
    pub(super) shared: Arc<Shared>,
    pub(super) opened: oneshot::Sender<Opened>,
    pub(super) place: OwnedSemaphorePermit,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl Session {
    /// webrtc-direct.md: what an offer would have told is inferred. Both ufrags and passwords are the one in the first
    /// packet; the other's certificate is known after DTLS and proved by Noise.
    ///
    /// # Errors
    /// When an address cannot be a candidate.
    pub(super) fn new(beginning: Beginning) -> Result<Self, RtcError> {
        let now = Instant::now();
        let mut rtc = Rtc::builder()
            .set_crypto_provider(beginning.crypto)
            .set_dtls_cert(beginning.certificate.dtls())
            .set_fingerprint_verification(false)
            .set_ice_lite(true)
            .set_sctp_max_buffered_amount(SCTP_BUFFER)
            .build(now);
        rtc.add_local_candidate(Candidate::host(beginning.local, Protocol::Udp)?);
        rtc.add_remote_candidate(Candidate::host(beginning.from, Protocol::Udp)?);
        let credentials = IceCreds {
            ufrag: beginning.ufrag.clone(),
            pass: beginning.ufrag,
        };
        let mut api = rtc.direct_api();
        api.set_remote_fingerprint(str0m::config::Fingerprint {
            hash_func: "sha-256".into(),
            bytes: vec![0xff; 32],
        });
        api.set_local_ice_credentials(credentials.clone());
        api.set_remote_ice_credentials(credentials);
        api.set_ice_controlling(false);
        api.start_dtls(false)?;
        api.start_sctp(false);
        let noise = api.create_data_channel(ChannelConfig {
            negotiated: Some(NOISE),
            ..ChannelConfig::default()
        });
        Ok(Self {
            rtc,
            socket: beginning.socket,
            local: beginning.local,
            packets: beginning.packets,
            shared: beginning.shared,
            noise,
            opened: Some(beginning.opened),
            place: Some(beginning.place),
            early: 0,
            refused: 0,
            opening: HashSet::new(),
            end: Some(now + HANDSHAKE),
            gone: None,
        })
    }

    /// Until the connection is over.
    pub(super) async fn run(mut self) {
        if let Err(error) = self.drive().await {
            tracing::debug!(%error, "a WebRTC connection");
        }
    }

    async fn drive(&mut self) -> Result<(), RtcError> {
        let shared = self.shared.clone();
        loop {
            let mut wake = self.put_out()?;
            let (acted, due) = self.carry_out()?;
            if acted {
                continue; // what that caused goes out first
            }
            if !self.rtc.is_alive() {
                return Ok(());
            }
            let now = Instant::now();
            for end in [self.end, self.gone].into_iter().flatten() {
                if end <= now {
                    return Ok(());
                }
                wake = wake.min(end);
            }
            if self.early > MAX_EARLY || self.refused > MAX_REFUSED {
                tracing::debug!("a WebRTC connection that asks too much");
                return Ok(());
            }
            wake = due.map_or(wake, |due| wake.min(due));
            tokio::select! {
                packet = self.packets.recv() => match packet {
                    Some(packet) => self.take_in(packet),
                    None => return Ok(()), // the server has ended
                },
                () = shared.wanted.notified() => {}
                () = sleep_until(wake.into()) => self.rtc.handle_input(Input::Timeout(Instant::now()))?,
            }
        }
    }

    /// A packet, and what came behind it meanwhile.
    fn take_in(&mut self, first: Packet) {
        let mut next = Some(first);
        for _ in 0..BATCH {
            let Some(Packet { from, bytes }) = next else {
                return;
            };
            if self.place.is_some() && !is_stun(&bytes) {
                self.early += 1;
            }
            // What is no packet of any of these protocols is passed over.
            if let Ok(received) = Receive::new(Protocol::Udp, from, self.local, &bytes)
                && let Err(error) = self
                    .rtc
                    .handle_input(Input::Receive(Instant::now(), received))
            {
                tracing::debug!(%error, %from, "a packet");
            }
            next = self.packets.try_recv().ok();
        }
    }

    /// What libp2p wants. Whether anything was done, and when there is more to do.
    fn carry_out(&mut self) -> Result<(bool, Option<Instant>), RtcError> {
        let shared = self.shared.clone();
        let mut state = shared.state();
        let now = Instant::now();
        if state.proved {
            self.place = None;
        }
        let mut acted = false;
        for _ in 0..std::mem::take(&mut state.asked) {
            let id = self
                .rtc
                .direct_api()
                .create_data_channel(ChannelConfig::default());
            self.opening.insert(id);
            acted = true;
        }
        for channel in state.channels.values_mut() {
            channel.acknowledge(now);
        }
        // A frame of each by turns, as long as there is room.
        let mut more = true;
        while more {
            more = false;
            for (id, channel) in &mut state.channels {
                let (Some(frame), Some(mut raw)) = (channel.next(), self.rtc.channel(*id)) else {
                    continue;
                };
                match raw.write(true, frame) {
                    Ok(false) => {} // no room
                    Ok(true) => {
                        channel.sent();
                        (more, acted) = (true, true);
                    }
                    // The other side closed this one channel a moment ago.
                    Err(_) => channel.lost(),
                }
            }
        }
        for (id, _) in state.channels.extract_if(|_, channel| channel.is_over(now)) {
            // The first channel stays open: peers take its end for the connection's.
            if id != self.noise {
                self.rtc.direct_api().close_data_channel(id);
            }
            acted = true;
        }
        let due = |channel: &Channel| {
            let end = channel.is_abandoned().then_some(now + LOOK);
            [channel.wake_at(), end].into_iter().flatten().min()
        };
        let due = state.channels.values().filter_map(due).min();
        if std::mem::take(&mut state.leaves) {
            self.end = Some(now + GOODBYE);
            self.rtc.close()?;
            acted = true;
        }
        drop(state);
        if acted {
            self.rtc.handle_input(Input::Timeout(now))?;
        }
        Ok((acted, due))
    }

    /// Sends what is to be sent and takes what happened; gives the time at which more is to be done.
    fn put_out(&mut self) -> Result<Instant, RtcError> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => return Ok(at),
                Output::Transmit(packet) => {
                    // A packet for which the system has no room is lost, as any may be: it is sent again.
                    let _ = self
                        .socket
                        .try_send_to(&packet.contents, packet.destination);
                }
                Output::Event(event) => self.happened(event),
            }
        }
    }

    fn happened(&mut self, event: Event) {
        let shared = self.shared.clone();
        let mut state = shared.state();
        match event {
            Event::IceConnectionStateChange(now) if self.opened.is_none() => {
                let gone = now == IceConnectionState::Disconnected;
                self.gone = gone.then(|| Instant::now() + SILENCE);
            }
            Event::ChannelOpen(id, _) if id == self.noise => {
                let fingerprint = self.rtc.direct_api().remote_dtls_fingerprint().cloned();
                let bytes = fingerprint.and_then(|found| found.bytes.try_into().ok());
                if let (Some(bytes), Some(tell)) = (bytes, self.opened.take()) {
                    state.channels.insert(id, Channel::handshake());
                    drop(state); // a stream that nobody takes is dropped, and that needs it
                    self.end = None;
                    let _ = tell.send((Fingerprint(bytes), shared.stream(id)));
                }
            }
            Event::ChannelOpen(id, _) if self.opening.remove(&id) => state.make(Some(id)),
            // Nobody opens streams before it has said who it is.
            Event::ChannelOpen(id, _) => {
                let welcome = self.opened.is_none() && state.arrive(id);
                if !welcome {
                    self.refused += 1;
                    self.rtc.direct_api().close_data_channel(id);
                }
            }
            Event::ChannelData(data) => {
                let room = state.room();
                if let Some(channel) = state.channels.get_mut(&data.id) {
                    channel.message(Instant::now(), data.data, room);
                }
            }
            Event::ChannelClose(id) => {
                if self.opening.remove(&id) {
                    state.make(None);
                }
                if let Some(channel) = state.channels.get_mut(&id) {
                    channel.lost();
                }
            }
            _ => {}
        }
    }
}
