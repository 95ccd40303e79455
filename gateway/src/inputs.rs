//! What feeds the streams: the configured inputs, and the publishers who come by themselves.

use std::{
    collections::HashMap,
    net::SocketAddr,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use tokio::sync::mpsc;

use crate::{
    StartError,
    clock::Clock,
    config::Config,
    ingest::{
        self, Handle, Spec,
        media::{Event, SourceEvent},
        pipeline, rtmp,
    },
    keys::Keys,
    publish::Streams,
};

/// Events that may wait for a stream's publishing thread, and frames that may wait for its pipeline: about three
/// seconds of video with sound. Whoever fills them waits, or drops frames up to the next key frame.
const WAITING: usize = 256;
/// The alias of what comes over SRT.
const SRT_ALIAS: &str = "srt";

/// Everything that feeds streams.
pub(crate) struct Inputs {
    desk: Arc<Desk>,
    rtmp: Option<rtmp::Server>,
    addresses: Vec<(&'static str, SocketAddr)>,
}

/// Where whoever has video is led to its stream.
struct Desk {
    config: Config,
    streams: Arc<Streams>,
    clock: Arc<Clock>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// Inputs of the configuration.
    sources: Vec<Handle>,
    /// One thread for each open stream.
    threads: Vec<thread::JoinHandle<()>>,
    /// The streams that publishers can come to, by alias.
    doors: HashMap<String, Door>,
}

/// A stream that waits for publishers.
struct Door {
    events: mpsc::Sender<Event>,
    /// Made by the first publisher; it outlives each of them, so that the next one goes on with the same stream.
    pipeline: Option<(mpsc::Sender<SourceEvent>, Handle)>,
}

impl Inputs {
    /// Opens every stream that has keys or an input, starts the inputs, and listens for publishers.
    pub(crate) async fn start(
        mut config: Config,
        keys: Arc<Keys>,
        streams: Arc<Streams>,
        clock: Arc<Clock>,
    ) -> Result<Self, StartError> {
        config.ingest.max_key_frame_gap = config.package.longest_key_frame_gap.as_secs_f64();
        let listen = config.listen.clone();
        let settings = config.rtmp.clone();
        let mut this = Self {
            desk: Arc::new(Desk {
                config,
                streams,
                clock,
                open: Mutex::default(),
            }),
            rtmp: None,
            addresses: Vec::new(),
        };
        let started = async {
            this.desk.open_configured(&keys)?;
            if let Some(address) = listen.srt.0 {
                let address = this.desk.listen_for_srt(address, &keys)?;
                this.addresses.push(("srt", address));
            }
            if let Some(address) = listen.rtmp.0 {
                let server = rtmp::Server::bind(address, settings, keys, this.desk.clone());
                let server = server.await.map_err(|error| StartError::Listen {
                    what: "rtmp",
                    address,
                    error,
                })?;
                this.addresses.insert(0, ("rtmp", server.address()));
                this.rtmp = Some(server);
            }
            Ok(())
        }
        .await;
        if let Err(error) = started {
            this.shutdown().await;
            return Err(error);
        }
        Ok(this)
    }

    /// Where publishers are listened for, by the name of the flag that sets it.
    pub(crate) fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// Sends publishers away, ends the inputs, then what they fed, once the last of it is published.
    pub(crate) async fn shutdown(self) {
        if let Some(server) = self.rtmp {
            server.shutdown().await;
        }
        let open = std::mem::take(&mut *self.desk.open());
        let ended = tokio::task::spawn_blocking(move || {
            for source in open.sources {
                source.stop();
            }
            for (_, handle) in open.doors.into_values().filter_map(|door| door.pipeline) {
                handle.stop();
            }
            for thread in open.threads {
                let _ = thread.join(); // a panic in there has been reported
            }
        });
        let _ = ended.await;
    }
}

impl Desk {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every stream of the configuration, and every one that has keys: what it announced before is served again.
    fn open_configured(&self, keys: &Keys) -> Result<(), StartError> {
        let mut fed = Vec::new();
        for input in &self.config.inputs {
            let spec =
                Spec::from_str(input).map_err(|error| StartError::Input(error.to_string()))?;
            let events = self.open_stream(&spec.alias)?;
            fed.push((spec, events));
        }
        for entry in keys.list()? {
            if !fed.iter().any(|(spec, _)| spec.alias == entry.alias) {
                let events = self.open_stream(&entry.alias)?;
                let door = Door {
                    events,
                    pipeline: None,
                };
                self.open().doors.insert(entry.alias, door);
            }
        }
        for (spec, events) in fed {
            self.run(spec, events)?;
        }
        Ok(())
    }

    /// SRT encrypts with a passphrase: it is the publish secret, so that nobody else gets in.
    fn listen_for_srt(&self, address: SocketAddr, keys: &Keys) -> Result<SocketAddr, StartError> {
        let secret = keys.ensure(SRT_ALIAS)?.publish_secret;
        let (spec, address) = ingest::srt_listener(address, SRT_ALIAS, &secret)
            .map_err(|error| StartError::Input(error.to_string()))?;
        let door = self.open().doors.remove(SRT_ALIAS);
        let events = match door {
            Some(door) => door.events,
            None => self.open_stream(SRT_ALIAS)?,
        };
        self.run(spec, events)?;
        Ok(address)
    }

    /// Opens a stream with its publishing thread; what is sent there is published.
    fn open_stream(&self, alias: &str) -> Result<mpsc::Sender<Event>, StartError> {
        let title = self
            .config
            .streams
            .get(alias)
            .map(|settings| settings.title.clone());
        let title = title.filter(|title| !title.is_empty());
        let (events, waiting) = mpsc::channel(WAITING);
        let thread = self
            .streams
            .open(alias, title)?
            .spawn(self.config.package.clone(), waiting)
            .map_err(StartError::Thread)?;
        self.open().threads.push(thread);
        Ok(events)
    }

    fn run(&self, spec: Spec, events: mpsc::Sender<Event>) -> Result<(), StartError> {
        let source = ingest::spawn(spec, self.config.ingest.clone(), self.clock.clone(), events);
        self.open()
            .sources
            .push(source.map_err(StartError::Thread)?);
        Ok(())
    }
}

impl rtmp::Publishers for Desk {
    fn publish(&self, alias: &str, _peer: SocketAddr) -> Result<mpsc::Sender<SourceEvent>, String> {
        if !self.open().doors.contains_key(alias) {
            if self.streams.find(alias).is_some() {
                return Err(format!(
                    "stream {alias} shows an input of this gateway already"
                ));
            }
            // Its keys were made while the gateway ran.
            let events = self.open_stream(alias).map_err(|error| error.to_string())?;
            let door = Door {
                events,
                pipeline: None,
            };
            self.open().doors.insert(alias.to_owned(), door);
        }
        let mut open = self.open();
        let door = open.doors.get_mut(alias).ok_or("the gateway is ending")?;
        match &door.pipeline {
            Some((frames, handle)) if !handle.is_finished() && !frames.is_closed() => {
                Ok(frames.clone())
            }
            _ => {
                let (frames, waiting) = mpsc::channel(WAITING);
                let handle = pipeline::spawn(
                    waiting,
                    self.config.ingest.clone(),
                    self.clock.clone(),
                    door.events.clone(),
                )
                .map_err(|error| StartError::Thread(error).to_string())?;
                door.pipeline = Some((frames.clone(), handle));
                Ok(frames)
            }
        }
    }
}
