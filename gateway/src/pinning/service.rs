//! What others have pinned here: the list on the disk, and tasks that fetch what is asked for and pin it.
//!
//! A DAG lies in packs of its own, named by its root, in the folder of this gateway's own name, at hour 0; each request for
//! it pins them. The last that goes lets the store give them up. Blocks that are here for another reason are copied: what
//! happens to that reason does not touch the pin.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use meshlive_protocol::name::StreamName;
use sha2::{Digest, Sha256};
use tokio::{
    sync::{Notify, RwLock, watch},
    task::JoinHandle,
};

use super::{
    filter::Filter,
    list::{Limits, List, Record, Request},
    object::{Failure, Pin, PinResults, PinStatus, Status},
    settings::Settings,
};
use crate::{
    clock::Clock,
    metrics::Metrics,
    store::{Journal, Store},
    swarm::Fetcher,
};

/// The journal of requests.
const JOURNAL: &str = "pinning.log";
/// A checkpoint is made when the journal has so many bytes.
const CHECKPOINT_BYTES: u64 = 20 << 20;
/// DAGs that are fetched at once.
const AT_ONCE: usize = 2;

/// Who asks: made of a token of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    fn of(token: &str) -> Self {
        let digest = Sha256::digest(token.as_bytes());
        Self(
            digest[..16]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        )
    }
}

/// The pinning service of this gateway.
pub(crate) struct Service {
    pub(super) settings: Settings,
    tokens: Vec<Token>,
    /// Under which the blocks lie in the store.
    pub(super) name: StreamName,
    pub(super) store: Store,
    pub(super) fetcher: Fetcher,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// There is something to fetch.
    asked: Notify,
}

struct State {
    list: List,
    journal: Journal,
    /// What is being fetched: who wants it no longer says so, and bytes that came until now.
    running: HashMap<String, (watch::Sender<bool>, Arc<AtomicU64>)>,
}

