//! Sends closed packs to the object store, in the background: one after the other, the oldest first. What was sent of one is on the
//! disk part by part, so that a run that is killed leaves off where the next goes on.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    Remote,
    there::{There, removed},
};
use crate::store::{
    Inner, Journal, inner::lock, journal::Synced, key::PackKey, pack::extension, worker::Stop,
};

/// Bytes of a part. At most 10,000 make an object: 80 GB.
const PART_BYTES: u64 = 8 << 20;
/// How often a pause looks whether it is to stop.
const STEP: Duration = Duration::from_millis(100);

/// Sends what is closed and pinned, and removes what was given up.
pub(in crate::store) fn round(inner: &Inner, stop: &Stop) {
    let Some(tier) = inner.tier.as_ref().filter(|_| !stop.is_set()) else {
        return;
    };
    for file in removed(&inner.folder) {
        if stop.is_set() {
            return;
        }
        let gone = There::read(&file).map_or(Ok(()), |there| {
            tier.remove(&there.object, there.upload.as_ref())
        });
        match gone {
            Ok(()) => drop(fs::remove_file(&file)), // it is removed again otherwise
            Err(error) => return tell(inner, &error),
        }
    }
    if let Err(error) = inner.restore() {
        return tell(inner, &error);
    }
    while let Some(key) = next(inner) {
        if stop.is_set() {
            return;
        }
        match send(inner, tier, &key, stop) {
            Ok(()) => tell_well(inner),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            Err(error) => return tell(inner, &error),
        }
    }
}

/// The oldest pack that is closed, pinned and not there.
fn next(inner: &Inner) -> Option<PackKey> {
    let pins = lock(&inner.pins);
    let state = inner.read_state();
    let waits = |key: &&PackKey| !state.there.contains_key(key) && pins.is_pinned(key);
    state.closed.keys().find(waits).cloned()
}

/// Sends one, or what is left of it.
fn send(inner: &Inner, tier: &Remote, key: &PackKey, stop: &Stop) -> io::Result<()> {
    let stem = inner.path(key);
    let file = match File::open(extension(&stem, "car")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()), // given up meanwhile
        file => file?,
    };
    let bytes = file.metadata()?.len();
    let path = extension(&stem, "upload");
    let mut journal = Journal::open(&path, Arc::<Synced>::default())?;
    let records = journal.take_records();
    let begun = records
        .first()
        .and_then(|first| serde_json::from_slice::<There>(first).ok());
    let parts = records
        .iter()
        .skip(1)
        .map(|part| String::from_utf8_lossy(part).into_owned());
    let mut parts: Vec<_> = parts.collect();
    let there = match begun.filter(|there| there.bytes == bytes) {
        Some(there) => {
            tracing::info!(pack = %key, parts = parts.len(), "its upload goes on");
            there
        }
        None => {
            let object = format!("{}/{}-{}.car", key.stream, key.stem(), random()?);
            let upload = Some(tier.begin(&object)?);
            let there = There {
                object,
                bytes,
                upload,
            };
            journal.checkpoint(&there.encode())?;
            journal.sync()?;
            parts.clear();
            there
        }
    };
    let id = there.upload.clone().unwrap_or_default();
    let rate = inner.settings.s3.upload;
    let sent = parts_of(tier, &file, &there, &mut parts, &mut journal, rate, stop);
    let sent = sent.and_then(|()| tier.complete(&there.object, &id, &parts));
    drop(journal);
    if let Err(error) = sent {
        // The object store has forgotten the upload, or completed it before a crash.
        if error.kind() == io::ErrorKind::NotFound && tier.size(&there.object)? != Some(bytes) {
            tracing::warn!(pack = %key, "its upload is not known there any more, and begins anew");
            fs::remove_file(&path)?;
            return Ok(());
        }
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error);
        }
    }
    match tier.size(&there.object)? {
        Some(size) if size == bytes && is_same(tier, &there.object, &file, bytes)? => {}
        _ => {
            fs::remove_file(&path)?;
            let message = format!(
                "{tier}/{} is not what was sent: it is sent again",
                there.object
            );
            return Err(io::Error::new(io::ErrorKind::HostUnreachable, message));
        }
    }
    let there = There {
        upload: None,
        ..there
    };
    there.write(&stem)?;
    fs::remove_file(&path)?;
    // Given up meanwhile: then its object goes, too.
    let kept = {
        let mut state = inner.write_state();
        let kept = state.closed.contains_key(key);
        if kept {
            state.there.insert(key.clone(), Arc::new(there));
        }
        kept
    };
    if kept {
        tracing::info!(pack = %key, bytes, "the object store has it, too");
    } else {
        inner.gone_there(key, &stem);
    }
    Ok(())
}

/// Sends the parts that are not there yet.
fn parts_of(
    tier: &Remote,
    file: &File,
    there: &There,
    parts: &mut Vec<String>,
    journal: &mut Journal,
    rate: u64,
    stop: &Stop,
) -> io::Result<()> {
    let id = there.upload.clone().unwrap_or_default();
    let count = usize::try_from(there.bytes.div_ceil(PART_BYTES)).unwrap_or(usize::MAX);
    while parts.len() < count {
        let begun = Instant::now();
        let offset = parts.len() as u64 * PART_BYTES;
        let length = (there.bytes - offset).min(PART_BYTES);
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, offset)?;
        let part = tier.part(&there.object, &id, parts.len(), bytes, stop)?;
        journal.append(part.as_bytes())?;
        journal.sync()?;
        parts.push(part);
        let pace = (length * 1_000_000)
            .checked_div(rate)
            .map(Duration::from_micros);
        while pace.is_some_and(|pace| begun.elapsed() < pace) {
            if stop.is_set() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            sleep(STEP);
        }
    }
    Ok(())
}

/// Whether its beginning and its end are what was sent.
fn is_same(tier: &Remote, object: &str, file: &File, bytes: u64) -> io::Result<bool> {
    for at in [0, bytes.saturating_sub(4096)] {
        let end = (at + 4096).min(bytes);
        let mut here = vec![0; (end - at) as usize];
        file.read_exact_at(&mut here, at)?;
        if tier.read(object, at..end)? != here {
            return Ok(false);
        }
    }
    Ok(true)
}

fn random() -> io::Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Says once what is wrong.
fn tell(inner: &Inner, error: &io::Error) {
    let mut told = lock(&inner.tier_trouble);
    if told.replace(error.to_string()).is_none() {
        tracing::error!(%error, "packs do not get to the object store: they stay here, and are sent again");
    }
}

fn tell_well(inner: &Inner) {
    if lock(&inner.tier_trouble).take().is_some() {
        tracing::info!("packs get to the object store again");
    }
}
