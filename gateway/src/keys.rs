//! Signing keys and publish secrets: who a stream is, and who may publish it.
//!
//! Each alias has a folder `keys/<alias>/` in the data folder with two files of mode 0600:
//! `signing.key` (Ed25519, libp2p's protobuf encoding; the stream's name is made of it and it never changes)
//! and `publish.secret` (what OBS enters as its stream key; it may be rotated at any time).
//! Another process may change the folder (`meshlive-gateway keys rotate`): [`Keys`] reads it anew before it
//! looks up a secret, at most once a second.

mod alias;
mod files;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    hint::black_box,
    io,
    path::{Path, PathBuf},
    sync::{RwLock, RwLockReadGuard},
    time::{Duration, Instant},
};

use meshlive_protocol::key::SigningKey;
use sha2::{Digest, Sha256};

pub use alias::{AliasError, MAX_ALIAS_BYTES, check_alias};

/// How long what was read from disk is used before a look-up reads it again.
const REFRESH: Duration = Duration::from_secs(1);
/// An offered secret is hashed up to here; no stored secret is as long.
const MAX_OFFERED_BYTES: usize = 1024;

/// Everything there is to know about one alias.
#[derive(Clone)]
pub struct Entry {
    /// The operator's short name.
    pub alias: String,
    /// What the stream's name is made of.
    pub signing_key: SigningKey,
    /// What a publisher enters as its stream key; URL-safe, at least 128 bits.
    pub publish_secret: String,
}

impl fmt::Debug for Entry {
    // Neither secret may reach a log by accident.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("alias", &self.alias)
            .finish_non_exhaustive()
    }
}

/// Why a key could not be read, made or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The alias breaks a rule.
    #[error(transparent)]
    Alias(#[from] AliasError),
    /// `keys new` of something that is there.
    #[error(
        "alias {0:?} exists already: choose another, or `keys rotate {0}` for a new publish secret"
    )]
    Exists(String),
    /// `keys import` of a key that is there under another alias.
    #[error("stream {0} is there already, as alias {1:?}: one gateway has a stream once")]
    Same(String, String),
    /// `keys rotate` or `remove` of something that is not there.
    #[error("there is no alias {0:?}: `keys list` shows all, `keys new {0}` makes it")]
    Unknown(String),
    /// A file is there and does not hold what it should.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong and what helps.
        problem: String,
    },
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system: {0}")]
    Random(getrandom::Error),
}

/// A secret of the gateway itself: the bytes of the file `name` in the data folder, of mode 0600. Where there is none it
/// is made once and stays.
///
/// # Errors
/// When the disk refuses, and what `make` says.
pub(crate) fn kept(
    data: &Path,
    name: &str,
    make: impl FnOnce() -> Result<Vec<u8>, Error>,
) -> Result<Vec<u8>, Error> {
    files::kept(data, name, make)
}

/// All keys of a gateway. Cheap to share behind an `Arc`; every method may be called from any thread.
pub struct Keys {
    folder: PathBuf,
    known: RwLock<Known>,
}

struct Known {
    entries: BTreeMap<String, Entry>,
    read: Instant,
}

impl Keys {
    /// Opens (and makes, where missing) the folder `keys` in `data`, and reads every alias in it.
    ///
    /// # Errors
    /// When the folder cannot be made or read, or a file in it does not hold a key.
    pub fn open(data: &Path) -> Result<Keys, Error> {
        let folder = data.join("keys");
        files::make_folder(&folder)?;
        let entries = files::read_all(&folder)?;
        let read = Instant::now();
        Ok(Keys {
            folder,
            known: RwLock::new(Known { entries, read }),
        })
    }

