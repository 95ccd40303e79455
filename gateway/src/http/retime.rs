//! Parts of an MP4 moved in time (ISO/IEC 14496-12): their decode times written anew, everything else as it is, so that
//! lengths stay. Pure; whatever does not fit gives nothing.

use std::ops::Range;

/// Behind version and flags of a `tfdt` of version 1 and a `tfhd`.
const BEHIND_FLAGS: usize = 4;
/// A `mehd` of version 1 (§8.8.2).
const MEHD_BYTES: usize = 20;

/// What is added to the decode times of each track, by its number; it may wrap, which subtracts.
pub(super) type Shift = Vec<(u32, u64)>;

/// Numbers and ticks per second of the tracks that an init segment has.
pub(super) fn tracks(init: &[u8]) -> Option<Vec<(u32, u32)>> {
    let moov = child(init, &all(init), b"moov")?;
    let mut tracks = Vec::new();
    for (kind, trak) in boxes(init, moov.clone()) {
        if &kind != b"trak" {
            continue;
        }
        let tkhd = child(init, &trak, b"tkhd")?;
        let mdhd = child(init, &child(init, &trak, b"mdia")?, b"mdhd")?;
        // Behind creation and modification time, which version 1 has in 64 bits (§8.3.2, §8.4.2).
        let behind = |at: &Range<usize>| {
            if init.get(at.start) == Some(&1) {
                20
            } else {
                12
            }
        };
        let number = u32_at(init, tkhd.start + behind(&tkhd))?;
        let ticks = u32_at(init, mdhd.start + behind(&mdhd))?;
        tracks.push((number, ticks));
    }
    (!tracks.is_empty() && tracks.iter().all(|(_, ticks)| *ticks > 0)).then_some(tracks)
}

/// The init segment of a file that lasts so long (ms): a player then knows it before the end has come.
pub(super) fn with_duration(init: &[u8], milliseconds: u64) -> Option<Vec<u8>> {
    let moov = child(init, &all(init), b"moov")?;
    let mvex = child(init, &moov, b"mvex")?;
    let mvhd = child(init, &moov, b"mvhd")?;
    let behind = if init.get(mvhd.start) == Some(&1) {
        20
    } else {
        12
    };
    let ticks = u64::from(u32_at(init, mvhd.start + behind)?);
    let duration = milliseconds.checked_mul(ticks)? / 1000;
    let mut mehd = (MEHD_BYTES as u32).to_be_bytes().to_vec();
    mehd.extend_from_slice(b"mehd\x01\0\0\0");
    mehd.extend_from_slice(&duration.to_be_bytes());
    let mut out = init.to_vec();
    for parent in [&moov, &mvex] {
        let at = parent.start - 8;
        let size = u32_at(init, at)?.checked_add(MEHD_BYTES as u32)?;
        out[at..at + 4].copy_from_slice(&size.to_be_bytes());
    }
    out.splice(mvex.start..mvex.start, mehd);
    Some(out)
}

/// The init segment with a title (as players of music files have it: `udta`, `meta`, `ilst`, `©nam`) and with chapters, each at
/// its time in µs (`chpl`, as mp4v2 writes it and FFmpeg, VLC and mpv read it): at most 255, their names of at most 255 bytes.
pub(super) fn with_names(
    init: &[u8],
    title: Option<&str>,
    chapters: &[(u64, &str)],
) -> Option<Vec<u8>> {
    let moov = child(init, &all(init), b"moov")?;
    let mut udta = Vec::new();
    if let Some(title) = title {
        let data = boxed(
            b"data",
            &[&[0, 0, 0, 1, 0, 0, 0, 0], title.as_bytes()].concat(),
        );
        let names = boxed(b"ilst", &boxed(b"\xa9nam", &data));
        let handler = boxed(b"hdlr", b"\0\0\0\0\0\0\0\0mdirappl\0\0\0\0\0\0\0\0\0");
        udta.extend(boxed(b"meta", &[&[0; 4][..], &handler, &names].concat()));
    }
    let count = u8::try_from(chapters.len()).ok()?;
    if count > 0 {
        let mut list = vec![1, 0, 0, 0, 0, 0, 0, 0, count];
        for (at, name) in chapters {
            list.extend_from_slice(&at.checked_mul(10)?.to_be_bytes());
            list.push(u8::try_from(name.len()).ok()?);
            list.extend_from_slice(name.as_bytes());
        }
        udta.extend(boxed(b"chpl", &list));
    }
    if udta.is_empty() {
        return Some(init.to_vec());
    }
    let udta = boxed(b"udta", &udta);
    let at = moov.start - 8;
    let size = u32_at(init, at)?.checked_add(u32::try_from(udta.len()).ok()?)?;
    let mut out = init.to_vec();
    out[at..at + 4].copy_from_slice(&size.to_be_bytes());
    out.splice(moov.end..moov.end, udta);
    Some(out)
}

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
}

