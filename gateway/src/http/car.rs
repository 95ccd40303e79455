//! A DAG as a CAR, version 1, block by block while it is sent: depth first, each block as often as it is linked
//! (`order=dfs; dups=y`), so that nothing needs to be remembered of what went before.

use std::{collections::HashMap, io, ops::Range, sync::Arc};

use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::dag::{self, DAG_PB};

use super::{
    blocks::Blocks,
    body::Source,
    format::Scope,
    resolve,
    unixfs::{self, Node},
};
use crate::store::frame;

/// As in `Content-Type`.
pub(super) const MEDIA_TYPE: &str = "application/vnd.ipld.car; version=1; order=dfs; dups=y";

/// The blocks of a CAR that are still to be sent, the next one last.
pub(super) struct Walk {
    blocks: Arc<Blocks>,
    /// Blocks that are not stored.
    made: Arc<HashMap<Cid, Bytes>>,
    /// What goes before the next block.
    ready: Option<Bytes>,
    left: Vec<(Cid, With)>,
}

/// What is sent with a block.
#[derive(Debug, Clone, PartialEq, Eq)]
enum With {
    /// Nothing.
    Alone,
    /// All that is below it.
    All,
    /// What makes a file or a directory of it: as `dag-scope=entity` asks.
    Entity,
    /// What is needed for these bytes of the file that it is.
    Bytes(Range<u64>),
}

impl Walk {
    /// `way` leads from the URL's CID to `named`, which it does not hold; `length` is that of the file that is named.
    pub(super) fn new(
        blocks: Arc<Blocks>,
        way: &[Cid],
        named: Cid,
        length: Option<u64>,
        scope: &Scope,
    ) -> Self {
        let with = match (scope, length) {
            (Scope::Block, _) => With::Alone,
            (Scope::All, _) => With::All,
            (Scope::Entity(Some(bytes)), Some(length)) => With::Bytes(bytes.of(length)),
            // "Cannot be interpreted as a continuous array of bytes …, the parameter MUST be ignored".
            (Scope::Entity(_), _) => With::Entity,
        };
        let mut left = vec![(named, with)];
        left.extend(way.iter().rev().map(|cid| (*cid, With::Alone)));
        Self {
            blocks,
            made: Arc::default(),
            ready: Some(header(&named)),
            left,
        }
    }

    /// All that is below `root`, of which `made` are not stored.
    pub(super) fn of_made(blocks: Arc<Blocks>, root: Cid, made: Arc<HashMap<Cid, Bytes>>) -> Self {
        Self {
            blocks,
            made,
            ready: Some(header(&root)),
            left: vec![(root, With::All)],
        }
    }
}

impl Source for Walk {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if let Some(bytes) = self.ready.take() {
            return Ok(Some((bytes, self)));
        }
        while let Some((cid, with)) = self.left.pop() {
            // The answer has begun: a block that is gone can only be told by cutting it off.
            let block = match self.made.get(&cid) {
                Some(made) => made.clone(),
                None => resolve::load(&self.blocks, cid)
                    .await?
                    .ok_or(io::ErrorKind::NotFound)?,
            };
            let below = below(&cid, &block, with)?;
            self.left.extend(below.into_iter().rev());
            // "MUST NOT include virtual blocks identified by identity CIDs".
            if !resolve::is_inline(&cid) {
                let head = frame::head(&cid, block.len());
                self.ready = Some(block);
                return Ok(Some((head.into(), self)));
            }
        }
        Ok(None)
    }
}

fn below(cid: &Cid, block: &[u8], with: With) -> io::Result<Vec<(Cid, With)>> {
    let each = |cids: Vec<Cid>, with: &With| -> Vec<_> {
        cids.into_iter().map(|cid| (cid, with.clone())).collect()
    };
    if cid.codec() != DAG_PB || with == With::Alone {
        return Ok(Vec::new());
    }
    if with == With::All {
        let links = unixfs::links(block).map_err(|_| io::ErrorKind::InvalidData)?;
        return Ok(each(links, &with));
    }
    Ok(match (Node::parse(block), with) {
        (Ok(Node::File(children)), With::Bytes(wanted)) => {
            let inside = unixfs::overlapping(&children, &wanted).into_iter();
            inside
                .map(|(cid, _, wanted)| (cid, With::Bytes(wanted)))
                .collect()
        }
        (Ok(node @ Node::File(_)), with) => each(node.children(), &with),
        (Ok(Node::Shard(shard)), with) => each(shard.below().collect(), &with),
        // "For all queries that reference non-UnixFS data, entity is equivalent to block".
        _ => Vec::new(),
    })
}

/// The header, dag-cbor: `{"roots": [root], "version": 1}` behind its length.
pub(crate) fn header(root: &Cid) -> Bytes {
    let mut cbor = b"\xa2\x65roots\x81\xd8\x2a".to_vec();
    let link = root.to_bytes();
    // A byte string of less than 256 bytes, its length in the shortest form; a link begins with a zero (multibase identity).
    match link.len() as u8 + 1 {
        length @ ..24 => cbor.push(0x40 | length),
        length => cbor.extend_from_slice(&[0x58, length]),
    }
    cbor.push(0);
    cbor.extend_from_slice(&link);
    cbor.extend_from_slice(b"\x67version\x01");
    let mut header = Vec::new();
    dag::varint(&mut header, cbor.len() as u64);
    header.extend_from_slice(&cbor);
    header.into()
}
