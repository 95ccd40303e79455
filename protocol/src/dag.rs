//! Content addresses: CIDs, segment files and directories, byte for byte as Kubo writes them (README §2, §3).

use cid::Cid;
use multihash::Multihash;
use sha2::{Digest, Sha256};

pub use crate::protobuf::varint;
use crate::protobuf::{self, Fields, Malformed, Value};

/// Multicodec `raw`: the block's bytes are the content.
pub const RAW: u64 = 0x55;
/// Multicodec `dag-pb`: the block is a node of a UnixFS file or directory.
pub const DAG_PB: u64 = 0x70;
/// Multihash function `sha2-256`.
pub const SHA2_256: u64 = 0x12;

/// UnixFS `Data.Type` of a directory.
pub const DIRECTORY: u64 = 1;
/// UnixFS `Data.Type` of a file.
pub const FILE: u64 = 2;

/// The CID of a part or init segment: version 1, codec raw, sha2-256.
pub fn cid_of(bytes: &[u8]) -> Cid {
    Cid::new_v1(RAW, digest(bytes))
}

/// Whether `bytes` are what `cid` names. A CID with any other hash function than sha2-256 names nothing here.
pub fn verify(cid: &Cid, bytes: &[u8]) -> bool {
    cid.hash().code() == SHA2_256 && *cid.hash() == digest(bytes)
}

/// The UnixFS file of a segment over its parts in order, each with its size in bytes: the file's CID and the
/// bytes of its one node. The node is that of `ipfs add --cid-version=1 --raw-leaves` for these leaves
/// (a file of a single part has a node as well, where Kubo would leave it out).
pub fn segment_file(parts: &[(Cid, u64)]) -> (Cid, Vec<u8>) {
    let mut unixfs = Vec::new();
    protobuf::number(&mut unixfs, 1, FILE);
    protobuf::number(&mut unixfs, 3, parts.iter().map(|(_, size)| size).sum());
    for (_, size) in parts {
        protobuf::number(&mut unixfs, 4, *size);
    }
    node(parts.iter().map(|(cid, size)| ("", cid, *size)), &unixfs)
}

/// A basic UnixFS directory of entries (name, CID, cumulative size in bytes of all blocks below): its CID and
/// the bytes of its one node. The order of `entries` does not matter: links are sorted by the bytes of their names.
pub fn directory(entries: &[(String, Cid, u64)]) -> (Cid, Vec<u8>) {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    let mut unixfs = Vec::new();
    protobuf::number(&mut unixfs, 1, DIRECTORY);
    node(
        sorted
            .iter()
            .map(|(name, cid, size)| (name.as_str(), cid, *size)),
        &unixfs,
    )
}

/// Names, CIDs and sizes (of all blocks below, as the link says) of what a node links to.
pub type Links = Vec<(String, Cid, u64)>;

/// The links of any dag-pb node, and its data.
///
/// # Errors
/// Where the bytes are no such node.
pub fn read_node(block: &[u8]) -> Result<(Links, Option<&[u8]>), Malformed> {
    let (mut links, mut data) = (Vec::new(), None);
    for field in Fields(block) {
        match field? {
            (1, Value::Bytes(bytes)) if data.is_none() => data = Some(bytes),
            (2, Value::Bytes(bytes)) => links.push(read_link(bytes)?),
            _ => return Err(Malformed),
        }
    }
    Ok((links, data))
}

fn read_link(bytes: &[u8]) -> Result<(String, Cid, u64), Malformed> {
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

/// The links of a basic directory as [`directory`] writes it; `None` for any other block, also of a larger directory's shard.
pub fn read_directory(block: &[u8]) -> Option<Links> {
    const BASIC: &[u8] = &[1 << 3, DIRECTORY as u8];
    let (links, data) = read_node(block).ok()?;
    (data == Some(BASIC)).then_some(links)
}

fn digest(bytes: &[u8]) -> Multihash<64> {
    Multihash::wrap(SHA2_256, &Sha256::digest(bytes)).expect("32 bytes fit into a multihash of 64")
}

/// A dag-pb node: links first, then data, as the specification orders them against their field numbers.
fn node<'a>(links: impl Iterator<Item = (&'a str, &'a Cid, u64)>, unixfs: &[u8]) -> (Cid, Vec<u8>) {
    let mut node = Vec::new();
    let mut link = Vec::new();
    for (name, cid, size) in links {
        link.clear();
        protobuf::bytes(&mut link, 1, &cid.to_bytes());
        protobuf::bytes(&mut link, 2, name.as_bytes());
        protobuf::number(&mut link, 3, size);
        protobuf::bytes(&mut node, 2, &link);
    }
    protobuf::bytes(&mut node, 1, unixfs);
    (Cid::new_v1(DAG_PB, digest(&node)), node)
}