/// The first decode time of each track of a part, by the track's number.
pub(super) fn times(part: &[u8]) -> Option<Vec<(u32, u64)>> {
    let found = places(part)?.into_iter();
    found
        .map(|(track, at)| {
            Some((
                track,
                u64::from_be_bytes(part.get(at..at + 8)?.try_into().ok()?),
            ))
        })
        .collect()
}

/// Moves a part; `None`, with the part as it was, where it is not one of ours.
pub(super) fn shift(part: &mut [u8], shift: &Shift) -> Option<()> {
    let moved: Option<Vec<_>> = (places(part)?.into_iter())
        .map(|(track, at)| {
            let (_, by) = shift.iter().find(|(number, _)| *number == track)?;
            let time = u64::from_be_bytes(part.get(at..at + 8)?.try_into().ok()?);
            Some((at, time.wrapping_add(*by)))
        })
        .collect();
    for (at, time) in moved? {
        part[at..at + 8].copy_from_slice(&time.to_be_bytes());
    }
    Some(())
}

/// Tracks, and where the decode times of a part stand: each `tfdt` of version 1 (§8.8.12).
fn places(part: &[u8]) -> Option<Vec<(u32, usize)>> {
    let moof = child(part, &all(part), b"moof")?;
    let mut places = Vec::new();
    for (kind, traf) in boxes(part, moof) {
        if &kind != b"traf" {
            continue;
        }
        let tfhd = child(part, &traf, b"tfhd")?;
        let tfdt = child(part, &traf, b"tfdt")?;
        if part.get(tfdt.start) != Some(&1) || tfdt.len() != BEHIND_FLAGS + 8 {
            return None;
        }
        let track = u32_at(part, tfhd.start + BEHIND_FLAGS)?;
        places.push((track, tfdt.start + BEHIND_FLAGS));
    }
    (!places.is_empty()).then_some(places)
}

fn all(bytes: &[u8]) -> Range<usize> {
    0..bytes.len()
}

fn child(bytes: &[u8], parent: &Range<usize>, wanted: &[u8; 4]) -> Option<Range<usize>> {
    let mut found = boxes(bytes, parent.clone()).filter(|(kind, _)| kind == wanted);
    found.next().map(|(_, place)| place)
}

/// Kinds and places of the bodies of the boxes in `within`, up to the first that does not fit.
fn boxes(bytes: &[u8], within: Range<usize>) -> impl Iterator<Item = ([u8; 4], Range<usize>)> {
    let mut at = within.start;
    std::iter::from_fn(move || {
        let size = u32_at(bytes, at)? as usize;
        let kind = bytes.get(at + 4..at + 8)?.try_into().ok()?;
        let end = at.checked_add(size).filter(|end| *end <= within.end)?;
        let body = at.checked_add(8).filter(|body| *body <= end)?..end;
        at = end;
        Some((kind, body))
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::package::fmp4::{Frame, Run, part};

    fn frame(dts: u64) -> Frame {
        Frame {
            dts,
            offset: 0,
            duration: 10,
            key: true,
            data: "frame".into(),
        }
    }

    fn both(video: u64, sound: u64) -> Vec<u8> {
        let (video, sound) = ([frame(video)], [frame(sound)]);
        let runs = [(1, &video), (2, &sound)].map(|(track, frames)| Run {
            track,
            frames: &frames[..],
        });
        part(7, &runs, 0).to_vec()
    }

    #[test]
    fn a_part_that_is_moved_is_what_would_have_been_written_then() {
        let mut moved = both(90_000, 48_000);
        assert_eq!(times(&moved), Some(vec![(1, 90_000), (2, 48_000)]));
        let back = 5_u64.wrapping_sub(48_000);
        assert_eq!(shift(&mut moved, &vec![(1, 10), (2, back)]), Some(()));
        assert_eq!(moved, both(90_010, 5));
        // A track that nobody spoke of: as it was.
        assert_eq!(shift(&mut moved, &vec![(1, 10)]), None);
        assert_eq!(moved, both(90_010, 5));
    }

    proptest! {
        #[test]
        fn damage_breaks_nothing(at in 0..300_usize, byte: u8, length in 0..300_usize) {
            let mut part = both(1, 2);
            let at = at % part.len();
            part[at] = byte;
            part.truncate(length);
            let _ = (times(&part), tracks(&part), with_duration(&part, 5), shift(&mut part, &vec![(1, 1), (2, 1)]));
        }
    }
}
