//! The pin store: everything a gateway has published or mirrors, on disk, found by its CID.
//!
//! ```text
//! data folder/LOCK                            held while a gateway runs
//!            /<stream>/journal                records: what must be known again after a crash (`journal`)
//!                     /journal.next           the one that takes its place when it is on the disk
//!                     /<hour>-<rendition>-<volume>.car   a pack: CARv1 (`frame`), appended to (`pack`)
//!                                         …    .log   while it is open: what of it is surely on the disk (`pack`)
//!                                         …    .idx   once it is closed: its digests, sorted (`index`)
//!            /merged/<number>.idx             the same over many packs, so that a search reads few (`merge`)
//!            /pins                            who holds which hour (`pins`)
//!                                               and more where there is a second tier (`tier`)
//! ```
//!
//! The walk of a block: [`Store::append`] writes its frame with one `write(2)` to the pack of its stream, rendition and
//! hour; the threads of `worker` have it on the disk soon after ([`Store::sync_soon`]), close packs whose hour is over,
//! and give up the oldest (`retention`). [`Store::get`] finds it and checks it against its CID.
//!
//! Deletion is by pack, an unlink. A disk that is full or read-only stops nothing: the oldest packs go, and what still
//! does not fit is kept in memory for a while.
//!
//! Memory: an open pack takes about 40 bytes a part (an hour of 5 parts a second: 0.7 MB), a closed one 8 bytes for 204
//! parts and about 300 for itself. A month of four renditions, 52 million parts in 2,880 packs: 2.1 MB + 0.9 MB.

mod files;
pub(crate) mod frame;
mod hold;
mod index;
mod inner;
mod journal;
mod key;
mod load;
mod merge;
mod pack;
mod pins;
pub(crate) mod record;
pub(crate) mod recover;
mod report;
mod retention;
mod state;
#[cfg(test)]
mod tests;
pub mod tier;
mod worker;

use std::{
    collections::HashSet,
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::name::StreamName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::{config::value, recent::Recent};

pub use frame::MAX_BLOCK_BYTES;
pub use journal::{Journal, MAX_JOURNAL_BYTES};
pub(crate) use pack::read_frame;
pub use report::{Notice, Outcome, Stats};

use files::Files;
use frame::Digest;
use inner::{Trouble, lock};
use key::PackKey;
use pack::OpenPack;
use pins::Pins;
use state::State;
use tier::Remote;
use worker::Worker;

/// How the store keeps its bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What no live window and no pin holds is given up when it is older than this.
    #[serde(with = "value::duration")]
    #[schemars(with = "String")]
    pub keep: Duration,
    /// Above this many bytes the oldest packs that no live window and no pin holds are given up, even if younger than `keep`.
    pub max_bytes: u64,
    /// How many bytes of blocks stay in memory when the disk does not take them.
    pub memory_bytes: usize,
    /// How many files are open for reading at a time.
    pub open_files: usize,
    /// A second tier: an S3-compatible store that packs go to.
    pub s3: tier::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(3600),
            max_bytes: 10 << 30,
            memory_bytes: 32 << 20,
            open_files: 64,
            s3: tier::Settings::default(),
        }
    }
}

/// Blocks that a listener of [`Store::stored`] may be behind.
const STORED_BEHIND: usize = 4096;

/// The store; clones are the same one. When the last goes, everything is synced and the folder is free.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// Dropped first to last: nothing is closed or merged any more when the last sync happens.
    tidy: Arc<Worker>,
    sync: Arc<Worker>,
    /// Sends packs to the second tier.
    _upload: Option<Arc<Worker>>,
}

/// What the handles, the journals and the thread share.
struct Inner {
    folder: PathBuf,
    settings: Settings,
    state: RwLock<State>,
    /// Held while a pack is made, so that two threads do not make the same.
    creating: Mutex<()>,
    pins: Mutex<Pins>,
    /// Indexes to be made anew.
    damaged: Mutex<HashSet<PathBuf>>,
    /// Packs were closed or given up since indexes were last merged.
    changed: AtomicBool,
    files: Files,
    /// What the disk would not take: so what is live goes on.
    memory: Mutex<Recent<Digest>>,
    notices: broadcast::Sender<Notice>,
    stored: broadcast::Sender<Cid>,
    not_stored: AtomicU64,
    /// The disk was full at the last append.
    full: AtomicBool,
    tier: Option<Remote>,
    /// The reason last told for not sending.
    tier_trouble: Mutex<Option<String>>,
    /// What is told of not storing.
    trouble: Mutex<Option<Trouble>>,
    lock: Option<File>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Closing alone would not do it while a process that was just forked still has the file open.
        if let Some(Err(error)) = self.lock.as_ref().map(File::unlock) {
            tracing::warn!(%error, "the store's lock could not be given back");
        }
    }
}