    /// Every alias, in order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, Error> {
        self.reload()?;
        Ok(self.known().entries.values().cloned().collect())
    }

    /// The entry of `alias`, made when there is none: what a stream calls when it first needs its key.
    ///
    /// # Errors
    /// When the alias breaks a rule, or the disk refuses.
    pub fn ensure(&self, alias: &str) -> Result<Entry, Error> {
        check_alias(alias)?;
        if let Some(entry) = self.known().entries.get(alias) {
            return Ok(entry.clone());
        }
        match self.new_alias(alias) {
            Err(Error::Exists(_)) => self.get(alias),
            made => made,
        }
    }

    /// Makes a new alias with a new signing key and publish secret.
    ///
    /// # Errors
    /// [`Error::Exists`] when it is there; when the alias breaks a rule, or the disk refuses.
    pub fn new_alias(&self, alias: &str) -> Result<Entry, Error> {
        check_alias(alias)?;
        files::create(&self.folder, alias, &SigningKey::generate())?;
        self.get(alias)
    }

    /// Makes a new alias of the signing key in `file`, as [`SigningKey::to_protobuf`] wrote it, with a new publish secret.
    ///
    /// # Errors
    /// [`Error::Exists`] and [`Error::Same`] where alias or key are there already: nothing is ever overwritten; when the
    /// file holds no key, the alias breaks a rule, or the disk refuses.
    pub fn import(&self, alias: &str, file: &Path) -> Result<Entry, Error> {
        check_alias(alias)?;
        let bytes = files::read_foreign(file)?;
        let key = SigningKey::from_protobuf(&bytes).map_err(|error| Error::Content {
            path: file.into(),
            problem: format!("{error}; it is what `keys export` writes"),
        })?;
        self.reload()?;
        let name = key.name();
        let entries = self.known().entries.clone();
        // Two publishers of one name would end each other's sequence.
        if let Some(same) = entries.values().find(|one| one.signing_key.name() == name) {
            return Err(if same.alias == alias {
                Error::Exists(alias.into())
            } else {
                Error::Same(name.to_string(), same.alias.clone())
            });
        }
        files::create(&self.folder, alias, &key)?;
        self.get(alias)
    }

    /// Gives `alias` a new publish secret. Its signing key, and so the stream's name, stays.
    ///
    /// # Errors
    /// [`Error::Unknown`] when it is not there; when the alias breaks a rule, or the disk refuses.
    pub fn rotate(&self, alias: &str) -> Result<Entry, Error> {
        check_alias(alias)?;
        self.get(alias)?;
        files::write_secret(&self.folder.join(alias))?;
        self.get(alias)
    }

    /// Forgets `alias`. Its signing key is deleted: the stream's name can never be published to again.
    ///
    /// # Errors
    /// [`Error::Unknown`] when it is not there; when the alias breaks a rule, or the disk refuses.
    pub fn remove(&self, alias: &str) -> Result<(), Error> {
        check_alias(alias)?;
        files::remove(&self.folder, alias)?;
        self.reload()
    }

    /// The alias whose publish secret this is.
    ///
    /// Takes the same time whether one matches or not and wherever it stands: both sides are hashed and every
    /// stored secret is compared to the end, so an answer tells nothing about how near a guess was.
    pub fn find(&self, offered: &str) -> Option<String> {
        if self.known().read.elapsed() > REFRESH
            && let Err(error) = self.reload()
        {
            tracing::warn!(%error, "publish secrets could not be read again: those read before stay valid");
        }
        let offered = &offered.as_bytes()[..offered.len().min(MAX_OFFERED_BYTES)];
        let offered = Sha256::digest(offered);
        let known = self.known();
        let mut found = None;
        for entry in known.entries.values() {
            let stored = Sha256::digest(entry.publish_secret.as_bytes());
            let difference = stored
                .iter()
                .zip(&offered)
                .fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
            if difference == 0 {
                found = Some(&entry.alias);
            }
        }
        found.cloned()
    }

    /// Reads one alias from disk, so that another process's change is seen.
    fn get(&self, alias: &str) -> Result<Entry, Error> {
        self.reload()?;
        let known = self.known();
        let entry = known.entries.get(alias);
        entry.cloned().ok_or_else(|| Error::Unknown(alias.into()))
    }

    fn reload(&self) -> Result<(), Error> {
        let entries = files::read_all(&self.folder);
        let mut known = self
            .known
            .write()
            .unwrap_or_else(|poison| poison.into_inner());
        known.read = Instant::now();
        known.entries = entries?;
        Ok(())
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        // A panic elsewhere cannot leave the map half-written: it is replaced whole.
        self.known
            .read()
            .unwrap_or_else(|poison| poison.into_inner())
    }
}
