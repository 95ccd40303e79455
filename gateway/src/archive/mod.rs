//! Hours and days: what a stream was, as directories that any IPFS gateway plays (protocol's README §10).
//!
//! ```text
//! data folder/store/<stream>/<hour>.hour   what is known of an hour that is not over: `protocol::archive::record`
//!                           /catalogue.log the signed list of closed hours
//! ```
//!
//! The walk of a segment: the publisher hands it over when it is closed ([`Archive::keep`]) and it is written down; a later
//! segment belongs to another hour, or the clock says so, and the thread of `closer` makes directories and playlists of
//! what was written down, keeps them as blocks beside the segments, pins the hour and signs an entry (`close`). An hour is
//! read back from its own playlists (`read`): for its day, and where more comes for one that was closed. `retain` lets old
//! hours go, `take_down` takes one back, `mirror` takes over the list of a stream that is followed, `verify` reads everything
//! back (`scrub` does so from time to time), `car` has hours leave and come as one file, `take_hls` has them come from a `playlist` of others, `clip` makes a directory of a stretch. `vouch`
//! signs the playlists of what is in no hour yet.

pub mod car;
mod clip;
mod close;
mod closer;
pub mod forecast;
mod keep;
mod labels;
pub(crate) mod mirror;
mod playlist;
pub mod read;
mod retain;
mod scrub;
mod take_down;
mod take_hls;
#[cfg(test)]
pub(crate) mod tests;
mod verify;
mod vouch;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::{
    archive::{Catalogue, Entry, HOUR, Hour, Link, Segment, Strand, record::Record},
    dag,
    key::SigningKey,
    manifest::{self, Manifest, Rejected, Rendition},
    name::StreamName,
};

pub use closer::Archives;
pub use keep::{Days, Keep, Rule, Settings};
pub(crate) use scrub::{Damage, MENDED};
pub use take_hls::Imported;
pub use verify::{Fault, held as read_back, walk};

use crate::store::{Journal, Store};

/// Who pins in the store.
pub(crate) const OWNER: &str = "archive";
/// What belongs to all renditions of an hour lies in a pack of this name, which no rendition's id can be.
const SHARED: &str = "hour.archive";
/// The extension of an hour that is not over.
const OPEN: &str = "hour";
const CATALOGUE: &str = "catalogue.log";

/// The past of one stream.
pub struct Archive {
    stream: StreamName,
    /// What signs its list; a mirror has only what its origin signed.
    key: Option<Arc<SigningKey>>,
    store: Store,
    rule: Rule,
    wake: closer::Wake,
    state: Mutex<State>,
    list: Mutex<List>,
    /// Of a mirror.
    whole: Mutex<Option<mirror::Whole>>,
    /// The same.
    vouched: vouch::Learned,
}

/// What the publisher writes; never held while anything waits for the disk.
struct State {
    /// By their number since 1970.
    open: BTreeMap<u64, OpenHour>,
    /// The hour of the newest segment of this run.
    current: Option<u64>,
    /// When an hour could not be closed last.
    failed: Option<Instant>,
}

/// What the thread writes.
struct List {
    catalogue: Catalogue,
    /// The signed entries.
    entries: Vec<Bytes>,
    /// The newest of them that says what the root is: by it alone a viewer can check everything that has closed.
    rooted: Option<Bytes>,
    /// Its epoch and sequence; zeros before the first.
    rooted_at: (u64, u64),
    journal: Journal,
}

impl List {
    /// Takes in an entry that was written down.
    fn take(&mut self, entry: &Entry, signed: Bytes) -> Result<(), Rejected> {
        self.catalogue.apply(entry)?;
        if entry.root.is_some() {
            self.rooted = Some(signed.clone());
            self.rooted_at = (entry.epoch, entry.sequence);
        }
        self.entries.push(signed);
        Ok(())
    }
}

/// An hour that is not over.
struct OpenHour {
    hour: Hour,
    journal: Journal,
    /// Renditions whose packs are pinned.
    pinned: BTreeSet<String>,
    /// It has been said that no more fits.
    full: bool,
}

