//! From packaged parts to what the world sees: CID, store, signature, the live window, and who is told.
//!
//! `streams` knows every stream, `stream` is one of them as its readers see it, `publisher` is its only writer, `run` the
//! thread it works on, `announcer` the end of the way, `snapshot` what is told, `elsewhere` who else has it, and `resume` takes up what an earlier run
//! had announced. `mirrored` writes a stream that another gateway publishes, from what that has signed. What is announced was written before: parts to the store, the announcement to the stream's journal.

mod announcer;
mod elsewhere;
mod mirrored;
mod publisher;
mod renditions;
mod resume;
mod run;
mod snapshot;
mod stream;
mod streams;
#[cfg(test)]
mod tests;
mod traffic;

use std::{io, time::Duration};

use meshlive_protocol::{manifest, name::StreamName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use elsewhere::{MAX_ELSEWHERE, is_origin};
pub use mirrored::{Heard, JOURNAL as MIRRORED, Mirrored};
pub use publisher::Publisher;
pub(crate) use renditions::describe;
pub use snapshot::Snapshot;
pub use stream::Stream;
pub use streams::Streams;
pub use traffic::{Totals, Traffic};

use crate::config::{Nonsense, value};

/// What viewers are offered of a live stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How far back the live playlists reach. 10 s to 5 min.
    #[serde(with = "value::duration")]
    #[schemars(with = "String")]
    pub window: Duration,
    /// How far behind the newest part a player stays (PART-HOLD-BACK): less is closer to now, more stands worse
    /// networks. 600 ms to 10 s; playlists say three parts where that is longer.
    #[serde(with = "value::duration")]
    #[schemars(with = "String")]
    pub hold_back: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            hold_back: Duration::from_secs(1),
        }
    }
}

impl Settings {
    /// Whether the values make sense.
    ///
    /// # Errors
    /// Names the setting and its bounds.
    pub fn check(&self) -> Result<(), Nonsense> {
        let (seconds, millis) = (Duration::from_secs, Duration::from_millis);
        let longest = Duration::from_micros(manifest::MAX_WINDOW_MICROS);
        Nonsense::unless_within("publish.window", self.window, seconds(10)..=longest)?;
        Nonsense::unless_within(
            "publish.hold_back",
            self.hold_back,
            millis(600)..=seconds(10),
        )
    }

    /// What the manifest says of it; `target_duration` in seconds.
    fn manifest(&self, target_duration: u32) -> manifest::Settings {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        manifest::Settings {
            window: micros(self.window),
            target_duration,
            hold_back: micros(self.hold_back),
        }
    }
}

/// Why a stream cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its name and keys.
    #[error(transparent)]
    Keys(#[from] crate::keys::Error),
    /// Its journal.
    #[error("journal of stream {alias}: {error}; see that the data folder can be written")]
    Journal {
        /// The stream's.
        alias: String,
        /// What the file system said.
        error: io::Error,
    },
    /// It is open here already.
    #[error(
        "stream {name} cannot be followed: {alias} is open here already; leave it out of `follow`, or give it another ?name="
    )]
    Followed {
        /// The stream's.
        name: StreamName,
        /// Of the one that is open.
        alias: String,
    },
    /// It is already open.
    #[error("stream {0} has two inputs; give each its own ?name=")]
    Taken(String),
}
