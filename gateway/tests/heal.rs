//! A mirror one of whose stored parts was damaged: it is named, stays so while no other gateway is there, and is whole again soon
//! after the origin's return.

#![allow(clippy::unwrap_used)] // a test from its first line to its last

mod process;

use std::{
    fs::{self, File, OpenOptions},
    net::TcpListener,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use process::Gateway;

const CARD: &str = "testcard?name=cam&size=320x240&rate=15&bit_rate=200000";
/// So soon after the origin's return it is whole again.
const SOON: Duration = Duration::from_secs(60);
const DAMAGED: &str = "meshlive_archive_damaged_blocks";

/// A data folder whose stream `cam` has an hour of the past.
fn with_past(folder: &Path) {
    let film = folder.join("film");
    fs::create_dir_all(&film).unwrap();
    let coded = "-v error -f lavfi -i testsrc2=s=320x180:r=25:d=12 -f lavfi -i sine=r=48000:d=12 -c:v libx264 -preset ultrafast \
        -g 50 -bf 0 -pix_fmt yuv420p -c:a aac -f hls -hls_time 2 -hls_list_size 0 -hls_segment_type fmp4";
    let made = Command::new("ffmpeg")
        .current_dir(&film)
        .args(coded.split_whitespace())
        .arg("index.m3u8")
        .status();
    assert!(made.expect("ffmpeg starts").success());
    let gateway = |args: &[&str]| {
        let program = env!("CARGO_BIN_EXE_meshlive-gateway");
        let done = Command::new(program)
            .args(args)
            .arg("--data")
            .arg(folder)
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    };
    gateway(&["keys", "new", "cam"]);
    let film = film.to_str().unwrap();
    gateway(&["archive", "import", film, "--at", "2026-11-22T10:00:00"]);
}

/// A gateway that is started again at the same addresses, and what it logs.
struct Place {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
}

impl Place {
    fn new(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("settings.toml");
        fs::write(
            &settings,
            "[archive]\nkeep = \"everything\"\nverify_every = \"1s\"\n",
        )
        .unwrap();
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let mut all = vec!["--config".to_owned(), settings.to_str().unwrap().to_owned()];
        all.extend(["--p2p-tcp".to_owned(), free.to_string()]);
        all.extend(arguments.iter().map(|one| (*one).to_owned()));
        Self {
            folder,
            arguments: all,
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn start(&self) -> Gateway {
        let mut program = Command::new(env!("CARGO_BIN_EXE_meshlive-gateway"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"));
        program.stderr(log.unwrap());
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        Gateway::start_by(program, &self.data(), &arguments)
    }

    fn logged(&self, what: &str) -> bool {
        fs::read_to_string(self.folder.path().join("log"))
            .unwrap()
            .contains(what)
    }

    /// The largest pack of the hour.
    fn pack(&self) -> PathBuf {
        let streams = fs::read_dir(self.data().join("store")).unwrap();
        let packs = streams.flatten().filter(|one| one.path().is_dir());
        let packs = packs.flat_map(|one| fs::read_dir(one.path()).unwrap().flatten());
        let packs = packs.map(|one| one.path()).filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("20261122T10-") && name.ends_with(".car")
        });
        packs
            .max_by_key(|path| fs::metadata(path).unwrap().len())
            .unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log"));
            eprintln!("{}", log.unwrap_or_default());
        }
    }
}

/// One bit in the middle.
fn flip(pack: &Path) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(pack)
        .unwrap();
    let (at, mut byte) = (file.metadata().unwrap().len() / 2, [0]);
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 1;
    file.write_all_at(&byte, at).unwrap();
}

fn until(what: &str, within: Duration, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < within, "not in {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("{what}: after {:?}", begun.elapsed());
}

/// How many blocks its last reading back found damaged.
fn damaged(gateway: &Gateway) -> u64 {
    gateway.metric(DAMAGED).unwrap()
}

fn archive(gateway: &Gateway) -> serde_json::Value {
    let (_, body) = gateway.get("/api/v1/streams/cam/archive");
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn a_mirror_with_a_flipped_bit_is_whole_again_soon_after_its_origins_return() {
    let at_origin = Place::new(&["--input", CARD]);
    with_past(&at_origin.data());
    let origin = at_origin.start();
    let (_, object) = origin.get("/api/v1/streams/cam");
    let object: serde_json::Value = serde_json::from_slice(&object).unwrap();
    let port = origin.ready.split("p2p-tcp=127.0.0.1:").nth(1).unwrap();
    let port = port.split([' ', '\n']).next().unwrap();
    let stream = object["stream"].as_str().unwrap();
    let follow = format!("{stream}@/ip4/127.0.0.1/tcp/{port}?name=cam");
    let at_mirror = Place::new(&["--follow", &follow]);
    let mirror = at_mirror.start();
    let wanted = archive(&origin);
    println!("{wanted}");
    until("the mirror has the hour", SOON, || {
        archive(&mirror) == wanted
    });
    origin.kill();
    mirror.kill();
    flip(&at_mirror.pack());
    let mirror = at_mirror.start();
    until("it is named", SOON, || damaged(&mirror) == 1);
    // The twin: nobody has it.
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(damaged(&mirror), 1);
    assert!(at_mirror.logged("does not match its CID"));
    let origin = at_origin.start();
    until("it is whole again", SOON, || damaged(&mirror) == 0);
    assert_eq!(damaged(&origin), 0);
}
