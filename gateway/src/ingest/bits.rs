//! Reading bit by bit, as parameter sets are written.

/// Removes emulation prevention (H.264 §7.4.1): the 3 in 0 0 3.
pub(super) fn unescape(unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for &byte in unit {
        if byte == 3 && zeros >= 2 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// Reads bits, most significant first.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Bits<'a> {
        Bits { bytes, at: 0 }
    }

    /// At most 32 bits.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    pub(super) fn skip(&mut self, count: u32) -> Option<()> {
        self.at += count as usize;
        (self.at <= 8 * self.bytes.len()).then_some(())
    }

    /// Unsigned Exp-Golomb (H.264 §9.1); the signed code differs only in what it means.
    pub(super) fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros == 32 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }

    /// The cropping rectangle of H.264 and HEVC: how many pixels it takes away across and down. Edges are counted in
    /// samples of chroma, which `chroma_format` (H.264 table 6-1) says the size of.
    pub(super) fn crop(&mut self, chroma_format: u32) -> Option<(u32, u32)> {
        if !self.flag()? {
            return Some((0, 0));
        }
        let mut edges = [0; 4];
        for edge in &mut edges {
            *edge = self.exp_golomb()?;
        }
        let [left, right, top, bottom] = edges;
        let (unit_x, unit_y) = match chroma_format {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let across = left.checked_add(right)?.checked_mul(unit_x)?;
        let down = top.checked_add(bottom)?.checked_mul(unit_y)?;
        Some((across, down))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulation_prevention_is_removed_and_nothing_else() {
        assert_eq!(unescape(&[0, 0, 3, 0, 0, 3, 1]), [0, 0, 0, 0, 1]);
        assert_eq!(unescape(&[0, 0, 3, 3, 0, 3]), [0, 0, 3, 0, 3]);
    }
}
