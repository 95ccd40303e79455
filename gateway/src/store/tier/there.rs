//! What the disk remembers of packs in the object store.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::GONE;
use crate::store::{key::PackKey, pack::extension, record};

/// An object, or one that is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct There {
    /// Its name.
    pub(super) object: String,
    /// Of the whole pack.
    pub(super) bytes: u64,
    /// The upload's, while it is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) upload: Option<String>,
}

impl There {
    /// Bytes of the whole pack.
    pub(in crate::store) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are JSON")
    }

    /// From a file's first record.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        let (records, _) = record::scan(&bytes);
        serde_json::from_slice(records.first()?).ok()
    }

    /// A pack is there: its file is on the disk when this returns.
    pub(super) fn write(&self, stem: &Path) -> io::Result<()> {
        let temporary = extension(stem, "s3.tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(&record::encode(&self.encode()))?;
        file.sync_all()?;
        fs::rename(&temporary, extension(stem, "s3"))?;
        File::open(stem.parent().expect("a pack lies in a stream's folder"))?.sync_all()
    }
}

/// Packs of a stream that are there, by their files' names.
pub(in crate::store) fn load<'a>(
    folder: &Path,
    stream: &str,
    names: impl Iterator<Item = &'a String>,
) -> Vec<(PackKey, Arc<There>)> {
    let stems = names.filter_map(|name| name.strip_suffix(".s3"));
    let found = stems.filter_map(|stem| {
        let key = PackKey::from_file(stream, stem)?;
        let path = extension(&folder.join(stream).join(stem), "s3");
        match There::read(&path) {
            Some(there) => Some((key, Arc::new(there))),
            None => {
                tracing::warn!(path = %path.display(), "cannot be read: this pack is sent again, or lost if it is not here");
                None
            }
        }
    });
    found.collect()
}

/// The object that this file names is to be removed.
pub(super) fn to_be_removed(store: &Path, file: &Path) -> io::Result<()> {
    let Some(there) = There::read(file) else {
        return fs::remove_file(file);
    };
    let gone = store.join(GONE);
    fs::create_dir_all(&gone)?;
    fs::rename(file, gone.join(there.object.replace('/', "-")))
}

/// Files of objects that are to be removed.
pub(super) fn removed(store: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(store.join(GONE))
        .into_iter()
        .flatten()
        .flatten();
    files.map(|file| file.path()).collect()
}
