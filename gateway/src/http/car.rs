//! A DAG as a CAR, version 1, block by block while it is sent: depth first, each block as often as it is linked
//! (`order=dfs; dups=y`), so that nothing needs to be remembered of what went before.

use std::{io, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use cid::Cid;

use super::{
    blocks::Blocks,
    body::Source,
    format::Scope,
    unixfs::{DAG_PB, Node},
};

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
        let frame = frame(&cid, block.len());
        self.ready = Some(block);
        Ok(Some((frame, self)))
    }
}

/// The header, dag-cbor: `{"roots": [root], "version": 1}` behind its length.
fn header(root: &Cid) -> Bytes {
    let mut cbor = BytesMut::new();
    cbor.put_slice(b"\xa2\x65roots\x81\xd8\x2a");
    let link = root.to_bytes();
    // A byte string of less than 256 bytes; a link begins with a zero (multibase identity).
    cbor.put_slice(&[0x58, link.len() as u8 + 1, 0]);
    cbor.put_slice(&link);
    cbor.put_slice(b"\x67version\x01");
    let mut header = varint(cbor.len());
    header.unsplit(cbor);
    header.freeze()
}

/// What stands before each block: the length of CID and block together, and the CID.
fn frame(cid: &Cid, length: usize) -> Bytes {
    let cid = cid.to_bytes();
    let mut frame = varint(cid.len() + length);
    frame.put_slice(&cid);
    frame.freeze()
}

fn varint(mut value: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(128);
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
    out
}
