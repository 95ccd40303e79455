//! The past of a stream that is followed: the origin's signed list is taken over entry by entry, and each hour in it is
//! kept when all its blocks are here; they are the same blocks, so the roots are the same.
//!
//! ```text
//! data folder/store/<stream>/whole.log   the roots of which all blocks came, a CID each
//! ```

use std::{collections::HashSet, io};

use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::{
    archive::{Entry, Link, What},
    manifest::Rejected,
    name::StreamName,
};

use super::{Archive, Keep, OWNER, SHARED, file_name, read, retain, start};
use crate::store::{Journal, Store};

/// What was fetched lies in a pack of this name, beside what came while it was live.
pub(crate) const FETCHED: &str = "mirror.archive";
const WHOLE: &str = "whole.log";
/// Entries of one list: twenty years of hours. An origin that signs more is not followed further.
const MAX_ENTRIES: usize = 200_000;

/// What of the list is here.
pub(super) struct Whole {
    roots: HashSet<Cid>,
    journal: Journal,
}

impl Whole {
    pub(super) fn open(store: &Store, stream: &StreamName) -> io::Result<Self> {
        let mut journal = store.side_journal(stream, WHOLE)?;
        let records = journal.take_records();
        let roots = records
            .iter()
            .filter_map(|record| Cid::try_from(&record[..]).ok());
        Ok(Self {
            roots: roots.collect(),
            journal,
        })
    }
}

impl Archive {
    /// How many entries the list has.
    pub(crate) fn entry_count(&self) -> usize {
        self.list().entries.len()
    }

    /// Takes over signed entries of the origin's list; says how many were new. Those that are known or older are passed
    /// over: a list that is replayed changes nothing. Hours that the origin took down are let go.
    ///
    /// # Errors
    /// `InvalidData` for one that the stream's key did not sign, that does not follow, or that is one too many; those before
    /// it are taken. And whatever the file system says.
    pub(crate) fn learn(&self, entries: &[Bytes]) -> io::Result<usize> {
        let mut gone = Vec::new();
        let learned = self.learn_each(entries, &mut gone);
        // What the origin has taken down is not offered here either.
        for hour in gone {
            self.release(hour);
            if self.state().open.remove(&hour).is_some() {
                self.store
                    .remove_side_journal(&self.stream, &file_name(hour))?;
            }
            self.store.give_up_hour(&self.stream, start(hour))?;
        }
        learned
    }

    fn learn_each(&self, entries: &[Bytes], gone: &mut Vec<u64>) -> io::Result<usize> {
        let mut list = self.list();
        let mut new = 0;
        for signed in entries {
            let entry = Entry::open(&self.stream, signed).map_err(invalid)?;
            match list.catalogue.follows(&entry) {
                Err(Rejected::Old { .. }) => continue,
                follows => follows.map_err(invalid)?,
            }
            if list.entries.len() >= MAX_ENTRIES {
                return Err(invalid(format!(
                    "the list has more than {MAX_ENTRIES} entries"
                )));
            }
            list.journal.append(signed)?;
            list.take(&entry, signed.clone()).map_err(invalid)?;
            if let What::Tombstone { hour, .. } = entry.what {
                gone.push(hour);
            }
            new += 1;
        }
        if new > 0 {
            list.journal.sync()?;
        }
        Ok(new)
    }

    /// Hours of the list that are to be kept and are not here yet, the newest first.
    pub(crate) fn lacking(&self) -> Vec<(u64, Link)> {
        let catalogue = self.catalogue();
        let hours = catalogue.hours();
        let Some(newest) = hours.keys().next_back().copied() else {
            return Vec::new();
        };
        let keep = match self.rule.keep {
            Keep::For(keep) => u64::try_from(keep.as_micros()).unwrap_or(u64::MAX),
            _ => u64::MAX,
        };
        let mut old = retain::too_old(hours.keys().copied(), newest, keep);
        old.retain(|hour| !self.rule.days.have(*hour));
        let lacks = |hour: u64, link: Link| !self.is_whole(&link.cid) && !old.contains(&hour);
        let lacking = hours.iter().rev().map(|(hour, entry)| (*hour, entry.link));
        lacking.filter(|(hour, link)| lacks(*hour, *link)).collect()
    }

    /// Whether all blocks below a root came once.
    pub(crate) fn is_whole(&self, root: &Cid) -> bool {
        let whole = self.whole();
        whole
            .as_ref()
            .is_some_and(|whole| whole.roots.contains(root))
    }

    /// The same, and so of everything where the list is signed here.
    pub(super) fn has_come(&self, root: &Cid) -> bool {
        self.key.is_some() || self.is_whole(root)
    }

    /// All blocks below the root of an hour, or of the list, are here: they are pinned.
    ///
    /// # Errors
    /// What reading the hour says, and the file system.
    pub(crate) fn adopt(&self, hour: u64, root: Cid, is_hour: bool) -> io::Result<()> {
        let at = start(hour);
        if is_hour {
            let contents = read::hour(&self.store, root)?;
            if contents.segments().any(|segment| segment.hour() != hour) {
                return Err(invalid("its segments are of another hour"));
            }
            for rendition in &contents.renditions {
                self.store.pin(OWNER, &self.stream, &rendition.id, at)?;
            }
        }
        self.store.pin(OWNER, &self.stream, FETCHED, at)?;
        if is_hour {
            // By this it is held; the newest directory lies in the newest hour's pack, be that hour here or not.
            self.store.pin(OWNER, &self.stream, SHARED, at)?;
        }
        self.store.flush();
        if let Some(whole) = &mut *self.whole() {
            whole.journal.append(&root.to_bytes())?;
            whole.journal.sync()?;
            whole.roots.insert(root);
        }
        // What was written down of it while it was live is not needed any more.
        if is_hour && self.state().open.remove(&hour).is_some() {
            self.store
                .remove_side_journal(&self.stream, &file_name(hour))?;
        }
        Ok(())
    }
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
