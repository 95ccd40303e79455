//! From a path below `/ipfs` to what it names: the CIDs on its way, blocks and nodes.

use std::{io, sync::Arc};

use axum::http::StatusCode;
use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::dag::{DAG_PB, RAW, SHA2_256};

use super::{
    blocks::Blocks,
    error::Refusal,
    hamt::{Found, Shard},
    unixfs::{Node, Unreadable},
};

/// Multihash function of CIDs that are their content.
const IDENTITY: u64 = 0;
/// Names in a path; more lead nowhere.
const MAX_DEPTH: usize = 32;
/// Names of one directory over several blocks that are shown.
const MAX_ENTRIES: usize = 20_000;

/// Where a path leads.
pub(super) struct Way {
    /// The CID of the URL, and of each name that follows it.
    pub(super) cids: Vec<Cid>,
    /// All blocks that led to the last of them, those inside of directories as well, without that one.
    pub(super) passed: Vec<Cid>,
    /// The last one's block.
    pub(super) block: Bytes,
}

impl Way {
    /// What the path names.
    pub(super) fn cid(&self) -> Cid {
        *self.cids.last().expect("a way begins with the URL's CID")
    }
}

/// Follows a path: a CID, and names in directories. `inline` takes a first CID that is its own content, whoever made it.
pub(super) async fn walk(blocks: &Arc<Blocks>, path: &str, inline: bool) -> Result<Way, Refusal> {
    let mut names = path.split('/');
    let first = names.next().unwrap_or("");
    let cid = Cid::try_from(first).map_err(|_| Refusal::wrong("this is not a CID"))?;
    // The empty one is how clients find out whether this is a gateway.
    if is_inline(&cid) && !inline && !cid.hash().digest().is_empty() {
        return Err(Refusal::absent(
            "this CID is its own content, which is not this gateway's to serve",
        ));
    }
    let mut way = Way {
        block: fetch(blocks, cid).await?,
        cids: vec![cid],
        passed: Vec::new(),
    };
    for name in names.filter(|name| !name.is_empty()) {
        if way.cids.len() > MAX_DEPTH {
            return Err(Refusal::wrong("this path is too deep"));
        }
        let Some(node @ (Node::Directory(_) | Node::Shard(_))) = node(&way.cid(), &way.block)?
        else {
            return Err(Refusal::absent(
                "this path leads through something that is no directory",
            ));
        };
        way.passed.push(way.cid());
        let found = child(blocks, &node, name, &mut way.passed).await?;
        let cid = found.ok_or(Refusal::absent("no such name in this directory"))?;
        way.block = fetch(blocks, cid).await?;
        way.cids.push(cid);
    }
    Ok(way)
}

/// What a name of a directory names; shards on the way are added to `passed`.
pub(super) async fn child(
    blocks: &Arc<Blocks>,
    node: &Node,
    name: &str,
    passed: &mut Vec<Cid>,
) -> Result<Option<Cid>, Refusal> {
    let mut shard = match node {
        Node::Directory(entries) => {
            let found = entries.iter().find(|(entry, _, _)| entry == name);
            return Ok(found.map(|(_, cid, _)| *cid));
        }
        Node::Shard(shard) => shard,
        _ => return Ok(None),
    };
    let mut held;
    for depth in 0.. {
        // A hash has so many digits and no more: this ends.
        match shard.find(name, depth) {
            Some(Found::Below(cid)) => {
                passed.push(cid);
                held = below(blocks, cid).await?;
                shard = &held;
            }
            Some(Found::Entry(cid)) => return Ok(Some(cid)),
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// All names of a directory, in the order of its blocks.
pub(super) async fn entries(
    blocks: &Arc<Blocks>,
    node: Node,
) -> Result<Vec<(String, Cid, u64)>, Refusal> {
    let first = match node {
        Node::Directory(entries) => return Ok(entries),
        Node::Shard(shard) => shard,
        _ => return Ok(Vec::new()),
    };
    let (mut entries, mut left, mut seen) = (Vec::new(), Vec::new(), 0);
    let mut next = Some(first);
    while let Some(shard) = next {
        entries.extend(shard.entries());
        left.extend(shard.below());
        seen += 1;
        if entries.len() + left.len() + seen > MAX_ENTRIES {
            return Err(Refusal::new(
                StatusCode::NOT_IMPLEMENTED,
                "this directory is too large to be shown; add ?format=car&dag-scope=entity",
            ));
        }
        next = match left.pop() {
            Some(cid) => Some(below(blocks, cid).await?),
            None => None,
        };
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}

/// A shard inside of a directory.
async fn below(blocks: &Arc<Blocks>, cid: Cid) -> Result<Shard, Refusal> {
    let block = fetch(blocks, cid).await?;
    match node(&cid, &block)? {
        Some(Node::Shard(shard)) => Ok(shard),
        _ => Err(Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "this directory has something else inside",
        )),
    }
}

/// Whether a CID is its own content.
pub(super) fn is_inline(cid: &Cid) -> bool {
    cid.hash().code() == IDENTITY
}

/// The block of a CID, from wherever it may be had; `None` where nobody has it.
pub(super) async fn load(blocks: &Arc<Blocks>, cid: Cid) -> io::Result<Option<Bytes>> {
    match cid.hash().code() {
        IDENTITY => Ok(Some(Bytes::copy_from_slice(cid.hash().digest()))),
        // Version 0 is another name of a node.
        SHA2_256 if matches!(cid.codec(), RAW | DAG_PB) => {
            let stored = Cid::new_v1(cid.codec(), *cid.hash());
            blocks.clone().find(stored).await
        }
        _ => Ok(None),
    }
}

/// The same for an answer that has not begun.
pub(super) async fn fetch(blocks: &Arc<Blocks>, cid: Cid) -> Result<Bytes, Refusal> {
    let block = load(blocks, cid).await;
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
