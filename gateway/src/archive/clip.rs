//! A clip: a stretch of the past as a directory of its own, of the form of an hour's, so that it has a CID and any IPFS
//! gateway plays it. It is a copy: what happens to its hours' retention does not touch it, a tombstone of one does.

use std::{io, ops::Range};

use cid::Cid;
use meshlive_protocol::archive::{HOUR, Hour, Link, Segment};

use super::{Archive, read, start};
use crate::{http::unixfs::Node, store::Outcome};

/// Who pins clips in the store, and the name of the packs that hold them, each in the hour that it is of.
pub(super) const CLIP: &str = "clip.archive";

impl Archive {
    /// The segments that are on screen in this time (µs since the Unix epoch), in all their renditions: what a clip has.
    /// The same time gives the same.
    ///
    /// # Errors
    /// `NotFound` where nothing of it is kept here, `InvalidInput` where it has more segments than an hour can have
    /// or ends before it begins, and whatever the file system says.
    pub fn cut(&self, time: &Range<u64>) -> io::Result<Hour> {
        if time.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a clip ends behind its beginning: give an earlier time first",
            ));
        }
        let catalogue = self.catalogue();
        let mut clip = Hour::default();
        let hours = (time.start / HOUR).saturating_sub(1)..time.end.div_ceil(HOUR);
        for (_, entry) in catalogue.hours().range(hours) {
            let hour = match read::hour(&self.store, entry.link.cid) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                hour => hour?,
            };
            let is_inside = |segment: &&Segment| {
                segment.start < time.end && segment.start + segment.duration() > time.start
            };
            let inside: Vec<_> = hour.segments().filter(is_inside).cloned().collect();
            if inside.is_empty() {
                continue;
            }
            for rendition in &hour.renditions {
                clip.describe(rendition);
            }
            if !inside.into_iter().all(|segment| clip.add(segment)) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "a clip has at most as many segments as an hour: give a shorter time",
                ));
            }
        }
        if clip.segments().len() == 0 {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "nothing of this time is kept here: `archive ls` shows what is",
            ));
        }
        Ok(clip)
    }

    /// Makes a clip of it and keeps it.
    ///
    /// # Errors
    /// As [`Archive::cut`], and `StorageFull`.
    pub fn clip(&self, time: &Range<u64>) -> io::Result<Link> {
        let clip = self.cut(time)?;
        let mut segments = clip.segments();
        let first = segments.next().expect("a clip is not empty").hour();
        for segment in clip.segments() {
            for strand in &segment.strands {
                self.copy(segment.hour(), strand.init.cid)?;
                self.copy(segment.hour(), strand.file.cid)?;
            }
        }
        let made = clip.directory();
        for block in &made.blocks {
            self.put(first, &block.cid, &block.bytes)?;
        }
        let mut hours: Vec<_> = clip.segments().map(Segment::hour).collect();
        hours.dedup();
        for hour in hours {
            self.store.pin(CLIP, &self.stream, CLIP, start(hour))?;
        }
        self.store.flush();
        Ok(made.link)
    }

    /// Copies a block, and what a file links to.
    fn copy(&self, hour: u64, cid: Cid) -> io::Result<()> {
        let block = read::block(&self.store, cid)?;
        self.put(hour, &cid, &block)?;
        if let (true, Ok(node)) = (
            cid.codec() == meshlive_protocol::dag::DAG_PB,
            Node::parse(&block),
        ) {
            for child in node.children() {
                self.copy(hour, child)?;
            }
        }
        Ok(())
    }

    fn put(&self, hour: u64, cid: &Cid, bytes: &[u8]) -> io::Result<()> {
        let place = start(hour);
        match (self.store).append(&self.stream, CLIP, place, cid, bytes)? {
            Outcome::NotStored => Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the clip cannot be written: make room on the disk",
            )),
            Outcome::Stored | Outcome::Present => Ok(()),
        }
    }
}
