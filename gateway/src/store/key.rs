//! Which pack a block belongs to, and the pack's file names.

use std::{fmt, io, sync::Arc};

use meshlive_protocol::time::{civil_date, day_of};

/// Microseconds of an hour.
pub(crate) const HOUR: u64 = 3_600_000_000;

/// The first hour after the year 9999, whose name would be longer.
const MAX_HOUR: u64 = 253_402_300_800 / 3600;

/// One pack: a stream's rendition in an hour of UTC. A closed pack is never written again: what comes late begins
/// the hour's next volume.
///
/// The order is the order in which packs are given up: oldest hour first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PackKey {
    /// Hours since the Unix epoch.
    pub(crate) hour: u64,
    /// Name of the stream, which is also its folder.
    pub(crate) stream: Arc<str>,
    /// Id of the rendition.
    pub(crate) rendition: Arc<str>,
    /// 0, 1, 2… of the same stream, rendition and hour.
    pub(crate) volume: u32,
}

impl PackKey {
    /// The first pack of the hour that `start` (µs since the Unix epoch) lies in.
    ///
    /// # Errors
    /// `InvalidInput` where a name cannot be a file name or the time is after the year 9999.
    pub(crate) fn new(stream: &str, rendition: &str, start: u64) -> io::Result<Self> {
        check_stream(stream)?;
        if !is_rendition(rendition) {
            return Err(refused(format!(
                "rendition id {rendition:?} cannot name a pack: use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit"
            )));
        }
        let hour = start / HOUR;
        if hour >= MAX_HOUR {
            return Err(refused(format!(
                "start {start} µs is after the year 9999: set the clock"
            )));
        }
        Ok(Self {
            hour,
            stream: stream.into(),
            rendition: rendition.into(),
            volume: 0,
        })
    }

    /// Reads back what [`fmt::Display`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (stream, file) = text.split_once('/')?;
        Self::from_file(stream, file)
    }

    /// From a folder's and a file's name without its extension.
    pub(crate) fn from_file(stream: &str, stem: &str) -> Option<Self> {
        let (time, rest) = stem.split_once('-')?;
        let (rendition, volume) = rest.rsplit_once('-')?;
        let hour = parse_hour(time)?;
        let key = Self {
            volume: volume.parse().ok()?,
            ..Self::new(stream, rendition, hour.checked_mul(HOUR)?).ok()?
        };
        (key.stem() == stem).then_some(key)
    }

    /// The file's name without its extension: `20261122T08-720p-0`.
    pub(crate) fn stem(&self) -> String {
        let (year, month, day) = civil_date(self.hour / 24);
        let hour = self.hour % 24;
        format!(
            "{year:04}{month:02}{day:02}T{hour:02}-{}-{}",
            self.rendition, self.volume
        )
    }

    /// First microsecond after the hour.
    pub(crate) fn end(&self) -> u64 {
        (self.hour + 1) * HOUR
    }
}

impl fmt::Display for PackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.stem())
    }
}

/// # Errors
/// `InvalidInput` where the name cannot be a folder's.
pub(crate) fn check_stream(stream: &str) -> io::Result<()> {
    let fits = (1..=100).contains(&stream.len())
        && stream
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    fits.then_some(()).ok_or_else(|| {
        refused(format!(
            "stream name {stream:?} cannot name a folder: give the k51… name"
        ))
    })
}

fn is_rendition(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && id.as_bytes()[0].is_ascii_alphanumeric()
}

fn refused(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// Reads the time of a file's name.
fn parse_hour(text: &str) -> Option<u64> {
    if text.len() != 11 || !text.is_ascii() || text.as_bytes()[8] != b'T' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().ok();
    let (year, month, day, hour) = (number(0..4)?, number(4..6)?, number(6..8)?, number(9..11)?);
    if hour > 23 {
        return None;
    }
    Some(day_of(year, month, day)? * 24 + hour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_names() {
        for (start, stem) in [
            (0, "19700101T00-720p-0"),
            (1_795_337_822_000_000, "20261122T08-720p-0"),
            (1_709_251_199_999_999, "20240229T23-720p-0"),
            (1_709_251_200_000_000, "20240301T00-720p-0"),
            (253_402_300_799_999_999, "99991231T23-720p-0"),
        ] {
            assert_eq!(PackKey::new("k51", "720p", start).unwrap().stem(), stem);
        }
    }

    #[test]
    fn every_hour_reads_back() {
        for hour in (0..MAX_HOUR).step_by(997) {
            let key = PackKey {
                volume: 3,
                ..PackKey::new("k51", "audio-only", hour * HOUR).unwrap()
            };
            assert_eq!(PackKey::parse(&key.to_string()), Some(key));
        }
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for stream in ["", "..", "a/b", "K51", "é", &"k".repeat(101)] {
            assert!(PackKey::new(stream, "v", 0).is_err(), "{stream}");
        }
        for rendition in ["", ".", "..", "a/b", "-a", "é", "a b", &"k".repeat(65)] {
            assert!(PackKey::new("k", rendition, 0).is_err(), "{rendition}");
        }
        assert!(PackKey::new("k", "v", u64::MAX).is_err());
        for stem in [
            "20261322T08-v-0",
            "20260230T08-v-0",
            "2026112T08-v-0",
            "20261122T24-v-0",
            "20261122T08-v-00",
            "20261122T08-v",
        ] {
            assert_eq!(PackKey::from_file("k", stem), None, "{stem}");
        }
    }
}
