//! A libp2p stream over a WebRTC data channel, as both ends of one have it: the browser's peer and the gateway's
//! `/webrtc-direct`. After libp2p/specs webrtc/README.md, "Multiplexing"; knows nothing of video.

pub mod ahead;
pub mod frame;
pub mod halves;
pub mod inbox;
