//! One part: one `moof` and one `mdat` (ISO/IEC 14496-12 §8.8), a `traf` per track.
//!
//! Decode times are 64 bit and absolute, composition offsets signed, data offsets count from the `moof`
//! (default-base-is-moof): a part can be read by itself with its init segment, and parts written one behind another
//! make the segment. There is no `tfra`, no `sidx` and no edit list anywhere.

use bytes::Bytes;

use super::boxes::Boxes;

/// A frame with everything a `trun` says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// In ticks of the track, never negative.
    pub dts: u64,
    /// Presentation time less decode time, in ticks.
    pub offset: i32,
    /// In ticks.
    pub duration: u32,
    /// Decoding can start here.
    pub key: bool,
    /// As the sample entry of the init segment wants it.
    pub data: Bytes,
}

/// The frames of one track in a part.
pub struct Run<'a> {
    /// As in the init segment, from 1.
    pub track: u32,
    /// In decode order. May be empty: then the part has no `traf` for the track.
    pub frames: &'a [Frame],
}

/// `sample_depends_on` 2: does not depend on others (§8.8.3.1).
const KEY: u32 = 0x0200_0000;
/// `sample_depends_on` 1 and `sample_is_non_sync_sample`.
const NOT_KEY: u32 = 0x0101_0000;

const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
const DURATION_IS_EMPTY: u32 = 0x01_0000;
const DEFAULT_FLAGS: u32 = 0x20;

const DATA_OFFSET: u32 = 0x1;
const DURATION: u32 = 0x100;
const SIZE: u32 = 0x200;
const FLAGS: u32 = 0x400;
const OFFSET: u32 = 0x800;

/// Writes a part. `sequence` is the `mfhd`'s number.
///
/// When no run has a frame the part says so in an empty `traf` at `empty_at` (ticks of the first run's track), so that
/// a rendition without media for a moment still has the part that all others have.
pub fn part(sequence: u32, runs: &[Run<'_>], empty_at: u64) -> Bytes {
    let payload: usize = runs
        .iter()
        .flat_map(|run| run.frames)
        .map(|frame| frame.data.len())
        .sum();
    let count: usize = runs.iter().map(|run| run.frames.len()).sum();
    let mut b = Boxes::with_capacity(payload + 128 + 128 * runs.len() + 16 * count);
    let mut offsets = Vec::with_capacity(runs.len());
    b.boxed(b"moof", |b| {
        b.full(b"mfhd", 0, 0, |b| {
            b.u32(sequence);
        });
        for run in runs.iter().filter(|run| !run.frames.is_empty()) {
            offsets.push(traf(b, run));
        }
        if let ([], Some(run)) = (&offsets[..], runs.first()) {
            empty_traf(b, run.track, empty_at);
        }
    });
    let mut offset = b.len() + 8; // behind the header of the mdat
    let filled = runs.iter().filter(|run| !run.frames.is_empty());
    for (position, run) in offsets.into_iter().zip(filled) {
        b.put_u32(position, offset as u32);
        offset += run
            .frames
            .iter()
            .map(|frame| frame.data.len())
            .sum::<usize>();
    }
    b.boxed(b"mdat", |b| {
        for frame in runs.iter().flat_map(|run| run.frames) {
            b.raw(&frame.data);
        }
    });
    b.into_bytes().into()
}

/// Returns where the `trun`'s data offset stands.
fn traf(b: &mut Boxes, run: &Run<'_>) -> usize {
    let all_key = run.frames.iter().all(|frame| frame.key);
    let offsets = run.frames.iter().any(|frame| frame.offset != 0);
    let mut fields = DATA_OFFSET | DURATION | SIZE;
    fields |= if all_key { 0 } else { FLAGS };
    fields |= if offsets { OFFSET } else { 0 };
    let mut position = 0;
    b.boxed(b"traf", |b| {
        let default = if all_key { DEFAULT_FLAGS } else { 0 };
        b.full(b"tfhd", 0, DEFAULT_BASE_IS_MOOF | default, |b| {
            b.u32(run.track);
            if all_key {
                b.u32(KEY);
            }
        });
        tfdt(b, run.frames.first().map_or(0, |frame| frame.dts));
        b.full(b"trun", 1, fields, |b| {
            b.u32(run.frames.len() as u32);
            position = b.len();
            b.u32(0);
            for frame in run.frames {
                b.u32(frame.duration).u32(frame.data.len() as u32);
                if !all_key {
                    b.u32(if frame.key { KEY } else { NOT_KEY });
                }
                if offsets {
                    b.i32(frame.offset);
                }
            }
        });
    });
    position
}

fn empty_traf(b: &mut Boxes, track: u32, at: u64) {
    b.boxed(b"traf", |b| {
        b.full(b"tfhd", 0, DEFAULT_BASE_IS_MOOF | DURATION_IS_EMPTY, |b| {
            b.u32(track);
        });
        tfdt(b, at);
    });
}

fn tfdt(b: &mut Boxes, dts: u64) {
    b.full(b"tfdt", 1, 0, |b| {
        b.u64(dts);
    });
}
