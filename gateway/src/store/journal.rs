//! A stream's journal: what must be known again after a crash (see `record` for its form).
//!
//! A checkpoint begins a new file beside the old one, and what is appended goes there at once. It takes the old one's
//! place when it is on the disk, which whoever syncs waits for; until then a start that finds both takes the new one if
//! its first record is whole.
//!
//! Where the file system is read-only, what there is is read, and appends fail until it is not.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use sha2::{Digest as _, Sha256};

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
    /// What its owner once said with [`Journal::lapse`] and not taken back.
    lapsed: bool,
    /// The next run will know it.
    marked: bool,
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

    /// None while it could only be read.
    fn opened(&self) -> Option<Current> {
        lock(&self.file).clone()
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

/// There as long as the journal has all that its owner wanted to write. A full disk takes no new file, but lets one go.
fn complete(path: &Path) -> PathBuf {
    path.with_extension("complete")
}

/// There, until the machine stops, where the journal is not complete and its file system is read-only.
fn lapse_mark(path: &Path) -> PathBuf {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let name: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Path::new("/dev/shm").join(format!("meshlive-{name}"))
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
        let marked = lapse_mark(path).exists() || path.exists() && !complete(path).exists();
        let mut this = Self {
            path: path.to_owned(),
            file,
            bytes: 0,
            torn: false,
            lapsed: marked,
            marked,
            records: Vec::new(),
        };
        let bytes = match this.open_to_append() {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                tracing::warn!(path = %path.display(), "the journal is read-only: nothing is written down");
                this.lapsed = true; // when its owner tells the first thing
                read_newest(path)?
            }
            opened => {
                opened?;
                fs::read(path)?
            }
        };
        let (records, good) = record::scan(&bytes);
        this.records = records.into_iter().map(<[u8]>::to_vec).collect();
        this.bytes = good as u64;
        if good < bytes.len()
            && let Some(Current { file, .. }) = this.file.opened()
        {
            tracing::warn!(path = %path.display(), cut = bytes.len() - good, "the journal's torn end was cut off");
            file.set_len(this.bytes)?;
        }
        Ok(this)
    }

    fn open_to_append(&self) -> io::Result<()> {
        adopt_next(&self.path)?;
        let mut options = OpenOptions::new();
        let opened = options.read(true).append(true).create(true);
        self.file.set(opened.open(&self.path)?, &self.path, false);
        Ok(())
    }

    /// Where appends go; where it was read-only so far, it may not be any more.
    fn current(&mut self) -> io::Result<Current> {
        if let Some(current) = self.file.opened() {
            return Ok(current);
        }
        self.open_to_append()?;
        self.torn = true; // what stood behind the good records still does
        self.file
            .opened()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Whether something was told and not written down, in an earlier run or this one: see [`Journal::lapse`].
    pub fn has_lapsed(&self) -> bool {
        self.lapsed
    }

    /// Says that something is told which could not be written down. It survives a `kill -9` when this returns, and a power
    /// cut as well where the disk is full, and not where it is read-only: it is then said in the machine's memory.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn lapse(&mut self) -> io::Result<()> {
        self.lapsed = true;
        if self.marked {
            return Ok(());
        }
        let marked = match fs::remove_file(complete(&self.path)) {
            Err(_) => File::create(lapse_mark(&self.path)).map(drop),
            Ok(()) => sync_folder(&self.path),
        };
        self.marked = marked.is_ok();
        marked
    }

    /// Says, behind a checkpoint, that all is written down, and takes back what [`Journal::lapse`] said.
    ///
    /// # Errors
    /// Whatever the file system says; it is then as before.
    pub fn is_complete(&mut self) -> io::Result<()> {
        if self.lapsed || !complete(&self.path).exists() {
            File::create(complete(&self.path))?;
            match fs::remove_file(lapse_mark(&self.path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => (self.lapsed, self.marked) = (false, false),
            }
        }
        Ok(())
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
        let file = self.current()?.file;
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
        if self.current()?.is_next {
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

/// The journal that counts, where neither can be touched.
fn read_newest(path: &Path) -> io::Result<Vec<u8>> {
    for one in [&next(path), path] {
        match fs::read(one) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(bytes) if one != path && record::scan(&bytes).0.is_empty() => {}
            read => return read,
        }
    }
    Ok(Vec::new())
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
    fn a_lapse_is_remembered_until_a_checkpoint_has_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = open(&path);
        assert!(!journal.has_lapsed(), "it has all of nothing");
        journal.append(b"x").unwrap();
        assert!(open(&path).has_lapsed(), "nothing says that it has all");
        let mut journal = open(&path);
        journal.is_complete().unwrap();
        assert!(!open(&path).has_lapsed());
        journal.lapse().unwrap();
        journal.lapse().unwrap();
        assert!(journal.has_lapsed() && open(&path).has_lapsed());
        journal.is_complete().unwrap();
        assert!(!open(&path).has_lapsed());
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
