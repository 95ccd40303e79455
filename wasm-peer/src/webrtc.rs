//! libp2p over `RTCPeerConnection`, written to stand alone: `/webrtc` (browser to browser, dial and listen) and
//! `/webrtc-direct` (dial a server), after libp2p/specs webrtc/.
//!
//! [`new`] gives a transport and a behaviour that belong together, as libp2p's relay client does:
//! - The transport dials `/…/p2p/<relay>/p2p-circuit/webrtc/p2p/<peer>`, and `/webrtc/p2p/<peer>` by way of a relay at
//!   which this peer holds a reservation. It must stand before the relay client's transport, which would take the first
//!   of them for its own. Listening on `/webrtc` adds `/webrtc` to every circuit address the swarm listens on.
//! - The behaviour makes the relayed connections, speaks `/webrtc-signaling/0.0.1` over them and over nothing else, and
//!   closes them once the direct connection stands.
//!
//! What needs no browser ([`frame`], [`halves`], [`sdp`], [`signal::codec`], [`signal::session`]) compiles everywhere.

pub use meshlive_protocol::channel::{ahead, frame, halves, inbox};

pub mod fuzz;
pub mod sdp;
pub mod signal;

#[cfg(target_arch = "wasm32")]
mod browser {
    pub use super::{
        behaviour::Behaviour, connection::Connection, stream::Stream, transport::Transport,
    };
    use libp2p::identity::Keypair;
    use libp2p_core::multiaddr::{Multiaddr, Protocol};

    /// A transport and the behaviour that serves it.
    pub fn new(key: Keypair) -> (Transport, Behaviour) {
        let (to_behaviour, requests) = futures::channel::mpsc::unbounded();
        let (to_transport, news) = futures::channel::mpsc::unbounded();
        let listening = std::sync::Arc::default();
        let me = key.public().to_peer_id();
        let behaviour = Behaviour::new(
            me,
            requests,
            to_transport,
            std::sync::Arc::clone(&listening),
        );
        (
            Transport::new(key, to_behaviour, news, listening),
            behaviour,
        )
    }

    /// Whether a connection to this address passes its bytes through a relay. A `/webrtc` address does not, though its
    /// first part names the relay that makes the introduction.
    pub fn is_relayed(address: &Multiaddr) -> bool {
        let mut relayed = false;
        for protocol in address {
            match protocol {
                Protocol::P2pCircuit => relayed = true,
                Protocol::WebRTC => return false,
                _ => {}
            }
        }
        relayed
    }

    /// Why there is no connection, or none any more.
    #[derive(Debug, thiserror::Error)]
    pub enum Error {
        /// The browser refused.
        #[error("{0}")]
        Browser(String),
        /// The connection failed, or the other side closed it.
        #[error("the connection is lost")]
        Lost,
        /// The other side answers no signalling over its relay.
        #[error("no signalling: {0}")]
        Signalling(String),
        /// The session ended without a connection.
        #[error("{0}")]
        Session(&'static str),
        /// No relay is known by way of which the peer could be reached.
        #[error("no relay to reach the peer by: listen at one, or name it in the address")]
        NoRelay,
        /// Both sides dialled, and the other's connection is kept.
        #[error("the other side's connection is kept")]
        Glare,
        /// The server proved another key than its address names, or none.
        #[error("the server's handshake: {0}")]
        Handshake(String),
        /// The swarm is gone.
        #[error("the swarm is gone")]
        Gone,
    }

    impl From<wasm_bindgen::JsValue> for Error {
        fn from(value: wasm_bindgen::JsValue) -> Self {
            Self::Browser(format!("{value:?}"))
        }
    }
}
#[cfg(target_arch = "wasm32")]
pub use browser::*;

#[cfg(target_arch = "wasm32")]
mod behaviour;
#[cfg(target_arch = "wasm32")]
mod channel;
#[cfg(target_arch = "wasm32")]
mod connection;
#[cfg(target_arch = "wasm32")]
mod direct;
#[cfg(target_arch = "wasm32")]
mod stream;
#[cfg(target_arch = "wasm32")]
mod transport;
