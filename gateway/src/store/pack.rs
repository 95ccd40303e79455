//! An open pack: the CAR file that is appended to, its index in memory, and the log of what is surely on the disk.
//!
//! The log (`.log`) makes recovery short: each record (see `record`) says "up to this offset the pack is on the
//! disk, and these are its frames". After a crash only what follows is read and checked against its CIDs.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    time::Instant,
};

use bytes::Bytes;

use super::{
    frame::{self, Digest, Parsed},
    index::{self, Entry},
    key::PackKey,
    record,
};

/// A pack ends here at the latest, so that offsets fit an index.
const MAX_PACK_BYTES: u64 = 1 << 40;

/// A pack that takes appends.
pub(crate) struct OpenPack {
    pub(crate) key: PackKey,
    /// Without extension.
    stem: PathBuf,
    file: File,
    index: RwLock<BTreeMap<(u64, u64), u32>>,
    writer: Mutex<Writer>,
}

struct Writer {
    /// Where the next frame goes. What the file holds beyond it is the rest of a failed write.
    end: u64,
    /// No more appends.
    sealed: bool,
    /// Frames that the log does not have yet.
    unlogged: Vec<Entry>,
    /// Its folder entry may not be on the disk yet.
    new: bool,
    touched: Instant,
}

/// What became of an append.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    Stored,
    /// The same block was in this pack before.
    Present,
    /// The pack takes no more.
    Sealed,
}

impl OpenPack {
    /// A new pack that holds nothing.
    pub(crate) fn create(key: PackKey, folder: &Path) -> io::Result<Self> {
        let stem = folder.join(&*key.stream).join(key.stem());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(extension(&stem, "car"))?;
        if let Err(error) = file.write_all_at(frame::HEADER, 0) {
            let _ = std::fs::remove_file(extension(&stem, "car")); // an empty file recovers just as well
            return Err(error);
        }
        let end = frame::HEADER.len() as u64;
        Ok(Self::recovered(
            key,
            stem,
            file,
            end,
            Vec::new(),
            Vec::new(),
            false,
        ))
    }

    /// What `recover` found.
    pub(crate) fn recovered(
        key: PackKey,
        stem: PathBuf,
        file: File,
        end: u64,
        logged: Vec<Entry>,
        unlogged: Vec<Entry>,
        sealed: bool,
    ) -> Self {
        let place = |entry: &Entry| ((entry.key, entry.offset), entry.length);
        let index = logged.iter().chain(&unlogged).map(place).collect();
        let writer = Writer {
            end,
            sealed,
            unlogged,
            new: true,
            touched: Instant::now(),
        };
        Self {
            key,
            stem,
            file,
            index: RwLock::new(index),
            writer: Mutex::new(writer),
        }
    }

    /// Writes a frame with one `write(2)`; readers find it once that has returned. A frame that did not fit is cut off again.
    pub(crate) fn append(&self, digest: Digest, frame: &[u8]) -> io::Result<Appended> {
        let mut writer = self.writer();
        if self.read(digest)?.is_some() {
            return Ok(Appended::Present);
        }
        if writer.sealed || writer.end + frame.len() as u64 > MAX_PACK_BYTES {
            return Ok(Appended::Sealed);
        }
        if let Err(error) = self.file.write_all_at(frame, writer.end) {
            // Should this fail too, the next frame overwrites the rest, or recovery cuts it off.
            let _ = self.file.set_len(writer.end);
            return Err(error);
        }
        let entry = entry(digest, writer.end, frame.len());
        writer.end += frame.len() as u64;
        writer.unlogged.push(entry);
        writer.touched = Instant::now();
        self.index
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((entry.key, entry.offset), entry.length);
        Ok(Appended::Stored)
    }

    /// The block with this digest, whole; of those that are damaged nothing.
    pub(crate) fn read(&self, digest: Digest) -> io::Result<Option<Bytes>> {
        let key = index::key_of(&digest);
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let places = index.range((key, 0)..=(key, u64::MAX));
        let places: Vec<_> = places
            .map(|((_, offset), length)| (*offset, *length))
            .collect();
        drop(index);
        for (offset, length) in places {
            let block = read_frame(&self.file, offset, length, digest)?;
            if block.is_some() {
                return Ok(block);
            }
        }
        Ok(None)
    }

