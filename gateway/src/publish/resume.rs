//! What an earlier run had announced, from the stream's journal: signed manifests and announcements, in order, and the
//! machine's boot that they were written in.
//!
//! No number is ever used twice, whatever was lost:
//! - After a `kill -9` the journal has everything that was announced. Window and numbers go on.
//! - After the machine itself has stopped (another boot), or where a record does not fit, what was announced last may
//!   be missing: the window begins anew, well beyond the last number known.
//! - Where the disk was full or read-only, there may be much that was announced and not written down, which the journal
//!   says (`Journal::lapse`): the window begins anew, far beyond.
//! - Without a journal segments begin at the tenths of seconds since 2025, and init segments at the seconds, which is beyond
//!   those of a journal that was lost as long as segments last a tenth of a second on average, no init segment is made
//!   each second, and the clock was not set back.

use meshlive_protocol::{
    manifest::{self, Manifest, Opened, Settings},
    name::StreamName,
};

use crate::package::Numbers;

/// What the record of a boot begins with; an envelope begins with another byte.
const BOOT: &[u8] = b"boot ";
/// 2025-01-01T00:00:00Z, in seconds since 1970.
const NUMBERING: u64 = 1_735_689_600;
/// More segments and init segments than can have been announced since the journal was last on the disk.
const MARGIN: u64 = 64;
/// More than can have been announced while the journal could not be written: two weeks.
const LAPSE: u64 = 1_000_000;

/// Where to go on.
#[derive(Debug, PartialEq)]
pub(super) struct Resumed {
    /// The live window.
    pub(super) manifest: Manifest,
    pub(super) numbers: Numbers,
    /// Higher than any before: one more than the last known, or the seconds since 1970, which grow past whatever a lost
    /// journal knew.
    pub(super) epoch: u64,
}

/// The record that names this run of the machine.
pub(super) fn boot_record() -> Vec<u8> {
    // Where there is none, the record fits no boot, and each start counts as one after a power cut.
    let id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    [BOOT, &id].concat()
}

/// What the journal's records lead to; `lapsed` where they are not all that was announced. `now` is in µs since 1970,
/// `boot` the present [`boot_record`].
pub(super) fn resume(
    name: &StreamName,
    records: &[Vec<u8>],
    lapsed: bool,
    settings: Settings,
    now: u64,
    boot: &[u8],
) -> Resumed {
    let mut found = None;
    let mut same_boot = false;
    let mut misfits = 0;
    for record in records {
        if record.starts_with(BOOT) {
            same_boot = record == boot && boot.len() > BOOT.len();
        } else if let Err(error) = take(name, record, &mut found) {
            misfits += 1;
            tracing::debug!(%error, "a record of the journal does not fit");
        }
    }
    if misfits > 0 {
        tracing::warn!(stream = %name, misfits, of = records.len(), "records of the journal do not fit");
    }
    let epoch = found
        .as_ref()
        .map_or(0, |known: &Manifest| known.epoch() + 1);
    let epoch = epoch.max(now / 1_000_000);
    match found {
        Some(mut manifest) if same_boot && misfits == 0 && !lapsed => {
            manifest.configure(settings);
            let numbers = Numbers {
                segment: manifest.next_msn(),
                init: manifest.next_init(),
                discontinuity: manifest.segments().len() > 0,
            };
            Resumed {
                manifest,
                numbers,
                epoch,
            }
        }
        known => {
            let tenths = (now / 100_000).saturating_sub(NUMBERING * 10);
            let margin = if lapsed { LAPSE } else { MARGIN };
            let beyond = known.map_or((0, 0), |manifest| {
                // Beyond those of a run in between that could write nothing, too.
                let since = now.saturating_sub(manifest.clock()) / 100_000;
                let init = u64::from(manifest.next_init()) + margin + since / 10;
                (manifest.next_msn() + margin + since, init)
            });
            let skipped = if lapsed { LAPSE } else { 0 };
            let init = beyond.1.max(tenths / 10 + skipped);
            let numbers = Numbers {
                segment: beyond.0.max(tenths + skipped),
                init: u32::try_from(init).unwrap_or(u32::MAX / 2),
                discontinuity: false,
            };
            Resumed {
                manifest: Manifest::new(settings),
                numbers,
                epoch,
            }
        }
    }
}

fn take(
    name: &StreamName,
    record: &[u8],
    found: &mut Option<Manifest>,
) -> Result<(), manifest::Rejected> {
    match (manifest::open(name, record)?, found) {
        (Opened::Manifest(whole), found) => {
            *found = Some(whole);
            Ok(())
        }
        (Opened::Announcement(announcement), Some(window)) => {
            if announcement.epoch > window.epoch() && announcement.sequence == 1 {
                // The manifest at the start of its epoch could not be written.
                window.begin_epoch(announcement.epoch, announcement.clock);
            }
            window.apply(&announcement)
        }
        (Opened::Announcement(_), None) => Err(manifest::Rejected::Malformed(
            "an announcement before the first manifest",
        )),
    }
}
