//! What a directory of HLS from elsewhere has to be before it is taken in: everything it names lies in it, its end is known and
//! so is its time. Whatever else it is (fragmented MP4 or MPEG-TS, any codec), FFmpeg and the packager make hours of it.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use meshlive_protocol::time;

/// Longest playlist that is read, bytes: a day of it.
const MAX_PLAYLIST_BYTES: u64 = 16 << 20;
/// A time that is told may be so far from that of the segments before it, µs.
const TOLERANCE: u64 = 1_000_000;

/// A media playlist whose segments are all there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Playlist {
    pub(super) path: PathBuf,
    /// µs since 1970, where it says so.
    pub(super) start: Option<u64>,
    /// µs.
    pub(super) duration: u64,
    /// Of its segments.
    pub(super) bytes: u64,
}

impl Playlist {
    /// The playlist of a directory, or of the multivariant one in it the best that it names; or this file.
    ///
    /// # Errors
    /// `InvalidData` or `NotFound` with what is wrong with which line, and the remedy.
    pub(super) fn find(path: &Path) -> io::Result<Self> {
        let path = if path.is_dir() {
            only(path)?
        } else {
            path.to_owned()
        };
        let text = text(&path)?;
        let Some(best) = best(&text).map_err(|why| invalid(&path, &why))? else {
            return Self::read(path, &text);
        };
        let path = below(&path, &best)?;
        let text = self::text(&path)?;
        Self::read(path, &text)
    }

    fn read(path: PathBuf, text: &str) -> io::Result<Self> {
        let wrong = |why: &str| invalid(&path, why);
        let (mut start, mut duration, mut bytes) = (None, 0_u64, 0);
        let (mut length, mut ended) = (None, false);
        for line in text.lines().map(str::trim) {
            let Some((tag, value)) = tag(line) else {
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let length: u64 = length
                    .take()
                    .ok_or_else(|| wrong(&format!("{line} has no EXTINF")))?;
                bytes += size(&path, line)?;
                duration += length;
                continue;
            };
            match tag {
                "EXTINF" => {
                    let seconds = value.split(',').next().and_then(|text| text.parse().ok());
                    let seconds = seconds.filter(|seconds: &f64| (0.0..3600.0).contains(seconds));
                    let seconds = seconds.ok_or_else(|| wrong(&format!("{line} is no length")))?;
                    length = Some((seconds * 1e6).round() as u64);
                }
                "EXT-X-MAP" => {
                    let uri =
                        attribute(value, "URI").ok_or_else(|| wrong("EXT-X-MAP has no URI"))?;
                    size(&path, uri)?;
                }
                "EXT-X-PROGRAM-DATE-TIME" => {
                    let at =
                        date(value).ok_or_else(|| wrong(&format!("{line} is no time in UTC")))?;
                    let start = *start.get_or_insert(at.saturating_sub(duration));
                    if (start + duration).abs_diff(at) > TOLERANCE {
                        let why = format!(
                            "its time jumps at {value}: give what is before and what is behind in playlists of their own"
                        );
                        return Err(wrong(&why));
                    }
                }
                "EXT-X-KEY" if attribute(value, "METHOD") != Some("NONE") => {
                    return Err(wrong("it is encrypted: give it decrypted"));
                }
                "EXT-X-GAP" => {
                    return Err(wrong(
                        "it has a gap: give what is before and what is behind in playlists of their own",
                    ));
                }
                "EXT-X-ENDLIST" => ended = true,
                _ => {}
            }
        }
        if duration == 0 {
            return Err(wrong("it has no segments"));
        }
        if !ended {
            return Err(wrong(
                "it has no EXT-X-ENDLIST, so it may still grow: write one at its end",
            ));
        }
        Ok(Self {
            path,
            start,
            duration,
            bytes,
        })
    }
}

/// The one playlist of a directory; the multivariant one where there is one.
fn only(folder: &Path) -> io::Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "m3u8") {
            found.push(path);
        }
    }
    found.sort();
    let mut multivariant = Vec::new();
    for path in &found {
        if text(path)?.contains("#EXT-X-STREAM-INF") {
            multivariant.push(path.clone());
        }
    }
    match (&multivariant[..], &found[..]) {
        ([one], _) | ([], [one]) => Ok(one.clone()),
        ([], []) => Err(invalid(folder, "there is no playlist (.m3u8) in it")),
        _ => Err(invalid(
            folder,
            "there are several playlists in it: name the one that is meant",
        )),
    }
}

