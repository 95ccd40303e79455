//! Pins beyond one machine, by the IPFS Pinning Service API (1.0.0): what others ask this gateway to keep, and what it asks
//! others to keep.
//!
//! Files: `settings` → `object` (what goes over the wire, purely), `filter` (what a listing asks for, purely), `list` (the
//! requests and their limits, purely) → `service`, `fetch` (here: the list on the disk, and DAGs that are fetched and pinned) → `plan`
//! (elsewhere: what is to be asked of whom, purely), `memory` (what was answered, on the disk), `asked` (over HTTP), `elsewhere` (asks it).
//!
//! ```text
//! data folder/store/<this gateway's name>/pinning.log         the requests of others
//!                                        /…-<root>-<n>.car    each DAG in packs of its own, pinned by each request for it
//!                  /<stream>/elsewhere.log                    what of the stream's past is pinned elsewhere
//! ```

mod asked;
mod elsewhere;
mod fetch;
mod filter;
mod list;
mod memory;
mod object;
mod plan;
mod service;
mod settings;
#[cfg(test)]
mod tests;

use std::{io, sync::Arc};

use tokio::{sync::watch, task::JoinHandle};

pub(crate) use elsewhere::Elsewhere;
pub(crate) use filter::Filter;
pub use memory::{Remembered, remembered};
pub use object::Status;
pub(crate) use object::{Failure, MAX_BODY_BYTES, Pin};
pub(crate) use service::{Service, Token};
pub use settings::{Remote, Settings};

use crate::{
    clock::Clock,
    config::Config,
    metrics::Metrics,
    publish::Streams,
    swarm::{Fetcher, Network},
};

/// Both sides, as far as the operator wants them.
pub(crate) struct Pins {
    /// What others pin here.
    pub(crate) here: Option<Arc<Service>>,
    /// What this gateway has others keep.
    pub(crate) elsewhere: Option<Arc<Elsewhere>>,
}

impl Pins {
    /// Takes up what earlier runs wrote down.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn start(
        config: &Config,
        network: &Network,
        fetcher: &Fetcher,
        streams: &Arc<Streams>,
        clock: &Arc<Clock>,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Self> {
        let settings = config.pinning.clone();
        let services = settings.services.clone();
        let here = match settings.tokens.is_empty() {
            true => None,
            false => Some(Service::open(
                settings,
                network.name(),
                fetcher.clone(),
                clock.clone(),
                metrics.clone(),
            )?),
        };
        let elsewhere = (!services.is_empty()).then(|| {
            let (streams, door) = (streams.clone(), network.door());
            Elsewhere::new(services, fetcher, streams, door, metrics.clone())
        });
        Ok(Self { here, elsewhere })
    }

    /// Works until `stop`.
    pub(crate) fn run(&self, stop: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        let here = self.here.iter().flat_map(|service| service.run(stop));
        let elsewhere = self
            .elsewhere
            .iter()
            .flat_map(|elsewhere| elsewhere.run(stop));
        here.chain(elsewhere).collect()
    }
}
