//! Reads an hour back from its playlists. Pure; the bytes may be a stranger's, and only the form that [`super`] writes is read.

use super::MAX_SEGMENTS;
use crate::{
    manifest::{Rendition, Tracks},
    time::parse_date_time,
};

/// Bytes of an hour's media playlist, at most: [`MAX_SEGMENTS`] with all that can stand before each.
pub const MAX_PLAYLIST_BYTES: usize = MAX_SEGMENTS * 256;

/// A segment as a media playlist tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Media sequence number, from its name.
    pub msn: u64,
    /// Program date time, microseconds, whole milliseconds.
    pub start: u64,
    /// Microseconds.
    pub duration: u64,
    /// Whether it does not join what came before.
    pub discontinuity: bool,
    /// Number of its init segment; 0 in a gap before the first.
    pub init: u32,
    /// The rendition lacks it.
    pub gap: bool,
}

/// The segments of an hour's media playlist; `None` where it has another form.
pub fn media(text: &str) -> Option<Vec<Line>> {
    if text.len() > MAX_PLAYLIST_BYTES {
        return None;
    }
    let mut lines = text.lines();
    if lines.next() != Some("#EXTM3U") || !text.ends_with("#EXT-X-ENDLIST\n") {
        return None;
    }
    let (mut found, mut init) = (Vec::new(), 0);
    let (mut start, mut duration, mut discontinuity, mut gap) = (None, None, false, false);
    for line in lines {
        if let Some(number) = line.strip_prefix("#EXT-X-MAP:") {
            let number = number.strip_prefix("URI=\"init-")?;
            init = number.strip_suffix(".mp4\"")?.parse().ok()?;
        } else if let Some(time) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
            start = Some(parse_date_time(time)?);
        } else if let Some(seconds) = line.strip_prefix("#EXTINF:") {
            duration = Some(micros(seconds.strip_suffix(',')?)?);
        } else if line == "#EXT-X-DISCONTINUITY" {
            discontinuity = true;
        } else if line == "#EXT-X-GAP" {
            gap = true;
        } else if let Some(msn) = line.strip_suffix(".m4s") {
            if found.len() >= MAX_SEGMENTS {
                return None;
            }
            found.push(Line {
                msn: msn.parse().ok()?,
                start: start.take()?,
                duration: duration.take()?,
                discontinuity: std::mem::take(&mut discontinuity),
                init,
                gap: std::mem::take(&mut gap),
            });
        } else if !line.starts_with("#EXT-X-") {
            return None;
        }
    }
    Some(found)
}

/// The renditions of an hour's multivariant playlist; `None` where it has another form. What it does not tell (the part
/// target, whether there is sound beside a picture) does not matter to an archive.
pub fn multivariant(text: &str) -> Option<Vec<Rendition>> {
    let mut lines = text.lines();
    if lines.next()? != "#EXTM3U" {
        return None;
    }
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let Some(attributes) = line.strip_prefix("#EXT-X-STREAM-INF:BANDWIDTH=") else {
            continue;
        };
        let (bandwidth, rest) = attributes.split_once(",CODECS=\"")?;
        let (codecs, mut rest) = rest.split_once('"')?;
        let (mut width, mut height, mut frame_rate) = (0, 0, 0);
        if let Some(size) = rest.strip_prefix(",RESOLUTION=") {
            let (size, behind) = size
                .split_once(',')
                .map_or((size, ""), |(size, _)| (size, size_rest(rest)));
            let (w, h) = size.split_once('x')?;
            (width, height) = (w.parse().ok()?, h.parse().ok()?);
            rest = behind;
        }
        if let Some(rate) = rest.strip_prefix(",FRAME-RATE=") {
            let (whole, thousandths) = rate.split_once('.')?;
            frame_rate = whole
                .parse::<u32>()
                .ok()?
                .checked_mul(1000)?
                .checked_add(thousandths.parse().ok()?)?;
        }
        let (id, _) = lines.next()?.split_once('/')?;
        if found.len() >= crate::manifest::MAX_RENDITIONS {
            return None;
        }
        found.push(Rendition {
            id: id.to_owned(),
            tracks: if width == 0 {
                Tracks::Audio
            } else {
                Tracks::Both
            },
            codecs: codecs.to_owned(),
            bandwidth: bandwidth.parse().ok()?,
            width,
            height,
            frame_rate,
            part_target: 0,
        });
    }
    Some(found)
}

/// What follows the resolution, its comma included.
fn size_rest(rest: &str) -> &str {
    rest[1..].find(',').map_or("", |at| &rest[at + 1..])
}

/// Seconds with six decimals.
fn micros(text: &str) -> Option<u64> {
    let (seconds, micros) = text.split_once('.')?;
    if micros.len() != 6 {
        return None;
    }
    seconds
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000_000)?
        .checked_add(micros.parse().ok()?)
}