    /// Has everything appended so far on the disk, and logged as such.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let (end, entries, new) = {
            let mut writer = self.writer();
            (writer.end, std::mem::take(&mut writer.unlogged), writer.new)
        };
        if entries.is_empty() && !new {
            return Ok(());
        }
        let result = self.write_down(end, &entries, new);
        let mut writer = self.writer();
        match &result {
            Ok(()) => writer.new = false,
            Err(_) => {
                let later = std::mem::replace(&mut writer.unlogged, entries);
                writer.unlogged.extend(later);
            }
        }
        result
    }

    fn write_down(&self, end: u64, entries: &[Entry], new: bool) -> io::Result<()> {
        self.file.sync_data()?;
        if new {
            File::open(
                self.stem
                    .parent()
                    .expect("a pack lies in a stream's folder"),
            )?
            .sync_all()?;
        }
        let mut payload = end.to_le_bytes().to_vec();
        entries
            .iter()
            .for_each(|entry| payload.extend_from_slice(&entry.to_bytes()));
        let log = extension(&self.stem, "log");
        let mut log = OpenOptions::new().append(true).create(true).open(log)?;
        let before = log.metadata()?.len();
        let result = log.write_all(&record::encode(&payload));
        if result.is_err() {
            let _ = log.set_len(before);
        }
        result
    }

    /// No append after this one succeeds.
    pub(crate) fn seal(&self) {
        self.writer().sealed = true;
    }

    /// Seals it and writes its index beside it. Until that has succeeded the pack stays readable as it is.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.seal();
        self.sync()?;
        let temporary = extension(&self.stem, "tmp");
        let mut writer = index::Writer::create(&temporary)?;
        for ((key, offset), length) in self
            .index
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            writer.push(Entry {
                key: *key,
                pack: 0,
                offset: *offset,
                length: *length,
            })?;
        }
        writer.finish(std::iter::once(&*self.key.to_string()))?;
        std::fs::rename(&temporary, extension(&self.stem, "idx"))?;
        File::open(
            self.stem
                .parent()
                .expect("a pack lies in a stream's folder"),
        )?
        .sync_all()?;
        let _ = std::fs::remove_file(extension(&self.stem, "log")); // of no use any more, and harmless
        Ok(())
    }

    /// Whether it takes no more appends.
    pub(crate) fn is_sealed(&self) -> bool {
        self.writer().sealed
    }

    /// Whether a block with the same key is here.
    pub(crate) fn may_have(&self, digest: &Digest) -> bool {
        let key = index::key_of(digest);
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.range((key, 0)..=(key, u64::MAX)).next().is_some()
    }

    /// Bytes in the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.writer().end
    }

    /// When it was last appended to.
    pub(crate) fn touched(&self) -> Instant {
        self.writer().touched
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file beside the pack. Not `with_extension`, since rendition ids may have dots.
pub(crate) fn extension(stem: &Path, extension: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(".");
    path.push(extension);
    path.into()
}

/// Where a frame stands, in an index of this pack alone.
pub(crate) fn entry(digest: Digest, offset: u64, length: usize) -> Entry {
    Entry {
        key: index::key_of(&digest),
        pack: 0,
        offset,
        length: length as u32,
    }
}

/// The block at `offset`, where its frame has this digest and its bytes match it.
pub(crate) fn read_frame(
    file: &File,
    offset: u64,
    length: u32,
    digest: Digest,
) -> io::Result<Option<Bytes>> {
    let length = (length as usize).min(frame::MAX_FRAME_BYTES);
    // Memory that is not set to zeros before it is read into: this is the way of every part to a viewer.
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let at = offset + bytes.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut bytes), at) {
            Ok(0) => return Ok(None), // a truncated pack
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(length);
    Ok(block_of(bytes.into(), digest))
}

/// The block of a frame, where it has this digest and its bytes match it.
pub(crate) fn block_of(bytes: Bytes, digest: Digest) -> Option<Bytes> {
    match frame::parse(&bytes) {
        Parsed::Frame(frame) if frame.digest == digest && frame.is_whole() => {
            let block = frame.length - frame.block.len()..frame.length;
            Some(bytes.slice(block))
        }
        _ => None,
    }
}
