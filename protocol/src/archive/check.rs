//! Whether bytes are the file that a CID names (README §3, §10), by the bytes alone: where a file's leaves begin follows from
//! what it is, so whoever has the whole file can make its node anew and needs none of its blocks.

use cid::Cid;

use super::LEAF_BYTES;
use crate::dag;

/// Leaves of a file, at most: parts of a segment (README §4), and those of a day's longest playlist.
const MAX_LEAVES: usize = 1024;

/// Whether `bytes` are the file that `cid` names: one raw block, a segment over its parts, or a text over leaves of 256 KiB.
/// Files that others cut elsewhere are none.
pub fn is_file(cid: &Cid, bytes: &[u8]) -> bool {
    if cid.codec() == dag::RAW {
        return dag::verify(cid, bytes);
    }
    let leaves = match parts(bytes) {
        Some(parts) => parts,
        None => bytes.chunks(LEAF_BYTES).collect(),
    };
    if leaves.len() > MAX_LEAVES {
        return false;
    }
    let leaves: Vec<_> = (leaves.iter())
        .map(|leaf| (dag::cid_of(leaf), leaf.len() as u64))
        .collect();
    dag::segment_file(&leaves).0 == *cid
}

/// The parts of a segment, each a `moof` and an `mdat` (README §2); `None` for what is no such row.
fn parts(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut parts, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let head = box_bytes(rest, b"moof")?;
        let whole = head + box_bytes(&rest[head..], b"mdat")?;
        let (part, behind) = rest.split_at(whole);
        parts.push(part);
        rest = behind;
        if parts.len() > MAX_LEAVES {
            return None;
        }
    }
    Some(parts)
}

/// The length of the box of this kind that bytes begin with; boxes of more than 4 GiB are none of ours.
fn box_bytes(bytes: &[u8], kind: &[u8; 4]) -> Option<usize> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = u32::from_be_bytes(*length) as usize;
    let fits = (8..=bytes.len()).contains(&length);
    (fits && rest.starts_with(kind)).then_some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::archive::Maker;

    fn mp4_box(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len() + 8).unwrap();
        [&length.to_be_bytes()[..], kind, content].concat()
    }

    fn part(n: u8) -> Vec<u8> {
        [mp4_box(b"moof", &[n; 3]), mp4_box(b"mdat", &[n; 50])].concat()
    }

    /// A segment's file, and its bytes.
    fn segment() -> (Cid, Vec<u8>) {
        let parts: Vec<_> = (0..7).map(part).collect();
        let leaves: Vec<_> = (parts.iter())
            .map(|part| (dag::cid_of(part), part.len() as u64))
            .collect();
        (dag::segment_file(&leaves).0, parts.concat())
    }

    #[test]
    fn a_segment_is_known_by_its_bytes_alone() {
        let (cid, bytes) = segment();
        assert!(is_file(&cid, &bytes));
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(!is_file(&cid, &other), "byte {at}");
            assert!(!is_file(&cid, &bytes[..at]), "cut at {at}");
        }
        assert!(!is_file(&cid, &[bytes.clone(), part(9)].concat()));
        // The same parts in another order.
        let turned: Vec<_> = (0..7).rev().flat_map(part).collect();
        assert!(!is_file(&cid, &turned));
    }

    #[test]
    fn texts_are_known_however_long() {
        for length in [0, 1, LEAF_BYTES, LEAF_BYTES + 1, 3 * LEAF_BYTES + 7] {
            let text: Vec<_> = (0..length).map(|at| b"#EXTINF:\n"[at % 9]).collect();
            let mut maker = Maker::default();
            let link = maker.file(None, &text);
            assert!(is_file(&link.cid, &text), "{length}");
            assert!(!is_file(&link.cid, &[&text[..], b"#"].concat()), "{length}");
            if length > 0 {
                assert!(!is_file(&link.cid, &text[1..]), "{length}");
            }
        }
    }

    #[test]
    fn more_leaves_than_a_file_has_are_not_hashed() {
        let parts: Vec<_> = (0..=MAX_LEAVES).map(|n| part(n as u8)).collect();
        let leaves: Vec<_> = (parts.iter())
            .map(|part| (dag::cid_of(part), part.len() as u64))
            .collect();
        assert!(!is_file(&dag::segment_file(&leaves).0, &parts.concat()));
        let most = &leaves[..MAX_LEAVES];
        assert!(is_file(
            &dag::segment_file(most).0,
            &parts[..MAX_LEAVES].concat()
        ));
    }

    proptest! {
        #[test]
        fn strange_bytes_break_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (cid, _) = segment();
            prop_assert!(!is_file(&cid, &bytes));
            let boxed = [mp4_box(b"moof", &bytes), bytes].concat();
            prop_assert!(!is_file(&cid, &boxed));
        }
    }
}
