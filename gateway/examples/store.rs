//! The store against plain files: appends beside readers, appends that are on the disk after every ten, random reads that are
//! checked against the CID. `store [FOLDER]`: prints rows of tests/bench/README.md.

use std::{
    env,
    error::Error,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use cid::Cid;
use meshlive_gateway::store::{Settings, Store};
use meshlive_protocol::{dag::cid_of, key::SigningKey, name::StreamName};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A part of 3 Mbit/s.
const BYTES: usize = 75_000;
/// Appends beside readers, one each [`PERIOD`].
const APPENDS: u64 = 600;
const PERIOD: Duration = Duration::from_millis(50);
/// Blocks of the comparison, and reads of them.
const BLOCKS: usize = 1000;
const READS: usize = 5000;
/// How often packs and plain files are read in turns.
const ROUNDS: usize = 7;

fn main() -> Outcome {
    let folder = env::args().nth(1).map_or_else(env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("meshlive-store-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let done = beside_readers(&folder.join("readers")).and_then(|()| against_files(&folder));
    fs::remove_dir_all(&folder)?;
    done
}

fn stream() -> StreamName {
    SigningKey::from_secret([7; 32]).name()
}

fn block(n: u64) -> Vec<u8> {
    let mut state = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..BYTES).map(|_| next()).collect()
}

fn append(store: &Store, cid: &Cid, block: &[u8]) -> Outcome {
    store.append(&stream(), "v", 0, cid, block)?;
    Ok(())
}

fn beside_readers(folder: &Path) -> Outcome {
    let store = Store::open(folder, Settings::default())?;
    let blocks: Vec<_> = (0..APPENDS).map(block).collect();
    let cids: Vec<_> = blocks.iter().map(|block| cid_of(block)).collect();
    let (stored, going) = (AtomicU64::new(0), AtomicU64::new(1));
    let mut times = Vec::new();
    thread::scope(|scope| {
        for reader in 0..2 {
            let (store, cids, stored, going) = (&store, &cids, &stored, &going);
            scope.spawn(move || {
                for n in reader.. {
                    if going.load(SeqCst) == 0 {
                        break;
                    }
                    let count = stored.load(SeqCst).max(1);
                    let _ = store.get(&cids[(n * 7919 % count) as usize]); // the writer's times are what counts
                    thread::sleep(Duration::from_millis(2));
                }
            });
        }
        for (n, (cid, block)) in (1..).zip(cids.iter().zip(&blocks)) {
            let start = Instant::now();
            append(&store, cid, block)?;
            times.push(start.elapsed());
            stored.store(n, SeqCst);
            if n % 10 == 0 {
                store.sync_soon();
            }
            thread::sleep(PERIOD.saturating_sub(start.elapsed()));
        }
        going.store(0, SeqCst);
        Outcome::Ok(())
    })?;
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let (median, most, longest) = (at(0.5), at(0.99), at(1.0));
    row(
        "append of 75 KB at 20 parts a second beside two readers: median, 99 %, longest",
        &format!("{median:.2?}, {most:.2?}, {longest:.2?}"),
        "99 % ≤ 10 ms",
        most <= Duration::from_millis(10),
    );
    Ok(())
}

fn against_files(folder: &Path) -> Outcome {
    let plain = folder.join("plain");
    fs::create_dir_all(&plain)?;
    let store = Store::open(&folder.join("packs"), Settings::default())?;
    let blocks: Vec<_> = (1 << 20..).take(BLOCKS).map(block).collect();
    let cids: Vec<_> = blocks.iter().map(|block| cid_of(block)).collect();
    let path = |cid: &Cid| plain.join(cid.to_string());

    let start = Instant::now();
    for (n, (cid, block)) in (1..).zip(cids.iter().zip(&blocks)) {
        append(&store, cid, block)?;
        if n % 10 == 0 {
            store.flush();
        }
    }
    let ours = start.elapsed();
    let start = Instant::now();
    for (cids, blocks) in cids.chunks(10).zip(blocks.chunks(10)) {
        for (cid, block) in cids.iter().zip(blocks) {
            fs::write(path(cid), block)?;
        }
        for cid in cids {
            File::open(path(cid))?.sync_data()?;
        }
    }
    let files = start.elapsed();
    let times = files.as_secs_f64() / ours.as_secs_f64();
    row(
        "1,000 appends, on the disk after every 10, against plain files",
        &format!("{ours:.1?} : {files:.1?} = {times:.2} ×"),
        "≥ 0.9 ×",
        times >= 0.9,
    );

    store.close_all()?;
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let ours = reads(|n| Ok(store.get(&cids[n])?.is_some()))?;
        let files = reads(|n| Ok(cid_of(&fs::read(path(&cids[n]))?) == cids[n]))?;
        took.push((ours, files));
    }
    took.sort_by(|a, b| (a.0 * b.1).total_cmp(&(b.0 * a.1)));
    let (ours, files) = took[ROUNDS / 2];
    let [best, worst] = [took[0], took[ROUNDS - 1]].map(|(ours, files)| files / ours);
    row(
        &format!(
            "random read and check against the CID, against plain files, median of {ROUNDS} (worst to best)"
        ),
        &format!(
            "{ours:.1} µs : {files:.1} µs = {:.3} × ({worst:.3} to {best:.3})",
            files / ours
        ),
        "≥ 1.0 ×",
        files >= ours,
    );
    Ok(())
}

/// Microseconds of a read.
fn reads(read: impl Fn(usize) -> Outcome<bool>) -> Outcome<f64> {
    let start = Instant::now();
    for n in 0..READS {
        if !read(n * 7919 % BLOCKS)? {
            return Err(format!("block {n} is not what was written").into());
        }
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / READS as f64)
}

fn row(what: &str, result: &str, bar: &str, holds: bool) {
    println!(
        "| {what} | {result} | {bar} | {} |",
        if holds { "yes" } else { "NO" }
    );
}
