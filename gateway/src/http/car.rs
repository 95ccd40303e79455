//! A DAG as a CAR, version 1, block by block while it is sent: depth first, each block as often as it is linked
//! (`order=dfs; dups=y`), so that nothing needs to be remembered of what went before.

use std::{io, sync::Arc};

use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::dag::{self, DAG_PB};

use super::{blocks::Blocks, body::Source, format::Scope, unixfs::Node};
use crate::store::frame;

/// As in `Content-Type`.
pub(super) const MEDIA_TYPE: &str = "application/vnd.ipld.car; version=1; order=dfs; dups=y";

/// The blocks of a CAR that are still to be sent.
pub(super) struct Walk {
    blocks: Arc<Blocks>,
    /// What goes before the next block.
    ready: Option<Bytes>,
    /// Blocks on the way from the URL's CID to what its path names, last first: sent without what they link to.
    way: Vec<Cid>,
    /// What the path names, until it is its turn.
    named: Option<(Cid, Scope)>,
    /// What is below it, next last.
    below: Vec<Cid>,
}

impl Walk {
    /// `way` leads from the URL's CID to `named`, which it does not hold.
    pub(super) fn new(blocks: Arc<Blocks>, way: &[Cid], named: Cid, scope: Scope) -> Self {
        let way = way.iter().rev().copied().collect();
        Self {
            blocks,
            ready: Some(header(&named)),
            way,
            named: Some((named, scope)),
            below: Vec::new(),
        }
    }
}

impl Source for Walk {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if let Some(bytes) = self.ready.take() {
            return Ok(Some((bytes, self)));
        }
        let (cid, scope) = if let Some(cid) = self.way.pop() {
            (cid, Scope::Block)
        } else if let Some(named) = self.named.take() {
            named
        } else if let Some(cid) = self.below.pop() {
            (cid, Scope::All)
        } else {
            return Ok(None);
        };
        // The answer has begun: a block that is gone can only be told by cutting it off.
        let block = self
            .blocks
            .clone()
            .get(None, cid)
            .await?
            .ok_or(io::ErrorKind::NotFound)?;
        if scope != Scope::Block && cid.codec() == DAG_PB {
            let node = Node::parse(&block).map_err(|_| io::ErrorKind::InvalidData)?;
            let children = match (&node, scope) {
                (Node::Directory(_), Scope::Entity(_)) => Vec::new(),
                (Node::File(_), Scope::Entity(Some(bytes))) => {
                    node.children_in(bytes.of(node.file_bytes()))
                }
                _ => node.children(),
            };
            self.below.extend(children.into_iter().rev());
        }
        let head = frame::head(&cid, block.len());
        self.ready = Some(block);
        Ok(Some((head.into(), self)))
    }
}

/// The header, dag-cbor: `{"roots": [root], "version": 1}` behind its length.
pub(crate) fn header(root: &Cid) -> Bytes {
    let mut cbor = b"\xa2\x65roots\x81\xd8\x2a".to_vec();
    let link = root.to_bytes();
    // A byte string of less than 256 bytes; a link begins with a zero (multibase identity).
    cbor.extend_from_slice(&[0x58, link.len() as u8 + 1, 0]);
    cbor.extend_from_slice(&link);
    cbor.extend_from_slice(b"\x67version\x01");
    let mut header = Vec::new();
    dag::varint(&mut header, cbor.len() as u64);
    header.extend_from_slice(&cbor);
    header.into()
}
