//! Who holds which hour: a pack with at least one owner is never given up. Kept in the file `pins`, in the form of a journal:
//! `+` or `-`, the owner, a line feed, the hour's first pack; a checkpoint has many such, parted by line feeds.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::Path,
    sync::Arc,
};

use super::{
    inner::is_full,
    journal::{Journal, Synced},
    key::PackKey,
    record,
};

/// A checkpoint is made when this much was written since the last.
const CHECKPOINT_BYTES: u64 = 1 << 20;
/// So many pins at most, each of at most 300 bytes: a checkpoint then fits a record. Six years of a rendition.
pub(crate) const MAX_PINS: usize = record::MAX_RECORD_BYTES / 300;
const MAX_OWNER_BYTES: usize = 64;

/// The owners of each hour's packs.
pub(crate) struct Pins {
    owners: HashMap<PackKey, BTreeSet<String>>,
    count: usize,
    journal: Journal,
    written: u64,
    /// The journal lacks what was let go while the disk was full.
    behind: bool,
}

impl Pins {
    /// Reads the file.
    pub(crate) fn load(folder: &Path) -> io::Result<Self> {
        let path = folder.join("pins");
        let mut journal = Journal::open(&path, Arc::<Synced>::default())?;
        let records = journal.take_records();
        let mut pins = Self {
            owners: HashMap::new(),
            count: 0,
            journal,
            written: 0,
            behind: false,
        };
        for record in records {
            let text = String::from_utf8_lossy(&record);
            let mut lines = text.lines();
            while let (Some(owner), Some(hour)) = (lines.next(), lines.next()) {
                if let (Some((held, owner)), Some(hour)) =
                    (owner.split_at_checked(1), PackKey::parse(hour))
                {
                    pins.apply(held == "+", owner, hour);
                }
            }
        }
        Ok(pins)
    }

    /// Whether anyone holds it.
    pub(crate) fn is_pinned(&self, pack: &PackKey) -> bool {
        self.owners.contains_key(&PackKey {
            volume: 0,
            ..pack.clone()
        })
    }

    /// What the owner holds of a stream: rendition and hour.
    pub(crate) fn of(&self, owner: &str, stream: &str) -> Vec<(String, u64)> {
        let held = self
            .owners
            .iter()
            .filter(|(key, owners)| &*key.stream == stream && owners.contains(owner));
        held.map(|(key, _)| (key.rendition.to_string(), key.hour))
            .collect()
    }

    /// Who holds what of a stream: owner, rendition and hour.
    pub(crate) fn owners(&self, stream: &str) -> Vec<(String, String, u64)> {
        let held = self.owners.iter().filter(|(key, _)| &*key.stream == stream);
        let each = held.flat_map(|(key, owners)| owners.iter().map(move |owner| (owner, key)));
        each.map(|(owner, key)| (owner.clone(), key.rendition.to_string(), key.hour))
            .collect()
    }

