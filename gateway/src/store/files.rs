//! A bounded set of open files for reading.

use std::{
    collections::HashMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// The files read last stay open; of a month's 2,880 packs at most `limit` are open at a time.
pub(crate) struct Files {
    limit: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    files: HashMap<PathBuf, (Arc<File>, u64)>,
    uses: u64,
}

impl Files {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            open: Mutex::default(),
        }
    }

    /// The file, opened now or before. Opening happens outside the lock.
    pub(crate) fn get(&self, path: &Path) -> io::Result<Arc<File>> {
        if let Some(file) = self.touch(path) {
            return Ok(file);
        }
        let file = Arc::new(File::open(path)?);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.uses += 1;
        let uses = open.uses;
        open.files.insert(path.to_owned(), (file.clone(), uses));
        if open.files.len() > self.limit {
            let oldest = open.files.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(path, _)| path.clone()) {
                open.files.remove(&oldest);
            }
        }
        Ok(file)
    }

    /// Closes a file that is about to be unlinked, so that its space is given back at once.
    pub(crate) fn forget(&self, path: &Path) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .files
            .remove(path);
    }

    fn touch(&self, path: &Path) -> Option<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.uses += 1;
        let uses = open.uses;
        let (file, used) = open.files.get_mut(path)?;
        *used = uses;
        Some(file.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_the_limit_and_the_last_used_stay() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (0..5).map(|n| folder.path().join(n.to_string())).collect();
        paths
            .iter()
            .for_each(|path| std::fs::write(path, b"x").unwrap());
        let files = Files::new(2);
        for path in &paths {
            files.get(&paths[0]).unwrap();
            files.get(path).unwrap();
            assert!(files.open.lock().unwrap().files.len() <= 2);
        }
        assert!(files.touch(&paths[0]).is_some());
        assert!(files.touch(&paths[3]).is_none());
        files.forget(&paths[0]);
        assert!(files.touch(&paths[0]).is_none());
    }
}
