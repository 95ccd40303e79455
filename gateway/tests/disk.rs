//! The disk is full, read-only, or loses its power, under a real gateway: what is live goes on, the error is named, all is
//! taken up again, and no number is used twice.
//!
//! The data folder is a file system of its own, mounted in a mount namespace that ends with the test. A power cut is an image
//! of ext4 behind a loop device, copied at the moment the gateway is killed: what the kernel had not written to the
//! device yet is not in the copy, and the next run begins on that, in what it must take for another boot of the machine.

#![allow(clippy::unwrap_used)] // a test from its first line to its last

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use cid::Cid;
use meshlive_protocol::dag;

mod process;

use process::{
    Gateway,
    listen::{Parts, listen, parts_of},
};

const CARD: &str = "testcard?name=cam&size=320x240&rate=30&bit_rate=300000";

/// A mount namespace, held by a process that ends with this.
struct Machine {
    holder: Child,
    root: bool,
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let own = std::fs::metadata("/proc/self").unwrap();
        let root = std::os::unix::fs::MetadataExt::uid(&own) == 0;
        let mut holder = Command::new("unshare")
            .arg(if root { "-m" } else { "-Urm" })
            .args(["sh", "-c", "echo held; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare (package util-linux) starts");
        let mut said = String::new();
        let stdout = holder.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut said).unwrap();
        assert_eq!(
            said, "held\n",
            "needs root, or unprivileged user namespaces"
        );
        Self {
            holder,
            root,
            folder,
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A program inside.
    fn program(&self, program: &str) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["-t", &self.holder.id().to_string(), "-m"]);
        if !self.root {
            inside.args(["-U", "--preserve-credentials"]);
        }
        inside.arg("--").arg(program);
        inside
    }

    /// A line of shell inside, which knows the data folder as `$1` and the one around it as `$2`; whether it succeeded.
    fn sh(&self, line: &str) -> bool {
        let mut shell = self.program("sh");
        shell.args(["-c", line, "sh"]);
        shell.args([&self.data(), self.folder.path()]);
        shell.stderr(Stdio::null()).status().unwrap().success()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn start(&self) -> Gateway {
        let mut program = self.program(env!("CARGO_BIN_EXE_meshlive-gateway"));
        let log = File::options().create(true).append(true).open(self.log());
        program.stderr(log.unwrap());
        Gateway::start_by(program, &self.data(), &["--input", CARD])
    }

    fn logged(&self, what: &str) -> bool {
        std::fs::read_to_string(self.log()).unwrap().contains(what)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        if std::thread::panicking() {
            eprintln!(
                "{}",
                std::fs::read_to_string(self.log()).unwrap_or_default()
            );
        }
    }
}

/// What was announced over all runs.
#[derive(Default)]
struct Announced {
    parts: Parts,
    /// What was heard last.
    newest: Parts,
    epoch: u64,
}

impl Announced {
    /// Listens until `count` more parts came, and that none of them has a number which another had. Returns the first of their
    /// segments, and the first of the window that it began with.
    fn hear(&mut self, gateway: &Gateway, count: usize) -> (u64, Option<u64>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let (_, window, heard) = runtime.block_on(listen(gateway, count));
        self.epoch = self.epoch.max(window.epoch());
        self.newest = heard.iter().flat_map(parts_of).collect();
        for (number, cid) in &self.newest {
            let before = self.parts.insert(*number, *cid);
            assert!(before.is_none(), "{number:?} was used before");
        }
        let first = window.segments().next().map(|segment| segment.msn);
        let new = self.newest.keys().map(|number| number.1).min();
        (new.expect("some were heard"), first)
    }

