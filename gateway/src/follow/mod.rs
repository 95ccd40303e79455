//! Mirrors: streams that other gateways publish are followed, kept, and served here exactly as there.
//!
//! A mirror has a peer of its own beside the gateway's (`peer`, at its `gateways`), with the engine that viewers have: it joins the stream at
//! its origin or at another mirror, wants every rendition, and gives to others that are linked to it, so that several
//! mirrors feed each other. What the origin signed stands in a `line` until the blocks it names are stored; then
//! [`Mirrored`](crate::publish::Mirrored) tells it, unchanged, and from there on everything is as for a stream that is
//! published here. What the engine does not bring (init segments, what was missed) is fetched over bitswap (`blocks`, `backlog`), what was
//! missed from other mirrors first (`sources`).
//! `run` is the thread that has all of it; `spec` reads what the operator wrote. Beside it `catch_up` takes over the signed
//! list of closed hours (`catalogue`), and has each of them fetched that is not here, and `elsewhere` says where else viewers find the stream, and `search`
//! looks for gateways that have it while nothing is heard of it. `mend` takes from others what is damaged here, also of
//! streams that are published here.
//!
//! Nothing of a remote is believed: envelopes bear the stream's signature, blocks are checked against their CID. What it may
//! fill is bounded: the window by `protocol::manifest`, the line, the backlog, the journal, and the disk by store.max_bytes.

mod backlog;
mod blocks;
mod catalogue;
mod catch_up;
mod elsewhere;
mod gateways;
mod http;
mod introductions;
mod line;
mod mend;
mod peer;
mod run;
mod search;
mod sources;
mod spec;
#[cfg(test)]
mod tests;

use std::{str::FromStr, sync::Arc, thread};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    StartError,
    config::{Config, Nonsense},
    publish::Streams,
    swarm::{Fetcher, Pace, Reach},
};

pub use spec::{Spec, SpecError};

/// Streams of other gateways that are mirrored here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Each "NAME@MULTIADDR": a stream's name (k51…) and where a gateway that has it is reached, such as
    /// k51…@/ip4/192.0.2.1/tcp/4101; more gateways behind commas. Without any, or when none of them has it any more, it is
    /// looked for on this link and among the gateways that are met through the DHT. Each may carry ?name=ALIAS&title=TITLE.
    pub follow: Vec<String>,
    /// Bytes per second at which what was missed is fetched; what is live is not counted. 0: as fast as can be.
    pub catch_up: u64,
}

impl Settings {
    /// Whether each can be meant.
    ///
    /// # Errors
    /// Names the one that cannot.
    pub fn check(&self) -> Result<(), Nonsense> {
        for text in &self.follow {
            Spec::from_str(text)
                .map_err(|error| Nonsense::new("mirror.follow", text, error.to_string()))?;
        }
        Ok(())
    }
}

/// All streams that are followed.
pub(crate) struct Follows {
    stop: watch::Sender<bool>,
    threads: Vec<thread::JoinHandle<()>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Follows {
    /// Opens each and begins to follow it; what an earlier run held is served when this returns.
    ///
    /// # Errors
    /// When a stream cannot be opened, or the system gives no thread.
    pub(crate) fn start(
        config: &Config,
        streams: &Arc<Streams>,
        fetcher: &Fetcher,
        reach: &watch::Receiver<Reach>,
    ) -> Result<Self, StartError> {
        let mut this = Self {
            stop: watch::Sender::new(false),
            threads: Vec::new(),
            tasks: Vec::new(),
        };
        if let Some(damage) = streams.damage() {
            let (streams, fetcher) = (streams.clone(), fetcher.clone());
            let mending = mend::run(streams, fetcher, damage, this.stop.subscribe());
            this.tasks.push(tokio::spawn(mending));
        }
        for text in &config.mirror.follow {
            let spec = Spec::from_str(text).expect("the configuration was checked");
            let title = config.streams.get(&spec.alias).map(|known| &known.title);
            let title = title.filter(|title| !title.is_empty()).cloned();
            let title = spec.title.clone().or(title);
            let mirrored = streams.follow(&spec.stream, &spec.alias, title)?;
            let (gateways, told) = watch::channel(Vec::new());
            let stream = mirrored.stream().clone();
            let (meet, mirrors) = watch::channel(None);
            let elsewhere = elsewhere::Elsewhere::new(stream, told.clone(), reach.clone(), meet);
            let task = tokio::spawn(elsewhere.run(this.stop.subscribe()));
            this.tasks.push(task);
            let (found, candidates) = watch::channel(Vec::new());
            let stream = mirrored.stream().clone();
            let search = search::Search::new(stream, fetcher.peers.clone(), found);
            let task = tokio::spawn(search.run(this.stop.subscribe()));
            this.tasks.push(task);
            let pace = Pace {
                rate: config.mirror.catch_up,
                ..Pace::default()
            };
            let late = pace.late.clone();
            if let Some(archive) = mirrored.stream().archive() {
                let (archive, fetcher) = (archive.clone(), fetcher.clone());
                let (stream, mirrors) = (mirrored.stream().clone(), mirrors.clone());
                let task = catch_up::CatchUp::new(stream, archive, fetcher, told, mirrors, pace);
                this.tasks
                    .push(tokio::spawn(task.run(this.stop.subscribe())));
            }
            let peers = fetcher.peers.clone();
            let run = run::Run::new(
                spec,
                config,
                mirrored,
                peers,
                reach.clone(),
                candidates,
                mirrors,
                gateways,
                late,
            );
            let thread = run
                .spawn(this.stop.subscribe())
                .map_err(StartError::Thread)?;
            this.threads.push(thread);
        }
        Ok(this)
    }

    /// Ends all; returns when all that was told is on the disk.
    pub(crate) async fn shutdown(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            let _ = task.await; // a panic in there has been reported
        }
        let ended = tokio::task::spawn_blocking(move || {
            for thread in self.threads {
                let _ = thread.join(); // a panic in there has been reported
            }
        });
        let _ = ended.await;
    }
}
