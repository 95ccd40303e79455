//! A stream's past as UnixFS directories that any IPFS gateway plays (README §10).
//!
//! `day/HH/rendition/` holds an HLS playlist beside its segments. Segments with their times go in, blocks and CIDs come
//! out; the same segments give the same bytes, whoever makes them. An hour is read back from its own playlists, so a
//! gateway keeps no other list of what was.
//!
//! [`Hour`] and [`Day`] make directories, `media` the playlists in them, [`read`] reads those again, [`record`] is what a
//! gateway writes down before an hour is over, [`Catalogue`] the signed list of all hours, [`Vouched`] what the key says of
//! what is in none yet. [`is_file`] is how a viewer checks what it was given of all this.

mod catalogue;
mod check;
mod day;
mod hour;
mod media;
pub mod read;
pub mod record;
#[cfg(test)]
mod tests;
mod vouched;

use std::sync::Arc;

use cid::Cid;
use multibase::Base;

use crate::{
    dag,
    manifest::{MAX_ENVELOPE_OVERHEAD, Rejected},
    time::civil_date,
};

pub use catalogue::{
    Catalogue, Entry, HourEntry, Labelled, Labels, MAX_ENTRY_BYTES, MAX_LABELS, MAX_TITLE_BYTES,
    What,
};
pub use check::is_file;
pub use day::Day;
pub use hour::Hour;
pub use vouched::{MAX_VOUCHED_BYTES, Vouched};

/// Microseconds of an hour.
pub const HOUR: u64 = 3_600_000_000;
/// Segments of an hour: four a second. The directory of a rendition is then one node of less than 1 MiB, and is never sharded.
pub const MAX_SEGMENTS: usize = 14_400;
/// Bytes of a leaf of a playlist's file, as `ipfs add` cuts: one that grows at its end shares its leaves with the longer one.
const LEAF_BYTES: usize = 256 << 10;

/// Longest envelope as text: that of an entry of [`MAX_ENTRY_BYTES`], three bytes in four characters.
const MAX_TEXT_BYTES: usize = (MAX_ENTRY_BYTES + MAX_ENVELOPE_OVERHEAD) / 3 * 4 + 5;

/// A CID, and the bytes of all blocks below it, its own included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Of the node, or of the raw block.
    pub cid: Cid,
    /// As `Tsize` of a link to it.
    pub bytes: u64,
}

/// A closed segment in all renditions that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Media sequence number.
    pub msn: u64,
    /// Program date time of its first frame, microseconds since the Unix epoch.
    pub start: u64,
    /// Whether it does not join what came before.
    pub discontinuity: bool,
    /// Number of the init segments it needs.
    pub init: u32,
    /// In the order of the renditions.
    pub strands: Vec<Strand>,
}

/// One rendition's share of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strand {
    /// The rendition's id.
    pub rendition: Arc<str>,
    /// The init segment it needs.
    pub init: Link,
    /// The segment file.
    pub file: Link,
    /// Microseconds.
    pub duration: u64,
}

impl Segment {
    /// The hour (counted from 1970) of its first frame, which it belongs to.
    pub fn hour(&self) -> u64 {
        self.start / HOUR
    }

    /// Microseconds: that of the longest rendition.
    pub fn duration(&self) -> u64 {
        let durations = self.strands.iter().map(|strand| strand.duration);
        durations.max().unwrap_or(0)
    }

    fn strand(&self, rendition: &str) -> Option<&Strand> {
        (self.strands.iter()).find(|strand| &*strand.rendition == rendition)
    }
}

/// A directory or file, and the blocks that were made for it; those of segments and of directories linked to are not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// What it is called.
    pub link: Link,
    /// In the order in which they are to be written: what links comes behind what is linked.
    pub blocks: Vec<Block>,
}

/// A block that was made, by the rendition that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// `None` for what belongs to all renditions.
    pub rendition: Option<Arc<str>>,
    /// Of the bytes.
    pub cid: Cid,
    /// The block.
    pub bytes: Vec<u8>,
}

/// The stream's root over its days (counted from 1970): `2026-11-22`, ….
pub fn root(days: impl IntoIterator<Item = (u64, Link)>) -> Made {
    let mut maker = Maker::default();
    let days = days.into_iter().map(|(day, link)| (day_name(day), link));
    let link = maker.directory(None, days);
    maker.made(link)
}

/// A day (counted from 1970) as its directory is called: `2026-11-22`.
pub fn day_name(day: u64) -> String {
    let (year, month, day) = civil_date(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// An hour (counted from 1970) as its directory is called in its day's: `00` to `23`.
pub fn hour_name(hour: u64) -> String {
    format!("{:02}", hour % 24)
}

/// An envelope as text: multibase, base64url.
pub fn text(envelope: &[u8]) -> String {
    multibase::encode(Base::Base64Url, envelope)
}

fn from_text(text: &str) -> Result<Vec<u8>, Rejected> {
    let fits = text.len() <= MAX_TEXT_BYTES;
    let decoded = fits.then(|| multibase::decode(text).ok()).flatten();
    let (_, envelope) = decoded.ok_or(Rejected::Malformed("a text that is no envelope"))?;
    Ok(envelope)
}

/// Collects blocks.
#[derive(Default)]
struct Maker {
    blocks: Vec<Block>,
}

impl Maker {
    fn made(self, link: Link) -> Made {
        Made {
            link,
            blocks: self.blocks,
        }
    }

    /// A file, as `ipfs add --cid-version=1` makes it: one raw block where it fits, else a node over raw leaves.
    fn file(&mut self, rendition: Option<&Arc<str>>, bytes: &[u8]) -> Link {
        let mut leaves: Vec<_> = (bytes.chunks(LEAF_BYTES))
            .map(|leaf| {
                (
                    self.block(rendition, dag::cid_of(leaf), leaf.to_vec()),
                    leaf.len() as u64,
                )
            })
            .collect();
        if leaves.len() == 1 {
            let (cid, bytes) = leaves.remove(0);
            return Link { cid, bytes };
        }
        let (cid, node) = dag::segment_file(&leaves);
        let bytes = bytes.len() as u64 + node.len() as u64;
        Link {
            cid: self.block(rendition, cid, node),
            bytes,
        }
    }

    fn directory(
        &mut self,
        rendition: Option<&Arc<str>>,
        entries: impl IntoIterator<Item = (String, Link)>,
    ) -> Link {
        let entries = entries
            .into_iter()
            .map(|(name, link)| (name, link.cid, link.bytes));
        let entries: Vec<_> = entries.collect();
        let below: u64 = entries.iter().map(|(_, _, bytes)| bytes).sum();
        let (cid, node) = dag::directory(&entries);
        let bytes = below + node.len() as u64;
        Link {
            cid: self.block(rendition, cid, node),
            bytes,
        }
    }

    fn block(&mut self, rendition: Option<&Arc<str>>, cid: Cid, bytes: Vec<u8>) -> Cid {
        self.blocks.push(Block {
            rendition: rendition.cloned(),
            cid,
            bytes,
        });
        cid
    }
}