    /// The newest parts are served, live.
    fn are_live(&self, gateway: &Gateway) {
        for (&(_, msn, part), cid) in self.newest.iter().rev().take(8) {
            let answers = ["source", "audio"]
                .map(|id| gateway.get(&format!("/live/cam/{id}/{msn}.{part}.m4s")));
            let is_it = |(status, body): &(u16, Vec<u8>)| *status == 200 && dag::verify(cid, body);
            let statuses = answers.each_ref().map(|(status, _)| *status);
            assert!(answers.iter().any(is_it), "{msn}.{part}: {statuses:?}");
        }
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Live on a disk that takes nothing from some time on, on and after which the gateway is killed twice. The lines of shell make
/// the disk, break it, and mend it, while a gateway runs where that `can` be.
fn takes_nothing([make, break_it, mend]: [&str; 3], can: bool, error: &str) {
    let machine = Machine::new();
    assert!(machine.sh(make), "needs root for a loop device: {make}");
    let mut announced = Announced::default();

    let gateway = machine.start();
    announced.hear(&gateway, 10);
    assert_eq!(gateway.get("/readyz").0, 200);
    assert_eq!(gateway.metric("meshlive_store_takes_blocks"), Some(1));
    machine.sh(break_it);
    until("it says that it is not ready", || {
        gateway.get("/readyz").0 == 503
    });
    until("the log names what is wrong", || machine.logged(error));
    announced.hear(&gateway, 20);
    announced.are_live(&gateway);
    assert_eq!(gateway.metric("meshlive_store_takes_blocks"), Some(0));
    assert!(gateway.metric("meshlive_store_blocks_not_stored_total") >= Some(3));
    gateway.kill();

    // What was told since is written nowhere: the next run knows nothing of it, not even how much it was.
    let gateway = machine.start();
    announced.hear(&gateway, 15);
    announced.are_live(&gateway);
    assert_eq!(gateway.get("/readyz").0, 503);
    gateway.kill();
    assert!(can || machine.sh(mend), "{mend}");
    let gateway = machine.start();
    announced.hear(&gateway, 15);
    assert!(!can || machine.sh(mend), "{mend}");
    until("it is ready again", || gateway.get("/readyz").0 == 200);
    assert_eq!(gateway.metric("meshlive_store_takes_blocks"), Some(1));
    let (live, _) = announced.hear(&gateway, 15);
    announced.are_live(&gateway);
    gateway.kill();

    // All is as ever: the window goes on.
    let gateway = machine.start();
    let (next, first) = announced.hear(&gateway, 5);
    assert!(first.is_some_and(|first| first <= live), "{first:?} {live}");
    assert!(next < live + 20, "numbers go on: {next} after {live}");
    announced.are_live(&gateway);
}

#[test]
fn a_full_disk_is_named_and_live_goes_on() {
    takes_nothing(
        [
            "mount -t tmpfs -o size=6m tmpfs $1",
            "cat /dev/zero > $1/filler",
            "rm $1/filler",
        ],
        true,
        "No space left on device",
    );
}

/// As ext4 does where its device is damaged.
#[test]
fn a_disk_that_turns_read_only_is_named_and_live_goes_on() {
    takes_nothing(
        [
            "truncate -s 48M $2/disk && mkfs.ext4 -q -F $2/disk && mount -o loop,errors=remount-ro $2/disk $1",
            "echo 1 > /sys/fs/ext4/$(basename $(findmnt -no SOURCE $1))/trigger_fs_error",
            "umount $1 && { e2fsck -fy $2/disk; mount -o loop $2/disk $1; }",
        ],
        false,
        "Read-only file system",
    );
}

/// Where each run finds another identity of the machine's boot.
fn another_boot(machine: &Machine, number: usize) {
    let boot = machine.folder.path().join("boot");
    std::fs::write(&boot, format!("0d0c1a5e-0000-4000-8000-{number:012}\n")).unwrap();
    assert!(machine.sh("mount --bind $2/boot /proc/sys/kernel/random/boot_id"));
}

/// Whether a block is there, by its CID: then it is right.
fn is_kept(gateway: &Gateway, cid: &Cid) -> bool {
    let (status, body) = gateway.get(&format!("/ipfs/{cid}?format=raw"));
    let right = status != 200 || dag::verify(cid, &body);
    assert!(right, "{cid}: a wrong block");
    status == 200
}

#[test]
fn a_power_cut_loses_the_open_segment_at_most_and_no_number_is_used_twice() {
    let machine = Machine::new();
    let image = |name: &str| machine.folder.path().join(name);
    assert!(machine.sh("truncate -s 48M $2/disk && mkfs.ext4 -q -F $2/disk"));
    let (mut announced, mut lost) = (Announced::default(), 0);
    // Of each run the parts with pictures: sound is the same in all.
    let mut runs: Vec<Vec<(u64, Cid)>> = Vec::new();
    // Cut at several places of a segment.
    for (round, parts) in [54, 66, 48, 76, 10].into_iter().enumerate() {
        let mounted = machine.sh("mount -o loop $2/disk $1");
        assert!(mounted, "needs root for a loop device");
        another_boot(&machine, round);
        let gateway = machine.start();
        let epoch = announced.epoch;
        announced.hear(&gateway, parts);
        assert!(announced.epoch > epoch, "a higher epoch");
        announced.are_live(&gateway);
        for run in &mut runs {
            let open = run.iter().map(|(segment, _)| *segment).max();
            run.retain(|(segment, cid)| {
                let is_kept = is_kept(&gateway, cid);
                lost += usize::from(!is_kept);
                // One that was just closed may not have been on the disk either.
                let may_go = Some(segment + 1) >= open;
                assert!(
                    is_kept || may_go,
                    "{segment} is lost, and {open:?} was open"
                );
                is_kept
            });
        }
        let pictures = announced.newest.iter().filter(|(number, _)| number.0 == 0);
        runs.push(pictures.map(|(number, cid)| (number.1, *cid)).collect());
        gateway.kill();
        // What the device has at this moment.
        std::fs::copy(image("disk"), image("cut")).unwrap();
        assert!(machine.sh("umount /proc/sys/kernel/random/boot_id && umount $1"));
        std::fs::rename(image("cut"), image("disk")).unwrap();
    }
    println!("# {lost} parts of {} were lost", announced.parts.len());
    assert!(lost > 0, "nothing was lost: this was no power cut");
}
