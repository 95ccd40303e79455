//! Reads everything below a directory back, block by block, each checked against its CID.

use std::{
    collections::{BTreeSet, HashSet},
    fmt, io,
    ops::Range,
};

use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::{
    archive::{day_name, hour_name},
    dag::DAG_PB,
};

use super::{
    Archive,
    read::{self, Source},
};
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

/// Reads back all that is held here of an archive: hours, and the days over them. What `visit` gets is as with [`walk`];
/// what is missing of an hour that was let go meanwhile, or that a mirror is fetching, is not damaged. Returns the hours.
///
/// # Errors
/// What `visit` says.
pub fn held(
    archive: &Archive,
    source: &impl Source,
    visit: &mut impl FnMut(&Cid, Result<Bytes, Fault>) -> io::Result<()>,
) -> io::Result<usize> {
    let (catalogue, held) = (archive.catalogue(), archive.held());
    let hours = catalogue.hours();
    let is_held = |hours: Range<u64>, held: &BTreeSet<u64>| held.range(hours).next().is_some();
    // Hours that were let go are none of a day's damage, and those that are here are read by themselves.
    let seen: HashSet<Cid> = hours.values().map(|entry| entry.link.cid).collect();
    let mut roots = Vec::new();
    for (hour, entry) in hours.iter().filter(|(hour, _)| held.contains(hour)) {
        let path = format!("{}/{}", day_name(*hour / 24), hour_name(*hour));
        roots.push((*hour..*hour + 1, entry.link.cid, path, HashSet::new()));
    }
    let count = roots.len();
    // At a mirror the newest days may be on their way.
    let root = catalogue.root().filter(|root| archive.has_come(&root.cid));
    for (day, link) in catalogue.days().iter().filter(|_| root.is_some()) {
        let of_day = *day * 24..*day * 24 + 24;
        if is_held(of_day.clone(), &held) {
            roots.push((of_day, link.cid, day_name(*day), seen.clone()));
        }
    }
    for (hours, root, path, mut seen) in roots {
        let mut faults = Vec::new();
        walk(source, root, &path, &mut seen, &mut |cid, block| {
            match block {
                Ok(block) => visit(cid, Ok(block))?,
                Err(fault) => faults.push(fault),
            }
            Ok(())
        })?;
        let offered = hours.end - hours.start > 1 || {
            let now = archive.catalogue();
            let entry = now.hours().get(&hours.start);
            entry.is_some_and(|entry| entry.link.cid == root)
        };
        if offered && is_held(hours, &archive.held()) {
            for fault in faults {
                visit(&fault.cid.clone(), Err(fault))?;
            }
        }
    }
    Ok(count)
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
