//! The signed, append-only list of what a stream's archive holds (README §10).

use std::collections::{BTreeMap, BTreeSet};

use super::Link;
use crate::{
    cbor::{Reader, Writer},
    key::SigningKey,
    manifest::{MAX_NUMBER, Rejected, envelope},
    name::StreamName,
};

/// Payload type of an entry.
pub(super) const ENTRY_TYPE: &[u8] = b"/ml/c";
/// Longest payload of an entry, bytes.
pub const MAX_ENTRY_BYTES: usize = 512;

const HOUR: u8 = 0;
const TOMBSTONE: u8 = 1;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Higher where an older list was lost.
    pub epoch: u64,
    /// One more than that of the entry before; 1 is the first of an epoch.
    pub sequence: u64,
    /// What it says.
    pub what: What,
    /// The stream's root from here on.
    pub root: Link,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An hour closed, or closed anew with more in it.
    Hour {
        /// Counted from 1970.
        hour: u64,
        /// The hour.
        entry: HourEntry,
        /// The directory of its day.
        day: Link,
    },
    /// An hour is no longer offered: whoever keeps it may let it go.
    Tombstone {
        /// Counted from 1970.
        hour: u64,
        /// The directory of its day without it; `None` where nothing is left of it.
        day: Option<Link>,
    },
}

/// An hour of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourEntry {
    /// Its directory.
    pub link: Link,
    /// Microseconds of media.
    pub duration: u64,
}

impl Entry {
    /// As a signed envelope.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        envelope::seal(key, ENTRY_TYPE, &self.encode())
    }

    /// Verifies an envelope of `stream` and reads what is inside.
    ///
    /// # Errors
    /// Where the signature, the form or a bound is wrong.
    pub fn open(stream: &StreamName, envelope: &[u8]) -> Result<Self, Rejected> {
        let limit = |payload_type: &[u8]| match payload_type {
            ENTRY_TYPE => Ok(MAX_ENTRY_BYTES),
            _ => Err(Rejected::UnknownType),
        };
        let (_, payload) = envelope::open(stream, envelope, limit)?;
        Self::decode(payload)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.array(5).null().number(self.epoch).number(self.sequence);
        match &self.what {
            What::Hour { hour, entry, day } => {
                out.array(5).number(HOUR).number(*hour);
                link(&mut out, &entry.link).number(entry.duration);
                link(&mut out, day);
            }
            What::Tombstone { hour, day } => {
                out.array(3).number(TOMBSTONE).number(*hour);
                match day {
                    Some(day) => link(&mut out, day),
                    None => out.array(0),
                };
            }
        }
        link(&mut out, &self.root);
        out.into_bytes()
    }

    fn decode(payload: &[u8]) -> Result<Self, Rejected> {
        let mut from = Reader::new(payload);
        from.tuple(5)?;
        from.null()?;
        let epoch = from.number("epoch", MAX_NUMBER)?;
        let sequence = from.number("sequence", MAX_NUMBER)?;
        let length = from.array("items of an entry", 5)?;
        let kind = from.number("kind of entry", TOMBSTONE)?;
        if length != [5, 3][usize::from(kind)] {
            return Err(Rejected::Malformed("an entry of the wrong length"));
        }
        let hour = from.number("hour", MAX_NUMBER)?;
        let what = if kind == HOUR {
            let link = read_link(&mut from)?;
            let duration = from.number("duration", MAX_NUMBER)?;
            What::Hour {
                hour,
                entry: HourEntry { link, duration },
                day: read_link(&mut from)?,
            }
        } else {
            let day = match from.array("items of a link", 2)? {
                0 => None,
                2 => Some(Link {
                    cid: from.link()?,
                    bytes: from.number("bytes", MAX_NUMBER)?,
                }),
                _ => return Err(Rejected::Malformed("half a link")),
            };
            What::Tombstone { hour, day }
        };
        let root = read_link(&mut from)?;
        from.finish()?;
        Ok(Self {
            epoch,
            sequence,
            what,
            root,
        })
    }
}

fn link<'a>(out: &'a mut Writer, link: &Link) -> &'a mut Writer {
    out.array(2).link(&link.cid).number(link.bytes)
}

fn read_link(from: &mut Reader) -> Result<Link, Rejected> {
    from.tuple(2)?;
    Ok(Link {
        cid: from.link()?,
        bytes: from.number("bytes", MAX_NUMBER)?,
    })
}

/// What all entries together say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    last: (u64, u64),
    root: Option<Link>,
    hours: BTreeMap<u64, HourEntry>,
    days: BTreeMap<u64, Link>,
    tombstones: BTreeSet<u64>,
}

impl Catalogue {
    /// Takes in the next entry.
    ///
    /// # Errors
    /// `Old` for one that is known or overtaken, `Gap` where one is missing before it; nothing has changed then.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Rejected> {
        let (got, known) = ((entry.epoch, entry.sequence), self.last);
        if got <= known {
            return Err(Rejected::Old { got, known });
        }
        let next = if entry.epoch == known.0 {
            known.1 + 1
        } else {
            1
        };
        if entry.sequence != next {
            return Err(Rejected::Gap { got, known });
        }
        self.last = got;
        self.root = Some(entry.root);
        match &entry.what {
            What::Hour { hour, entry, day } => {
                self.hours.insert(*hour, *entry);
                self.days.insert(hour / 24, *day);
                self.tombstones.remove(hour);
            }
            What::Tombstone { hour, day } => {
                self.hours.remove(hour);
                self.tombstones.insert(*hour);
                match day {
                    Some(day) => self.days.insert(hour / 24, *day),
                    None => self.days.remove(&(hour / 24)),
                };
            }
        }
        Ok(())
    }

    /// (epoch, sequence) of the last entry; zeros before the first.
    pub fn last(&self) -> (u64, u64) {
        self.last
    }

    /// The stream's newest root.
    pub fn root(&self) -> Option<Link> {
        self.root
    }

    /// Hours (counted from 1970) that are offered.
    pub fn hours(&self) -> &BTreeMap<u64, HourEntry> {
        &self.hours
    }

    /// Days (counted from 1970) that are offered.
    pub fn days(&self) -> &BTreeMap<u64, Link> {
        &self.days
    }

    /// Hours that are no longer offered.
    pub fn tombstones(&self) -> &BTreeSet<u64> {
        &self.tombstones
    }
}
