//! libp2p over `RTCPeerConnection`: `/webrtc` (dial and listen) and `/webrtc-direct` (dial).
