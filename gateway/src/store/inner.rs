//! Storing, finding and giving up: what the handles and the threads do with the state.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLockReadGuard, RwLockWriteGuard,
        atomic::Ordering::Relaxed,
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    Inner, Notice, OpenPack, Outcome,
    frame::Digest,
    index::{self, Index},
    key::PackKey,
    merge,
    pack::{self, Appended, extension},
    recover::recover,
    retention,
    state::State,
};

/// How long nothing must have failed before it is said that the disk takes blocks again.
const CALM: Duration = Duration::from_secs(2);

/// Why nothing can be stored, and when something could not be last.
pub(crate) struct Trouble {
    pub(crate) reason: String,
    last: Instant,
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
                    self.full.store(false, Relaxed);
                    self.trouble(None);
                    return Outcome::Stored;
                }
                Err(error) if is_full(&error) && self.drop_oldest(None).is_some() => {}
                Err(error) => {
                    self.full.store(is_full(&error), Relaxed);
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
        let _creating = lock(&self.creating);
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
    /// What would have to be read from the second tier is an error (`WouldBlock`) unless it may be `far`.
    pub(crate) fn find(&self, digest: Digest, far: bool) -> io::Result<Option<Bytes>> {
        let mut damaged = None;
        let mut unreached = None;
        // An index that is gone was merged into another meanwhile, or its pack was given up: looked for again, a few times.
        for _ in 0..4 {
            damaged = None;
            unreached = None;
            let (found, gone) = self.find_once(digest, far, &mut damaged, &mut unreached)?;
            if found.is_some() || !gone {
                if found.is_some() || (damaged.is_none() && unreached.is_none()) {
                    return Ok(found);
                }
                break;
            }
        }
        if let Some(error) = unreached {
            return Err(error);
        }
        let Some(what) = damaged else { return Ok(None) };
        self.tell(Notice::Damaged { what: what.clone() });
        Err(io::Error::new(io::ErrorKind::InvalidData, what))
    }

    /// Whether an index names the block in a pack that is here, one of those that are asked for.
    pub(crate) fn has(&self, digest: Digest, of: impl Fn(&PackKey) -> bool) -> io::Result<bool> {
        let indexes = {
            let state = self.read_state();
            if state
                .open
                .values()
                .any(|pack| of(&pack.key) && pack.may_have(&digest))
            {
                return Ok(true);
            }
            state.indexes.clone()
        };
        let mut gone = false;
        for index in indexes.iter().rev() {
            let file = match self.files.get(&index.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    gone = true;
                    continue;
                }
                file => file?,
            };
            for entry in index.find(&file, index::key_of(&digest))? {
                let pack = index.packs.get(usize::from(entry.pack));
                let pack = pack.and_then(|name| PackKey::parse(name));
                if pack
                    .is_some_and(|pack| of(&pack) && self.read_state().closed.contains_key(&pack))
                {
                    return Ok(true);
                }
            }
        }
        // What an index named that was merged into another meanwhile is found by reading.
        Ok(gone && self.find(digest, true)?.is_some())
    }

    /// The block, and whether an index was gone.
    fn find_once(
        &self,
        digest: Digest,
        far: bool,
        damaged: &mut Option<String>,
        unreached: &mut Option<io::Error>,
    ) -> io::Result<(Option<Bytes>, bool)> {
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
        for pack in open {
            if let Some(block) = pack.read(digest)? {
                return Ok((Some(block), false));
            }
            *damaged = Some(format!("pack {}: a block does not match its CID", pack.key));
        }
        let mut gone = false;
        for index in indexes.iter().rev() {
            match self.find_in(index, digest, far) {
                Ok(Some(block)) => return Ok((Some(block), false)),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => gone = true,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::HostUnreachable
                    ) =>
                {
                    *unreached = Some(error) // another pack may have it
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    *damaged = Some(error.to_string())
                }
                Err(error) => return Err(error),
            }
        }
        Ok((None, gone))
    }

    fn find_in(&self, index: &Index, digest: Digest, far: bool) -> io::Result<Option<Bytes>> {
        let mut damaged = None;
        let entries = index.find(&*self.files.get(&index.path)?, index::key_of(&digest));
        let is_damage = |error: &io::Error| error.kind() == io::ErrorKind::InvalidData;
        for entry in entries.inspect_err(|error| {
            if is_damage(error) {
                self.damaged(&index.path)
            }
        })? {
            let Some(name) = index.packs.get(usize::from(entry.pack)) else {
                continue;
            };
            let file = match self.files.get(&extension(&self.folder.join(name), "car")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // Given up, or in the second tier alone.
                    if !far && self.is_there(name) {
                        return Err(io::ErrorKind::WouldBlock.into());
                    }
                    match self.read_there(name, entry, digest)? {
                        Some(block) => return Ok(Some(block)),
                        None => continue,
                    }
                }
                file => file?,
            };
            if let Some(block) = pack::read_frame(&file, entry.offset, entry.length, digest)? {
                return Ok(Some(block));
            }
            // It is damaged here: the second tier may have it whole.
            if self.is_there(name) {
                if !far {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                if let Ok(Some(block)) = self.read_there(name, entry, digest) {
                    return Ok(Some(block));
                }
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
        let given_up = self.give_up(|keys, windows, is_pinned| {
            retention::next(keys, windows, is_pinned, older_than)
        });
        match older_than {
            None => given_up.or_else(|| self.offload()),
            Some(_) => given_up,
        }
    }

    /// Gives up a pack of this hour of a stream that is not pinned, be it live or not; `None` where there is none.
    pub(crate) fn drop_of_hour(&self, hour: &PackKey) -> Option<()> {
        let of_hour = |key: &&PackKey| key.stream == hour.stream && key.hour == hour.hour;
        self.give_up(|keys, _, is_pinned| {
            let mut keys = keys.filter(of_hour);
            keys.find(|key| !is_pinned(key)).cloned()
        })
    }

    /// Gives up the pack that `choose` takes of all, given what is live and what is pinned.
    fn give_up(
        &self,
        choose: impl FnOnce(
            &mut dyn Iterator<Item = &PackKey>,
            &retention::Windows,
            &dyn Fn(&PackKey) -> bool,
        ) -> Option<PackKey>,
    ) -> Option<()> {
        let pins = lock(&self.pins);
        let (key, bytes, path) = {
            let mut state = self.write_state();
            let key = choose(&mut state.keys(), &state.windows, &|pack| {
                pins.is_pinned(pack)
            })?;
            let open = state
                .open
                .remove(&key)
                .inspect(|pack| pack.seal())
                .map(|pack| pack.bytes());
            let bytes = open.or(state.closed.remove(&key)).unwrap_or(0);
            let path = self.path(&key);
            let index = extension(&path, "idx");
            if state.indexes.iter().any(|other| other.path == index) {
                Arc::make_mut(&mut state.indexes).retain(|other| other.path != index);
            }
            (key, bytes, path)
        };
        drop(pins);
        // The pack goes first: an index or a log without a pack says nothing, a pack without an index would be read anew.
        for name in ["car", "idx", "log"].map(|name| extension(&path, name)) {
            if let Err(error) = fs::remove_file(&name).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }) {
                tracing::warn!(path = %name.display(), %error, "could not be removed");
            }
            self.files.forget(&name);
        }
        self.gone_there(&key, &path);
        self.changed();
        self.tell(Notice::Dropped {
            pack: key.to_string(),
            bytes,
        });
        Some(())
    }

    /// Closes an open pack: from then on it is found by its index on disk.
    pub(crate) fn close(&self, pack: &OpenPack) -> io::Result<()> {
        pack.close()?;
        let path = extension(&self.path(&pack.key), "idx");
        self.files.forget(&path); // where a damaged one was open
        let index = Arc::new(Index::open(&path)?);
        let mut state = self.write_state();
        if state.open.remove(&pack.key).is_some() {
            state.closed.insert(pack.key.clone(), pack.bytes());
            Arc::make_mut(&mut state.indexes).push(index);
            self.changed();
        } else {
            let _ = fs::remove_file(path); // given up meanwhile
        }
        Ok(())
    }

    /// Makes a damaged index anew: a pack's own from the pack, a merged one from those of its packs.
    pub(crate) fn repair(&self, path: &Path) -> io::Result<()> {
        let indexes = self.read_state().indexes.clone();
        let Some(damaged) = indexes.iter().find(|index| index.path == path) else {
            return Ok(());
        };
        let mut own = Vec::new();
        let mut packs = Vec::new();
        for key in damaged.packs.iter().filter_map(|name| PackKey::parse(name)) {
            if !self.read_state().closed.contains_key(&key) {
                continue;
            }
            let index = extension(&self.path(&key), "idx");
            match (index != path).then(|| Index::open(&index)) {
                Some(Ok(index)) => own.push(Arc::new(index)),
                _ => {
                    self.bring_back(&key)?;
                    packs.push(Arc::new(recover(key, &self.folder, true)?));
                }
            }
        }
        {
            let mut state = self.write_state();
            let indexes = Arc::make_mut(&mut state.indexes);
            indexes.retain(|index| index.path != path);
            indexes.extend(own);
            for pack in &packs {
                state.closed.remove(&pack.key);
                state.open.insert(pack.key.clone(), pack.clone());
            }
        }
        self.changed();
        if path.starts_with(merge::folder(&self.folder)) {
            self.files.forget(path);
            fs::remove_file(path)?;
        }
        tracing::warn!(path = %path.display(), "a damaged index is made anew");
        packs.iter().try_for_each(|pack| self.close(pack))
    }

    /// An index that does not match its checksums, to be made anew.
    pub(crate) fn damaged(&self, path: &Path) {
        lock(&self.damaged).insert(path.to_owned());
        self.tell(Notice::Damaged {
            what: format!("index {}", path.display()),
        });
    }

    pub(crate) fn take_damaged(&self) -> Vec<PathBuf> {
        lock(&self.damaged).drain().collect()
    }

    /// There may be something to merge.
    pub(crate) fn changed(&self) {
        self.changed.store(true, Relaxed);
    }

    pub(crate) fn take_changed(&self) -> bool {
        self.changed.swap(false, Relaxed)
    }

    /// A pack's files without their extensions.
    pub(crate) fn path(&self, key: &PackKey) -> PathBuf {
        self.folder.join(&*key.stream).join(key.stem())
    }

    /// Says once that nothing is stored, and why, and once that it is again: when nothing has failed for a while, as on a full
    /// disk there is room for a small block now and then.
    pub(crate) fn trouble(&self, reason: Option<String>) {
        let mut told = lock(&self.trouble);
        match (told.as_mut(), reason) {
            (Some(trouble), Some(_)) => trouble.last = Instant::now(),
            (None, Some(reason)) => {
                *told = Some(Trouble {
                    reason: reason.clone(),
                    last: Instant::now(),
                });
                self.tell(Notice::NotStoring { reason });
            }
            (Some(trouble), None) if trouble.last.elapsed() >= CALM => {
                *told = None;
                self.tell(Notice::Storing);
            }
            _ => {}
        }
    }

    fn tell(&self, notice: Notice) {
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

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
