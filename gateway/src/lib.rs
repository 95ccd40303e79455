//! The gateway, in the order in which bytes pass through it:
//! ingest → package → publish → store → http.

pub mod clock;
pub mod config;
pub mod http;
pub mod ingest;
pub mod keys;
pub mod metrics;
pub mod package;
pub mod publish;
pub mod store;
