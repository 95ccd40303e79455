//! The signed, append-only list of what a stream's archive holds (README §10).

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{HOUR, Link, from_text};
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

/// Longest title of an hour or a chapter, bytes.
pub const MAX_TITLE_BYTES: usize = 200;
/// Titles and chapters of one stream at a time.
pub const MAX_LABELS: usize = 10_000;

const CLOSED: u8 = 0;
const TOMBSTONE: u8 = 1;
const TITLE: u8 = 2;
const CHAPTER: u8 = 3;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Higher where an older list was lost.
    pub epoch: u64,
    /// One more than that of the entry before; 1 is the first of an epoch.
    pub sequence: u64,
    /// What it says.
    pub what: What,
    /// The stream's root from here on; `None` where that stays as it is.
    pub root: Option<Link>,
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
    /// What an hour, or what begins at a time, is called.
    Label {
        /// Which of these.
        of: Labelled,
        /// At most [`MAX_TITLE_BYTES`] without control characters; an empty one takes it back.
        text: String,
    },
}

/// What has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labelled {
    /// An hour, counted from 1970.
    Hour(u64),
    /// What begins at a time, microseconds since 1970.
    Chapter(u64),
}

impl What {
    /// The hour that it is about, counted from 1970.
    pub fn hour(&self) -> u64 {
        match self {
            Self::Hour { hour, .. } | Self::Tombstone { hour, .. } => *hour,
            Self::Label { of, .. } => match of {
                Labelled::Hour(hour) => *hour,
                Labelled::Chapter(at) => at / HOUR,
            },
        }
    }
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

    /// The same of an envelope as text, see [`text`](super::text).
    ///
    /// # Errors
    /// As [`open`](Self::open), and for what is no such text.
    pub fn open_text(stream: &StreamName, text: &str) -> Result<Self, Rejected> {
        Self::open(stream, &from_text(text)?)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.array(5).null().number(self.epoch).number(self.sequence);
        match &self.what {
            What::Hour { hour, entry, day } => {
                out.array(5).number(CLOSED).number(*hour);
                link(&mut out, &entry.link).number(entry.duration);
                link(&mut out, day);
            }
            What::Tombstone { hour, day } => {
                out.array(3).number(TOMBSTONE).number(*hour);
                maybe(&mut out, day.as_ref());
            }
            What::Label { of, text } => {
                let (kind, number) = match of {
                    Labelled::Hour(hour) => (TITLE, *hour),
                    Labelled::Chapter(at) => (CHAPTER, *at),
                };
                out.array(3).number(kind).number(number).text(text);
            }
        }
        maybe(&mut out, self.root.as_ref());
        out.into_bytes()
    }

    fn decode(payload: &[u8]) -> Result<Self, Rejected> {
        let mut from = Reader::new(payload);
        from.tuple(5)?;
        from.null()?;
        let epoch = from.number("epoch", MAX_NUMBER)?;
        let sequence = from.number("sequence", MAX_NUMBER)?;
        let length = from.array("items of an entry", 5)?;
        let kind = from.number("kind of entry", CHAPTER)?;
        if length != [5, 3, 3, 3][usize::from(kind)] {
            return Err(Rejected::Malformed("an entry of the wrong length"));
        }
        let number = from.number("hour or time", MAX_NUMBER)?;
        let what = match kind {
            CLOSED => {
                let link = read_link(&mut from)?;
                let duration = from.number("duration", MAX_NUMBER)?;
                What::Hour {
                    hour: number,
                    entry: HourEntry { link, duration },
                    day: read_link(&mut from)?,
                }
            }
            TOMBSTONE => What::Tombstone {
                hour: number,
                day: read_maybe(&mut from)?,
            },
            kind => {
                let text = from.text("title", MAX_TITLE_BYTES)?.to_owned();
                if text.contains(char::is_control) {
                    return Err(Rejected::Malformed("a title with control characters"));
                }
                let of = match kind {
                    TITLE => Labelled::Hour(number),
                    _ => Labelled::Chapter(number),
                };
                What::Label { of, text }
            }
        };
        let root = read_maybe(&mut from)?;
        if root.is_some() == (kind >= TITLE) {
            return Err(Rejected::Malformed("a root where none belongs, or none"));
        }
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

fn maybe(out: &mut Writer, found: Option<&Link>) {
    match found {
        Some(found) => link(out, found),
        None => out.array(0),
    };
}

fn read_maybe(from: &mut Reader) -> Result<Option<Link>, Rejected> {
    match from.array("items of a link", 2)? {
        0 => Ok(None),
        2 => Ok(Some(Link {
            cid: from.link()?,
            bytes: from.number("bytes", MAX_NUMBER)?,
        })),
        _ => Err(Rejected::Malformed("half a link")),
    }
}

/// What hours, and times in them, are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// By the hour, counted from 1970.
    pub titles: BTreeMap<u64, String>,
    /// By the time, microseconds since 1970.
    pub chapters: BTreeMap<u64, String>,
}

impl Labels {
    /// The chapters of a time, microseconds since 1970.
    pub fn within(&self, time: &Range<u64>) -> impl Iterator<Item = (u64, &str)> {
        let chapters = self.chapters.range(time.clone());
        chapters.map(|(at, text)| (*at, text.as_str()))
    }

    fn count(&self) -> usize {
        self.titles.len() + self.chapters.len()
    }

    fn set(&mut self, of: Labelled, text: &str) {
        let (place, key) = match of {
            Labelled::Hour(hour) => (&mut self.titles, hour),
            Labelled::Chapter(at) => (&mut self.chapters, at),
        };
        if text.is_empty() {
            place.remove(&key);
        } else {
            place.insert(key, text.to_owned());
        }
    }
}

/// What all entries together say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    last: (u64, u64),
    root: Option<Link>,
    hours: BTreeMap<u64, HourEntry>,
    days: BTreeMap<u64, Link>,
    tombstones: BTreeSet<u64>,
    labels: Labels,
}

impl Catalogue {
    /// Whether this is the next entry.
    ///
    /// # Errors
    /// `Old` for one that is known or overtaken, `Gap` where one is missing before it, `TooBig` for a name more than
    /// [`MAX_LABELS`].
    pub fn follows(&self, entry: &Entry) -> Result<(), Rejected> {
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
        if let What::Label { text, .. } = &entry.what
            && !text.is_empty()
            && self.labels.count() >= MAX_LABELS
        {
            return Err(Rejected::TooBig {
                what: "titles and chapters",
                value: self.labels.count() as u64 + 1,
                max: MAX_LABELS as u64,
            });
        }
        Ok(())
    }

    /// Takes in the next entry.
    ///
    /// # Errors
    /// As [`follows`](Self::follows); nothing has changed then.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Rejected> {
        self.follows(entry)?;
        self.last = (entry.epoch, entry.sequence);
        self.root = entry.root.or(self.root);
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
            What::Label { of, text } => self.labels.set(*of, text),
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

    /// What hours, and times in them, are called.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Hours that are no longer offered.
    pub fn tombstones(&self) -> &BTreeSet<u64> {
        &self.tombstones
    }
}
