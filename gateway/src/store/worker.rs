//! The store's thread: what takes time happens here, off the live path. It syncs, closes packs whose hour is over, and
//! gives up what is too old or too much.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{Inner, OpenPack};

/// How often it looks around without being asked.
const PERIOD: Duration = Duration::from_secs(5);
/// A pack is closed when a later hour of its stream is stored and it itself was not appended to for so long…
const CLOSE_AFTER: Duration = Duration::from_secs(30);
/// …or when it was not appended to for so long.
const IDLE: Duration = Duration::from_secs(600);

/// The handle; dropping it syncs everything and ends the thread.
pub(crate) struct Worker {
    orders: Arc<Orders>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Orders {
    asked: Mutex<Asked>,
    changed: Condvar,
}

/// Rounds are numbered; a round that begins after a question answers it.
#[derive(Default)]
struct Asked {
    wanted: u64,
    done: u64,
    stop: bool,
}

impl Worker {
    pub(crate) fn start(inner: Arc<Inner>) -> io::Result<Self> {
        let orders = Arc::new(Orders::default());
        let thread = thread::Builder::new().name("store".into()).spawn({
            let orders = orders.clone();
            move || run(&inner, &orders)
        })?;
        Ok(Self {
            orders,
            thread: Some(thread),
        })
    }

    /// Has a round soon.
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
        drop(
            self.orders
                .changed
                .wait_while(asked, |asked| asked.done < wanted)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
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

fn run(inner: &Inner, orders: &Orders) {
    loop {
        let asked = orders.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, _) = orders
            .changed
            .wait_timeout_while(asked, PERIOD, |asked| {
                asked.wanted == asked.done && !asked.stop
            })
            .unwrap_or_else(PoisonError::into_inner);
        let (wanted, stop) = (asked.wanted, asked.stop);
        drop(asked);
        round(inner);
        orders
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .done = wanted;
        orders.changed.notify_all();
        if stop {
            return;
        }
    }
}

fn round(inner: &Inner) {
    let (packs, journals) = {
        let state = inner.read_state();
        (
            state.open.values().cloned().collect::<Vec<_>>(),
            state.journals(),
        )
    };
    // Blocks before journals: what a journal names is then there.
    for pack in &packs {
        report(inner, &pack.key, pack.sync());
    }
    for journal in journals {
        if let Err(error) = journal.sync() {
            inner.trouble(Some(format!("journal: {error}")));
        }
    }
    for pack in packs.iter().filter(|pack| is_over(pack, &packs)) {
        report(
            inner,
            &pack.key,
            pack.close().and_then(|()| inner.closed(pack)),
        );
    }
    let keep = u64::try_from(inner.settings.keep.as_micros()).unwrap_or(u64::MAX);
    while inner.drop_oldest(Some(keep)).is_some() {}
    while inner.read_state().bytes() > inner.settings.max_bytes && inner.drop_oldest(None).is_some()
    {
    }
}

fn is_over(pack: &OpenPack, packs: &[Arc<OpenPack>]) -> bool {
    let idle = Instant::now().saturating_duration_since(pack.touched());
    let later = |other: &Arc<OpenPack>| {
        other.key.stream == pack.key.stream && other.key.hour > pack.key.hour
    };
    pack.is_sealed() || idle >= IDLE || (idle >= CLOSE_AFTER && packs.iter().any(later))
}

fn report(inner: &Inner, pack: &super::PackKey, result: io::Result<()>) {
    if let Err(error) = result {
        inner.trouble(Some(format!("pack {pack}: {error}")));
    }
}
