//! Reading UnixFS nodes (dag-pb): files over raw blocks, and directories. Pure; the bytes may be a stranger's.

use std::ops::Range;

use cid::Cid;
use meshlive_protocol::dag::{DIRECTORY, FILE};

use meshlive_protocol::protobuf::{self, Fields, Value, take_varint};

/// A node and what it links to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Its children in order, each with the bytes of the file below it.
    File(Vec<(Cid, u64)>),
    /// Name, child, and bytes of all blocks below it (what the link says, not verified).
    Directory(Vec<(String, Cid, u64)>),
}

/// Why a block is no node that can be served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Not dag-pb, or not UnixFS.
    Malformed,
    /// A form of UnixFS that gateways of this kind do not write: sharded directories, files with bytes in their nodes,
    /// symbolic links.
    Unsupported,
}

use Unreadable::{Malformed, Unsupported};

impl From<protobuf::Malformed> for Unreadable {
    fn from(_: protobuf::Malformed) -> Self {
        Malformed
    }
}

impl Node {
    /// Reads a dag-pb block.
    pub(crate) fn parse(block: &[u8]) -> Result<Self, Unreadable> {
        let mut links = Vec::new();
        let mut data = None;
        for field in Fields(block) {
            match field? {
                (1, Value::Bytes(bytes)) if data.is_none() => data = Some(bytes),
                (2, Value::Bytes(bytes)) => links.push(link(bytes)?),
                _ => return Err(Malformed),
            }
        }
        let (mut kind, mut sizes, mut inline) = (None, Vec::new(), false);
        for field in Fields(data.ok_or(Malformed)?) {
            match field? {
                (1, Value::Number(number)) => kind = Some(number),
                (2, Value::Bytes(bytes)) => inline = !bytes.is_empty(),
                (4, Value::Number(size)) => sizes.push(size),
                // `blocksizes` as a packed list.
                (4, Value::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        sizes.push(take_varint(&mut packed)?);
                    }
                }
                // Size, hash type, fanout, mode, modification time: not needed to read.
                _ => {}
            }
        }
        match kind.ok_or(Malformed)? {
            FILE if inline => Err(Unsupported),
            FILE if sizes.len() != links.len() => Err(Malformed),
            FILE => Ok(Self::File(
                links
                    .into_iter()
                    .map(|(_, cid, _)| cid)
                    .zip(sizes)
                    .collect(),
            )),
            DIRECTORY => Ok(Self::Directory(links)),
            _ => Err(Unsupported),
        }
    }

    /// What it links to, in order.
    pub(crate) fn children(&self) -> Vec<Cid> {
        match self {
            Self::File(children) => children.iter().map(|(cid, _)| *cid).collect(),
            Self::Directory(entries) => entries.iter().map(|(_, cid, _)| *cid).collect(),
        }
    }

    /// Those children of a file that hold any of these of its bytes.
    pub(super) fn children_in(&self, wanted: Range<u64>) -> Vec<Cid> {
        let Self::File(children) = self else {
            return self.children();
        };
        let mut start = 0_u64;
        let mut inside = Vec::new();
        for (cid, size) in children {
            let end = start.saturating_add(*size);
            if start < wanted.end && wanted.start < end {
                inside.push(*cid);
            }
            start = end;
        }
        inside
    }

    /// Bytes of a file.
    pub(super) fn file_bytes(&self) -> u64 {
        match self {
            Self::File(children) => children
                .iter()
                .fold(0, |sum, (_, size)| sum.saturating_add(*size)),
            Self::Directory(_) => 0,
        }
    }
}

fn link(bytes: &[u8]) -> Result<(String, Cid, u64), Unreadable> {
    let (mut name, mut cid, mut size) = (String::new(), None, 0);
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => cid = Some(Cid::try_from(bytes).map_err(|_| Malformed)?),
            (2, Value::Bytes(bytes)) => {
                name = std::str::from_utf8(bytes)
                    .map_err(|_| Malformed)?
                    .to_owned()
            }
            (3, Value::Number(number)) => size = number,
            _ => return Err(Malformed),
        }
    }
    Ok((name, cid.ok_or(Malformed)?, size))
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
        assert_eq!(node.file_bytes(), 600);
        assert_eq!(node.children_in(100..101), [parts()[1].0]);
        assert_eq!(
            node.children_in(99..301),
            [parts()[0].0, parts()[1].0, parts()[2].0]
        );
        assert_eq!(node.children_in(600..700), []);
        let entries = vec![
            ("a.m3u8".to_owned(), parts()[0].0, 100),
            ("ü".to_owned(), parts()[1].0, 200),
        ];
        let (_, directory) = dag::directory(&entries);
        assert_eq!(Node::parse(&directory), Ok(Node::Directory(entries)));
    }

    #[test]
    fn what_is_not_served_is_told_from_what_is_broken() {
        // A file with its bytes inside its node, as `ipfs add --raw-leaves=false` writes them.
        assert_eq!(
            Node::parse(b"\x0a\x07\x08\x02\x12\x01x\x18\x01"),
            Err(Unsupported)
        );
        // A shard of a HAMT directory.
        assert_eq!(Node::parse(b"\x0a\x02\x08\x05"), Err(Unsupported));
        for broken in [
            &b""[..],
            b"\x0a",
            b"\x0a\x00",
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
            let _ = Node::parse(&bytes).map(|node| (node.children_in(0..u64::MAX), node.file_bytes()));
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
