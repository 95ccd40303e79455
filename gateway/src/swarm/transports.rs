//! Every way in: TCP, QUIC, WebRTC, and the WebSockets that HTTP accepts.

use std::time::Duration;

use futures::future::Either;
use libp2p::{
    PeerId, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identity::Keypair,
    noise, quic, tcp, yamux,
};

use super::{
    webrtc::{self, Certificate},
    websocket,
};

/// A connection that is not secured and multiplexed by then is dropped.
const PATIENCE: Duration = Duration::from_secs(10);
/// Streams that a peer may have open in one connection. The busiest honest one has a circuit with each of 16 others.
const MAX_STREAMS: usize = 128;

/// All of them as one.
///
/// # Errors
/// When `key` cannot sign (never, for Ed25519).
pub(super) fn build(
    key: &Keypair,
    certificate: Certificate,
    arrivals: websocket::Transport,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let noise = noise::Config::new(key)?;
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(MAX_STREAMS);
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1)
        .authenticate(noise.clone())
        .multiplex(yamux.clone())
        .timeout(PATIENCE);
    let websocket = arrivals
        .upgrade(Version::V1)
        .authenticate(noise)
        .multiplex(yamux)
        .timeout(PATIENCE);
    let quic = quic::tokio::Transport::new(quic::Config::new(key));
    let webrtc = webrtc::Transport::new(key.clone(), certificate);
    Ok(websocket
        .or_transport(tcp)
        .map(|one, _| match one {
            Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
            Either::Right((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        })
        .or_transport(quic)
        .map(|one, _| match one {
            Either::Left((peer, muxer)) => (peer, muxer),
            Either::Right((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        })
        .or_transport(webrtc)
        .map(|one, _| match one {
            Either::Left((peer, muxer)) => (peer, muxer),
            Either::Right((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        })
        .boxed())
}