    /// Holds the hour for the owner, or lets it go; on the disk when it returns. Where the disk is full an hour is let go
    /// all the same, as this makes room, and written down when there is some.
    ///
    /// # Errors
    /// `InvalidInput` for an owner that is empty, longer than 64 bytes or has control characters, `QuotaExceeded` at [`MAX_PINS`],
    /// and whatever the file system says; nothing has changed then.
    pub(crate) fn set(&mut self, held: bool, owner: &str, hour: PackKey) -> io::Result<()> {
        if owner.is_empty() || owner.len() > MAX_OWNER_BYTES || owner.contains(char::is_control) {
            let message = format!(
                "pin owner {owner:?}: give 1 to {MAX_OWNER_BYTES} bytes without control characters"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        if held && self.count >= MAX_PINS {
            let message = format!("{MAX_PINS} pins are held: release some");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, message));
        }
        if self
            .owners
            .get(&hour)
            .is_some_and(|owners| owners.contains(owner))
            == held
        {
            return Ok(());
        }
        let line = line(held, owner, &hour);
        let written = self.journal.append(line.as_bytes());
        match written.and_then(|()| self.journal.sync()) {
            Err(error) if !held && is_full(&error) => self.behind = true,
            written => written?,
        }
        self.written += line.len() as u64;
        self.apply(held, owner, hour);
        if self.behind || self.written >= CHECKPOINT_BYTES && self.count > 0 {
            match self.checkpoint() {
                Err(error) if self.behind && is_full(&error) => {}
                made => made?,
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> io::Result<()> {
        let all = self
            .owners
            .iter()
            .flat_map(|(hour, owners)| owners.iter().map(move |owner| line_of(owner, hour)));
        let mut all = all.collect::<Vec<_>>().join("\n");
        if all.is_empty() {
            all.push('\n'); // a record is never empty
        }
        self.journal.checkpoint(all.as_bytes())?;
        self.journal.sync()?;
        (self.written, self.behind) = (0, false);
        Ok(())
    }

    fn apply(&mut self, held: bool, owner: &str, hour: PackKey) {
        let owners = self.owners.entry(hour.clone()).or_default();
        if held {
            self.count += usize::from(owners.insert(owner.to_owned()));
        } else {
            self.count -= usize::from(owners.remove(owner));
        }
        if owners.is_empty() {
            self.owners.remove(&hour);
        }
    }
}

fn line_of(owner: &str, hour: &PackKey) -> String {
    line(true, owner, hour)
}

fn line(held: bool, owner: &str, hour: &PackKey) -> String {
    format!("{}{owner}\n{hour}", if held { '+' } else { '-' })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(n: u64) -> PackKey {
        PackKey::new("k51", "v", n * super::super::key::HOUR).unwrap()
    }

    #[test]
    fn an_hour_is_held_until_its_last_owner_lets_go_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut pins = Pins::load(folder.path()).unwrap();
        pins.set(true, "archive", hour(1)).unwrap();
        pins.set(true, "archive", hour(1)).unwrap();
        pins.set(true, "mirror a", hour(1)).unwrap();
        pins.set(true, "archive", hour(2)).unwrap();
        pins.set(false, "archive", hour(1)).unwrap();
        drop(pins);
        let mut pins = Pins::load(folder.path()).unwrap();
        assert!(
            pins.is_pinned(&hour(1))
                && pins.is_pinned(&PackKey {
                    volume: 4,
                    ..hour(2)
                })
                && !pins.is_pinned(&hour(3))
        );
        pins.set(false, "mirror a", hour(1)).unwrap();
        pins.set(false, "nobody", hour(2)).unwrap();
        let pins = Pins::load(folder.path()).unwrap();
        assert!(!pins.is_pinned(&hour(1)) && pins.is_pinned(&hour(2)));
    }

    #[test]
    fn the_file_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let mut pins = Pins::load(folder.path()).unwrap();
        pins.set(true, "archive", hour(1)).unwrap();
        pins.set(true, "archive", hour(2)).unwrap();
        pins.written = CHECKPOINT_BYTES - 60;
        for n in 0..50 {
            pins.set(n % 2 == 0, "mirror", hour(3)).unwrap();
        }
        assert!(std::fs::metadata(folder.path().join("pins")).unwrap().len() < 50 * 40);
        let pins = Pins::load(folder.path()).unwrap();
        assert!(pins.is_pinned(&hour(1)) && pins.is_pinned(&hour(2)) && !pins.is_pinned(&hour(3)));
    }

    #[test]
    fn limits_hold() {
        let folder = tempfile::tempdir().unwrap();
        let mut pins = Pins::load(folder.path()).unwrap();
        for owner in ["", "a\nb", &"a".repeat(65)] {
            assert_eq!(
                pins.set(true, owner, hour(1)).unwrap_err().kind(),
                io::ErrorKind::InvalidInput
            );
        }
        pins.count = MAX_PINS;
        assert_eq!(
            pins.set(true, "archive", hour(1)).unwrap_err().kind(),
            io::ErrorKind::QuotaExceeded
        );
    }
}
