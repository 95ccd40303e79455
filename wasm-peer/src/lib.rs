//! The browser's peer. [`peer`] is all that JavaScript sees, and [`past`] for what was live; [`webrtc`] is libp2p over `RTCPeerConnection` and knows
//! nothing of video. What needs no browser compiles, and is tested, natively.
//!
//! Files: `peer` (the edge), `json`, `place` (what crosses it) → `run` (the loop), `host` (page, clock, timer) →
//! [`swarm`] → [`webrtc`].

#[cfg(target_arch = "wasm32")]
pub mod gateways;
#[cfg(target_arch = "wasm32")]
pub mod host;
pub mod json;
#[cfg(all(target_arch = "wasm32", feature = "liar"))]
mod liar;
#[cfg(target_arch = "wasm32")]
pub mod past;
#[cfg(target_arch = "wasm32")]
pub mod peer;
pub mod place;
#[cfg(target_arch = "wasm32")]
pub mod run;
#[cfg(target_arch = "wasm32")]
pub mod swarm;
#[cfg(all(target_arch = "wasm32", feature = "trial"))]
pub mod trial;
#[cfg(target_arch = "wasm32")]
pub mod unrelayed;
pub mod webrtc;
#[cfg(target_arch = "wasm32")]
pub mod websocket;