/// The rendition with the highest bandwidth; `None` in a media playlist.
fn best(text: &str) -> Result<Option<String>, String> {
    let (mut best, mut next): (Option<(u64, String)>, Option<u64>) = (None, None);
    for line in text.lines().map(str::trim) {
        match tag(line) {
            Some(("EXT-X-STREAM-INF", value)) => {
                if attribute(value, "AUDIO").is_some() {
                    return Err("its sound lies in playlists of its own: make one of both with ffmpeg -i … -c copy".into());
                }
                let bandwidth = attribute(value, "BANDWIDTH").and_then(|text| text.parse().ok());
                next = Some(bandwidth.unwrap_or(0));
            }
            None if !line.is_empty() && !line.starts_with('#') => {
                if let Some(bandwidth) = next.take()
                    && best.as_ref().is_none_or(|(most, _)| bandwidth > *most)
                {
                    best = Some((bandwidth, line.to_owned()));
                }
            }
            _ => {}
        }
    }
    Ok(best.map(|(_, uri)| uri))
}

fn tag(line: &str) -> Option<(&str, &str)> {
    let rest = line
        .strip_prefix('#')
        .filter(|rest| rest.starts_with("EXT"))?;
    Some(rest.split_once(':').unwrap_or((rest, "")))
}

/// Of an attribute list (RFC 8216 §4.2), without quotes.
fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = list;
    while let Some((key, value)) = rest.split_once('=') {
        let (value, behind) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at(value.find(',').unwrap_or(value.len())),
        };
        if key.trim() == name {
            return Some(value);
        }
        rest = behind.trim_start_matches(',');
    }
    None
}

/// `2026-11-22T10:00:00.000Z` or `…+0000` in µs since 1970.
fn date(text: &str) -> Option<u64> {
    let text = ["Z", "+0000", "+00:00"]
        .iter()
        .find_map(|zone| text.strip_suffix(zone))?;
    let (date, clock) = text.split_once('T')?;
    let numbers = |text: &str, sign: char| -> Option<Vec<u64>> {
        text.split(sign).map(|number| number.parse().ok()).collect()
    };
    let [year, month, day] = numbers(date, '-')?[..] else {
        return None;
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(clock, ':')?[..] else {
        return None;
    };
    let fits = hour < 24 && minute < 60 && second < 60 && fraction.len() <= 6;
    let micros: u64 = format!("{fraction:0<6}").parse().ok().filter(|_| fits)?;
    let day = time::day_of(year, month, day)?;
    Some((((day * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + micros)
}

/// Bytes of a file that the playlist names.
fn size(playlist: &Path, uri: &str) -> io::Result<u64> {
    let path = below(playlist, uri)?;
    match fs::metadata(&path) {
        Ok(about) if about.is_file() && about.len() > 0 => Ok(about.len()),
        Ok(_) => Err(invalid(playlist, &format!("{uri} is empty"))),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("{}: {uri} is missing: {error}", playlist.display()),
        )),
    }
}

/// Where a name of the playlist lies: beside or below it, nowhere else.
fn below(playlist: &Path, uri: &str) -> io::Result<PathBuf> {
    let name = Path::new(uri);
    let plain = name
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !plain || uri.contains([':', '?', '%', '\\']) {
        return Err(invalid(
            playlist,
            &format!("{uri} does not lie in this directory: have all files in it, by plain names"),
        ));
    }
    Ok(playlist.parent().unwrap_or(Path::new("")).join(name))
}

fn text(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MAX_PLAYLIST_BYTES {
        return Err(invalid(path, "it is no playlist: it is longer than 16 MiB"));
    }
    let text = fs::read_to_string(path)?;
    if text.trim_start_matches('\u{feff}').starts_with("#EXTM3U") {
        return Ok(text);
    }
    Err(invalid(
        path,
        "it is no HLS playlist: it does not begin with #EXTM3U",
    ))
}

fn invalid(path: &Path, why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{}: {why}", path.display()),
    )
}
