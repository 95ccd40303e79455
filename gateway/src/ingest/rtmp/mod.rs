//! The RTMP server.
