//! `/webrtc-direct`: dialling a server that is known by address and certificate hash. No signalling; a Noise handshake
//! over channel 0 proves both sides' keys and certificates.

use std::{
    future::poll_fn,
    net::{IpAddr, SocketAddr},
};

use futures::{
    FutureExt,
    channel::oneshot,
    future::{self, BoxFuture, Either},
};
use futures_timer::Delay;
use libp2p::{identity::Keypair, noise};
use libp2p_core::{
    Multiaddr, PeerId,
    multiaddr::Protocol,
    upgrade::{InboundConnectionUpgrade, UpgradeInfo},
};
use web_sys::RtcSdpType;

use super::{
    Connection, Error,
    sdp::{self, Fingerprint},
};

/// Time from dialling to the end of the handshake.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(15);
const SHA2_256: u64 = 0x12;

/// The server's address and the hash of its certificate.
pub(crate) type Server = (SocketAddr, Fingerprint);

/// Reads `/ip4|ip6/…/udp/…/webrtc-direct/certhash/…[/p2p/…]`; `None` for anything else.
pub(crate) fn server(address: &Multiaddr) -> Option<Server> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::from(ip),
        Protocol::Ip6(ip) => IpAddr::from(ip),
        _ => return None,
    };
    let (Protocol::Udp(port), Protocol::WebRTCDirect, Protocol::Certhash(hash)) =
        (parts.next()?, parts.next()?, parts.next()?)
    else {
        return None;
    };
    let certificate = match hash.code() {
        SHA2_256 => hash.digest().try_into().ok()?,
        _ => return None,
    };
    match (parts.next(), parts.next()) {
        (None | Some(Protocol::P2p(_)), None) => Some((SocketAddr::new(ip, port), certificate)),
        _ => None,
    }
}

/// Dials, as soon as it is polled, in a task of its own, that ends when the future is dropped. A swarm makes the dials of all
/// addresses at once, and polls those that it tries.
pub(crate) fn dial(
    key: Keypair,
    server: Server,
) -> BoxFuture<'static, Result<(PeerId, Connection), Error>> {
    async move { begin(key, server).await.unwrap_or(Err(Error::Gone)) }.boxed()
}

fn begin(key: Keypair, server: Server) -> oneshot::Receiver<Result<(PeerId, Connection), Error>> {
    let (mut reply, made) = oneshot::channel();
    wasm_bindgen_futures::spawn_local(async move {
        let made = {
            let connect = std::pin::pin!(connect(key, server));
            let unwanted = poll_fn(|cx| reply.poll_canceled(cx));
            match future::select(connect, future::select(unwanted, Delay::new(PATIENCE))).await {
                Either::Left((made, _)) => made,
                Either::Right(_) => Err(Error::Handshake("not finished in time".into())),
            }
        };
        let _ = reply.send(made);
    });
    made
}

async fn connect(
    key: Keypair,
    (server, certificate): Server,
) -> Result<(PeerId, Connection), Error> {
    let mut connection = Connection::new(&[])?;
    let channel = connection.open_negotiated();
    let ufrag = ufrag();
    let offer = sdp::with_ufrag(&connection.offer().await?, &ufrag);
    connection.set_local(RtcSdpType::Offer, &offer).await?;
    let answer = sdp::answer(server, &certificate, &ufrag);
    connection.set_remote(RtcSdpType::Answer, &answer).await?;
    let ours = connection
        .local()
        .and_then(|description| sdp::fingerprint(&description))
        .ok_or_else(|| {
            Error::Handshake("the browser's certificate is not hashed by SHA-256".into())
        })?;

    let opened = poll_fn(|cx| channel.poll_open(cx)).await;
    opened.map_err(|_| Error::Lost)?;
    let handshake = |error: noise::Error| Error::Handshake(error.to_string());
    let noise = noise::Config::new(&key)
        .map_err(handshake)?
        .with_prologue(sdp::prologue(&ours, &certificate));
    let protocol = noise
        .protocol_info()
        .next()
        .expect("noise has one protocol");
    // The server speaks first. The channel stays open until the server closes it: servers fail when it goes early.
    let (peer, session) = noise
        .upgrade_inbound(channel, protocol)
        .await
        .map_err(handshake)?;
    connection.made();
    connection.keep(session);
    Ok((peer, connection))
}

/// Fragment and password in one, of 192 random bits.
fn ufrag() -> String {
    let random = PeerId::random().to_bytes();
    let hex: String = random[random.len() - 24..]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("libp2p+webrtc+v1/{hex}")
}
