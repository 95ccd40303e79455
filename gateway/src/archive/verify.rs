//! Reads everything below a directory back, block by block, each checked against its CID.

use std::{collections::HashSet, fmt, io};

use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::dag::DAG_PB;

use super::read::{self, Source};
use crate::http::unixfs::Node;

/// More names in a path lead nowhere.
const MAX_DEPTH: usize = 8;

/// A block that cannot be had as it should be.
#[derive(Debug)]
pub struct Fault {
    /// The names that lead to it.
    pub path: String,
    /// The block.
    pub cid: Cid,
    /// What is wrong.
    pub error: io::Error,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.path, self.cid, self.error)
    }
}

/// Visits each block at and below `root`, whose path is `path`, once: what links before what is linked. `visit` gets the
/// block, or what is wrong with it; what is below that is not reached. What `seen` has is passed over.
///
/// # Errors
/// What `visit` says.
pub fn walk(
    source: &impl Source,
    root: Cid,
    path: &str,
    seen: &mut HashSet<Cid>,
    visit: &mut impl FnMut(&Cid, Result<Bytes, Fault>) -> io::Result<()>,
) -> io::Result<()> {
    let mut left = vec![(root, path.to_owned(), 0)];
    while let Some((cid, path, depth)) = left.pop() {
        if !seen.insert(cid) {
            continue;
        }
        let fault = |error| Fault {
            path: path.clone(),
            cid,
            error,
        };
        let form = || io::Error::new(io::ErrorKind::InvalidData, "this is no UnixFS node");
        let block = match read::block(source, cid) {
            Ok(block) => block,
            Err(error) => {
                visit(&cid, Err(fault(error)))?;
                continue;
            }
        };
        if cid.codec() == DAG_PB {
            match Node::parse(&block) {
                Ok(Node::Directory(entries)) if depth < MAX_DEPTH => {
                    let below = entries.into_iter().rev();
                    left.extend(
                        below.map(|(name, cid, _)| (cid, format!("{path}/{name}"), depth + 1)),
                    );
                }
                Ok(Node::File(children)) => {
                    let below = children.into_iter().rev();
                    left.extend(below.map(|(cid, _)| (cid, path.clone(), depth + 1)));
                }
                _ => {
                    visit(&cid, Err(fault(form())))?;
                    continue;
                }
            }
        }
        visit(&cid, Ok(block))?;
    }
    Ok(())
}