impl Service {
    /// Takes up what an earlier run wrote down; `name` is this gateway's own.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn open(
        settings: Settings,
        name: StreamName,
        fetcher: Fetcher,
        clock: Arc<Clock>,
        metrics: Arc<Metrics>,
    ) -> io::Result<Arc<Self>> {
        let store = fetcher.store.clone();
        let mut journal = store.side_journal(&name, JOURNAL)?;
        let mut list = List::default();
        for record in journal.take_records() {
            match serde_json::from_slice(&record) {
                Ok(record) => list.apply(record),
                Err(error) => tracing::warn!(%error, "a record of {JOURNAL} does not fit"),
            }
        }
        let running: Vec<_> = list
            .all()
            .filter(|one| one.status == Status::Pinning)
            .cloned()
            .collect();
        for Request { id, bytes, .. } in running {
            let (status, why) = (Status::Queued, String::new());
            list.apply(Record::Became {
                id,
                status,
                why,
                bytes,
            });
        }
        let state = State {
            list,
            journal,
            running: HashMap::new(),
        };
        let service = Self {
            tokens: settings
                .tokens
                .iter()
                .map(|token| Token::of(token))
                .collect(),
            settings,
            name,
            store,
            fetcher,
            clock,
            metrics,
            state: Mutex::new(state),
            asked: Notify::new(),
        };
        service.tidy()?;
        service.count(&service.state());
        Ok(Arc::new(service))
    }

    /// Lets go what no request holds: a crash came between one and the other.
    fn tidy(&self) -> io::Result<()> {
        let mut held = BTreeSet::new();
        for request in self.state().list.all() {
            match request.status {
                Status::Failed => {}
                Status::Pinned => drop(held.insert((owner(&request.id), pack(request)?))),
                Status::Queued | Status::Pinning => {
                    held.extend(packs(request)?.map(|pack| (owner(&request.id), pack)))
                }
            }
        }
        for (owner, rendition, _) in self.store.owners(&self.name) {
            if !held.contains(&(owner.clone(), rendition.clone())) {
                self.store.unpin(&owner, &self.name, &rendition, 0)?;
            }
        }
        self.store.give_up_hour(&self.name, 0)
    }

    /// Who has this token, which the configuration names.
    pub(crate) fn admit(&self, token: &str) -> Option<Token> {
        // What is compared is a digest: how long that takes tells nothing of the token.
        let token = Token::of(token);
        self.tokens.contains(&token).then_some(token)
    }

    /// Puts a request into the queue; with `instead_of` it takes the place of another, which goes.
    ///
    /// # Errors
    /// At a limit, where there is no such other, and where the disk does not take it.
    pub(crate) fn ask(
        &self,
        Token(whose): &Token,
        pin: Pin,
        instead_of: Option<&str>,
        delegates: &[String],
    ) -> Result<PinStatus, Failure> {
        let limits = Limits {
            requests: self.settings.requests,
            queue: self.settings.queue,
        };
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| broken(&io::Error::other(error)))?;
        let id = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut state = self.state();
        let before = match instead_of {
            Some(other) => Some(state.list.of(whose, other)?.clone()),
            None => None,
        };
        let mut request =
            state
                .list
                .ask(whose, pin, id, self.clock.now() / 1000, limits, instead_of)?;
        // Held before the other goes, so that what both have stays.
        if let Some(before) = before {
            request.instead_of = before.pin.cid;
            self.hold(&request).map_err(|error| broken(&error))?;
        }
        state
            .write(Record::Asked(request.clone()))
            .map_err(|error| broken(&error))?;
        let told = state.list.told(&request, delegates, 0);
        self.count(&state);
        drop(state);
        if let Some(other) = instead_of {
            self.remove(&Token(whose.clone()), other)?;
        }
        self.asked.notify_waiters();
        Ok(told)
    }

    /// A request.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn get(
        &self,
        Token(whose): &Token,
        id: &str,
        delegates: &[String],
    ) -> Result<PinStatus, Failure> {
        let state = self.state();
        let request = state.list.of(whose, id)?;
        Ok(state.list.told(request, delegates, state.bytes(id)))
    }

    /// Those that match.
    pub(crate) fn find(
        &self,
        Token(whose): &Token,
        filter: &Filter,
        delegates: &[String],
    ) -> PinResults {
        let state = self.state();
        let (count, found) = state.list.find(whose, filter);
        let told = found.into_iter().map(|request| {
            state
                .list
                .told(request, delegates, state.bytes(&request.id))
        });
        PinResults {
            count,
            results: told.collect(),
        }
    }

    /// Removes a request, and what no other holds.
    ///
    /// # Errors
    /// Where there is none, and where the disk does not take it.
    pub(crate) fn remove(&self, Token(whose): &Token, id: &str) -> Result<(), Failure> {
        let mut state = self.state();
        let request = state.list.of(whose, id)?.clone();
        state
            .write(Record::Removed(id.to_owned()))
            .map_err(|error| broken(&error))?;
        self.count(&state);
        // Whoever fetches it lets go of it; where nobody does it is done here.
        if let Some((stop, _)) = state.running.get(id) {
            stop.send_replace(true);
            return Ok(());
        }
        drop(state);
        self.let_go(&request, None).map_err(|error| broken(&error))
    }

    /// Fetches what is asked for until `stop`.
    pub(crate) fn run(self: &Arc<Self>, stop: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        let worker = |_| {
            let (this, mut stop) = (self.clone(), stop.clone());
            tokio::spawn(async move {
                let work = async {
                    loop {
                        let asked = this.asked.notified();
                        match this.begin() {
                            Some((request, stop, bytes)) => this.work(request, stop, bytes).await,
                            None => asked.await,
                        }
                    }
                };
                tokio::select! {
                    () = work => {}
                    // An error means that the gateway is gone: the same.
                    _ = stop.wait_for(|stop| *stop) => {}
                }
            })
        };
        (0..AT_ONCE).map(worker).collect()
    }

    /// The next request that waits is now fetched.
    fn begin(&self) -> Option<(Request, watch::Receiver<bool>, Arc<AtomicU64>)> {
        let mut state = self.state();
        let request = state.list.next()?.clone();
        let (stop, stopped) = watch::channel(false);
        let bytes = Arc::<AtomicU64>::default();
        // Not written down: after a crash it is queued again.
        state.list.apply(Record::Became {
            id: request.id.clone(),
            status: Status::Pinning,
            why: String::new(),
            bytes: 0,
        });
        state
            .running
            .insert(request.id.clone(), (stop, bytes.clone()));
        self.count(&state);
        Some((request, stopped, bytes))
    }

    async fn work(
        self: &Arc<Self>,
        request: Request,
        mut stop: watch::Receiver<bool>,
        bytes: Arc<AtomicU64>,
    ) {
        let writing = Arc::<RwLock<()>>::default();
        let done = tokio::select! {
            done = self.fetch(&request, &bytes, &writing) => done,
            _ = stop.wait_for(|stop| *stop) => Err("it is not wanted any more".to_owned()),
        };
        let written = writing.write_owned().await;
        let this = self.clone();
        let end = tokio::task::spawn_blocking(move || this.end(&request, done));
        let _ = end.await; // a panic in there has been reported
        drop(written);
    }

    /// Lets go of what is not to stay, and writes down what became of a request.
    fn end(&self, request: &Request, done: Result<(usize, u64), String>) {
        let Request { id, pin, .. } = request;
        let wanted = self.state().list.get(id).is_some();
        let done = match done {
            Ok(_) if !wanted => Err("it is not wanted any more".to_owned()),
            done => done,
        };
        let let_go = |stays: Option<&str>| {
            if let Err(error) = self.let_go(request, stays) {
                tracing::error!(id, %error, "a pin that has ended cannot be let go");
            }
        };
        let stays = pack(request).ok().filter(|_| done.is_ok());
        if done.is_err() {
            let_go(None);
        }
        let mut state = self.state();
        state.running.remove(id);
        if state.list.get(id).is_some() {
            let (status, why, bytes) = match &done {
                Ok((blocks, bytes)) => {
                    tracing::info!(id, cid = pin.cid, blocks, bytes, "pinned for another");
                    (Status::Pinned, String::new(), *bytes)
                }
                Err(why) => {
                    tracing::warn!(id, cid = pin.cid, why, "cannot be pinned for another");
                    (Status::Failed, why.clone(), 0)
                }
            };
            let id = id.clone();
            if let Err(error) = state.write(Record::Became {
                id,
                status,
                why,
                bytes,
            }) {
                tracing::error!(%error, "a pin cannot be written down: it is fetched again after a restart");
            }
            self.count(&state);
            drop(state);
            if stays.is_some() {
                let_go(stays.as_deref());
            }
        } else {
            drop(state);
            let_go(None);
        }
    }

    pub(super) fn hold(&self, request: &Request) -> io::Result<()> {
        let mut packs = packs(request)?;
        packs.try_for_each(|pack| self.store.pin(&owner(&request.id), &self.name, &pack, 0))
    }

    /// Lets go of the packs of a request, but for the one that stays.
    fn let_go(&self, request: &Request, stays: Option<&str>) -> io::Result<()> {
        for pack in packs(request)?.filter(|pack| stays != Some(pack)) {
            self.store
                .unpin(&owner(&request.id), &self.name, &pack, 0)?;
        }
        self.store.give_up_hour(&self.name, 0)
    }

    fn count(&self, state: &State) {
        for status in Status::ALL {
            self.metrics
                .pins_here(status.name(), state.list.count(status));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Writes a change down, then it counts.
    fn write(&mut self, record: Record) -> io::Result<()> {
        let json =
            |record: &Record| serde_json::to_vec(record).expect("texts and numbers are JSON");
        self.journal.append(&json(&record))?;
        self.list.apply(record);
        if self.journal.bytes() > CHECKPOINT_BYTES {
            let all = Record::All(self.list.all().cloned().collect());
            self.journal.checkpoint(&json(&all))?;
        }
        self.journal.sync()
    }

    fn bytes(&self, id: &str) -> u64 {
        self.running
            .get(id)
            .map_or(0, |(_, bytes)| bytes.load(Relaxed))
    }
}

/// The owner of a request's pin in the store.
fn owner(id: &str) -> String {
    format!("pin {id}")
}

/// The packs of a request's DAG.
fn pack(request: &Request) -> io::Result<String> {
    let root = request.pin.root();
    root.map(|root| root.to_string())
        .map_err(|failure| io::Error::new(io::ErrorKind::InvalidData, failure.details))
}

/// The same, and those of the request whose place it takes: held until it has what both have.
fn packs(request: &Request) -> io::Result<impl Iterator<Item = String>> {
    let before = Pin {
        cid: request.instead_of.clone(),
        ..request.pin.clone()
    };
    let before = before.root().ok().map(|root| root.to_string());
    Ok(std::iter::once(pack(request)?).chain(before))
}

fn broken(error: &io::Error) -> Failure {
    tracing::error!(%error, "a pin of another cannot be written down; see `meshlive-gateway doctor`");
    Failure::new(
        500,
        "INTERNAL_SERVER_ERROR",
        "the gateway cannot write to its store",
    )
}
