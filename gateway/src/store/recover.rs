//! An open pack as a crash, a power cut or a shutdown left it.
//!
//! What the log says is on the disk is believed. Behind that, frames are read and checked against their CIDs; what
//! follows the last whole one is cut off. A frame with wrong bytes among whole ones (a power cut writes pages in any
//! order) is left out of the index, and nothing behind it is lost.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use super::{
    frame::{self, Frame, Parsed},
    index::Entry,
    key::PackKey,
    pack::{self, OpenPack, extension},
    record,
};

/// Reads the pack. Where its closed index is `lost`, nothing is cut off: it was whole once, and what is behind a
/// damage may still be wanted. Such a pack, or one on a file system that is read-only, is sealed.
pub(crate) fn recover(key: PackKey, folder: &Path, lost: bool) -> io::Result<OpenPack> {
    let stem = folder.join(&*key.stream).join(key.stem());
    let path = extension(&stem, "car");
    let (file, writable) = match OpenOptions::new().read(true).write(true).open(&path) {
        Err(error) if is_read_only(&error) => (File::open(&path)?, false),
        file => (file?, true),
    };
    let length = file.metadata()?.len();
    let (logged, mark) = read_log(&extension(&stem, "log"), length, writable)?;
    let mut unlogged = Vec::new();
    let mut end = mark;
    scan(&file, mark, length, |offset, frame| {
        if frame.is_whole() {
            unlogged.push(pack::entry(frame.digest, offset, frame.length));
            end = offset + frame.length as u64;
        } else {
            tracing::warn!(pack = %key, offset, "a block does not match its CID");
        }
    })?;
    if writable {
        let mut header = vec![0; frame::HEADER.len()];
        let read = file.read_exact_at(&mut header, 0);
        if read.is_err() || header != frame::HEADER {
            file.write_all_at(frame::HEADER, 0)?;
        }
        if end < length && !lost {
            tracing::warn!(pack = %key, cut = length - end, "the pack's torn end was cut off");
            file.set_len(end)?;
        }
    }
    let end = if lost { length.max(end) } else { end };
    Ok(OpenPack::recovered(
        key,
        stem,
        file,
        end,
        logged,
        unlogged,
        !writable || lost,
    ))
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
    )
}

/// What the log says is on the disk: frames, and up to where, as long as it says no more than the file holds. The
/// rest of the log is cut off.
fn read_log(path: &Path, length: u64, writable: bool) -> io::Result<(Vec<Entry>, u64)> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    let (mut entries, mut end, mut good) = (Vec::new(), frame::HEADER.len() as u64, 0);
    for payload in record::scan(&bytes).0 {
        let Some((mark, frames)) = payload.split_first_chunk() else {
            break;
        };
        let mark = u64::from_le_bytes(*mark);
        if mark < end || mark > length {
            break;
        }
        end = mark;
        good += record::OVERHEAD + payload.len();
        entries.extend(Entry::all(frames));
    }
    if writable && good < bytes.len() {
        OpenOptions::new()
            .write(true)
            .open(path)?
            .set_len(good as u64)?;
    }
    Ok((entries, end))
}

/// Hands over each frame from `from` on, until what follows is none or the file (of `length` bytes) ends.
pub(crate) fn scan(
    file: &File,
    from: u64,
    length: u64,
    mut take: impl FnMut(u64, Frame<'_>),
) -> io::Result<()> {
    let mut buffer = vec![0; 2 * frame::MAX_FRAME_BYTES];
    let (mut base, mut filled, mut at) = (from, 0, 0);
    loop {
        match frame::parse(&buffer[at..filled]) {
            Parsed::Frame(frame) => {
                take(base + at as u64, frame);
                at += frame.length;
            }
            Parsed::Garbage => return Ok(()),
            Parsed::Short => {
                buffer.copy_within(at..filled, 0);
                (base, filled, at) = (base + at as u64, filled - at, 0);
                let space = (buffer.len() - filled) as u64;
                let left = length.saturating_sub(base + filled as u64).min(space) as usize;
                if left == 0 {
                    return Ok(());
                }
                file.read_exact_at(&mut buffer[filled..filled + left], base + filled as u64)?;
                filled += left;
            }
        }
    }
}
