//! The protocol seen from outside: its bytes, its rules, its limits. One binary, so that it links once.

#![allow(clippy::unwrap_used)] // a test that unwraps is a test that asserts

mod common;

mod corpus;
mod follow;
mod golden;
mod hostile;
mod interop;
mod limits;
mod messages;
mod playlists;
mod properties;
mod renditions;
mod rules;
