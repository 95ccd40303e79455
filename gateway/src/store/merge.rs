//! Merging indexes, so that a search reads few of them: with one index a pack a search in a month of four renditions
//! would read 2,880 pages, with merged ones at most 14, seven on average.
//!
//! Merged indexes lie in `merged/` and only repeat what the packs' own say: they may be lost at any time. Each part's entry is
//! written once for every fourfold growth: 6 × 20 bytes in a month, for parts of 75 KB.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    vec,
};

use super::{
    Inner,
    index::{self, Entry, Index},
    key::PackKey,
    worker::Stop,
};

/// As many of about the same size are merged.
const GROUP: usize = 4;
/// As many are read at a time; each holds an open file.
const MOST: usize = 64;
/// Entries name packs with 16 bits.
const MAX_PACKS: usize = u16::MAX as usize;

/// Where merged indexes lie.
pub(crate) fn folder(store: &Path) -> PathBuf {
    store.join("merged")
}

/// Which of these to make one, told by how many packs each has, and how many of those are still there.
fn choose(sizes: &[(usize, usize)]) -> Vec<usize> {
    if let Some(hollow) = sizes.iter().position(|(packs, live)| live * 2 < *packs) {
        return vec![hollow];
    }
    let level = |live: usize| live.max(1).ilog(GROUP);
    for top in (0..=level(MAX_PACKS)).rev() {
        if sizes.iter().filter(|(_, live)| level(*live) == top).count() < GROUP {
            continue;
        }
        // What is smaller comes along: it costs little and is gone.
        let mut group: Vec<_> = (0..sizes.len())
            .filter(|n| level(sizes[*n].1) <= top)
            .collect();
        group.sort_by_key(|n| Reverse(level(sizes[*n].1)));
        let mut packs = 0;
        group.retain(|n| {
            packs += sizes[*n].1;
            packs <= MAX_PACKS
        });
        group.truncate(MOST);
        if group.len() >= GROUP {
            return group;
        }
    }
    Vec::new()
}

/// Merges once, where there is something to merge; whether it did.
///
/// # Errors
/// `InvalidData` where one does not match its checksums (it is then told to be damaged), and whatever the file system says.
pub(crate) fn merge(inner: &Inner, stop: &Stop) -> io::Result<bool> {
    let (sources, packs) = {
        let state = inner.read_state();
        let live =
            |name: &String| PackKey::parse(name).is_some_and(|key| state.closed.contains_key(&key));
        let sizes: Vec<_> = state
            .indexes
            .iter()
            .map(|index| {
                (
                    index.packs.len(),
                    index.packs.iter().filter(|name| live(name)).count(),
                )
            })
            .collect();
        let sources: Vec<_> = choose(&sizes)
            .into_iter()
            .map(|n| state.indexes[n].clone())
            .collect();
        let packs: Vec<Vec<Option<u16>>> = number(&sources, live);
        (sources, packs)
    };
    if sources.is_empty() {
        return Ok(false);
    }
    let merged = write(inner, &sources, &packs, stop)?;
    let mut state = inner.write_state();
    let left = state
        .indexes
        .iter()
        .filter(|index| !sources.iter().any(|source| Arc::ptr_eq(source, index)));
    state.indexes = Arc::new(
        merged
            .map(Arc::new)
            .into_iter()
            .chain(left.cloned())
            .collect(),
    );
    drop(state);
    for source in sources {
        if source.path.starts_with(folder(&inner.folder)) {
            inner.files.forget(&source.path);
            fs::remove_file(&source.path)?;
        }
    }
    Ok(true)
}

/// New numbers for the packs that are still there, in order of the sources.
fn number(sources: &[Arc<Index>], live: impl Fn(&String) -> bool) -> Vec<Vec<Option<u16>>> {
    let mut next = 0;
    let mut number = |name: &String| {
        live(name).then(|| {
            next += 1;
            next - 1
        })
    };
    sources
        .iter()
        .map(|source| source.packs.iter().map(&mut number).collect())
        .collect()
}

