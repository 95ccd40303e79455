//! `/webrtc-signaling/0.0.1`: two peers that reach each other through a relay make a direct connection.

pub mod codec;
#[cfg(target_arch = "wasm32")]
pub mod handler;
#[cfg(target_arch = "wasm32")]
mod run;
pub mod session;
