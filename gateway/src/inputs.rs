//! What feeds the streams: the configured inputs, and the publishers who come by themselves.

use std::{
    collections::HashMap,
    net::SocketAddr,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use tokio::sync::mpsc;

use crate::{
    StartError,
    clock::Clock,
    config::Config,
    ingest::{self, Handle, Spec, media::Event},
    keys::Keys,
    publish::Streams,
};

/// Events that may wait for a publisher, about three seconds of one rendition with sound.
const WAITING_EVENTS: usize = 256;

/// Everything that feeds streams.
#[derive(Default)]
pub(crate) struct Inputs {
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    sources: Vec<Handle>,
    publishers: Vec<thread::JoinHandle<()>>,
    /// Each stream that publishers can come to, by alias.
    doors: HashMap<String, mpsc::Sender<Event>>,
}

impl Inputs {
    /// Opens every stream that has keys or an input, and starts the inputs.
    pub(crate) async fn start(
        config: &Config,
        keys: &Keys,
        streams: &Streams,
        clock: &Arc<Clock>,
    ) -> Result<Arc<Self>, StartError> {
        let mut running = Running::default();
        let title = |alias: &str| {
            let settings = config.streams.get(alias)?;
            (!settings.title.is_empty()).then(|| settings.title.clone())
        };
        let mut open = |alias: &str| {
            let (events, waiting) = mpsc::channel(WAITING_EVENTS);
            let publisher = streams.open(alias, title(alias))?;
            let thread = publisher
                .spawn(config.package.clone(), waiting)
                .map_err(StartError::Thread)?;
            running.publishers.push(thread);
            Ok::<_, StartError>(events)
        };
        let mut fed = Vec::new();
        for input in &config.inputs {
            let spec =
                Spec::from_str(input).map_err(|error| StartError::Input(error.to_string()))?;
            let events = open(&spec.alias)?;
            fed.push((spec, events));
        }
        let mut doors = HashMap::new();
        for entry in keys.list()? {
            if !fed.iter().any(|(spec, _)| spec.alias == entry.alias) {
                doors.insert(entry.alias.clone(), open(&entry.alias)?);
            }
        }
        running.doors = doors;
        for (spec, events) in fed {
            let source = ingest::spawn(spec, config.ingest.clone(), clock.clone(), events);
            running.sources.push(source);
        }
        Ok(Arc::new(Self {
            running: Mutex::new(running),
        }))
    }

    /// Where publishers are listened for, by the name of the flag that sets it.
    pub(crate) fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        Vec::new()
    }

    /// Ends the inputs, then what they fed, once the last of it is published.
    pub(crate) async fn shutdown(&self) {
        let running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = tokio::task::spawn_blocking(move || {
            for source in running.sources {
                source.stop();
            }
            drop(running.doors);
            for publisher in running.publishers {
                let _ = publisher.join(); // a panic in there has been reported
            }
        });
        let _ = ended.await;
    }
}
