//! The first frame of a part, as its decoder takes it: found by the boxes (ISO/IEC 14496-12) of the part and its init
//! segment. Pure; whatever does not fit gives nothing.

use bytes::Bytes;

/// `trun` flags: what stands before the samples and of each of them (§8.8.8).
const DATA_OFFSET: u32 = 0x1;
const FIRST_FLAGS: u32 = 0x4;
const DURATION: u32 = 0x100;
const SIZE: u32 = 0x200;

/// The AVCDecoderConfigurationRecord of the H.264 track in `init`, and the track's first sample in `part`.
pub(super) fn first(init: &Bytes, part: &Bytes) -> Option<(Bytes, Bytes)> {
    let moov = child(init, b"moov")?;
    let track = children(moov)
        .find_map(|(kind, trak)| (kind == *b"trak").then(|| video(trak)).flatten())?;
    let (id, avcc) = track;
    let moof = child(part, b"moof")?;
    let trafs = children(moof)
        .filter(|(kind, _)| kind == b"traf")
        .map(|(_, traf)| traf);
    let traf = trafs
        .into_iter()
        .find(|traf| child(traf, b"tfhd").and_then(|tfhd| u32_at(tfhd, 4)) == Some(id))?;
    let (offset, size) = sample(child(traf, b"trun")?)?;
    // Counted from the `moof`, with which a part begins.
    let end = offset.checked_add(size).filter(|end| *end <= part.len())?;
    Some((init.slice_ref(avcc), part.slice(offset..end)))
}

/// Number and AVCDecoderConfigurationRecord of an H.264 track.
fn video(trak: &[u8]) -> Option<(u32, &[u8])> {
    let tkhd = child(trak, b"tkhd")?;
    // Behind creation and modification time, which version 1 has in 64 bits (§8.3.2).
    let id = u32_at(tkhd, if tkhd.first() == Some(&1) { 20 } else { 12 })?;
    let stbl = child(child(child(trak, b"mdia")?, b"minf")?, b"stbl")?;
    let entries = child(stbl, b"stsd")?.get(8..)?;
    let avc1 = child(entries, b"avc1")?;
    // A VisualSampleEntry has 78 bytes before its boxes (§12.1.3).
    Some((id, child(avc1.get(78..)?, b"avcC")?))
}

/// Where the first sample of a `trun` is, and its size.
fn sample(trun: &[u8]) -> Option<(usize, usize)> {
    let flags = u32_at(trun, 0)? & 0xff_ffff;
    if u32_at(trun, 4)? == 0 || flags & DATA_OFFSET == 0 || flags & SIZE == 0 {
        return None;
    }
    let mut at = 12;
    at += if flags & FIRST_FLAGS == 0 { 0 } else { 4 };
    at += if flags & DURATION == 0 { 0 } else { 4 };
    Some((u32_at(trun, 8)? as usize, u32_at(trun, at)? as usize))
}

fn child<'a>(boxes: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    children(boxes)
        .find(|(kind, _)| kind == wanted)
        .map(|(_, body)| body)
}

/// Kinds and bodies of the boxes that stand one behind another, up to the first that does not fit.
fn children(mut boxes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let size = u32_at(boxes, 0)? as usize;
        let kind = boxes.get(4..8)?.try_into().ok()?;
        let body = boxes.get(8..size)?;
        boxes = &boxes[size..];
        Some((kind, body))
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn boxed(kind: &[u8; 4], body: &[&[u8]]) -> Vec<u8> {
        let body = body.concat();
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, &body].concat()
    }

    /// An init segment with sound as track 1 and H.264 as track 2, and a part of both.
    fn both() -> (Bytes, Bytes) {
        let tkhd = |id: u32| boxed(b"tkhd", &[&[0; 12], &id.to_be_bytes(), &[0; 20]]);
        let trak = |id, entry: &[u8]| {
            let stsd = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], entry]);
            let mdia = boxed(b"mdia", &[&boxed(b"minf", &[&boxed(b"stbl", &[&stsd])])]);
            boxed(b"trak", &[&tkhd(id), &mdia])
        };
        let avc1 = boxed(b"avc1", &[&[0; 78], &boxed(b"avcC", &[b"config"])]);
        let init = boxed(
            b"moov",
            &[&trak(1, &boxed(b"mp4a", &[&[0; 28]])), &trak(2, &avc1)],
        );
        let traf = |id: u32, offset: u32| {
            let tfhd = boxed(b"tfhd", &[&[0, 2, 0, 0], &id.to_be_bytes()]);
            let trun = [
                1,
                0,
                3,
                1,
                0,
                0,
                0,
                1,
                0,
                0,
                0,
                offset as u8,
                0,
                0,
                0,
                9,
                0,
                0,
                0,
                5,
            ];
            boxed(b"traf", &[&tfhd, &boxed(b"trun", &[&trun])])
        };
        let moof = |sound, video| boxed(b"moof", &[&traf(1, sound), &traf(2, video)]);
        let payload = moof(0, 0).len() as u32 + 8;
        let part = [moof(payload, payload + 5), boxed(b"mdat", &[b"soundvideo"])].concat();
        (init.into(), part.into())
    }

    #[test]
    fn the_first_frame_of_the_video_track() {
        let (init, part) = both();
        assert_eq!(
            first(&init, &part),
            Some((Bytes::from_static(b"config"), Bytes::from_static(b"video")))
        );
    }

    #[test]
    fn what_is_cut_short_gives_nothing() {
        let (init, part) = both();
        for length in 0..init.len() {
            assert_eq!(first(&init.slice(..length), &part), None);
        }
        for length in 0..part.len() {
            assert_eq!(first(&init, &part.slice(..length)), None);
        }
    }

    proptest! {
        #[test]
        fn damaged_boxes_break_nothing(at in any::<usize>(), byte: u8, in_init: bool) {
            let (init, part) = both();
            let damage = |bytes: Bytes| {
                let mut bytes = bytes.to_vec();
                let at = at % bytes.len();
                bytes[at] = byte;
                Bytes::from(bytes)
            };
            let (init, part) = if in_init { (damage(init), part) } else { (init, damage(part)) };
            let _ = first(&init, &part);
        }
    }
}
