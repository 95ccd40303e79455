//! The archives of all streams, the thread that closes their hours, and the one that reads them back.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{self, SyncSender, TrySendError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use meshlive_protocol::{key::SigningKey, name::StreamName};
use tokio::sync::mpsc as damaged;

use super::{
    Archive, Keep, Rule, Settings, retain,
    scrub::{Damage, Scrub},
};
use crate::{clock::Clock, metrics::Metrics, store::Store};

/// How often it looks at the clock without being asked.
const PERIOD: Duration = Duration::from_secs(1);

/// Archives whose damage waits to be mended.
const MAX_DAMAGE: usize = 16;
const DAY: Duration = Duration::from_secs(86_400);
/// How often it looks ahead.
const LOOK: Duration = Duration::from_secs(60);
/// It is said once a day where there is room for less than this.
const SOON: Duration = Duration::from_secs(3 * 86_400);

/// Asks for a round of the thread.
#[derive(Clone)]
pub(super) struct Wake(SyncSender<()>);

impl Wake {
    /// Asks nobody.
    pub(super) fn nobody() -> Self {
        Self(mpsc::sync_channel(1).0)
    }

    pub(super) fn wake(&self) {
        match self.0.try_send(()) {
            // It is asked already, or it has ended with the gateway.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

/// Every stream's archive; dropping it ends the threads.
pub struct Archives {
    settings: Settings,
    by_alias: BTreeMap<String, Rule>,
    store: Store,
    shared: Arc<RwLock<BTreeMap<String, Arc<Archive>>>>,
    wake: Wake,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    tell_damage: damaged::Sender<Damage>,
    damage: Mutex<Option<damaged::Receiver<Damage>>>,
}

impl Archives {
    /// None yet.
    pub(crate) fn new(store: Store, clock: &Arc<Clock>, metrics: &Arc<Metrics>) -> Self {
        let shared: Arc<RwLock<BTreeMap<String, Arc<Archive>>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (wake, asked) = mpsc::sync_channel(1);
        let (tell_damage, damage) = damaged::channel(MAX_DAMAGE);
        let thread = thread::Builder::new().name("archive".into()).spawn({
            let (shared, store, stop) = (shared.clone(), store.clone(), stop.clone());
            let (clock, metrics) = (clock.clone(), metrics.clone());
            move || {
                let mut outlook = Outlook::default();
                while !stop.load(Relaxed) {
                    let archives = all(&shared);
                    for archive in &archives {
                        archive.close_what_is_over(clock.now());
                        archive.let_go_of_the_old();
                    }
                    retain::make_room(&store, &archives);
                    outlook.look(&store, &archives, &metrics);
                    drop(archives);
                    let _ = asked.recv_timeout(PERIOD); // asked, or time to look
                }
            }
        });
        let thread = thread.inspect_err(
            |error| tracing::error!(%error, "no archive is kept: the system gives no thread"),
        );
        Self {
            settings: Settings::default(),
            by_alias: BTreeMap::new(),
            store,
            shared,
            wake: Wake(wake),
            stop,
            threads: thread.into_iter().collect(),
            tell_damage,
            damage: Mutex::new(Some(damage)),
        }
    }

    /// From here on all is read back from time to time.
    pub(crate) fn configure(
        &mut self,
        settings: Settings,
        by_alias: BTreeMap<String, Rule>,
        metrics: Arc<Metrics>,
    ) {
        let scrub = Scrub {
            settings: settings.clone(),
            store: self.store.clone(),
            metrics,
            stop: self.stop.clone(),
            damage: self.tell_damage.clone(),
        };
        let shared = self.shared.clone();
        let thread = thread::Builder::new()
            .name("archive scrub".into())
            .spawn(move || scrub.run(|| all(&shared)));
        let thread = thread.inspect_err(
            |error| tracing::error!(%error, "the archive is not read back: the system gives no thread"),
        );
        self.threads.extend(thread);
        (self.settings, self.by_alias) = (settings, by_alias);
    }

    /// What is found damaged, for whoever asks first.
    pub(crate) fn damage(&self) -> Option<damaged::Receiver<Damage>> {
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        damage.take()
    }

    /// The archive of a stream, to be [begun](Self::begin), unless its past is not to be kept.
    pub(crate) fn open(
        &self,
        alias: &str,
        stream: &StreamName,
        key: Option<Arc<SigningKey>>,
    ) -> io::Result<Option<Arc<Archive>>> {
        let own = self.by_alias.get(alias).cloned().unwrap_or_default();
        let rule = self.settings.rule(&own);
        if rule.keep == Keep::Off {
            return Ok(None);
        }
        let archive = Arc::new(Archive::open(
            stream.clone(),
            key,
            self.store.clone(),
            rule,
            self.wake.clone(),
        )?);
        Ok(Some(archive))
    }

    /// From here on its hours are closed: what an earlier run announced is in it.
    pub(crate) fn begin(&self, archive: Arc<Archive>) {
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        shared.insert(archive.stream().to_string(), archive);
        self.wake.wake();
    }

    pub(crate) fn find(&self, stream: &StreamName) -> Option<Arc<Archive>> {
        let shared = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        shared.get(&stream.to_string()).cloned()
    }
}

/// When what comes next is looked at, and told.
#[derive(Default)]
struct Outlook {
    looked: Option<Instant>,
    warned: Option<Instant>,
}

impl Outlook {
    fn look(&mut self, store: &Store, archives: &[Arc<Archive>], metrics: &Metrics) {
        let is_fresh =
            |at: Option<Instant>, time| at.is_some_and(|at: Instant| at.elapsed() < time);
        if is_fresh(self.looked, LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        let expected = retain::expected(store, archives);
        metrics.archive_expects(expected.a_day, expected.full_in);
        let Some(full_in) = expected.full_in.filter(|full_in| *full_in < SOON) else {
            return;
        };
        if !is_fresh(self.warned, DAY) {
            self.warned = Some(Instant::now());
            let (hours, a_day) = (full_in.as_secs() / 3600, expected.a_day);
            tracing::warn!(
                hours,
                a_day,
                "there will be no room for more of the past: then the oldest hours go before their time"
            );
        }
    }
}

impl Drop for Archives {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        self.wake.wake();
        self.shared
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // a panic there was printed there
        }
    }
}

fn all(shared: &RwLock<BTreeMap<String, Arc<Archive>>>) -> Vec<Arc<Archive>> {
    let shared = shared.read().unwrap_or_else(PoisonError::into_inner);
    shared.values().cloned().collect()
}
