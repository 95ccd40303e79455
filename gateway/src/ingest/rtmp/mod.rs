//! The RTMP server: OBS and ffmpeg publish to `rtmp://HOST/live/SECRET`, several at once.
//!
//! In the order in which bytes pass: [`server`] accepts, `wire` reads the socket, [`session`] (handshake, chunk
//! stream, commands; no I/O) makes messages of bytes, [`source`] (FLV tags; no I/O) makes
//! [`SourceEvent`](super::media::SourceEvent)s of messages, `queue` hands them on without ever growing; `connection`
//! drives them. `live` decides who may publish when two want to.

mod amf0;
mod answer;
mod chunk;
mod connection;
mod end;
pub mod event;
pub mod flv;
mod handshake;
mod live;
pub mod metadata;
mod queue;
pub mod server;
pub mod session;
pub mod source;
#[cfg(test)]
mod tests;
mod track;
pub mod violation;
mod wire;

use std::{net::SocketAddr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use server::Server;

use super::media::SourceEvent;
use crate::config::Nonsense;

/// The RTMP server's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How many publishers can be connected at once, 1 to 10000.
    pub max_connections: usize,
    /// The largest video frame in bytes, 65536 to 16777215. A publisher's unsent frames take twice this.
    pub max_message_bytes: usize,
    /// How long a new connection may take until it publishes.
    #[serde(with = "crate::config::value::duration")]
    #[schemars(with = "String")]
    pub handshake_timeout: Duration,
    /// A publisher that sends nothing for so long is disconnected.
    #[serde(with = "crate::config::value::duration")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// After so much silence another publisher with the same secret takes the stream over.
    #[serde(with = "crate::config::value::duration")]
    #[schemars(with = "String")]
    pub takeover_after: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            max_connections: 64,
            max_message_bytes: 8 << 20,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15),
            takeover_after: Duration::from_secs(2),
        }
    }
}

impl Settings {
    /// Whether each value makes sense.
    ///
    /// # Errors
    /// Names the first setting that does not, under `rtmp.`.
    pub fn check(&self) -> Result<(), Nonsense> {
        let within = |setting: &str, value: usize, from: usize, to: usize| {
            if (from..=to).contains(&value) {
                return Ok(());
            }
            Err(Nonsense::new(
                format!("rtmp.{setting}"),
                value,
                format!("give {from} to {to}"),
            ))
        };
        within("max_connections", self.max_connections, 1, 10_000)?;
        within(
            "max_message_bytes",
            self.max_message_bytes,
            64 << 10,
            (1 << 24) - 1,
        )?;
        for (setting, value) in [
            ("rtmp.handshake_timeout", self.handshake_timeout),
            ("rtmp.idle_timeout", self.idle_timeout),
            ("rtmp.takeover_after", self.takeover_after),
        ] {
            let bounds = Duration::from_millis(100)..=Duration::from_secs(3600);
            Nonsense::unless_within(setting, value, bounds)?;
        }
        Ok(())
    }
}

/// Who takes what publishers send.
pub trait Publishers: Send + Sync + 'static {
    /// A publisher with the secret of `alias` begins: where its events go. One publisher at a time has an alias;
    /// the next one's events follow behind [`SourceEvent::Gone`]. The channel's capacity is the frames that may wait
    /// (256 is about 3 s); when it is full, frames are dropped up to the next key frame.
    ///
    /// It may wait for the disk.
    ///
    /// # Errors
    /// Why it cannot be published now: OBS shows it.
    fn publish(&self, alias: &str, peer: SocketAddr) -> Result<mpsc::Sender<SourceEvent>, String>;
}
