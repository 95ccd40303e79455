//! From whatever gives video to coded samples on one timeline.

pub mod media;
pub mod rtmp;
