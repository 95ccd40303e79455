//! Sorted digest indexes on disk: one beside each closed pack, and merged ones over many packs.
//!
//! ```text
//! page 0 │ page 1 │ … │ fences │ pack names │ trailer
//! page     204 entries of 20 bytes, sorted over the whole file; zeros; count: u16 LE at 4090; crc32 of the 4092 bytes before it: u32 LE
//! entry    key: u64 BE, the digest's first 8 bytes │ pack: u16 LE, place in the pack names │ offset: u48 LE │ length: u32 LE, of the frame
//! fence    u64 LE, the first key of each page
//! names    each: length u16 LE, then "stream/20261122T08-720p-0"
//! trailer  pages: u32 LE │ packs: u32 LE │ bytes of the pack names: u32 LE │ crc32 of fences, names and the 12 bytes before: u32 LE │ "MESHIDX1"
//! ```
//!
//! Only the fences stay in memory: 8 bytes for 204 parts, 2 MB for a month of four renditions (52 million parts). A
//! lookup is one `pread` of one page. There is no filter: at a byte a part it would take 52 MB where the fences take 2, and merging
//! (`merge`) leaves so few indexes that a search for what is not there reads at most 14 pages, seven on average. The key is not the digest: whoever reads the frame compares the whole digest.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Bytes of a page.
pub(crate) const PAGE_BYTES: usize = 4096;
/// Entries of a full page.
pub(crate) const PAGE_ENTRIES: usize = 204;
const ENTRY_BYTES: usize = 20;
const COUNT_AT: usize = 4090;
const CRC_AT: usize = 4092;
const TRAILER_BYTES: usize = 24;
const MAGIC: &[u8; 8] = b"MESHIDX1";

/// Where a frame stands. Ordered as in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// The first 8 bytes of the block's digest.
    pub(crate) key: u64,
    /// Place of the pack in the index's pack names.
    pub(crate) pack: u16,
    /// Where the frame begins in the pack, below 2^48.
    pub(crate) offset: u64,
    /// Bytes of the whole frame.
    pub(crate) length: u32,
}

/// What a digest is sorted by.
pub(crate) fn key_of(digest: &[u8; 32]) -> u64 {
    u64::from_be_bytes(*digest.first_chunk().expect("32 bytes are more than 8"))
}

impl Entry {
    /// The 20 bytes in the file.
    pub(crate) fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.key.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.pack.to_le_bytes());
        bytes[10..16].copy_from_slice(&self.offset.to_le_bytes()[..6]);
        bytes[16..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    /// Reads entries that stand one behind the other.
    pub(crate) fn all(bytes: &[u8]) -> impl Iterator<Item = Self> + '_ {
        bytes.as_chunks::<ENTRY_BYTES>().0.iter().map(|bytes| {
            let mut offset = [0; 8];
            offset[..6].copy_from_slice(&bytes[10..16]);
            Self {
                key: u64::from_be_bytes(*bytes.first_chunk().expect("20 bytes are more than 8")),
                pack: u16::from_le_bytes([bytes[8], bytes[9]]),
                offset: u64::from_le_bytes(offset),
                length: u32::from_le_bytes(*bytes.last_chunk().expect("20 bytes are more than 4")),
            }
        })
    }
}

/// Writes an index, entries in order.
pub(crate) struct Writer {
    file: BufWriter<File>,
    page: Vec<u8>,
    fences: Vec<u8>,
    last: Option<u64>,
}

impl Writer {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = BufWriter::with_capacity(64 * PAGE_BYTES, File::create(path)?);
        Ok(Self {
            file,
            page: Vec::with_capacity(PAGE_BYTES),
            fences: Vec::new(),
            last: None,
        })
    }

    /// The next entry, its key not before the last one's.
    pub(crate) fn push(&mut self, entry: Entry) -> io::Result<()> {
        debug_assert!(
            self.last <= Some(entry.key),
            "entries come sorted by their keys"
        );
        self.last = Some(entry.key);
        if self.page.is_empty() {
            self.fences.extend_from_slice(&entry.key.to_le_bytes());
        }
        self.page.extend_from_slice(&entry.to_bytes());
        if self.page.len() == PAGE_ENTRIES * ENTRY_BYTES {
            self.end_page()?;
        }
        Ok(())
    }

    /// Writes the rest and has it on the disk when it returns.
    pub(crate) fn finish<'a>(mut self, packs: impl Iterator<Item = &'a str>) -> io::Result<()> {
        if !self.page.is_empty() {
            self.end_page()?;
        }
        let pages = (self.fences.len() / 8) as u32;
        let (mut names, mut count) = (Vec::new(), 0u32);
        for name in packs {
            names.extend_from_slice(&(name.len() as u16).to_le_bytes());
            names.extend_from_slice(name.as_bytes());
            count += 1;
        }
        let mut tail = self.fences;
        tail.extend_from_slice(&names);
        for number in [pages, count, names.len() as u32] {
            tail.extend_from_slice(&number.to_le_bytes());
        }
        tail.extend_from_slice(&crc32fast::hash(&tail).to_le_bytes());
        tail.extend_from_slice(MAGIC);
        self.file.write_all(&tail)?;
        self.file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()
    }

    fn end_page(&mut self) -> io::Result<()> {
        let count = (self.page.len() / ENTRY_BYTES) as u16;
        self.page.resize(COUNT_AT, 0);
        self.page.extend_from_slice(&count.to_le_bytes());
        let crc = crc32fast::hash(&self.page);
        self.page.extend_from_slice(&crc.to_le_bytes());
        self.file.write_all(&self.page)?;
        self.page.clear();
        Ok(())
    }
}

