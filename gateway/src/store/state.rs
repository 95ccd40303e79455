//! Which packs there are, and finding blocks in them.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::Path,
    sync::{Arc, PoisonError, RwLockReadGuard, RwLockWriteGuard, Weak},
};

use bytes::Bytes;

use super::{
    Appended, Inner, Notice, OpenPack, Outcome, Stats,
    frame::{Digest, Frame},
    index::{self, Index},
    journal::Synced,
    key::PackKey,
    pack::{self, extension},
    retention::{self, Windows},
};

/// All packs, in the order in which they are given up.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) open: BTreeMap<PackKey, Arc<OpenPack>>,
    /// Closed packs and their bytes.
    pub(crate) closed: BTreeMap<PackKey, u64>,
    /// Newest last. Shared, so that a search holds no lock while it reads.
    pub(crate) indexes: Arc<Vec<Arc<Index>>>,
    pub(crate) windows: Windows,
    journals: HashMap<String, Weak<Synced>>,
}

impl State {
    /// Reads the folder: file names, sizes, the fences of closed packs, and the ends of open ones.
    pub(crate) fn load(folder: &Path) -> io::Result<Self> {
        let mut state = Self::default();
        let mut indexes = Vec::new();
        for stream in fs::read_dir(folder)? {
            let stream = stream?;
            let Some(name) = stream.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            if !stream.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(stream.path())? {
                let file = file?;
                let Some(key) = file
                    .file_name()
                    .to_str()
                    .and_then(|file| PackKey::from_file(&name, file.strip_suffix(".car")?))
                else {
                    continue;
                };
                let path = extension(&stream.path().join(key.stem()), "idx");
                match Index::open(&path) {
                    Ok(index) => {
                        state.closed.insert(key.clone(), file.metadata()?.len());
                        indexes.push((key, Arc::new(index)));
                    }
                    Err(error) => {
                        if error.kind() != io::ErrorKind::NotFound {
                            tracing::warn!(%error, "made anew from its pack");
                        }
                        state
                            .open
                            .insert(key.clone(), Arc::new(OpenPack::recover(key, folder)?));
                    }
                }
            }
        }
        indexes.sort_by(|(one, _), (other, _)| one.cmp(other));
        state.indexes = Arc::new(indexes.into_iter().map(|(_, index)| index).collect());
        Ok(state)
    }

    /// The open pack of this hour, or where to begin one.
    fn pack(&self, key: &PackKey) -> Result<Arc<OpenPack>, PackKey> {
        let last = PackKey {
            volume: u32::MAX,
            ..key.clone()
        };
        let open = self.open.range(key..=&last).next_back();
        let closed = self
            .closed
            .range(key..=&last)
            .next_back()
            .map(|(key, _)| key.volume);
        match open {
            Some((open, pack))
                if !pack.is_sealed() && closed.is_none_or(|volume| volume < open.volume) =>
            {
                Ok(pack.clone())
            }
            open => {
                let volume = open
                    .map(|(key, _)| key.volume)
                    .max(closed)
                    .map_or(0, |volume| volume + 1);
                Err(PackKey {
                    volume,
                    ..key.clone()
                })
            }
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &PackKey> {
        self.open.keys().chain(self.closed.keys())
    }

    /// Bytes of all packs.
    pub(crate) fn bytes(&self) -> u64 {
        self.open.values().map(|pack| pack.bytes()).sum::<u64>() + self.closed.values().sum::<u64>()
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            bytes: self.bytes(),
            packs: self.open.len() + self.closed.len(),
            open_packs: self.open.len(),
            index_bytes: self.indexes.iter().map(|index| index.memory()).sum(),
            not_stored: 0,
        }
    }

    /// The place of a stream's journal among those that are synced.
    pub(crate) fn journal_file(&mut self, stream: &str) -> io::Result<Arc<Synced>> {
        self.journals.retain(|_, file| file.strong_count() > 0);
        if self.journals.contains_key(stream) {
            let message = format!("journal of {stream} is open already: one owner writes it");
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
        }
        let file = Arc::new(Synced::default());
        self.journals
            .insert(stream.to_owned(), Arc::downgrade(&file));
        Ok(file)
    }

    pub(crate) fn journals(&self) -> Vec<Arc<Synced>> {
        self.journals.values().filter_map(Weak::upgrade).collect()
    }
}

impl Inner {
    pub(crate) fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends to the hour's pack; where the disk is full the oldest packs make room.
    pub(crate) fn append(&self, key: &PackKey, digest: Digest, frame: &[u8]) -> Outcome {
        loop {
            let appended = self.pack(key).and_then(|pack| pack.append(digest, frame));
            match appended {
                Ok(Appended::Sealed) => {}
                Ok(Appended::Present) => return Outcome::Present,
                Ok(Appended::Stored) => {
                    self.trouble(None);
                    return Outcome::Stored;
                }
                Err(error) if is_full(&error) && self.drop_oldest(None).is_some() => {}
                Err(error) => {
                    self.trouble(Some(format!("pack {key}: {error}")));
                    return Outcome::NotStored;
                }
            }
        }
    }

