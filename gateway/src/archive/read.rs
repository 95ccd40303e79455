//! Reads hours back from their blocks: the directory of each rendition, and its playlist.

use std::{collections::BTreeMap, io};

use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::{
    archive::{
        Hour, Link, MAX_SEGMENTS, Segment, Strand,
        read::{self, MAX_PLAYLIST_BYTES},
    },
    dag::RAW,
};

use crate::{http::unixfs::Node, store::Store};

/// Where blocks are found: the store, or a file of them.
pub trait Source {
    /// A block, checked against its CID; `None` where it is not here.
    ///
    /// # Errors
    /// `InvalidData` where it is damaged, and whatever the file system says.
    fn find(&self, cid: &Cid) -> io::Result<Option<Bytes>>;
}

impl Source for Store {
    fn find(&self, cid: &Cid) -> io::Result<Option<Bytes>> {
        self.get(cid)
    }
}

const PLAYLIST: &str = "index.m3u8";

/// An hour by its directory.
///
/// # Errors
/// `NotFound` where a block is not here, `InvalidData` where one is damaged or the directory is of another form, and
/// whatever the file system says.
pub fn hour(store: &impl Source, cid: Cid) -> io::Result<Hour> {
    let entries = directory(store, cid)?;
    let mut found = Hour::default();
    for name in [PLAYLIST, "audio.m3u8"] {
        let Some(link) = entries.get(name) else {
            continue;
        };
        let text = text(store, link.cid)?;
        let renditions = read::multivariant(&text).ok_or_else(|| form(name, link.cid))?;
        renditions
            .iter()
            .for_each(|rendition| found.describe(rendition));
    }
    let mut segments: BTreeMap<u64, Segment> = BTreeMap::new();
    for rendition in &found.renditions {
        let link = entries
            .get(&rendition.id)
            .ok_or_else(|| form(&rendition.id, cid))?;
        let files = directory(store, link.cid)?;
        let playlist = files
            .get(PLAYLIST)
            .ok_or_else(|| form(PLAYLIST, link.cid))?;
        let lines =
            read::media(&text(store, playlist.cid)?).ok_or_else(|| form(PLAYLIST, playlist.cid))?;
        for line in lines.into_iter().filter(|line| !line.gap) {
            let file = |name: String| {
                files
                    .get(&name)
                    .copied()
                    .ok_or_else(|| form(&name, link.cid))
            };
            let strand = Strand {
                rendition: rendition.id.as_str().into(),
                init: file(format!("init-{}.mp4", line.init))?,
                file: file(format!("{}.m4s", line.msn))?,
                duration: line.duration,
            };
            let segment = segments.entry(line.msn).or_insert(Segment {
                msn: line.msn,
                start: line.start,
                discontinuity: line.discontinuity,
                init: line.init,
                strands: Vec::new(),
            });
            segment.strands.push(strand);
        }
    }
    for segment in segments.into_values() {
        if !found.add(segment) {
            return Err(form("more segments than an hour has", cid));
        }
    }
    Ok(found)
}

/// The block of a CID.
///
/// # Errors
/// As [`hour`].
pub fn block(store: &impl Source, cid: Cid) -> io::Result<Bytes> {
    store
        .find(&cid)?
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("block {cid} is not here")))
}

/// The names in a directory.
///
/// # Errors
/// As [`hour`].
pub fn directory(store: &impl Source, cid: Cid) -> io::Result<BTreeMap<String, Link>> {
    match Node::parse(&block(store, cid)?) {
        Ok(Node::Directory(entries)) if entries.len() <= 3 * MAX_SEGMENTS => {
            let entries = entries.into_iter();
            Ok(entries
                .map(|(name, cid, bytes)| (name, Link { cid, bytes }))
                .collect())
        }
        _ => Err(form("it is no directory", cid)),
    }
}

/// A text file of at most [`MAX_PLAYLIST_BYTES`].
fn text(store: &impl Source, cid: Cid) -> io::Result<String> {
    let first = block(store, cid)?;
    let leaves = match cid.codec() {
        RAW => return String::from_utf8(first.into()).map_err(|_| form("it is no text", cid)),
        _ => Node::parse(&first).map_err(|_| form("it is no file", cid))?,
    };
    let mut bytes = Vec::new();
    for leaf in leaves.children() {
        bytes.extend_from_slice(&block(store, leaf)?);
        if bytes.len() > MAX_PLAYLIST_BYTES {
            return Err(form("a playlist is too long", cid));
        }
    }
    String::from_utf8(bytes).map_err(|_| form("it is no text", cid))
}

fn form(what: &str, cid: Cid) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{cid} is no hour of an archive: {what}"),
    )
}
