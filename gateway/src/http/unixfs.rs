//! Reading UnixFS nodes (dag-pb): files, directories and their shards, symbolic links. Gateways of this kind write files
//! over raw blocks and basic directories only; the rest is what others write. Pure; the bytes may be a stranger's.

use std::ops::Range;

use cid::Cid;
use meshlive_protocol::{
    dag::{DIRECTORY, FILE, read_node},
    protobuf::{self, Fields, Value, take_varint},
};

use super::hamt::{Shard, is_fanout};

/// A node and what it links to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Its children in order, each with the bytes of the file below it.
    File(Vec<(Cid, u64)>),
    /// A file, or a leaf of one, whose bytes stand in its node.
    Bytes(Vec<u8>),
    /// Name, child, and bytes of all blocks below it (what the link says, not verified).
    Directory(Vec<(String, Cid, u64)>),
    /// A directory over several blocks, or one of those.
    Shard(Shard),
    /// A symbolic link: a path.
    Symlink(String),
}

/// Why a block is no node that can be served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Not dag-pb, or not UnixFS.
    Malformed,
    /// A form of UnixFS that hardly anybody writes: files with bytes both in and below a node, shards by another hash.
    Unsupported,
}

use Unreadable::{Malformed, Unsupported};

/// UnixFS `Data.Type` of a leaf of a file, of a symbolic link, and of a shard.
const RAW: u64 = 0;
const SYMLINK: u64 = 4;
const SHARD: u64 = 5;

impl From<protobuf::Malformed> for Unreadable {
    fn from(_: protobuf::Malformed) -> Self {
        Malformed
    }
}

impl Node {
    /// Reads a dag-pb block.
    pub(crate) fn parse(block: &[u8]) -> Result<Self, Unreadable> {
        let (links, data) = read_node(block)?;
        let mut unixfs = UnixFs::default();
        for field in Fields(data.ok_or(Malformed)?) {
            match field? {
                (1, Value::Number(number)) => unixfs.kind = Some(number),
                (2, Value::Bytes(bytes)) => unixfs.data = bytes,
                (4, Value::Number(size)) => unixfs.sizes.push(size),
                // `blocksizes` as a packed list.
                (4, Value::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        unixfs.sizes.push(take_varint(&mut packed)?);
                    }
                }
                (5, Value::Number(number)) => unixfs.hash = number,
                (6, Value::Number(number)) => unixfs.fanout = number,
                // Size, mode, modification time: not needed to read.
                _ => {}
            }
        }
        let UnixFs { data, sizes, .. } = unixfs;
        match unixfs.kind.ok_or(Malformed)? {
            RAW | FILE if sizes.len() != links.len() => Err(Malformed),
            RAW | FILE if links.is_empty() => Ok(Self::Bytes(data.to_vec())),
            RAW | FILE if !data.is_empty() => Err(Unsupported),
            RAW | FILE => {
                let children = links.into_iter().map(|(_, cid, _)| cid);
                Ok(Self::File(children.zip(sizes).collect()))
            }
            DIRECTORY => Ok(Self::Directory(links)),
            SHARD if unixfs.hash != super::hamt::MURMUR3 => Err(Unsupported),
            SHARD if !is_fanout(unixfs.fanout) => Err(Malformed),
            SHARD => Ok(Self::Shard(Shard::new(unixfs.fanout, links))),
            SYMLINK => {
                let path = std::str::from_utf8(data).map_err(|_| Malformed)?;
                Ok(Self::Symlink(path.to_owned()))
            }
            _ => Err(Unsupported),
        }
    }

    /// What it links to, in order.
    pub(crate) fn children(&self) -> Vec<Cid> {
        match self {
            Self::File(children) => children.iter().map(|(cid, _)| *cid).collect(),
            Self::Directory(entries) => entries.iter().map(|(_, cid, _)| *cid).collect(),
            Self::Shard(shard) => shard.children(),
            Self::Bytes(_) | Self::Symlink(_) => Vec::new(),
        }
    }

    /// Bytes of a file; `None` of what is none.
    pub(super) fn file_bytes(&self) -> Option<u64> {
        match self {
            Self::File(children) => Some(
                children
                    .iter()
                    .fold(0, |sum, (_, size)| sum.saturating_add(*size)),
            ),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Directory(_) | Self::Shard(_) | Self::Symlink(_) => None,
        }
    }
}

/// What follows a node's field `Data`.
#[derive(Default)]
struct UnixFs<'a> {
    kind: Option<u64>,
    data: &'a [u8],
    sizes: Vec<u64>,
    hash: u64,
    fanout: u64,
}