impl Store {
    /// Opens the folder, makes it where there is none, and recovers what a crash left.
    ///
    /// # Errors
    /// `ResourceBusy` where another gateway has it, and whatever the file system says.
    pub fn open(folder: &Path, settings: Settings) -> io::Result<Self> {
        let name = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("store folder {}: {error}", folder.display()),
            )
        };
        let lock = lock_folder(folder).map_err(name)?;
        let state = load::load(folder).map_err(name)?;
        let pins = Pins::load(folder).map_err(name)?;
        let tier = settings.s3.is_on().then(|| Remote::new(&settings.s3));
        let tier = tier.transpose()?;
        let inner = Arc::new(Inner {
            folder: folder.to_owned(),
            state: RwLock::new(state),
            creating: Mutex::default(),
            pins: Mutex::new(pins),
            damaged: Mutex::default(),
            changed: AtomicBool::new(true),
            files: Files::new(settings.open_files),
            memory: Mutex::new(Recent::new(settings.memory_bytes)),
            notices: broadcast::channel(64).0,
            stored: broadcast::channel(STORED_BEHIND).0,
            not_stored: AtomicU64::new(0),
            full: AtomicBool::new(false),
            tier,
            tier_trouble: Mutex::default(),
            trouble: Mutex::default(),
            settings,
            lock,
        });
        let upload = || Worker::start("store-upload", inner.clone(), tier::round).map(Arc::new);
        let upload = inner.tier.is_some().then(upload).transpose()?;
        Ok(Self {
            _upload: upload,
            tidy: Arc::new(Worker::start("store-tidy", inner.clone(), worker::tidy)?),
            sync: Arc::new(Worker::start("store-sync", inner.clone(), worker::sync)?),
            inner,
        })
    }

    /// Keeps a block in the pack of its stream, rendition and hour. When this returns [`Outcome::Stored`] its bytes were
    /// written, and everyone finds it. That the bytes are the CID's is the caller's word.
    ///
    /// `start` (µs since the Unix epoch) tells the hour: the time of the first frame of the segment that the block belongs to.
    ///
    /// # Errors
    /// `InvalidInput` for a CID that is not version 1 with sha2-256, for a block over [`MAX_BLOCK_BYTES`], and for names
    /// or times that cannot name a file. What the disk says is no error but [`Outcome::NotStored`].
    pub fn append(
        &self,
        stream: &StreamName,
        rendition: &str,
        start: u64,
        cid: &Cid,
        block: &[u8],
    ) -> io::Result<Outcome> {
        let key = PackKey::new(&stream.to_string(), rendition, start)?;
        let (Some(digest), Some(frame)) = (frame::digest_of(cid), frame::encode(cid, block)) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "block {cid} of {} bytes: packs hold CIDv1 with sha2-256 and at most {MAX_BLOCK_BYTES} bytes",
                    block.len()
                ),
            ));
        };
        self.inner.write_state().windows.stored(&key.stream, start);
        let outcome = self.inner.append(&key, digest, &frame);
        if outcome == Outcome::NotStored {
            self.inner.not_stored.fetch_add(1, Relaxed);
            lock(&self.inner.memory).insert(digest, Bytes::copy_from_slice(block));
        }
        let _ = self.inner.stored.send(*cid); // nobody waits for blocks
        Ok(outcome)
    }

    /// Every block that is appended from now on, as soon as [`Store::get`] finds it. Who falls far behind is told that it missed some.
    pub fn stored(&self) -> broadcast::Receiver<Cid> {
        self.inner.stored.subscribe()
    }

    /// Whether a block with this CID's digest is here, by the indexes alone: its bytes may still prove damaged.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn has(&self, cid: &Cid) -> io::Result<bool> {
        let Some(digest) = frame::digest_of(cid) else {
            return Ok(false);
        };
        if lock(&self.inner.memory).get(&digest).is_some() {
            return Ok(true);
        }
        self.inner.has(digest, |_| true)
    }

    /// The block with this CID's digest, checked against it: about 0.1 ms for 150 KB with a processor's SHA instructions, 1 ms without.
    ///
    /// # Errors
    /// `InvalidData` where it is here, but damaged; whatever the file system says.
    pub fn get(&self, cid: &Cid) -> io::Result<Option<Bytes>> {
        let Some(digest) = frame::digest_of(cid) else {
            return Ok(None);
        };
        let kept = lock(&self.inner.memory).get(&digest);
        if kept.is_some() {
            return Ok(kept);
        }
        self.inner.find(digest, true)
    }

    /// Has all that was appended so far, blocks and journals, on the disk soon. Call it for each closed segment.
    pub fn sync_soon(&self) {
        self.sync.wake();
    }

    /// Has all that was appended so far on the disk when it returns.
    pub fn flush(&self) {
        self.sync.flush();
    }

    /// Closes every open pack now, as when its hour is over.
    ///
    /// # Errors
    /// What the disk says.
    pub fn close_all(&self) -> io::Result<()> {
        let open: Vec<_> = self.inner.read_state().open.values().cloned().collect();
        open.iter().try_for_each(|pack| self.inner.close(pack))
    }

    /// Closes packs whose time is over, repairs what was found damaged and gives up what is too old or too much; done when it returns.
    pub fn tidy(&self) {
        self.tidy.flush();
    }

    /// The stream's live window begins here (µs since the Unix epoch): nothing from there on is ever given up. Call it at the start for
    /// the window recovered, and whenever the window moves.
    pub fn needed_since(&self, stream: &StreamName, from: u64) {
        self.inner
            .write_state()
            .windows
            .needed_since(&stream.to_string().into(), from);
    }

    /// Holds what there is and will be of the stream's rendition in the hour of `start` (µs since the Unix epoch), until the last
    /// owner lets go with [`Store::unpin`]. Kept over restarts; on the disk when it returns.
    ///
    /// # Errors
    /// `InvalidInput` for an owner of more than 64 bytes or with control characters and for names that cannot name a file,
    /// `QuotaExceeded` for too many pins, and whatever the file system says.
    pub fn pin(
        &self,
        owner: &str,
        stream: &StreamName,
        rendition: &str,
        start: u64,
    ) -> io::Result<()> {
        let hour = PackKey::new(&stream.to_string(), rendition, start)?;
        lock(&self.inner.pins).set(true, owner, hour)
    }

    /// Lets go what [`Store::pin`] holds for the owner.
    ///
    /// # Errors
    /// As [`Store::pin`].
    pub fn unpin(
        &self,
        owner: &str,
        stream: &StreamName,
        rendition: &str,
        start: u64,
    ) -> io::Result<()> {
        let hour = PackKey::new(&stream.to_string(), rendition, start)?;
        lock(&self.inner.pins).set(false, owner, hour)
    }

    /// The stream's journal.
    ///
    /// # Errors
    /// `ResourceBusy` while it is open elsewhere, and whatever the file system says.
    pub fn journal(&self, stream: &StreamName) -> io::Result<Journal> {
        let stream = stream.to_string();
        key::check_stream(&stream)?;
        let folder = self.inner.folder.join(&stream);
        std::fs::create_dir_all(&folder)?;
        let file = self.inner.write_state().journal_file(&stream)?;
        Journal::open(&folder.join("journal"), file)
    }

    /// A journal of another owner beside the stream's, in a file of this name and extension.
    ///
    /// # Errors
    /// As [`Store::journal`].
    pub(crate) fn side_journal(&self, stream: &StreamName, name: &str) -> io::Result<Journal> {
        let stream = stream.to_string();
        key::check_stream(&stream)?;
        let folder = self.inner.folder.join(&stream);
        std::fs::create_dir_all(&folder)?;
        let file = self
            .inner
            .write_state()
            .journal_file(&format!("{stream}/{name}"))?;
        Journal::open(&folder.join(name), file)
    }

    /// The names of the stream's files with this extension.
    pub(crate) fn side_files(&self, stream: &StreamName, extension: &str) -> Vec<String> {
        let folder = self.inner.folder.join(stream.to_string());
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files
            .filter_map(|file| file.file_name().into_string().ok())
            .filter(|name| {
                name.rsplit_once('.')
                    .is_some_and(|(_, end)| end == extension)
            })
            .collect()
    }

    /// Removes what [`Store::side_journal`] made; its owner must have let it go.
    pub(crate) fn remove_side_journal(&self, stream: &StreamName, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.inner.folder.join(stream.to_string()).join(name))
    }

    /// Bytes that it may hold beside what it holds; 0 where its disk is full.
    pub(crate) fn room(&self) -> u64 {
        let held = self.inner.read_state().bytes_that_stay();
        match self.inner.full.load(Relaxed) {
            true => 0,
            false => self.inner.settings.max_bytes.saturating_sub(held),
        }
    }

    /// Bytes that it may hold beside what it holds, and that its disk has room for.
    pub fn free(&self) -> u64 {
        let held = self.inner.read_state().bytes();
        let allowed = self.inner.settings.max_bytes.saturating_sub(held);
        let disk = rustix::fs::statvfs(&self.inner.folder);
        disk.map_or(allowed, |disk| {
            allowed.min(disk.f_bavail.saturating_mul(disk.f_frsize))
        })
    }

    /// The names of the streams that have a file of this name.
    pub fn streams_with(&self, file: &str) -> Vec<StreamName> {
        let folders = std::fs::read_dir(&self.inner.folder).into_iter().flatten();
        let with = folders
            .flatten()
            .filter(|entry| entry.path().join(file).exists());
        let names = with.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| name.parse().ok()).collect()
    }

    /// Whether it holds more than it may, or its disk is full, also when all that nobody holds is given up.
    pub(crate) fn is_crowded(&self) -> bool {
        let too_much = self.inner.read_state().bytes() > self.inner.settings.max_bytes;
        too_much || self.inner.full.load(Relaxed)
    }

    /// Gives up what is too much, and where the disk is full the oldest that nobody holds.
    pub(crate) fn give_up_oldest(&self) {
        if self.inner.full.load(Relaxed) && self.inner.drop_oldest(None).is_some() {
            // The next append finds out whether that was enough.
            self.inner.full.store(false, Relaxed);
        }
        self.tidy();
    }

    /// Gives up all of the stream's hour of `start` (µs since the Unix epoch) that nobody pins, also what is live.
    ///
    /// # Errors
    /// `InvalidInput` for a time that cannot name a file.
    pub(crate) fn give_up_hour(&self, stream: &StreamName, start: u64) -> io::Result<()> {
        let hour = PackKey::new(&stream.to_string(), "any", start)?;
        while self.inner.drop_of_hour(&hour).is_some() {}
        Ok(())
    }

    /// What the owner holds of the stream: rendition and hour (counted from 1970).
    pub(crate) fn pinned(&self, owner: &str, stream: &StreamName) -> Vec<(String, u64)> {
        lock(&self.inner.pins).of(owner, &stream.to_string())
    }

    /// What happens from now on that an operator should know; also logged.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.inner.notices.subscribe()
    }

    /// Why nothing can be stored at the moment, if that is so.
    pub fn trouble(&self) -> Option<String> {
        let trouble = lock(&self.inner.trouble);
        trouble.as_ref().map(|trouble| trouble.reason.clone())
    }

    /// Numbers for the metrics.
    pub fn stats(&self) -> Stats {
        Stats {
            not_stored: self.inner.not_stored.load(Relaxed),
            tier_up: self.inner.tier.as_ref().map(Remote::is_up),
            ..self.inner.read_state().stats()
        }
    }
}

/// Locks the folder for this process, or finds it read-only, where no lock is needed.
fn lock_folder(folder: &Path) -> io::Result<Option<File>> {
    let made = std::fs::create_dir_all(folder).and_then(|()| {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join("LOCK"))
    });
    let file = match made {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem && folder.is_dir() => {
            return Ok(None);
        }
        made => made?,
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "another gateway is running on it: stop that one, or give --data another folder",
        )),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
