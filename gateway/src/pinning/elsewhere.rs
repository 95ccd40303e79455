//! What this gateway has others keep: each service is asked for what [`plan`] says, and what it answered is remembered on
//! the disk. A service that does not answer is asked again later, and later still.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use meshlive_protocol::name::StreamName;
use serde::Serialize;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    asked::Asked,
    memory::{Memory, Remembered},
    object::{Pin, PinStatus, Status},
    plan::{Held, Step, plan},
    settings::Remote,
};
use crate::{
    metrics::Metrics,
    publish::{Stream, Streams},
    store::Store,
    swarm::{Door, Fetcher, Peers},
};

/// How often it is seen whether there is something to ask.
const EVERY: Duration = Duration::from_secs(5);
/// After a failure, at least and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Requests in one round.
const STEPS: usize = 50;
/// Addresses of a service's own nodes that are dialled, as the specification suggests.
const DELEGATES: usize = 3;

/// All services.
pub(crate) struct Elsewhere {
    store: Store,
    streams: Arc<Streams>,
    peers: Peers,
    door: Door,
    metrics: Arc<Metrics>,
    memory: Mutex<HashMap<StreamName, Memory>>,
    services: Vec<Remote>,
    /// Those that do not answer as they should, by their base URL.
    troubles: Mutex<BTreeMap<String, String>>,
}

/// What is told of it.
#[derive(Debug, Serialize)]
pub(crate) struct Outlook {
    services: Vec<ServiceObject>,
    pins: Vec<PinObject>,
}

#[derive(Debug, Serialize)]
struct ServiceObject {
    /// Its host.
    service: String,
    /// Whether it did what it was asked for last.
    fine: bool,
}

#[derive(Debug, Serialize)]
struct PinObject {
    what: String,
    cid: String,
    service: String,
    status: Status,
}

