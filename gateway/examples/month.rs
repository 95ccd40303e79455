//! The store's start with a month of four renditions: 52 million parts in 2,880 packs. `month [FOLDER]`: prints rows of
//! tests/bench/README.md. It takes 2 GB of disk, and half a minute.
//!
//! The packs are sparse files and have one real part each; their indexes are real, written here by what stands at the head
//! of `gateway/src/store/index.rs`. Each start is a process of its own; the first merges the indexes, the second finds the real
//! part of every pack.

use std::{
    env,
    error::Error,
    fs::{self, File},
    hint::black_box,
    io::{BufWriter, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use cid::Cid;
use meshlive_gateway::store::{Settings, Store};
use meshlive_protocol::{
    dag::{cid_of, varint},
    key::SigningKey,
    name::StreamName,
    time::civil_date,
};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const RENDITIONS: [&str; 4] = ["1080p", "720p", "360p", "audio"];
const PACKS: u64 = 30 * 24 * RENDITIONS.len() as u64;
/// Parts of one pack: an hour of five a second.
const PARTS: u64 = 18_055;
/// 2026-11-01, in days since the Unix epoch.
const FIRST_DAY: u64 = 20_758;
/// Where the first frame of a pack begins: behind the header.
const HEADER: &[u8] = b"\x19\xa2eroots\x81\xd8\x2aE\0\x01\x55\0\0gversion\x01";
const FRAME_BYTES: u64 = 75_000;
const PAGE_ENTRIES: usize = 204;
const SEARCHES: u64 = 2000;

fn main() -> Outcome {
    let args: Vec<String> = env::args().skip(1).collect();
    if let [start, folder] = &args[..]
        && start == "--start"
    {
        return measure(Path::new(folder));
    }
    let folder = args.first().map_or_else(env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("meshlive-month-{}", std::process::id()));
    let done = generate(&folder).and_then(|()| {
        // The first start leaves merged indexes to the second.
        for _ in 0..2 {
            let mut start = Command::new(env::current_exe()?);
            if !start.arg("--start").arg(&folder).status()?.success() {
                return Err("the store did not start as it should".into());
            }
        }
        Ok(())
    });
    fs::remove_dir_all(&folder)?;
    done
}

fn stream() -> StreamName {
    SigningKey::from_secret([7; 32]).name()
}

/// The one real part of a pack.
fn part(pack: u64) -> Vec<u8> {
    [b"a real part of pack ", &pack.to_le_bytes()[..]].concat()
}

/// A digest as good as any.
fn any(n: u64) -> u64 {
    n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn generate(folder: &Path) -> Outcome {
    let stream = stream().to_string();
    fs::create_dir_all(folder.join(&stream))?;
    for pack in 0..PACKS {
        let hour = pack / RENDITIONS.len() as u64;
        let (year, month, day) = civil_date(FIRST_DAY + hour / 24);
        let rendition = RENDITIONS[pack as usize % RENDITIONS.len()];
        let hour = hour % 24;
        let name = format!("{stream}/{year:04}{month:02}{day:02}T{hour:02}-{rendition}-0");
        let real = part(pack);
        let cid = cid_of(&real);
        let mut frame = Vec::new();
        varint(&mut frame, (cid.encoded_len() + real.len()) as u64);
        frame.extend(cid.to_bytes());
        frame.extend(real);
        let file = File::create(folder.join(format!("{name}.car")))?;
        file.set_len(HEADER.len() as u64 + PARTS * FRAME_BYTES)?;
        file.write_all_at(HEADER, 0)?;
        file.write_all_at(&frame, HEADER.len() as u64)?;
        let mut entries = vec![(key(&cid), HEADER.len() as u64, frame.len() as u32)];
        let others = (1..PARTS).map(|n| {
            let offset = HEADER.len() as u64 + n * FRAME_BYTES;
            (any(pack << 32 | n), offset, FRAME_BYTES as u32)
        });
        entries.extend(others);
        entries.sort_unstable();
        index(&folder.join(format!("{name}.idx")), &name, &entries)?;
    }
    Ok(())
}

/// What entries are sorted by: the digest's first 8 bytes.
fn key(cid: &Cid) -> u64 {
    let digest = cid.hash().digest();
    u64::from_be_bytes(*digest.first_chunk().expect("a digest of 32 bytes"))
}

fn index(path: &Path, name: &str, entries: &[(u64, u64, u32)]) -> Outcome {
    let mut file = BufWriter::new(File::create(path)?);
    let mut tail = Vec::new();
    for entries in entries.chunks(PAGE_ENTRIES) {
        tail.extend(entries[0].0.to_le_bytes());
        let mut page = Vec::with_capacity(4096);
        for (key, offset, length) in entries {
            page.extend(key.to_be_bytes());
            page.extend([0, 0]);
            page.extend(&offset.to_le_bytes()[..6]);
            page.extend(length.to_le_bytes());
        }
        page.resize(4090, 0);
        page.extend((entries.len() as u16).to_le_bytes());
        page.extend(crc32fast::hash(&page).to_le_bytes());
        file.write_all(&page)?;
    }
    let pages = (tail.len() / 8) as u32;
    tail.extend((name.len() as u16).to_le_bytes());
    tail.extend(name.as_bytes());
    for number in [pages, 1, name.len() as u32 + 2] {
        tail.extend(number.to_le_bytes());
    }
    tail.extend(crc32fast::hash(&tail).to_le_bytes());
    tail.extend(b"MESHIDX1");
    file.write_all(&tail)?;
    Ok(file.flush()?)
}

/// One start, and what it is like then.
fn measure(folder: &Path) -> Outcome {
    let settings = Settings {
        keep: Duration::MAX,
        max_bytes: u64::MAX,
        ..Settings::default()
    };
    let merged = folder.join("merged").exists();
    let (before, start) = (resident()?, Instant::now());
    let store = Store::open(folder, settings)?;
    let took = start.elapsed();
    let more = resident()? - before;
    let stats = store.stats();
    if (stats.packs as u64, stats.open_packs) != (PACKS, 0) {
        return Err(format!("{stats:?}: not the packs that were made").into());
    }
    let how = if merged {
        "merged indexes"
    } else {
        "one index a pack"
    };
    println!(
        "| start with a month of four renditions, 52 million parts in 2,880 packs, {how}; memory; indexes in it | {took:.1?}; {:.1} MB more; {:.1} MB | ≤ 2 s; ≤ 64 MB | {} |",
        more as f64 / 1000.0,
        stats.index_bytes as f64 / 1e6,
        if took <= Duration::from_secs(2) && more <= 64_000 {
            "yes"
        } else {
            "NO"
        }
    );
    if !merged {
        let start = Instant::now();
        store.tidy();
        let took = start.elapsed();
        println!(
            "| merging that month's indexes, once, off the live path | {took:.1?} | stated | |"
        );
        return Ok(());
    }
    for pack in 0..PACKS {
        let part = part(pack);
        if store.get(&cid_of(&part))?.as_deref() != Some(&part[..]) {
            return Err(format!("the part of pack {pack} is not found").into());
        }
    }
    let searched = Instant::now();
    for n in 0..SEARCHES {
        if black_box(store.get(&cid_of(&n.to_le_bytes()))?).is_some() {
            return Err("what was never stored is found".into());
        }
    }
    let searched = searched.elapsed() / SEARCHES as u32;
    println!("| a search in it for what is not there | {searched:.1?} | stated | |");
    Ok(())
}

/// Resident memory of this process, KB.
fn resident() -> Outcome<i64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.ok_or("no VmRSS")?.parse()?)
}
