//! The gateway's one clock.