impl Archive {
    /// Takes up what an earlier run wrote down.
    fn open(
        stream: StreamName,
        key: Option<Arc<SigningKey>>,
        store: Store,
        rule: Rule,
        wake: closer::Wake,
    ) -> io::Result<Self> {
        let mut journal = store.side_journal(&stream, CATALOGUE)?;
        let records = journal.take_records();
        let mut list = List {
            catalogue: Catalogue::default(),
            entries: Vec::new(),
            rooted: None,
            rooted_at: (0, 0),
            journal,
        };
        for record in records {
            let entry = Entry::open(&stream, &record);
            let taken = entry.and_then(|entry| list.take(&entry, record.into()));
            if let Err(error) = taken {
                tracing::warn!(%stream, %error, "an entry of the catalogue does not fit");
            }
        }
        let mut open = BTreeMap::new();
        for name in store.side_files(&stream, OPEN) {
            let Some(hour) = name
                .strip_suffix(".hour")
                .and_then(|hour| hour.parse().ok())
            else {
                continue;
            };
            open.insert(hour, OpenHour::open(&store, &stream, hour)?);
        }
        let whole = match key {
            Some(_) => None,
            None => Some(mirror::Whole::open(&store, &stream)?),
        };
        let state = State {
            open,
            current: None,
            failed: None,
        };
        Ok(Self {
            stream,
            key,
            store,
            rule,
            wake,
            state: Mutex::new(state),
            list: Mutex::new(list),
            whole: Mutex::new(whole),
            vouched: vouch::Learned::default(),
        })
    }

    /// That of a stream which is followed, and which no gateway runs at the moment: for a command.
    ///
    /// # Errors
    /// What the disk says.
    pub fn of_mirror(stream: StreamName, store: Store) -> io::Result<Self> {
        let rule = Rule::default();
        Self::open(stream, None, store, rule, closer::Wake::nobody())
    }

    /// That of a stream which no gateway runs at the moment: for a command.
    ///
    /// # Errors
    /// What the disk says.
    pub fn of(key: Arc<SigningKey>, store: Store) -> io::Result<Self> {
        let (stream, key) = (key.name(), Some(key));
        let rule = Rule::default();
        Self::open(stream, key, store, rule, closer::Wake::nobody())
    }

    /// The stream's name.
    pub fn stream(&self) -> &StreamName {
        &self.stream
    }

    /// The newest directory over its days; `None` before the first hour has closed.
    pub fn root(&self) -> Option<Cid> {
        self.list().catalogue.root().map(|link| link.cid)
    }

    /// The list of closed hours.
    pub fn catalogue(&self) -> Catalogue {
        self.list().catalogue.clone()
    }

    /// The signed entries from this position in the list on, at most `most`.
    pub fn entries(&self, from: usize, most: usize) -> Vec<Bytes> {
        self.list()
            .entries
            .iter()
            .skip(from)
            .take(most)
            .cloned()
            .collect()
    }

    /// The same, and the newest signed entry that says what the root is.
    pub fn signed_catalogue(&self) -> (Catalogue, Option<Bytes>) {
        let list = self.list();
        (list.catalogue.clone(), list.rooted.clone())
    }

    /// What changes with each segment of the hours that are not over: the number of the newest, and how many they are.
    pub(crate) fn open_edge(&self) -> (Option<u64>, usize) {
        let state = self.state();
        let newest = |open: &OpenHour| open.hour.segments().next_back().map(|one| one.msn);
        let count = |open: &OpenHour| open.hour.segments().len();
        (
            state.open.values().filter_map(newest).max(),
            state.open.values().map(count).sum(),
        )
    }

    /// What is known of the hours that are not over.
    pub fn open_hours(&self) -> Hour {
        let mut known = Hour::default();
        for open in self.state().open.values() {
            known.merge(open.hour.clone());
        }
        known
    }

    /// Hours (counted from 1970) that are held here, as the list has them: of a mirror those that have come whole.
    pub fn held(&self) -> BTreeSet<u64> {
        let (mut held, catalogue) = (self.pinned(), self.catalogue());
        let root = |hour: &u64| catalogue.hours().get(hour).map(|entry| entry.link.cid);
        held.retain(|hour| root(hour).is_none_or(|root| self.has_come(&root)));
        held
    }

    /// Hours of which something is held here.
    fn pinned(&self) -> BTreeSet<u64> {
        let pinned = self.store.pinned(OWNER, &self.stream).into_iter();
        pinned
            .filter(|(name, _)| name == SHARED)
            .map(|(_, hour)| hour)
            .collect()
    }

    /// Writes down all closed segments of the window that are not yet.
    pub(crate) fn keep_all(&self, manifest: &Manifest) {
        for msn in manifest.segments().map(|segment| segment.msn) {
            self.keep(manifest, msn);
        }
        // Those are of the past: what comes next tells the hour.
        self.state().current = None;
    }

