//! Hours as one file: a CAR, version 1, with one root, every block once. Any IPFS tool reads and writes such files.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, Write},
    os::unix::fs::FileExt,
    path::Path,
};

use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::archive::Link;

use super::{
    Archive, OWNER,
    read::{self, Source},
    start,
    verify::walk,
};
use crate::{
    http::car::header,
    store::{
        frame::{self, Digest},
        recover::scan,
    },
};

/// What comes from a file lies in a pack of this name, beside those that were written here.
const TAKEN_IN: &str = "import.archive";
/// Blocks in one file: a day of four renditions at ten parts a second, and what is around them.
const MAX_BLOCKS: usize = 5_000_000;

/// Writes what is below `root` as a CAR; `told` hears of each block's bytes.
///
/// # Errors
/// At the first block that is missing or damaged, which it names, and whatever the file system says.
pub fn write(
    source: &impl Source,
    root: Cid,
    path: &str,
    out: &mut impl Write,
    mut told: impl FnMut(u64),
) -> io::Result<()> {
    out.write_all(&header(&root))?;
    walk(
        source,
        root,
        path,
        &mut HashSet::new(),
        &mut |cid, block| {
            let block =
                block.map_err(|fault| io::Error::new(fault.error.kind(), fault.to_string()))?;
            let frame =
                frame::encode(cid, &block).ok_or_else(|| invalid("a block is too large"))?;
            told(block.len() as u64);
            out.write_all(&frame)
        },
    )?;
    out.flush()
}

/// A CAR that is read.
pub struct Car {
    /// Its first root.
    pub root: Cid,
    file: File,
    /// Where each block's frame begins, and its length.
    places: HashMap<Digest, (u64, u32)>,
}

impl Car {
    /// Reads the file through once; blocks that do not match their CIDs are not taken.
    ///
    /// # Errors
    /// `InvalidData` where it is no CAR with one root or has more than 5 million blocks, and whatever the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut head = [0; 100];
        let read = file.read_at(&mut head, 0)?;
        let root = root_of(&head[..read]).ok_or_else(|| {
            invalid("it is no CAR (version 1) with one root; `ipfs dag export CID` makes one")
        })?;
        let (mut places, mut damaged) = (HashMap::new(), 0_u64);
        let begin = header(&root).len() as u64;
        let mut end = begin;
        scan(&file, begin, length, |offset, frame| {
            end = offset + frame.length as u64;
            if !frame.is_whole() {
                damaged += 1;
            } else if places.len() <= MAX_BLOCKS {
                places.insert(frame.digest, (offset, frame.length as u32));
            }
        })?;
        if places.len() > MAX_BLOCKS {
            return Err(invalid("it has more than 5 million blocks"));
        }
        if damaged > 0 || end < length {
            tracing::warn!(damaged, unread = length - end, "the file is damaged");
        }
        Ok(Self { root, file, places })
    }
}

impl Source for Car {
    fn find(&self, cid: &Cid) -> io::Result<Option<Bytes>> {
        let place =
            frame::digest_of(cid).and_then(|digest| Some((digest, self.places.get(&digest)?)));
        let Some((digest, (offset, length))) = place else {
            return Ok(None);
        };
        crate::store::read_frame(&self.file, *offset, *length, digest)
    }
}

/// The root that a header names, as `dag-cbor` in its only form has it.
fn root_of(head: &[u8]) -> Option<Cid> {
    let at = 1 + b"\xa2\x65roots\x81\xd8\x2a\x58\x25\0".len();
    let cid = Cid::try_from(head.get(at..at + 36)?).ok()?;
    head.starts_with(&header(&cid)).then_some(cid)
}

/// What [`Archive::take_in`] did with an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was not in the list, and is now.
    New,
    /// It was, and its blocks are whole again.
    Whole,
}

impl Archive {
    /// Takes an hour in: every block of it, then its entry in the list where there is none. `told` hears of each block's bytes.
    ///
    /// # Errors
    /// `NotFound` where the source lacks a block (nothing is taken in then), `AlreadyExists` where the list has another hour
    /// of the same time, and whatever the file system says.
    pub fn take_in(
        &self,
        source: &impl Source,
        link: Link,
        mut told: impl FnMut(u64),
    ) -> io::Result<(u64, Taken)> {
        let contents = read::hour(source, link.cid)?;
        let first = contents.segments().next();
        let hour = first.ok_or_else(|| invalid("this hour is empty"))?.hour();
        if contents.segments().any(|segment| segment.hour() != hour) {
            return Err(invalid("its segments are of several hours"));
        }
        let catalogue = self.catalogue();
        let known = catalogue.hours().get(&hour).map(|entry| entry.link);
        if let Some(known) = known.filter(|known| known.cid != link.cid) {
            let message = format!("the list has another hour of this time, {}", known.cid);
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        let path = link.cid.to_string();
        walk(
            source,
            link.cid,
            &path,
            &mut HashSet::new(),
            &mut |_, block| {
                let whole = block.map(drop);
                whole.map_err(|fault| io::Error::new(io::ErrorKind::NotFound, fault.to_string()))
            },
        )?;
        walk(
            source,
            link.cid,
            &path,
            &mut HashSet::new(),
            &mut |cid, block| {
                let block = block.map_err(|fault| fault.error)?;
                told(block.len() as u64);
                // What is here and whole stays where it is.
                if matches!(self.store.get(cid), Ok(Some(_))) {
                    return Ok(());
                }
                let outcome =
                    self.store
                        .append(&self.stream, TAKEN_IN, start(hour), cid, &block)?;
                if outcome == crate::store::Outcome::NotStored {
                    return Err(io::Error::new(
                        io::ErrorKind::StorageFull,
                        "make room on the disk",
                    ));
                }
                Ok(())
            },
        )?;
        self.store.pin(OWNER, &self.stream, TAKEN_IN, start(hour))?;
        self.store
            .pin(OWNER, &self.stream, super::SHARED, start(hour))?;
        for rendition in &contents.renditions {
            self.store
                .pin(OWNER, &self.stream, &rendition.id, start(hour))?;
        }
        self.store.flush();
        if known.is_some() {
            return Ok((hour, Taken::Whole));
        }
        self.enter(hour, link, &contents, &catalogue)?;
        Ok((hour, Taken::New))
    }
}

/// The hours that a directory is: itself, or those of a day or of a stream's root.
///
/// # Errors
/// As [`read::hour`].
pub fn hours(store: &impl Source, root: Cid) -> io::Result<Vec<Link>> {
    let entries = read::directory(store, root)?;
    let two = |name: &str| name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_digit());
    let date = |name: &str| name.len() == 10 && name.as_bytes()[4] == b'-';
    if entries.keys().any(|name| date(name)) {
        let mut found = Vec::new();
        for (_, day) in entries.iter().filter(|(name, _)| date(name)) {
            found.extend(hours(store, day.cid)?);
        }
        return Ok(found);
    }
    // A rendition may be called as an hour is: only a day has playlists of days.
    if entries.keys().any(|name| name.starts_with("day-")) {
        let below = entries.iter().filter(|(name, _)| two(name));
        return Ok(below.map(|(_, link)| *link).collect());
    }
    let below: u64 = entries.values().map(|link| link.bytes).sum();
    let bytes = below + read::block(store, root)?.len() as u64;
    Ok(vec![Link { cid: root, bytes }])
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}
