//! Viewers feed each other: a real gateway, and native viewers with the engine and the driver that browsers have, over
//! TCP instead of WebRTC.

#![allow(clippy::unwrap_used)] // a test from its first line to its last

mod sharing {
    mod mirror;
    mod two;
    pub(super) mod viewer;
}
