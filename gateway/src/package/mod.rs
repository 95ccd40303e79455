//! Samples to parts: pure, from ingest's [`Event`](crate::ingest::media::Event)s to [`Packaged`] bytes.
//!
//! `packager` keeps the tracks in step, `cutter` decides where parts and segments end, `lane` holds what waits in a
//! track, `rendition`, `init`, `codecs` and `fmp4` write.

mod boxes;
pub mod codecs;
mod cutter;
pub mod fmp4;
pub mod init;
mod lane;
mod packager;
mod plan;
mod rendition;
mod stage;
#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Nonsense, value};

pub use packager::Packager;
pub use rendition::Rendition;

/// How streams are cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Length of a part; each stream takes the nearest number of whole frames. 50 ms to 1 s.
    #[serde(with = "value::duration")]
    #[schemars(with = "String")]
    pub part: Duration,
    /// A segment ends at the first key frame after this. 1 s to 4 s, and at most longest_key_frame_gap.
    #[serde(with = "value::duration")]
    #[schemars(with = "String")]
    pub segment: Duration,
    /// Key frames of a passed-through stream are at most this far apart; it is the target duration of all playlists.
    /// A publisher that exceeds it is transcoded. 2 s to 4 s.
    #[serde(with = "value::duration")]
    #[schemars(with = "String")]
    pub longest_key_frame_gap: Duration,
    /// A track that lags behind the others by more than this no longer holds them back. 200 ms to 10 s.
    #[serde(with = "value::duration")]
    #[schemars(with = "String")]
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            part: Duration::from_millis(200),
            segment: Duration::from_secs(2),
            longest_key_frame_gap: Duration::from_secs(4),
            patience: Duration::from_secs(1),
        }
    }
}

impl Settings {
    /// EXT-X-TARGETDURATION of all playlists, seconds: no segment is longer, rounded.
    pub fn target_duration(&self) -> u32 {
        self.longest_key_frame_gap.as_millis().div_ceil(1000) as u32
    }

    /// Whether the values make sense.
    ///
    /// # Errors
    /// Names the setting and its bounds.
    pub fn check(&self) -> Result<(), Nonsense> {
        for (name, value, least, most) in [
            ("package.part", self.part, 50, 1_000),
            ("package.segment", self.segment, 1_000, 4_000),
            (
                "package.longest_key_frame_gap",
                self.longest_key_frame_gap,
                2_000,
                4_000,
            ),
            ("package.patience", self.patience, 200, 10_000),
        ] {
            let millis = Duration::from_millis;
            Nonsense::unless_within(name, value, millis(least)..=millis(most))?;
        }
        if self.segment > self.longest_key_frame_gap {
            let remedy = "give at most package.longest_key_frame_gap";
            return Err(Nonsense::new(
                "package.segment",
                format!("{:?}", self.segment),
                remedy,
            ));
        }
        Ok(())
    }
}

/// Where a stream's numbers go on; they are never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Media sequence number of the next segment.
    pub segment: u64,
    /// Number of the next init segments.
    pub init: u32,
    /// What comes does not join what an earlier run published.
    pub discontinuity: bool,
}

/// What the packager has made, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Packaged {
    /// All renditions from the next segment on.
    Renditions {
        /// Of their init segments, one for all of them.
        number: u32,
        /// With their init segments.
        renditions: Vec<Rendition>,
    },
    /// A segment begins; its first part follows at once.
    Opened {
        /// Media sequence number.
        segment: u64,
        /// Program date time of its first frame, µs since the Unix epoch.
        start: u64,
        /// It does not join the segment before it.
        discontinuity: bool,
        /// Number of its init segments.
        init: u32,
    },
    /// The next part, of every rendition in the order of [`Packaged::Renditions`].
    Parts {
        /// Media sequence number.
        segment: u64,
        /// From 0 in each segment.
        part: u32,
        /// One of each rendition.
        parts: Vec<Part>,
    },
    /// The segment has all its parts.
    Closed {
        /// Media sequence number.
        segment: u64,
    },
    /// Something an operator and a viewer should read.
    Notice(String),
    /// The publisher's title.
    Title(String),
    /// The source has ended.
    End,
}

/// One part of one rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// One `moof` and one `mdat`, at most [`MAX_PART_BYTES`](meshlive_protocol::part::MAX_PART_BYTES).
    pub data: Bytes,
    /// µs, at most the rendition's PART-TARGET.
    pub duration: u32,
    /// It begins with a frame that decoding can start from.
    pub independent: bool,
}
