//! The clock as black and white cells along the picture's top edge.
//!
//! The strip is 32 columns by 2 rows of equal cells and covers the picture's whole width and the upper twelfth of its
//! height: cell (column c, row r) is the area from x = c/32 to (c+1)/32 of the width and from y = r/24 to (r+1)/24 of the
//! height. It scales with the picture, so every rendition shows it: look at each cell's middle, x = (c + ½)/32 of the
//! width and y = (r + ½)/24 of the height; brighter than half is 1. (At 1280 × 720 a cell is 40 × 30 pixels.)
//!
//! Read as 64 bits, row 0 first and from left to right:
//!
//! | bits | what |
//! |---|---|
//! | 0 to 3 | marker 1 0 1 0 |
//! | 4 to 51 | milliseconds since the Unix epoch, 48 bits, most significant first |
//! | 52 to 59 | check: the sum of the six bytes of the time and 0x5A, modulo 256, most significant bit first |
//! | 60 to 63 | marker 0 1 0 1 |
//!
//! The milliseconds are the frame's program date time in microseconds divided by 1000, rounded down.

/// Cells in a row.
pub const COLUMNS: usize = 32;
/// Rows of cells.
pub const ROWS: usize = 2;
/// A cell is one of this many parts of the picture's height.
pub const HEIGHT_PARTS: usize = 24;

const HEAD: u64 = 0b1010;
const TAIL: u64 = 0b0101;

/// The strip's 64 bits, the first in the most significant place.
pub fn encode(millis: u64) -> u64 {
    let time = millis & 0xffff_ffff_ffff;
    HEAD << 60 | time << 12 | u64::from(check(time)) << 4 | TAIL
}

/// The milliseconds since the Unix epoch in 64 bits, or None where markers or check are wrong.
pub fn decode(bits: u64) -> Option<u64> {
    let time = bits >> 12 & 0xffff_ffff_ffff;
    let right = bits >> 60 == HEAD && bits & 15 == TAIL && (bits >> 4) as u8 == check(time);
    right.then_some(time)
}

/// Reads the strip from the luma plane of a picture (one byte a pixel, `stride` bytes a row).
pub fn read(luma: &[u8], stride: usize, width: usize, height: usize) -> Option<u64> {
    let mut bits = 0;
    for row in 0..ROWS {
        let y = (2 * row + 1) * height / (2 * HEIGHT_PARTS);
        for column in 0..COLUMNS {
            let x = (2 * column + 1) * width / (2 * COLUMNS);
            let bright = *luma.get(y * stride + x)? >= 126;
            bits = bits << 1 | u64::from(bright);
        }
    }
    decode(bits)
}

fn check(time: u64) -> u8 {
    let bytes = time.to_be_bytes();
    bytes[2..]
        .iter()
        .fold(0x5a, |sum: u8, &byte| sum.wrapping_add(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back_and_a_wrong_bit_is_seen() {
        let millis = 1_795_336_872_345;
        let bits = encode(millis);
        assert_eq!(decode(bits), Some(millis));
        for bit in 0..64 {
            assert_eq!(decode(bits ^ 1 << bit), None, "bit {bit}");
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        // What a test in another language must find: marker, time, check, marker.
        assert_eq!(encode(0x0102_0304_0506), 0xa010_2030_4050_66f5);
        assert_eq!(0x5a + 1 + 2 + 3 + 4 + 5 + 6, 0x6f);
    }
}
