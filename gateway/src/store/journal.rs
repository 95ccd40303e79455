//! A stream's journal: what must be known again after a crash (see `record` for its form).

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::record;

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
    file: Mutex<Option<Arc<File>>>,
}

impl Synced {
    /// Has the journal on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let file = self
            .file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        file.map_or(Ok(()), |file| file.sync_data())
    }

    fn current(&self) -> Arc<File> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.clone()
            .expect("set when the journal was opened, and never taken away")
    }

    fn set(&self, file: File) {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(file));
    }
}

impl Journal {
    /// The journal as a crash or a shutdown left it; a torn record at its end is cut off.
    pub(super) fn open(path: &Path, file: Arc<Synced>) -> io::Result<Self> {
        let opened = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        let bytes = std::fs::read(path)?;
        let (records, good) = record::scan(&bytes);
        if good < bytes.len() {
            tracing::warn!(path = %path.display(), cut = bytes.len() - good, "the journal's torn end was cut off");
            opened.set_len(good as u64)?;
        }
        let records = records.into_iter().map(<[u8]>::to_vec).collect();
        file.set(opened);
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
        let file = self.file.current();
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

    /// Starts anew with this record, on the disk when it returns. After a crash in between either the old journal is
    /// there, whole, or the new one.
    pub fn checkpoint(&mut self, record: &[u8]) -> io::Result<()> {
        let bytes = encode(record)?;
        let temporary = self.path.with_extension("tmp");
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&temporary)?;
        file.set_len(0)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        File::open(self.path.parent().expect("a journal lies in a folder"))?.sync_all()?;
        self.file.set(file);
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

    #[test]
    fn checkpoint_starts_anew_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = open(&path);
        journal.append(b"old").unwrap();
        journal.checkpoint(b"state").unwrap();
        journal.append(b"new").unwrap();
        journal.sync().unwrap();
        assert_eq!(journal.bytes(), std::fs::metadata(&path).unwrap().len());
        assert_eq!(
            open(&path).take_records(),
            [b"state".to_vec(), b"new".to_vec()]
        );
        std::fs::write(
            path.with_extension("tmp"),
            b"a checkpoint that a crash left behind",
        )
        .unwrap();
        journal.checkpoint(b"again").unwrap();
        assert_eq!(open(&path).take_records(), [b"again".to_vec()]);
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
        assert_eq!(open(&path).take_records().len(), 2);
    }
}
