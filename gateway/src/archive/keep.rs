//! How long a stream's past is kept.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use meshlive_protocol::{archive::day_name, time::day_of};
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
    /// Days (UTC) that stay whatever keep says, such as ["2026-11-22"]; where the disk is full they go last.
    pub keep_days: Days,
    /// How many bytes of closed hours each stream keeps at most, beside keep_days: above this its oldest go. 0: as many as there is room for.
    pub max_bytes: u64,
    /// How long after one reading back of all that is held the next begins, for damage to be named in the log and in
    /// meshlive_archive_damaged_blocks. "0s": never.
    #[serde(with = "value::duration")]
    #[schemars(with = "String")]
    pub verify_every: Duration,
    /// How many bytes it reads in a second, at most.
    pub verify_bytes_per_second: u64,
}

impl Settings {
    /// What counts for a stream of which `own` is said.
    #[must_use]
    pub fn rule(&self, own: &Rule) -> Rule {
        let days = self.keep_days.0.union(&own.days.0).copied();
        Rule {
            keep: own.keep.or(self.keep),
            days: Days(days.collect()),
            max_bytes: match own.max_bytes {
                0 => self.max_bytes,
                own => own,
            },
        }
    }

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
            keep_days: Days::default(),
            max_bytes: 0,
            verify_every: Duration::from_secs(7 * 86_400),
            verify_bytes_per_second: 2_000_000,
        }
    }
}

/// How much one stream keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// How long.
    pub keep: Keep,
    /// Days that stay.
    pub days: Days,
    /// Bytes of closed hours; 0 for as many as there is room for.
    pub max_bytes: u64,
}

/// Days, counted from 1970, as people write them: 2026-11-22.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
#[schemars(with = "Vec<String>")]
pub struct Days(pub BTreeSet<u64>);

impl Days {
    /// Whether the hour (counted from 1970) is of one of them.
    pub fn have(&self, hour: u64) -> bool {
        self.0.contains(&(hour / 24))
    }
}

impl TryFrom<Vec<String>> for Days {
    type Error = String;

    fn try_from(texts: Vec<String>) -> Result<Self, String> {
        let day = |text: &String| {
            let mut numbers = text.split('-').map(|number| number.parse().ok());
            let [year, month, day] = [(); 3].map(|()| numbers.next().flatten());
            let day = day_of(year?, month?, day?)?;
            (day_name(day) == *text).then_some(day)
        };
        let days = texts.iter().map(|text| {
            day(text).ok_or_else(|| format!("{text:?} is no day: give one such as \"2026-11-22\""))
        });
        days.collect::<Result<_, _>>().map(Self)
    }
}

impl From<Days> for Vec<String> {
    fn from(days: Days) -> Self {
        days.0.into_iter().map(day_name).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn days(texts: &[&str]) -> Result<Days, String> {
        Days::try_from(texts.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn days_are_written_as_people_do_and_nothing_else() {
        let found = days(&["2026-11-22", "1970-01-02"]).unwrap();
        assert!(found.have(24) && found.have(47) && !found.have(48));
        assert_eq!(Vec::from(found), ["1970-01-02", "2026-11-22"]);
        for bad in ["2026-11-31", "22.11.2026", "2026-1-2", "2026-11-22-01", ""] {
            assert!(days(&[bad]).unwrap_err().contains("2026-11-22"), "{bad}");
        }
    }

    #[test]
    fn what_is_said_of_one_stream_counts_and_days_of_both() {
        let settings = Settings {
            keep_days: days(&["1970-01-01"]).unwrap(),
            max_bytes: 10,
            ..Settings::default()
        };
        let own = Rule {
            keep: Keep::Everything,
            days: days(&["1970-01-02"]).unwrap(),
            max_bytes: 5,
        };
        let both = days(&["1970-01-01", "1970-01-02"]).unwrap();
        let found = settings.rule(&own);
        assert_eq!((found.keep, found.max_bytes), (Keep::Everything, 5));
        assert_eq!(found.days, both);
        let plain = settings.rule(&Rule::default());
        assert_eq!((plain.keep, plain.max_bytes), (settings.keep, 10));
    }
}
