//! A stream's journal: what must be known again after a crash (see `record` for its form).
//!
//! A checkpoint begins a new file beside the old one, and what is appended goes there at once. It takes the old one's
//! place when it is on the disk, which whoever syncs waits for; until then a start that finds both takes the new one if
//! its first record is whole.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::{inner::lock, record};

/// A journal takes no more than this: its owner checkpoints long before.
pub const MAX_JOURNAL_BYTES: u64 = 64 << 20;

/// An append-only file of records. Each append is one `write(2)`, so `kill -9` loses nothing that was appended.
pub struct Journal {
    path: PathBuf,
    file: Arc<Synced>,
    bytes: u64,
    /// Behind `bytes` stands the rest of a failed write.
    torn: bool,
    records: Vec<Vec<u8>>,
}

/// The file as the store's background thread sees it.
#[derive(Default)]
pub(crate) struct Synced {
    file: Mutex<Option<Current>>,
    /// Held for a whole sync, so that two do not put the same file in its place.
    syncing: Mutex<()>,
}

/// Where appends go.
#[derive(Clone)]
struct Current {
    file: Arc<File>,
    path: PathBuf,
    /// It was begun beside the old journal and is to take its place.
    is_next: bool,
}

impl Synced {
    /// Has the journal on the disk, and a new one in the old one's place.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let _syncing = lock(&self.syncing);
        let Some(current) = lock(&self.file).clone() else {
            return Ok(());
        };
        if !current.is_next {
            return current.file.sync_data();
        }
        current.file.sync_all()?;
        fs::rename(next(&current.path), &current.path)?;
        sync_folder(&current.path)?;
        if let Some(current) = &mut *lock(&self.file) {
            current.is_next = false;
        }
        Ok(())
    }

    fn current(&self) -> Current {
        lock(&self.file)
            .clone()
            .expect("set when the journal was opened, and never taken away")
    }

    fn set(&self, file: File, path: &Path, is_next: bool) {
        *lock(&self.file) = Some(Current {
            file: Arc::new(file),
            path: path.to_owned(),
            is_next,
        });
    }
}

/// Where the next journal is begun.
fn next(path: &Path) -> PathBuf {
    path.with_extension("next")
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().expect("a journal lies in a folder"))?.sync_all()
}

/// What a crash left of a checkpoint: it takes the journal's place where its record is whole, and goes where it is not.
fn adopt_next(path: &Path) -> io::Result<()> {
    let next = next(path);
    match fs::read(&next) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(bytes) if record::scan(&bytes).0.is_empty() => fs::remove_file(&next),
        Ok(_) => {
            File::open(&next)?.sync_all()?;
            fs::rename(&next, path)?;
            sync_folder(path)
        }
        Err(error) => Err(error),
    }
}

impl Journal {
    /// The journal as a crash or a shutdown left it; a torn record at its end is cut off.
    pub(super) fn open(path: &Path, file: Arc<Synced>) -> io::Result<Self> {
        adopt_next(path)?;
        let opened = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        let bytes = fs::read(path)?;
        let (records, good) = record::scan(&bytes);
        if good < bytes.len() {
            tracing::warn!(path = %path.display(), cut = bytes.len() - good, "the journal's torn end was cut off");
            opened.set_len(good as u64)?;
        }
        let records = records.into_iter().map(<[u8]>::to_vec).collect();
        file.set(opened, path, false);
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes: good as u64,
            torn: false,
            records,
        })
    }

    /// The records found when it was opened, in order; handed out once.
    pub fn take_records(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.records)
    }

    /// Bytes in the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes a record; it has survived a `kill -9` when this returns. A power cut it survives after the next sync.
    ///
    /// # Errors
    /// `InvalidInput` for an empty record or one over 16 MiB, `FileTooLarge` at [`MAX_JOURNAL_BYTES`], and whatever the
    /// file system says; the journal then ends with the record before.
    pub fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let bytes = encode(record)?;
        if self.bytes + bytes.len() as u64 > MAX_JOURNAL_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!(
                    "journal {} has {} bytes: make a checkpoint",
                    self.path.display(),
                    self.bytes
                ),
            ));
        }
        let file = self.file.current().file;
        if self.torn {
            file.set_len(self.bytes)?;
            self.torn = false;
        }
        if let Err(error) = (&*file).write_all(&bytes) {
            self.torn = file.set_len(self.bytes).is_err();
            return Err(error);
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Has everything appended so far on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Starts anew with this record, which says all that those before it did. It does not wait for the disk: it survives
    /// a `kill -9` when this returns, and until the next sync a power cut may bring back the old journal, whole. Where the
    /// last checkpoint is not on the disk yet, this one goes behind it.
    ///
    /// # Errors
    /// As [`Journal::append`]; then the journal goes on as it was.
    pub fn checkpoint(&mut self, record: &[u8]) -> io::Result<()> {
        if self.file.current().is_next {
            return self.append(record);
        }
        let bytes = encode(record)?;
        let next = next(&self.path);
        let mut file = OpenOptions::new().append(true).create(true).open(&next)?;
        if let Err(error) = file.set_len(0).and_then(|()| file.write_all(&bytes)) {
            let _ = fs::remove_file(&next); // what is left of it is found again at the next start
            return Err(error);
        }
        self.file.set(file, &self.path, true);
        (self.bytes, self.torn) = (bytes.len() as u64, false);
        Ok(())
    }
}

