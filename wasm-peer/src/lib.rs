//! The browser's peer. [`peer`] is all that JavaScript sees; [`webrtc`] is libp2p over `RTCPeerConnection` and knows
//! nothing of video. What needs no browser compiles, and is tested, natively.

#[cfg(target_arch = "wasm32")]
pub mod peer;
pub mod webrtc;