    /// The hour's open pack, made where there is none.
    fn pack(&self, key: &PackKey) -> io::Result<Arc<OpenPack>> {
        if let Ok(pack) = self.read_state().pack(key) {
            return Ok(pack);
        }
        let _creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        let made = self.read_state().pack(key);
        match made {
            Ok(pack) => Ok(pack),
            Err(next) => {
                fs::create_dir_all(self.folder.join(&*key.stream))?;
                let pack = Arc::new(OpenPack::create(next.clone(), &self.folder)?);
                self.write_state().open.insert(next, pack.clone());
                Ok(pack)
            }
        }
    }

    /// Looks in the open packs, then in the indexes, newest first. No lock is held while reading from the disk.
    pub(crate) fn find(&self, digest: Digest) -> io::Result<Option<Bytes>> {
        let (open, indexes) = {
            let state = self.read_state();
            let open: Vec<_> = state
                .open
                .values()
                .filter(|pack| pack.may_have(&digest))
                .cloned()
                .collect();
            (open, state.indexes.clone())
        };
        let mut damaged = None;
        let whole = |frame: Frame<'_>| {
            frame
                .is_whole()
                .then(|| Bytes::copy_from_slice(frame.block))
        };
        for pack in open {
            if let Some(block) = pack.read(digest, whole)? {
                return Ok(Some(block));
            }
            damaged = Some(pack.key.to_string());
        }
        for index in indexes.iter().rev() {
            match self.find_in(index, digest, whole) {
                Ok(Some(block)) => return Ok(Some(block)),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {} // given up meanwhile
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    damaged = Some(error.to_string())
                }
                Err(error) => return Err(error),
            }
        }
        let Some(what) = damaged else { return Ok(None) };
        self.tell(Notice::Damaged { what: what.clone() });
        Err(io::Error::new(io::ErrorKind::InvalidData, what))
    }

    fn find_in(
        &self,
        index: &Index,
        digest: Digest,
        take: impl Fn(Frame<'_>) -> Option<Bytes>,
    ) -> io::Result<Option<Bytes>> {
        let mut damaged = None;
        for entry in index.find(&*self.files.get(&index.path)?, index::key_of(&digest))? {
            let Some(name) = index.packs.get(usize::from(entry.pack)) else {
                continue;
            };
            let path = extension(&self.folder.join(name), "car");
            let file = match self.files.get(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            if let Some(block) = pack::read_frame(&file, entry.offset, entry.length, digest, &take)?
            {
                return Ok(Some(block));
            }
            damaged = Some(name);
        }
        match damaged {
            None => Ok(None),
            Some(name) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("pack {name}: a block does not match its CID"),
            )),
        }
    }

    /// Gives up the oldest pack that may go; `None` where none may.
    pub(crate) fn drop_oldest(&self, older_than: Option<u64>) -> Option<()> {
        let (key, bytes, path) = {
            let mut state = self.write_state();
            let key = retention::next(state.keys(), &state.windows, |_| false, older_than)?;
            let bytes = match state.open.remove(&key) {
                Some(pack) => {
                    pack.seal();
                    pack.bytes()
                }
                None => state.closed.remove(&key).unwrap_or(0),
            };
            let path = self.folder.join(&*key.stream).join(key.stem());
            let index = extension(&path, "idx");
            if state.indexes.iter().any(|other| other.path == index) {
                state.indexes = Arc::new(
                    state
                        .indexes
                        .iter()
                        .filter(|other| other.path != index)
                        .cloned()
                        .collect(),
                );
            }
            (key, bytes, path)
        };
        // The pack goes first: an index or a log without a pack says nothing, a pack without an index would be read anew.
        for name in ["car", "idx", "log"].map(|name| extension(&path, name)) {
            self.files.forget(&name);
            match fs::remove_file(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %name.display(), %error, "could not be removed");
                }
                _ => {}
            }
        }
        self.tell(Notice::Dropped {
            pack: key.to_string(),
            bytes,
        });
        Some(())
    }

    /// A pack that has been closed moves from the open ones to those on disk.
    pub(crate) fn closed(&self, pack: &OpenPack) -> io::Result<()> {
        let path = extension(
            &self.folder.join(&*pack.key.stream).join(pack.key.stem()),
            "idx",
        );
        let index = Arc::new(Index::open(&path)?);
        let mut state = self.write_state();
        if state.open.remove(&pack.key).is_some() {
            state.closed.insert(pack.key.clone(), pack.bytes());
            Arc::make_mut(&mut state.indexes).push(index);
        } else {
            let _ = fs::remove_file(path); // given up meanwhile
        }
        Ok(())
    }

    /// Says once that nothing is stored, and why, and once that it is again.
    pub(crate) fn trouble(&self, reason: Option<String>) {
        let mut told = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (told.is_some(), reason) {
            (false, Some(reason)) => {
                *told = Some(reason.clone());
                self.tell(Notice::NotStoring { reason });
            }
            (true, None) => {
                *told = None;
                self.tell(Notice::Storing);
            }
            _ => {}
        }
    }

    pub(crate) fn tell(&self, notice: Notice) {
        match &notice {
            Notice::Dropped { pack, bytes } => {
                tracing::info!(pack, bytes, "gave up the oldest pack")
            }
            Notice::NotStoring { reason } => {
                tracing::error!(reason, "the store takes nothing: live goes on from memory")
            }
            Notice::Storing => tracing::info!("the store takes blocks again"),
            Notice::Damaged { what } => tracing::error!(what, "damaged on disk"),
        }
        let _ = self.notices.send(notice); // nobody listens: it is in the log
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