/// An index as it stands on disk, with its fences in memory.
#[derive(Debug)]
pub(crate) struct Index {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Names of the packs it covers, by the numbers in its entries.
    pub(crate) packs: Vec<String>,
    fences: Box<[u64]>,
}

impl Index {
    /// Reads the trailer, fences and names.
    ///
    /// # Errors
    /// `InvalidData` where the file is no whole index.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let damaged = || damaged(path, "its end is damaged");
        let trailer_at = length
            .checked_sub(TRAILER_BYTES as u64)
            .ok_or_else(damaged)?;
        let mut trailer = [0; TRAILER_BYTES];
        file.read_exact_at(&mut trailer, trailer_at)?;
        let number =
            |at: usize| u32::from_le_bytes(trailer[at..at + 4].try_into().expect("four bytes"));
        let (pages, packs, names, crc) = (number(0), number(4), number(8), number(12));
        let tail = u64::from(pages) * 8 + u64::from(names);
        if &trailer[16..] != MAGIC || u64::from(pages) * PAGE_BYTES as u64 + tail != trailer_at {
            return Err(damaged());
        }
        let mut bytes = vec![0; tail as usize + 12];
        file.read_exact_at(&mut bytes, trailer_at - tail)?;
        if crc32fast::hash(&bytes) != crc {
            return Err(damaged());
        }
        let (fences, names) = bytes[..tail as usize].split_at(pages as usize * 8);
        Ok(Self {
            path: path.to_owned(),
            packs: parse_names(names, packs).ok_or_else(damaged)?,
            fences: fences
                .as_chunks()
                .0
                .iter()
                .map(|fence| u64::from_le_bytes(*fence))
                .collect(),
        })
    }

    /// How many pages it has.
    pub(crate) fn pages(&self) -> usize {
        self.fences.len()
    }

    /// Bytes that it takes in memory, about.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.fences.len() * 8
            + self
                .packs
                .iter()
                .map(|name| name.capacity() + 24)
                .sum::<usize>()
    }

    /// The entries with this key: usually none or one.
    ///
    /// # Errors
    /// `InvalidData` where a page does not match its checksum.
    pub(crate) fn find(&self, file: &File, key: u64) -> io::Result<Vec<Entry>> {
        let first = self
            .fences
            .partition_point(|fence| *fence < key)
            .saturating_sub(1);
        let end = self.fences.partition_point(|fence| *fence <= key);
        let mut found = Vec::new();
        for page in first..end {
            let page = self.checked(file, page)?;
            let entries = page.entries();
            let from = entries.partition_point(|entry| key_in(entry) < key);
            let same = entries[from..]
                .iter()
                .take_while(|entry| key_in(entry) == key);
            found.extend(same.flat_map(|entry| Entry::all(entry)));
        }
        Ok(found)
    }

    /// All entries of one page, in order.
    pub(crate) fn page(&self, file: &File, number: usize) -> io::Result<Vec<Entry>> {
        let page = self.checked(file, number)?;
        Ok(Entry::all(page.entries().as_flattened()).collect())
    }

    /// A page that matches its checksum.
    fn checked(&self, file: &File, number: usize) -> io::Result<Page> {
        let mut page = [0; PAGE_BYTES];
        file.read_exact_at(&mut page, (number * PAGE_BYTES) as u64)?;
        let crc = u32::from_le_bytes(page[CRC_AT..].try_into().expect("four bytes"));
        let count = usize::from(u16::from_le_bytes([page[COUNT_AT], page[COUNT_AT + 1]]));
        if crc32fast::hash(&page[..CRC_AT]) != crc || count > PAGE_ENTRIES {
            return Err(damaged(
                &self.path,
                &format!("page {number} does not match its checksum"),
            ));
        }
        Ok(Page { bytes: page, count })
    }
}

/// A page, not read entry by entry: a search looks at a few of them.
struct Page {
    bytes: [u8; PAGE_BYTES],
    count: usize,
}

impl Page {
    fn entries(&self) -> &[[u8; ENTRY_BYTES]] {
        &self.bytes.as_chunks().0[..self.count]
    }
}

/// The key of an entry in the file.
fn key_in(entry: &[u8; ENTRY_BYTES]) -> u64 {
    u64::from_be_bytes(*entry.first_chunk().expect("20 bytes are more than 8"))
}

fn parse_names(mut bytes: &[u8], count: u32) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for _ in 0..count {
        let (length, rest) = bytes.split_first_chunk()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        names.push(str::from_utf8(name).ok()?.to_owned());
        bytes = rest;
    }
    bytes.is_empty().then_some(names)
}

fn damaged(path: &Path, what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("index {}: {what}", path.display()),
    )
}