fn encode(record: &[u8]) -> io::Result<Vec<u8>> {
    if record.is_empty() || record.len() > record::MAX_RECORD_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "a journal record of {} bytes: give 1 byte to 16 MiB",
                record.len()
            ),
        ));
    }
    Ok(record::encode(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Journal {
        Journal::open(path, Arc::default()).unwrap()
    }

    #[test]
    fn a_torn_end_at_every_byte_leaves_the_records_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = open(&path);
        ["first", "second", "third"]
            .iter()
            .for_each(|record| journal.append(record.as_bytes()).unwrap());
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let kept = open(&path).take_records();
            assert!(kept.len() < 3);
            let mut journal = open(&path);
            journal.append(b"after").unwrap();
            let mut records = open(&path).take_records();
            assert_eq!(records.pop().unwrap(), b"after");
            assert_eq!(records, kept, "cut at {cut}");
        }
    }

    /// A journal in `folder` of which "old" is on the disk, with "state" and "new" in the one begun beside it.
    fn begun(folder: &Path) -> (PathBuf, Journal) {
        let path = folder.join("journal");
        let mut journal = open(&path);
        journal.append(b"old").unwrap();
        journal.checkpoint(b"state").unwrap();
        journal.append(b"new").unwrap();
        (path, journal)
    }

    #[test]
    fn checkpoint_starts_anew_and_takes_the_old_ones_place_with_the_next_sync() {
        let folder = tempfile::tempdir().unwrap();
        let (path, mut journal) = begun(folder.path());
        assert_eq!(
            record::scan(&std::fs::read(&path).unwrap()).0,
            [b"old"],
            "nothing waited for the disk"
        );
        journal.sync().unwrap();
        assert!(!next(&path).exists());
        assert_eq!(journal.bytes(), std::fs::metadata(&path).unwrap().len());
        journal.append(b"newer").unwrap();
        journal.sync().unwrap();
        let all = [b"state".to_vec(), b"new".to_vec(), b"newer".to_vec()];
        assert_eq!(open(&path).take_records(), all);
    }

    #[test]
    fn a_checkpoint_before_the_last_one_is_on_the_disk_goes_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = open(&path);
        for state in ["one", "two"] {
            journal.checkpoint(state.as_bytes()).unwrap();
        }
        journal.sync().unwrap();
        assert_eq!(
            open(&path).take_records(),
            [b"one".to_vec(), b"two".to_vec()]
        );
    }

    #[test]
    fn a_crash_leaves_the_old_journal_or_the_new_one_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (path, journal) = begun(folder.path());
        drop(journal);
        let [old, begun] = [&path, &next(&path)].map(|path| std::fs::read(path).unwrap());
        for cut in 0..=begun.len() {
            std::fs::write(&path, &old).unwrap();
            std::fs::write(next(&path), &begun[..cut]).unwrap();
            let expected: &[&[u8]] = match record::scan(&begun[..cut]).0.len() {
                0 => &[b"old"],
                1 => &[b"state"],
                _ => &[b"state", b"new"],
            };
            assert_eq!(open(&path).take_records(), expected, "cut at {cut}");
            assert!(!next(&path).exists());
        }
    }

    #[test]
    fn limits_hold() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = open(&path);
        assert_eq!(
            journal.append(b"").unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        let most = vec![1; record::MAX_RECORD_BYTES];
        let more = vec![1; record::MAX_RECORD_BYTES + 1];
        assert_eq!(
            journal.append(&more).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        (0..3).for_each(|_| journal.append(&most).unwrap());
        assert_eq!(
            journal.append(&most).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        journal.checkpoint(b"small").unwrap();
        journal.append(&most).unwrap();
        journal.sync().unwrap();
        assert_eq!(open(&path).take_records().len(), 2);
    }
}