/// Those of a file's children that hold any of the `wanted` of its bytes, each with its own bytes that are wanted.
pub(super) fn overlapping(
    children: &[(Cid, u64)],
    wanted: &Range<u64>,
) -> Vec<(Cid, u64, Range<u64>)> {
    let mut start = 0_u64;
    let mut inside = Vec::new();
    for (cid, size) in children {
        let end = start.saturating_add(*size);
        let (from, to) = (wanted.start.max(start), wanted.end.min(end));
        if from < to {
            inside.push((*cid, *size, from - start..to - start));
        }
        start = end;
    }
    inside
}

/// What any dag-pb block links to, be it UnixFS or not.
pub(super) fn links(block: &[u8]) -> Result<Vec<Cid>, Unreadable> {
    let (links, _) = read_node(block)?;
    Ok(links.into_iter().map(|(_, cid, _)| cid).collect())
}

#[cfg(test)]
mod tests {
    use meshlive_protocol::dag;
    use proptest::prelude::*;

    use super::*;

    fn parts() -> Vec<(Cid, u64)> {
        (1..=3_u8)
            .map(|n| (dag::cid_of(&[n]), u64::from(n) * 100))
            .collect()
    }

    #[test]
    fn what_protocol_writes_is_read() {
        let (_, segment) = dag::segment_file(&parts());
        let node = Node::parse(&segment).unwrap();
        assert_eq!(node, Node::File(parts()));
        assert_eq!(node.file_bytes(), Some(600));
        let inside = |range| overlapping(&parts(), &range);
        let [a, b, c] = [0, 1, 2].map(|n| parts()[n].0);
        assert_eq!(inside(100..101), [(b, 200, 0..1)]);
        assert_eq!(
            inside(99..301),
            [(a, 100, 99..100), (b, 200, 0..200), (c, 300, 0..1)]
        );
        assert_eq!(inside(600..700), []);
        let entries = vec![
            ("a.m3u8".to_owned(), parts()[0].0, 100),
            ("ü".to_owned(), parts()[1].0, 200),
        ];
        let (_, directory) = dag::directory(&entries);
        assert_eq!(Node::parse(&directory), Ok(Node::Directory(entries)));
    }

    #[test]
    fn what_others_write_is_read() {
        // As `ipfs add --raw-leaves=false` writes a file of one byte, and a leaf of a larger one.
        let x = Ok(Node::Bytes(b"x".to_vec()));
        assert_eq!(Node::parse(b"\x0a\x07\x08\x02\x12\x01x\x18\x01"), x);
        assert_eq!(Node::parse(b"\x0a\x05\x08\x00\x12\x01x"), x);
        let link = Ok(Node::Symlink("a/b".to_owned()));
        assert_eq!(Node::parse(b"\x0a\x07\x08\x04\x12\x03a/b"), link);
        let shard = Node::parse(b"\x0a\x07\x08\x05\x28\x22\x30\x80\x02");
        assert_eq!(shard, Ok(Node::Shard(Shard::new(256, Vec::new()))));
    }

    #[test]
    fn what_is_not_served_is_told_from_what_is_broken() {
        // A shard by another hash.
        assert_eq!(
            Node::parse(b"\x0a\x07\x08\x05\x28\x12\x30\x80\x02"),
            Err(Unsupported)
        );
        // Bytes in a node that has children as well.
        let (_, segment) = dag::segment_file(&parts());
        let data = segment.len() - 15;
        let mut both = segment[..data].to_vec();
        assert_eq!(&segment[data..data + 4], b"\x0a\x0d\x08\x02");
        both.extend_from_slice(b"\x0a\x10\x08\x02\x12\x01x");
        both.extend_from_slice(&segment[data + 4..]);
        assert_eq!(Node::parse(&both), Err(Unsupported));
        for broken in [
            &b""[..],
            b"\x0a",
            b"\x0a\x00",
            b"\x0a\x07\x08\x05\x28\x22\x30\x81\x02",
            b"\x0a\x04\x08\x05\x28\x22",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x12\x00\x0a\x02\x08\x02",
        ] {
            assert_eq!(Node::parse(broken), Err(Malformed), "{broken:?}");
        }
    }

    #[test]
    fn no_truncation_is_taken_for_the_whole() {
        let (_, segment) = dag::segment_file(&parts());
        for length in 0..segment.len() {
            assert_ne!(
                Node::parse(&segment[..length]),
                Node::parse(&segment),
                "{length}"
            );
        }
    }

    proptest! {
        #[test]
        fn random_bytes_break_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Node::parse(&bytes).map(|node| (node.children(), node.file_bytes()));
            let _ = links(&bytes);
        }

        #[test]
        fn flipped_bits_break_nothing(at in 0..200_usize, bit in 0..8_u32) {
            let (_, mut segment) = dag::segment_file(&parts());
            let at = at % segment.len();
            segment[at] ^= 1 << bit;
            let _ = Node::parse(&segment);
        }
    }
}
