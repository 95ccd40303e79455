//! Records in an append-only file: `length: u32 LE ++ crc32(payload): u32 LE ++ payload`.
//!
//! A record is written with one `write(2)`, so a killed process leaves whole records and at most one torn one at
//! the end. Whoever reads takes the longest run of good records and cuts the rest off.

/// No record is longer, so a damaged length never asks for memory that is not there.
pub(crate) const MAX_RECORD_BYTES: usize = 16 << 20;

/// Bytes before the payload.
pub(crate) const OVERHEAD: usize = 8;

/// One record as it stands in the file.
///
/// The payload must not be longer than [`MAX_RECORD_BYTES`] nor empty: eight zero bytes, which a power cut can
/// leave in a file, are thus never a record.
pub(crate) fn encode(payload: &[u8]) -> Vec<u8> {
    debug_assert!(!payload.is_empty() && payload.len() <= MAX_RECORD_BYTES);
    let mut record = Vec::with_capacity(OVERHEAD + payload.len());
    record.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    record.extend_from_slice(payload);
    record
}

/// The good records at the front of `file`, in order, and how many bytes they take.
pub(crate) fn scan(file: &[u8]) -> (Vec<&[u8]>, usize) {
    let mut records = Vec::new();
    let mut rest = file;
    while let Some((payload, after)) = first(rest) {
        records.push(payload);
        rest = after;
    }
    (records, file.len() - rest.len())
}

fn first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 || length > MAX_RECORD_BYTES || length > rest.len() {
        return None;
    }
    let (payload, after) = rest.split_at(length);
    (crc32fast::hash(payload) == u32::from_le_bytes(*crc)).then_some((payload, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_keeps_the_whole_records_before_it() {
        let file = [encode(b"one"), encode(b"two two"), encode(b"3")].concat();
        let ends = [11, 26, 35];
        for cut in 0..=file.len() {
            let (records, good) = scan(&file[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(records.len(), whole, "cut at {cut}");
            assert_eq!(good, if whole == 0 { 0 } else { ends[whole - 1] });
        }
    }

    #[test]
    fn a_flipped_bit_ends_the_good_run() {
        let file = [encode(b"one"), encode(b"two")].concat();
        for bit in 11 * 8..file.len() * 8 {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(scan(&damaged).1, 11, "bit {bit}");
        }
    }

    #[test]
    fn zeros_and_huge_lengths_are_no_records() {
        assert_eq!(scan(&[0; 64]).1, 0);
        assert_eq!(scan(&[0xff; 64]).1, 0);
    }
}