    /// Writes down a segment of the window that was closed. Its hour begins with it, or goes on.
    pub(crate) fn keep(&self, manifest: &Manifest, msn: u64) {
        let Some(segment) = closed(manifest, msn) else {
            return;
        };
        // What was taken down comes back by `import` alone: the window of an earlier run may still have it.
        if self.list().catalogue.tombstones().contains(&segment.hour()) {
            return;
        }
        let (hour, mut state) = (segment.hour(), self.state());
        let state = &mut *state;
        let changed = state.current.replace(hour) != Some(hour);
        let open = match state.open.entry(hour) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                match OpenHour::open(&self.store, &self.stream, hour) {
                    Ok(open) => place.insert(open),
                    Err(error) => {
                        return tracing::error!(%error, hour, "an hour of the archive cannot be begun");
                    }
                }
            }
        };
        let renditions = manifest.renditions().iter().map(|entry| &entry.rendition);
        let renditions: Vec<_> = renditions
            .filter(|one| {
                segment
                    .strands
                    .iter()
                    .any(|strand| *strand.rendition == *one.id)
            })
            .collect();
        let fresh = renditions.iter().any(|one| !open.pinned.contains(&one.id));
        if let Err(error) = open.keep(&renditions, segment) {
            tracing::error!(%error, hour, msn, "a segment is missing in the archive");
        }
        if changed || fresh {
            self.wake.wake();
        }
    }

    /// A segment begins at this time, and with it perhaps another hour.
    pub(crate) fn turn(&self, start: u64) {
        let hour = Some(start / HOUR);
        if std::mem::replace(&mut self.state().current, hour) != hour {
            self.wake.wake();
        }
    }

    /// Hours that are held and closed, oldest first, and their bytes.
    pub fn sizes(&self) -> Vec<(u64, u64)> {
        let (catalogue, held) = (self.catalogue(), self.held());
        let hours = catalogue.hours().iter();
        let hours = hours.filter(|(hour, _)| held.contains(hour));
        hours
            .map(|(hour, entry)| (*hour, entry.link.bytes))
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn whole(&self) -> MutexGuard<'_, Option<mirror::Whole>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn file_name(hour: u64) -> String {
    format!("{hour}.{OPEN}")
}

impl OpenHour {
    fn open(store: &Store, stream: &StreamName, hour: u64) -> io::Result<Self> {
        let mut journal = store.side_journal(stream, &file_name(hour))?;
        let mut known = Hour::default();
        for record in journal.take_records() {
            match Record::decode(&record) {
                Ok(Record::Rendition(rendition)) => known.describe(&rendition),
                Ok(Record::Segment(segment)) => {
                    known.add(segment);
                }
                Err(error) => {
                    tracing::warn!(%stream, hour, %error, "a record of an open hour does not fit")
                }
            }
        }
        Ok(Self {
            hour: known,
            journal,
            pinned: BTreeSet::new(),
            full: false,
        })
    }

    fn keep(&mut self, renditions: &[&Rendition], segment: Segment) -> io::Result<()> {
        if self.hour.segment(segment.msn).is_some() {
            return Ok(());
        }
        for rendition in renditions {
            if !self.hour.renditions.contains(rendition) {
                self.journal
                    .append(&Record::Rendition((*rendition).clone()).encode())?;
                self.hour.describe(rendition);
            }
        }
        let record = Record::Segment(segment.clone()).encode();
        if self.hour.add(segment) {
            return self.journal.append(&record);
        }
        if !std::mem::replace(&mut self.full, true) {
            tracing::error!(
                most = meshlive_protocol::archive::MAX_SEGMENTS,
                "an hour has too many segments for its directory: the rest is not archived"
            );
        }
        Ok(())
    }
}

/// A segment of the window as the archive knows it: the renditions that closed it.
fn closed(manifest: &Manifest, msn: u64) -> Option<Segment> {
    let segment = manifest.segment(msn)?;
    let mut strands = Vec::new();
    for (index, entry) in manifest.renditions().iter().enumerate() {
        let strand = segment.strand(index);
        let init = manifest.find_init(&entry.rendition.id, segment.init);
        let (Some(root), Some(init)) = (strand.root, init) else {
            continue;
        };
        let parts: Vec<_> = strand
            .parts
            .iter()
            .map(|part| (part.cid, u64::from(part.size)))
            .collect();
        let (_, node) = dag::segment_file(&parts);
        strands.push(Strand {
            rendition: entry.rendition.id.as_str().into(),
            init: Link {
                cid: init.cid,
                bytes: u64::from(init.size),
            },
            file: Link {
                cid: root,
                bytes: strand.size() + node.len() as u64,
            },
            duration: strand.duration(),
        });
    }
    let manifest::Segment {
        start,
        discontinuity,
        init,
        ..
    } = *segment;
    (!strands.is_empty()).then_some(Segment {
        msn,
        start,
        discontinuity,
        init,
        strands,
    })
}

/// The time at which an hour (counted from 1970) begins, as the store wants it.
fn start(hour: u64) -> u64 {
    hour * HOUR
}
