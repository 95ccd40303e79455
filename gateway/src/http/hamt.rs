//! Directories over several blocks (specs.ipfs.tech/unixfs, "HAMTDirectory"): which child leads to a name. They are read
//! here and never written. Pure; the bytes may be a stranger's.

use cid::Cid;

/// Multihash function `murmur3-x64-64`, the only one in use.
pub(super) const MURMUR3: u64 = 0x22;
/// Children that a shard may have; all writers take 256.
const FANOUTS: [u64; 8] = [8, 16, 32, 64, 128, 256, 512, 1024];

/// One block of a directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    fanout: u64,
    /// Each name behind the place it has in the shard, which has [`digits`](Self::digits).
    links: Vec<(String, Cid, u64)>,
}

/// What a shard has for a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// What the name names.
    Entry(Cid),
    /// The shard below that may have it.
    Below(Cid),
}

/// Whether a shard can have so many children.
pub(super) fn is_fanout(fanout: u64) -> bool {
    FANOUTS.contains(&fanout)
}

impl Shard {
    /// `fanout` is one of which [`is_fanout`] holds.
    pub(super) fn new(fanout: u64, links: Vec<(String, Cid, u64)>) -> Self {
        Self { fanout, links }
    }

    /// Where to find `name` if this shard lies `depth` below the directory's first.
    pub(super) fn find(&self, name: &str, depth: u32) -> Option<Found> {
        let bits = self.fanout.trailing_zeros();
        let shift = 64_u32.checked_sub(bits * (depth + 1))?;
        let place = murmur3(name.as_bytes()) >> shift & (self.fanout - 1);
        let place = format!("{place:0width$X}", width = self.digits());
        let mut here = (self.links.iter())
            .filter_map(|(found, cid, _)| Some((found.strip_prefix(place.as_str())?, *cid)));
        here.find_map(|(rest, cid)| match rest {
            "" => Some(Found::Below(cid)),
            _ if rest == name => Some(Found::Entry(cid)),
            _ => None,
        })
    }

    /// Names in this shard itself, each with its child and size.
    pub(super) fn entries(&self) -> impl Iterator<Item = (String, Cid, u64)> {
        (self.links.iter()).filter_map(|(name, cid, size)| {
            let name = name.get(self.digits()..).filter(|name| !name.is_empty())?;
            Some((name.to_owned(), *cid, *size))
        })
    }

    /// Shards below this one.
    pub(super) fn below(&self) -> impl Iterator<Item = Cid> {
        let links = self.links.iter();
        links
            .filter(|(name, _, _)| name.len() == self.digits())
            .map(|(_, cid, _)| *cid)
    }

    /// Shards below this one, and what its names name, in order.
    pub(super) fn children(&self) -> Vec<Cid> {
        self.links.iter().map(|(_, cid, _)| *cid).collect()
    }

    /// Hexadecimal digits of a place.
    fn digits(&self) -> usize {
        self.fanout.trailing_zeros().div_ceil(4) as usize
    }
}

/// The first half of MurmurHash3 x64 128 with the seed 0.
fn murmur3(bytes: &[u8]) -> u64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let (mut h1, mut h2) = (0_u64, 0_u64);
    let (whole, rest) = bytes.as_chunks::<16>();
    let halves = |sixteen: &[u8; 16]| {
        let both = u128::from_le_bytes(*sixteen);
        (both as u64, (both >> 64) as u64)
    };
    for (k1, k2) in whole.iter().map(halves) {
        h1 ^= mix1(k1);
        h1 = h1.rotate_left(27).wrapping_add(h2);
        h1 = h1.wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix2(k2);
        h2 = h2.rotate_left(31).wrapping_add(h1);
        h2 = h2.wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    // What is missing of the last sixteen counts as zeros, which change nothing.
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    let (k1, k2) = halves(&last);
    let length = bytes.len() as u64;
    h1 ^= mix1(k1) ^ length;
    h2 ^= mix2(k2) ^ length;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    finish(h1).wrapping_add(finish(h2))
}

fn finish(mut k: u64) -> u64 {
    k = (k ^ k >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    k = (k ^ k >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ k >> 33
}

#[cfg(test)]
mod tests {
    use meshlive_protocol::dag;

    use super::*;

    #[test]
    fn hashes_as_everybody_does() {
        // Of the reference implementation (smhasher, MurmurHash3_x64_128, seed 0), first eight bytes.
        assert_eq!(murmur3(b""), 0);
        assert_eq!(murmur3(b"hello"), 0xcbd8_a7b3_41bd_9b02);
        assert_eq!(
            murmur3(b"The quick brown fox jumps over the lazy dog"),
            0xe34b_bc7b_bc07_1b6c
        );
    }

    #[test]
    fn names_are_where_their_hash_says() {
        let cid = |n: u8| dag::cid_of(&[n]);
        // Of "hello" the first digits are CB and D8.
        let links = |names: &[(&str, u8)]| -> Vec<_> {
            let links = names.iter();
            links
                .map(|(name, n)| ((*name).to_owned(), cid(*n), 1))
                .collect()
        };
        let first = Shard::new(256, links(&[("CB", 1), ("CChello", 2)]));
        assert_eq!(first.find("hello", 0), Some(Found::Below(cid(1))));
        assert_eq!(first.find("hello", 1), None);
        let second = Shard::new(256, links(&[("D8hello", 3), ("D8other", 4)]));
        assert_eq!(second.find("hello", 1), Some(Found::Entry(cid(3))));
        assert_eq!(second.find("hell", 1), None);
        assert_eq!(second.find("hello", 8), None, "a hash has no more digits");
        let names: Vec<_> = first.entries().map(|(name, _, _)| name).collect();
        assert_eq!(names, ["hello"]);
        assert_eq!(first.below().collect::<Vec<_>>(), [cid(1)]);
        // Places of other fanouts: 0xcb is 11001 011 in bits.
        let wide = Shard::new(1024, links(&[("32Fhello", 5)]));
        assert_eq!(wide.find("hello", 0), Some(Found::Entry(cid(5))));
        let narrow = Shard::new(8, links(&[("6hello", 6)]));
        assert_eq!(narrow.find("hello", 0), Some(Found::Entry(cid(6))));
    }
}
