//! The body of a pack: CARv1, that is a header and then frames of `varint(length) ++ CID ++ bytes`, where length
//! counts CID and bytes. <https://ipld.io/specs/transport/car/carv1/>
//!
//! The header names one root, the empty identity CID `bafkqaaa`: a pack is a bag of blocks, CARv1 wants at least
//! one root, and every IPFS tool resolves this one without looking anywhere.

use cid::Cid;
use meshlive_protocol::dag;
use sha2::{Digest as _, Sha256};

/// varint(25), then dag-cbor `{"roots": [bafkqaaa], "version": 1}`.
pub(crate) const HEADER: &[u8] = b"\x19\xa2eroots\x81\xd8\x2aE\0\x01\x55\0\0gversion\x01";

/// The largest block a pack takes. Parts have a lower limit of their own; this is what IPFS nodes exchange.
pub const MAX_BLOCK_BYTES: usize = 2 << 20;

/// CIDv1 with a one-byte codec and a sha2-256 digest.
const CID_BYTES: usize = 36;

/// More bytes than these a frame adds to its block never takes.
pub(crate) const MAX_FRAME_BYTES: usize = 4 + CID_BYTES + MAX_BLOCK_BYTES;

/// A sha2-256 digest: what blocks are found by, whatever codec a CID puts in front of it.
pub(crate) type Digest = [u8; 32];

/// The digest of a CID that a pack can hold: version 1, sha2-256, a codec of one byte (raw, dag-pb, dag-cbor).
pub(crate) fn digest_of(cid: &Cid) -> Option<Digest> {
    let hash = cid.hash();
    (cid.version() == cid::Version::V1 && cid.codec() < 0x80 && hash.code() == dag::SHA2_256)
        .then(|| hash.digest().try_into().ok())
        .flatten()
}

/// What stands before a block of so many bytes.
pub(crate) fn head(cid: &Cid, bytes: usize) -> Vec<u8> {
    let cid = cid.to_bytes();
    let mut head = Vec::with_capacity(4 + cid.len() + bytes);
    dag::varint(&mut head, (cid.len() + bytes) as u64);
    head.extend_from_slice(&cid);
    head
}

/// One frame as it stands in the pack, or `None` where the CID or the size is none that a pack holds.
pub(crate) fn encode(cid: &Cid, block: &[u8]) -> Option<Vec<u8>> {
    digest_of(cid)?;
    if block.len() > MAX_BLOCK_BYTES {
        return None;
    }
    let mut frame = head(cid, block.len());
    frame.extend_from_slice(block);
    Some(frame)
}

/// A frame inside a buffer.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// The digest that its CID claims.
    pub(crate) digest: Digest,
    /// Its bytes, which may or may not have that digest.
    pub(crate) block: &'a [u8],
    /// The whole frame's length.
    pub(crate) length: usize,
}

impl Frame<'_> {
    /// Whether the bytes are those that the CID names.
    pub(crate) fn is_whole(&self) -> bool {
        Sha256::digest(self.block).as_slice() == self.digest
    }
}

/// What stands at the front of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// A frame, all of it. Its bytes are not yet checked against its CID.
    Frame(Frame<'a>),
    /// The front of a frame, or nothing.
    Short,
    /// Nothing that this store writes.
    Garbage,
}

/// The frame at the front of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let mut length = 0;
    let mut rest = bytes;
    for shift in (0..28).step_by(7) {
        let Some((byte, after)) = rest.split_first() else {
            return Parsed::Short;
        };
        rest = after;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            if *byte == 0 && shift > 0 {
                return Parsed::Garbage; // not the shortest form
            }
            return parse_body(bytes.len() - rest.len(), length, rest);
        }
    }
    Parsed::Garbage
}

fn parse_body(varint: usize, length: usize, rest: &[u8]) -> Parsed<'_> {
    if !(CID_BYTES..=CID_BYTES + MAX_BLOCK_BYTES).contains(&length) {
        return Parsed::Garbage;
    }
    let Some((body, _)) = rest.split_at_checked(length) else {
        return Parsed::Short;
    };
    let (cid, block) = body.split_at(CID_BYTES);
    match cid {
        [1, 0..0x80, 0x12, 32, digest @ ..] => Parsed::Frame(Frame {
            digest: digest.try_into().expect("a CID's last 32 of 36 bytes"),
            block,
            length: varint + length,
        }),
        _ => Parsed::Garbage,
    }
}

#[cfg(test)]
mod tests {
    use cid::multihash::Multihash;
    use proptest::prelude::*;

    use super::*;

    fn cid_of(codec: u64, block: &[u8]) -> Cid {
        let hash = Multihash::wrap(0x12, &Sha256::digest(block)).unwrap();
        Cid::new_v1(codec, hash)
    }

    #[test]
    fn header_is_dag_cbor_with_the_empty_identity_root() {
        #[derive(serde::Deserialize)]
        struct Header {
            roots: Vec<Cid>,
            version: u64,
        }
        assert_eq!(HEADER[0] as usize, HEADER.len() - 1);
        let header: Header = serde_ipld_dagcbor::from_slice(&HEADER[1..]).unwrap();
        assert_eq!(header.version, 1);
        assert_eq!(header.roots[0].to_string(), "bafkqaaa");
    }

    #[test]
    fn golden_frame() {
        let frame = encode(&cid_of(0x55, b"abc"), b"abc").unwrap();
        assert_eq!(frame[..5], [39, 1, 0x55, 0x12, 32]);
        assert_eq!(frame[5..9], [0xba, 0x78, 0x16, 0xbf]); // sha2-256 of "abc", FIPS 180-4 appendix
        assert_eq!(&frame[37..], b"abc");
    }

    #[test]
    fn limits_hold() {
        let most = vec![7; MAX_BLOCK_BYTES];
        let frame = encode(&cid_of(0x70, &most), &most).unwrap();
        assert!(frame.len() <= MAX_FRAME_BYTES);
        assert!(matches!(parse(&frame), Parsed::Frame(frame) if frame.is_whole()));
        let more = vec![7; MAX_BLOCK_BYTES + 1];
        assert_eq!(encode(&cid_of(0x70, &more), &more), None);
        let mut claims_more = encode(&cid_of(0x70, &most), &most).unwrap();
        claims_more[0] += 1;
        claims_more.push(0);
        assert_eq!(parse(&claims_more), Parsed::Garbage);
    }

    proptest! {
        #[test]
        fn what_is_encoded_parses(block in prop::collection::vec(any::<u8>(), 0..40_000), codec in 0u64..0x80) {
            let frame = encode(&cid_of(codec, &block), &block).unwrap();
            match parse(&frame) {
                Parsed::Frame(parsed) => {
                    prop_assert!(parsed.is_whole());
                    prop_assert_eq!(parsed.block, &block[..]);
                    prop_assert_eq!(parsed.length, frame.len());
                }
                other => prop_assert!(false, "{other:?}"),
            }
            prop_assert_eq!(parse(&frame[..frame.len() - 1]), Parsed::Short);
        }
    }
}
