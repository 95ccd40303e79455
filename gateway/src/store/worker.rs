//! The store's two threads: what takes time happens here, off the live path. One has appended bytes on the disk; the other
//! closes packs whose hour is over, merges and repairs indexes, and gives up what is too old or too much.

use std::{
    fs, io,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{Inner, OpenPack, merge};

/// How often they look around without being asked.
const PERIOD: Duration = Duration::from_secs(5);
/// A pack is closed when a later hour of its stream is stored and it itself was not appended to for so long…
const CLOSE_AFTER: Duration = Duration::from_secs(30);
/// …or when it was not appended to for so long.
const IDLE: Duration = Duration::from_secs(600);

/// A thread that works in rounds; dropping the handle has a last one and ends it.
pub(crate) struct Worker {
    orders: Arc<Orders>,
    thread: Option<JoinHandle<()>>,
}

/// Set when a long round should end early.
#[derive(Default)]
pub(crate) struct Stop(AtomicBool);

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }
}

#[derive(Default)]
struct Orders {
    asked: Mutex<Asked>,
    changed: Condvar,
    stop: Stop,
}

/// Rounds are numbered; a round that begins after a question answers it.
#[derive(Default)]
struct Asked {
    wanted: u64,
    done: u64,
    stop: bool,
}

impl Worker {
    pub(crate) fn start(
        name: &str,
        inner: Arc<Inner>,
        round: fn(&Inner, &Stop),
    ) -> io::Result<Self> {
        let orders = Arc::new(Orders::default());
        let thread = thread::Builder::new().name(name.into()).spawn({
            let orders = orders.clone();
            move || orders.run(|stop| round(&inner, stop))
        })?;
        Ok(Self {
            orders,
            thread: Some(thread),
        })
    }

    /// Has a round soon; its number.
    pub(crate) fn wake(&self) -> u64 {
        let mut asked = self
            .orders
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        asked.wanted += 1;
        self.orders.changed.notify_all();
        asked.wanted
    }

    /// Has a round, and waits for its end.
    pub(crate) fn flush(&self) {
        let wanted = self.wake();
        let asked = self
            .orders
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let done = self
            .orders
            .changed
            .wait_while(asked, |asked| asked.done < wanted && !asked.stop);
        drop(done.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.orders.stop.0.store(true, Relaxed);
        self.orders
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stop = true;
        self.orders.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there was printed there
        }
    }
}

impl Orders {
    fn run(&self, round: impl Fn(&Stop)) {
        loop {
            let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let idle = |asked: &mut Asked| asked.wanted == asked.done && !asked.stop;
            let woken = self.changed.wait_timeout_while(asked, PERIOD, idle);
            let (asked, _) = woken.unwrap_or_else(PoisonError::into_inner);
            let (wanted, stop) = (asked.wanted, asked.stop);
            drop(asked);
            round(&self.stop);
            self.asked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .done = wanted;
            self.changed.notify_all();
            if stop {
                return;
            }
        }
    }
}

/// Has all appended bytes on the disk.
pub(crate) fn sync(inner: &Inner, _: &Stop) {
    let (packs, journals) = {
        let state = inner.read_state();
        (
            state.open.values().cloned().collect::<Vec<_>>(),
            state.journals(),
        )
    };
    // Blocks before journals: what a journal names is then there.
    for pack in packs {
        report(inner, &format!("pack {}", pack.key), pack.sync());
    }
    for journal in journals {
        report(inner, "journal", journal.sync());
    }
}

/// Closes, repairs, gives up and merges.
pub(crate) fn tidy(inner: &Inner, stop: &Stop) {
    let open: Vec<_> = inner.read_state().open.values().cloned().collect();
    for pack in open.iter().filter(|pack| is_over(pack, &open)) {
        report(inner, &format!("pack {}", pack.key), inner.close(pack));
    }
    for path in inner.take_damaged() {
        report(
            inner,
            &format!("index {}", path.display()),
            inner.repair(&path),
        );
    }
    let keep = u64::try_from(inner.settings.keep.as_micros()).unwrap_or(u64::MAX);
    while inner.drop_oldest(Some(keep)).is_some() {}
    while inner.read_state().bytes() > inner.settings.max_bytes && inner.drop_oldest(None).is_some()
    {
    }
    while !stop.is_set() && inner.take_changed() {
        match merge::merge(inner, stop) {
            Ok(true) => inner.changed(),
            Ok(false) => {}
            Err(error) => {
                let _ = fs::remove_file(merge::folder(&inner.folder).join("new.tmp"));
                tracing::warn!(%error, "indexes could not be merged: searches read more of them");
            }
        }
    }
}

fn is_over(pack: &OpenPack, packs: &[Arc<OpenPack>]) -> bool {
    let idle = Instant::now().saturating_duration_since(pack.touched());
    let later = |other: &Arc<OpenPack>| {
        other.key.stream == pack.key.stream && other.key.hour > pack.key.hour
    };
    pack.is_sealed() || idle >= IDLE || (idle >= CLOSE_AFTER && packs.iter().any(later))
}

fn report(inner: &Inner, what: &str, result: io::Result<()>) {
    if let Err(error) = result {
        inner.trouble(Some(format!("{what}: {error}")));
    }
}
