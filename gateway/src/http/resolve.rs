//! From a path below `/ipfs` to what it names: the CIDs on its way, blocks, nodes and the leaves of files.

use axum::http::StatusCode;
use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::dag::{DAG_PB, RAW, SHA2_256};

use super::{
    State,
    error::Refusal,
    unixfs::{Node, Unreadable},
};

/// Multihash function of the empty identity CID `bafkqaaa`, by which clients find out whether this is a gateway.
const IDENTITY: u64 = 0;
/// Names in a path; more lead nowhere.
const MAX_DEPTH: usize = 32;
/// Blocks of one file: more than four hours of parts.
const MAX_LEAVES: usize = 100_000;

/// Where a path leads: the CIDs on its way, and the block of the last of them.
pub(super) struct Way {
    pub(super) cids: Vec<Cid>,
    pub(super) block: Bytes,
}

impl Way {
    /// What the path names.
    pub(super) fn cid(&self) -> Cid {
        *self.cids.last().expect("a way begins with the URL's CID")
    }
}

/// Follows a path: a CID, and names in directories.
pub(super) async fn walk(state: &State, path: &str) -> Result<Way, Refusal> {
    let mut names = path.split('/');
    let first = names.next().unwrap_or("");
    let cid = Cid::try_from(first).map_err(|_| Refusal::wrong("this is not a CID"))?;
    // Version 0 names the very same node.
    let cid = if cid.version() == cid::Version::V0 {
        Cid::new_v1(DAG_PB, *cid.hash())
    } else {
        cid
    };
    let mut way = Way {
        block: fetch(state, cid).await?,
        cids: vec![cid],
    };
    for name in names.filter(|name| !name.is_empty()) {
        if way.cids.len() > MAX_DEPTH {
            return Err(Refusal::wrong("this path is too deep"));
        }
        let entries = match node(&way.cid(), &way.block)? {
            Some(Node::Directory(entries)) => entries,
            _ => {
                return Err(Refusal::absent(
                    "this path leads through something that is no directory",
                ));
            }
        };
        let found = entries.into_iter().find(|(entry, _, _)| entry == name);
        let (_, cid, _) = found.ok_or(Refusal::absent("no such name in this directory"))?;
        way.block = fetch(state, cid).await?;
        way.cids.push(cid);
    }
    Ok(way)
}

/// The stored block of a CID.
pub(super) async fn fetch(state: &State, cid: Cid) -> Result<Bytes, Refusal> {
    if cid.hash().code() == IDENTITY && cid.codec() == RAW && cid.hash().digest().is_empty() {
        return Ok(Bytes::new());
    }
    let known = cid.hash().code() == SHA2_256 && matches!(cid.codec(), RAW | DAG_PB);
    let block = if known {
        state.blocks.clone().get(None, cid).await
    } else {
        Ok(None)
    };
    let block = block.map_err(|error| Refusal::unreadable(&error))?;
    block.ok_or(Refusal::absent(
        "this gateway does not store what this CID names",
    ))
}

/// The node in a block, if it is one.
pub(super) fn node(cid: &Cid, block: &[u8]) -> Result<Option<Node>, Refusal> {
    if cid.codec() != DAG_PB {
        return Ok(None);
    }
    Node::parse(block)
        .map(Some)
        .map_err(|unreadable| match unreadable {
            Unreadable::Malformed => Refusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "this block is no UnixFS node",
            ),
            Unreadable::Unsupported => Refusal::new(
                StatusCode::NOT_IMPLEMENTED,
                "this form of UnixFS is given as raw blocks and CARs only; add ?format=car",
            ),
        })
}

/// The raw blocks of a file, in order, each with its size; those of nested nodes as well.
pub(super) async fn leaves(state: &State, file: Cid) -> Result<Vec<(Cid, u64)>, Refusal> {
    let mut leaves = Vec::new();
    let mut next = vec![(file, 0)];
    let mut nodes = 0;
    while let Some((cid, size)) = next.pop() {
        if cid.codec() == RAW {
            leaves.push((cid, size));
        } else {
            nodes += 1;
            let block = fetch(state, cid).await?;
            let Some(Node::File(children)) = node(&cid, &block)? else {
                return Err(Refusal::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "this file has something else inside",
                ));
            };
            next.extend(children.into_iter().rev());
        }
        if leaves.len() + next.len() + nodes > MAX_LEAVES {
            return Err(Refusal::new(
                StatusCode::NOT_IMPLEMENTED,
                "this file has too many blocks; add ?format=car",
            ));
        }
    }
    Ok(leaves)
}