/// Writes the merged index; none where no pack is left.
fn write(
    inner: &Inner,
    sources: &[Arc<Index>],
    packs: &[Vec<Option<u16>>],
    stop: &Stop,
) -> io::Result<Option<Index>> {
    if packs.iter().flatten().all(Option::is_none) {
        return Ok(None);
    }
    let folder = folder(&inner.folder);
    fs::create_dir_all(&folder)?;
    let temporary = folder.join("new.tmp");
    let mut writer = index::Writer::create(&temporary)?;
    let mut cursors = Vec::new();
    for (source, packs) in sources.iter().zip(packs) {
        cursors.push(Cursor {
            index: source,
            file: inner.files.get(&source.path)?,
            packs,
            next: 0,
            page: Vec::new().into_iter(),
        });
    }
    let mut heap = BinaryHeap::new();
    for (n, cursor) in cursors.iter_mut().enumerate() {
        heap.extend(cursor.next(inner, stop)?.map(|entry| Reverse((entry, n))));
    }
    while let Some(Reverse((entry, n))) = heap.pop() {
        writer.push(entry)?;
        heap.extend(
            cursors[n]
                .next(inner, stop)?
                .map(|entry| Reverse((entry, n))),
        );
    }
    let names = sources
        .iter()
        .zip(packs)
        .flat_map(|(source, packs)| source.packs.iter().zip(packs));
    writer.finish(
        names
            .filter(|(_, number)| number.is_some())
            .map(|(name, _)| name.as_str()),
    )?;
    let number = numbers(&folder)?.last().map_or(0, |last| last + 1);
    let path = folder.join(format!("{number:08}.idx"));
    fs::rename(&temporary, &path)?;
    File::open(&folder)?.sync_all()?;
    Index::open(&path).map(Some)
}

/// Reads a source in order.
struct Cursor<'a> {
    index: &'a Index,
    file: Arc<File>,
    packs: &'a [Option<u16>],
    next: usize,
    page: vec::IntoIter<Entry>,
}

impl Cursor<'_> {
    fn next(&mut self, inner: &Inner, stop: &Stop) -> io::Result<Option<Entry>> {
        loop {
            for entry in self.page.by_ref() {
                if let Some(Some(pack)) = self.packs.get(usize::from(entry.pack)) {
                    return Ok(Some(Entry {
                        pack: *pack,
                        ..entry
                    }));
                }
            }
            if self.next == self.index.pages() {
                return Ok(None);
            }
            if stop.is_set() {
                return Err(io::Error::new(
                    io::ErrorKind::Interrupted,
                    "the store is closing",
                ));
            }
            let page = self.index.page(&self.file, self.next);
            self.page = page
                .inspect_err(|_| inner.damaged(&self.index.path))?
                .into_iter();
            self.next += 1;
        }
    }
}

/// Reads the merged indexes, oldest first. One that is damaged, or that newer ones repeat, is removed.
pub(crate) fn load(store: &Path) -> Vec<Index> {
    let folder = folder(store);
    let mut indexes: Vec<Index> = Vec::new();
    let mut covered = std::collections::HashSet::new();
    for number in numbers(&folder).unwrap_or_default().into_iter().rev() {
        let path = folder.join(format!("{number:08}.idx"));
        match Index::open(&path) {
            Ok(index) if index.packs.iter().any(|name| !covered.contains(name)) => {
                covered.extend(index.packs.iter().cloned());
                indexes.insert(0, index);
            }
            unneeded => {
                unneeded
                    .err()
                    .inspect(|error| tracing::warn!(%error, "made anew from those of its packs"));
                let _ = fs::remove_file(path); // found again at the next start
            }
        }
    }
    indexes
}

fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for file in fs::read_dir(folder)? {
        let name = file?.file_name();
        numbers.extend(
            name.to_str()
                .and_then(|name| name.strip_suffix(".idx")?.parse::<u64>().ok()),
        );
    }
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_left_and_each_is_merged_rarely() {
        let (mut sizes, mut written): (Vec<usize>, usize) = (Vec::new(), 0);
        let (mut most, mut sum) = (0, 0);
        for pack in 0..2880 {
            sizes.push(1);
            if pack % 4 < 3 {
                continue; // four renditions close together
            }
            loop {
                let group = choose(&sizes.iter().map(|size| (*size, *size)).collect::<Vec<_>>());
                if group.is_empty() {
                    break;
                }
                let merged: usize = group.iter().map(|n| sizes[*n]).sum();
                let mut n = 0;
                sizes.retain(|_| {
                    n += 1;
                    !group.contains(&(n - 1))
                });
                sizes.insert(0, merged);
                written += merged;
            }
            most = most.max(sizes.len());
            sum += sizes.len();
        }
        assert!(most <= 14, "{most} at most");
        assert!(sum <= 720 * 7, "{} on average", sum as f64 / 720.0);
        assert!(
            written <= 2880 * 6,
            "each written {} times",
            written as f64 / 2880.0
        );
    }

    #[test]
    fn many_at_once_are_merged_in_two_steps_and_hollow_ones_are_written_anew() {
        assert_eq!(choose(&[(1, 1); 2880]).len(), MOST);
        assert_eq!(choose(&[(64, 64); 45]).len(), 45);
        assert_eq!(choose(&[(64, 64), (9, 4), (1, 1)]), [1]);
        assert_eq!(choose(&[(1, 1), (1, 1), (1, 1)]), [] as [usize; 0]);
        assert_eq!(
            choose(&[(30_000, 30_000); 4]),
            [] as [usize; 0],
            "more packs than entries can name"
        );
    }
}
