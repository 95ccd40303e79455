//! libp2p's `/webrtc-direct` for browsers that dial us (libp2p/specs webrtc/webrtc-direct.md), on str0m.
//!
//! A browser's first packet is a STUN request; its user name is all that is negotiated. From then on one task has the whole
//! connection (ICE, DTLS, SCTP, its channels), and when it ends nothing is left: no callbacks, no tasks, no cycles.
//!
//! Files: [`certificate`] (stays over restarts; its hash is part of our addresses) → [`transport`] (what libp2p sees) →
//! [`server`] (one UDP socket: which packet belongs to whom) → [`session`] (one connection's task) → [`shared`] (between that
//! task and libp2p) → [`channel`] (one stream's state) → [`connection`] (the muxer and its streams).

pub(super) mod certificate;
mod channel;
mod connection;
mod server;
mod session;
mod shared;
#[cfg(test)]
mod tests;
mod transport;

pub(super) use certificate::Certificate;
pub(super) use transport::Transport;
