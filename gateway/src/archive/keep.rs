//! How long a stream's past is kept.

use std::{fmt, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Nonsense, value};

/// How much of its past each stream keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long hours are kept that have closed: "7days", "everything", or "off" for no archive. When the store grows beyond
    /// store.max_bytes, or its disk is full, the oldest hours go earlier. [streams.ALIAS] may say otherwise for one stream.
    pub keep: Keep,
    /// How long after one reading back of all that is held the next begins, for damage to be named in the log and in
    /// meshlive_archive_damaged_blocks. "0s": never.
    #[serde(with = "value::duration")]
    #[schemars(with = "String")]
    pub verify_every: Duration,
    /// How many bytes it reads in a second, at most.
    pub verify_bytes_per_second: u64,
}

impl Settings {
    /// Says which setting makes no sense.
    ///
    /// # Errors
    /// For the first that makes none.
    pub fn check(&self) -> Result<(), Nonsense> {
        if self.verify_bytes_per_second < 1000 {
            return Err(Nonsense::new(
                "archive.verify_bytes_per_second",
                self.verify_bytes_per_second,
                "give 1000 or more; archive.verify_every = \"0s\" switches it off",
            ));
        }
        Ok(())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep: Keep::For(Duration::from_secs(7 * 86_400)),
            verify_every: Duration::from_secs(7 * 86_400),
            verify_bytes_per_second: 2_000_000,
        }
    }
}

/// How long a closed hour is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Keep {
    /// As is said elsewhere.
    #[default]
    Unsaid,
    /// There is no archive.
    Off,
    /// As long as there is room.
    Everything,
    /// So long after its end.
    For(Duration),
}

impl Keep {
    /// This, or the other where this says nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self == Self::Unsaid { other } else { self }
    }
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(Self::Unsaid),
            "off" => Ok(Self::Off),
            "everything" => Ok(Self::Everything),
            _ => humantime::parse_duration(text).map(Self::For).map_err(|_| {
                format!("{text:?} does not say how long the past is kept: give \"7days\", \"everything\" or \"off\"")
            }),
        }
    }
}

impl TryFrom<String> for Keep {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsaid => Ok(()),
            Self::Off => f.write_str("off"),
            Self::Everything => f.write_str("everything"),
            Self::For(duration) => humantime::format_duration(*duration).fmt(f),
        }
    }
}

impl From<Keep> for String {
    fn from(keep: Keep) -> Self {
        keep.to_string()
    }
}