impl Elsewhere {
    pub(crate) fn new(
        services: Vec<Remote>,
        fetcher: &Fetcher,
        streams: Arc<Streams>,
        door: Door,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            store: fetcher.store.clone(),
            peers: fetcher.peers.clone(),
            streams,
            door,
            metrics,
            memory: Mutex::default(),
            services,
            troubles: Mutex::default(),
        })
    }

    /// What of this stream is pinned elsewhere.
    pub(crate) fn outlook(&self, stream: &StreamName) -> Outlook {
        let troubles = lock(&self.troubles);
        let services = self.services.iter().map(|remote| ServiceObject {
            service: remote.host(),
            fine: !troubles.contains_key(remote.base()),
        });
        let memory = lock(&self.memory);
        let pins = memory
            .get(stream)
            .map(Memory::all)
            .unwrap_or_default()
            .into_iter();
        let pins = pins.map(|one| PinObject {
            service: one.service(),
            what: one.what,
            cid: one.cid,
            status: one.status,
        });
        Outlook {
            services: services.collect(),
            pins: pins.collect(),
        }
    }

    /// Asks each service until `stop`.
    pub(crate) fn run(self: &Arc<Self>, stop: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        let one = |remote: &Remote| {
            let (this, remote, mut stop) = (self.clone(), remote.clone(), stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = this.rounds(&remote) => {}
                    // An error means that the gateway is gone: the same.
                    _ = stop.wait_for(|stop| *stop) => {}
                }
            })
        };
        self.services.iter().map(one).collect()
    }

    async fn rounds(self: &Arc<Self>, remote: &Remote) {
        let service = match Asked::new(remote) {
            Ok(service) => service,
            Err(error) => return tracing::error!(error, "no pinning service can be asked"),
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let wait = match self.round(&service).await {
                Ok(()) => {
                    if lock(&self.troubles).remove(remote.base()).is_some() {
                        tracing::info!(
                            service = remote.host(),
                            "the pinning service does what it is asked for again"
                        );
                    }
                    pause = FIRST_PAUSE;
                    EVERY
                }
                Err(error) => {
                    self.failed(remote, error, pause);
                    let longer = (pause * 2).min(LONGEST_PAUSE);
                    std::mem::replace(&mut pause, longer)
                }
            };
            self.count(remote);
            sleep(wait).await;
        }
    }

    /// Says it once.
    fn failed(&self, remote: &Remote, error: String, pause: Duration) {
        let before = lock(&self.troubles).insert(remote.base().to_owned(), error.clone());
        if before.as_ref() != Some(&error) {
            let again = humantime::format_duration(pause);
            tracing::warn!(
                service = remote.host(),
                error,
                "a pinning service does not do what it is asked for; it is asked again in {again}, later after each failure"
            );
        }
    }

    async fn round(self: &Arc<Self>, service: &Asked<'_>) -> Result<(), String> {
        let base = service.remote.base();
        for stream in self.streams.list() {
            let Some(archive) = stream.archive().cloned() else {
                continue;
            };
            let name = stream.name().clone();
            self.remember(&name).map_err(|error| error.to_string())?;
            let known = lock(&self.memory)
                .get(&name)
                .and_then(|memory| memory.by_service.get(base).cloned());
            let steps = plan(
                &archive.catalogue(),
                &archive.held(),
                &known.unwrap_or_default(),
            );
            for step in steps.into_iter().take(STEPS) {
                let (this, one) = (self.clone(), self.done(service, &stream, step).await?);
                let (name, base) = (name.clone(), base.to_owned());
                let written = tokio::task::spawn_blocking(move || {
                    let service = base;
                    let one = Remembered { service, ..one };
                    let mut memory = lock(&this.memory);
                    memory
                        .get_mut(&name)
                        .map_or(Ok(()), |memory| memory.write(one))
                });
                written
                    .await
                    .map_err(io::Error::other)
                    .flatten()
                    .map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// Has the stream's journal open.
    fn remember(&self, name: &StreamName) -> io::Result<()> {
        let mut memory = lock(&self.memory);
        if !memory.contains_key(name) {
            memory.insert(name.clone(), Memory::open(&self.store, name)?);
        }
        Ok(())
    }

    /// Does one step; what is to be remembered then.
    async fn done(
        &self,
        service: &Asked<'_>,
        stream: &Stream,
        step: Step,
    ) -> Result<Remembered, String> {
        let now = |what: String, told: &PinStatus| Remembered {
            service: String::new(),
            what,
            cid: told.pin.cid.clone(),
            requestid: told.requestid.clone(),
            status: told.status,
        };
        let gone = |what: String| Remembered {
            service: String::new(),
            what,
            cid: String::new(),
            requestid: String::new(),
            status: Status::Failed,
        };
        Ok(match step {
            Step::Look { what, requestid } => match service.look(&requestid).await? {
                Some(told) => {
                    if told.status == Status::Failed {
                        let why = told.info.get("status_details").cloned().unwrap_or_default();
                        tracing::warn!(
                            service = service.remote.host(),
                            what,
                            why,
                            "a pinning service could not keep it; it is asked again"
                        );
                    }
                    now(what, &told)
                }
                None => gone(what),
            },
            Step::Remove { what, requestid } => {
                service.remove(&requestid).await?;
                tracing::info!(
                    service = service.remote.host(),
                    what,
                    "is no longer pinned there by itself"
                );
                gone(what)
            }
            Step::Pin {
                what,
                cid,
                instead_of,
            } => {
                let pin = Pin {
                    cid,
                    name: format!("{} {what}", stream.alias()),
                    origins: self.door.dialled(),
                    meta: BTreeMap::from([
                        ("stream".to_owned(), stream.text().to_owned()),
                        ("archive".to_owned(), what.clone()),
                    ]),
                };
                let told = service.pin(&pin, instead_of.as_deref()).await?;
                tracing::info!(
                    service = service.remote.host(),
                    what,
                    cid = pin.cid,
                    "asked to be pinned there"
                );
                if told.status != Status::Pinned {
                    self.dial(&told.delegates).await;
                }
                now(what, &PinStatus { pin, ..told })
            }
        })
    }

    /// Connects to the nodes of a service, so that it finds us behind whatever is between.
    async fn dial(&self, delegates: &[String]) {
        let named = delegates
            .iter()
            .filter_map(|address| address.parse::<Multiaddr>().ok());
        let named = named.filter(|address| matches!(address.iter().last(), Some(Protocol::P2p(_))));
        for address in named.take(DELEGATES) {
            if timeout(FIRST_PAUSE, self.peers.connect(address))
                .await
                .is_ok_and(|done| done.is_ok())
            {
                return;
            }
        }
    }

    fn count(&self, remote: &Remote) {
        let mut counts: BTreeMap<Status, usize> = Status::ALL.map(|status| (status, 0)).into();
        for memory in lock(&self.memory).values() {
            for known in memory
                .by_service
                .get(remote.base())
                .into_iter()
                .flat_map(Held::values)
            {
                *counts.entry(known.status).or_default() += 1;
            }
        }
        for (status, count) in counts {
            self.metrics
                .pins_elsewhere(&remote.host(), status.name(), count);
        }
        let fine = !lock(&self.troubles).contains_key(remote.base());
        self.metrics.pinning_service(&remote.host(), fine);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
