//! Reading everything that is held back from time to time, slowly, so that damage is known while others still have a copy.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use cid::Cid;
use tokio::sync::mpsc;

use super::{Archive, OWNER, Settings, start, verify};
use crate::{metrics::Metrics, store::Store};

/// What other gateways gave in place of damaged blocks lies in a pack of this name.
pub(crate) const MENDED: &str = "mended.archive";
/// Damaged blocks of one archive that are told at a time; the next round finds the others.
const MAX_TOLD: usize = 4096;

/// Blocks of an archive that are damaged or missing, and the names that lead to each.
pub(crate) struct Damage {
    pub(crate) archive: Arc<Archive>,
    pub(crate) blocks: Vec<(Cid, String)>,
}

/// The first round begins so long after the gateway, or earlier where rounds follow each other more closely.
const FIRST: Duration = Duration::from_secs(3600);
/// How often it looks whether it is to end.
const STEP: Duration = Duration::from_millis(200);

/// Rounds over all archives, until it is told to stop.
pub(super) struct Scrub {
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stop: Arc<AtomicBool>,
    /// Who mends what is found.
    pub(super) damage: mpsc::Sender<Damage>,
}

impl Scrub {
    /// Runs until it is told to stop; `archives` says which there are.
    pub(super) fn run(&self, archives: impl Fn() -> Vec<Arc<Archive>>) {
        let every = self.settings.verify_every;
        if every.is_zero() {
            return;
        }
        let mut pause = every.min(FIRST);
        while self.wait(pause) {
            let begun = Instant::now();
            let mut damaged = 0;
            for archive in archives() {
                match self.round(&archive) {
                    Ok(found) => damaged += found,
                    Err(_) => return,
                }
            }
            self.metrics.archive_damaged(damaged);
            let seconds = begun.elapsed().as_secs();
            tracing::info!(damaged, seconds, "all that is archived was read back");
            pause = every;
        }
    }

    /// How many blocks of an archive are damaged or missing; an error where it is to stop.
    fn round(&self, archive: &Arc<Archive>) -> io::Result<u64> {
        let (mut damaged, mut blocks) = (0, Vec::new());
        verify::held(archive, &self.store, &mut |_, block| {
            match block {
                Ok(block) => {
                    self.metrics.archive_verified(block.len());
                    let pace = block.len() as f64 / self.settings.verify_bytes_per_second as f64;
                    if !self.wait(Duration::from_secs_f64(pace)) {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                }
                Err(fault) => {
                    damaged += 1;
                    if blocks.len() < MAX_TOLD {
                        blocks.push((fault.cid, fault.path.clone()));
                    }
                    let stream = archive.stream();
                    tracing::error!(%stream, "damaged in the archive: {fault}; other gateways that have the stream are asked for it");
                }
            }
            Ok(())
        })?;
        if !blocks.is_empty() {
            let archive = archive.clone();
            // Where nobody takes it, the next round finds it again.
            let _ = self.damage.try_send(Damage { archive, blocks });
        }
        Ok(damaged)
    }

    /// Whether it is to go on when so much time has passed.
    fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            if self.stop.load(Relaxed) {
                return false;
            }
            match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return true,
                left => sleep(left.min(STEP)),
            }
        }
    }
}

impl Archive {
    /// What was mended of an hour stays as long as the hour.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub(crate) fn keep_mended(&self, hour: u64) -> io::Result<()> {
        self.store.pin(OWNER, &self.stream, MENDED, start(hour))?;
        self.store.flush();
        Ok(())
    }
}
