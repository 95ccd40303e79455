//! Every stream this gateway has, live or not.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use cid::Cid;
use meshlive_protocol::{key::SigningKey, name::StreamName};
use tokio::sync::{mpsc, watch};

use super::{Error, Mirrored, Publisher, Settings, Snapshot, Stream, mirrored, resume};
use crate::{
    archive::{self, Archive, Archives},
    clock::Clock,
    keys::Keys,
    metrics::Metrics,
    names::{self, Names},
    store::Store,
};

/// The registry of streams.
pub struct Streams {
    settings: Settings,
    /// Of all playlists, seconds: no segment is longer, rounded.
    target_duration: u32,
    keys: Arc<Keys>,
    store: Store,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
    archives: Archives,
    names: Arc<Names>,
    by_alias: RwLock<BTreeMap<String, Arc<Stream>>>,
    changes: watch::Sender<u64>,
}

impl Streams {
    /// None yet; `target_duration` is that of all playlists, seconds, within which the packager keeps every segment.
    pub fn new(
        settings: Settings,
        target_duration: u32,
        keys: Arc<Keys>,
        store: Store,
        clock: Arc<Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            archives: Archives::new(store.clone(), &clock, &metrics),
            settings,
            target_duration,
            keys,
            store,
            clock,
            metrics,
            names: Arc::new(Names::new(None)),
            by_alias: RwLock::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// How much of its past each stream keeps; before the first is opened.
    pub fn with_archives(
        mut self,
        settings: archive::Settings,
        by_alias: BTreeMap<String, archive::Rule>,
    ) -> Self {
        let metrics = self.metrics.clone();
        self.archives.configure(settings, by_alias, metrics);
        self
    }

    /// What is found damaged in archives, for whoever asks first.
    pub(crate) fn damage(&self) -> Option<mpsc::Receiver<archive::Damage>> {
        self.archives.damage()
    }

    /// Where the IPNS records are.
    pub fn with_names(mut self, names: Names) -> Self {
        self.names = Arc::new(names);
        self
    }

    /// The IPNS records of these streams and of others.
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// The IPNS record of a stream: signed here where it is ours and has a past, made anew where its newest directory has
    /// changed; else what peers have told.
    pub fn record_of(&self, name: &StreamName) -> Option<Bytes> {
        let now = names::now();
        let ours = self.list().into_iter().find(|stream| stream.name() == name);
        let key = ours.and_then(|stream| stream.key.clone());
        match key.zip(self.root_of(name)) {
            Some((key, root)) => Some(self.names.publish(&key, &root, now)),
            None => self.names.get(name, now).map(|(record, _)| record),
        }
    }

    /// The newest directory of a stream's past, which `/ipns/<name>` is; `None` before the first hour has closed.
    pub fn root_of(&self, name: &StreamName) -> Option<Cid> {
        self.archives.find(name)?.root()
    }

    /// Opens the stream of this alias, with new keys where it has none, and takes up what an earlier run announced.
    /// `title` goes before the publisher's. The publisher is its only writer.
    ///
    /// # Errors
    /// When it is open already, and what keys and journal say.
    pub fn open(&self, alias: &str, title: Option<String>) -> Result<Publisher, Error> {
        let mut streams = self
            .by_alias
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if streams.contains_key(alias) {
            return Err(Error::Taken(alias.to_owned()));
        }
        let key = Arc::new(self.keys.ensure(alias)?.signing_key);
        let name = key.name();
        let failed = |error| Error::Journal {
            alias: alias.to_owned(),
            error,
        };
        let mut journal = self.store.journal(&name).map_err(failed)?;
        let settings = self.settings.manifest(self.target_duration);
        let records = journal.take_records();
        let boot = resume::boot_record();
        let resumed = resume::resume(
            &name,
            &records,
            journal.has_lapsed(),
            settings,
            self.clock.now(),
            &boot,
        );
        let archive = self.archive(alias, &name, Some(key.clone()));
        let stream = Arc::new(Stream::new(
            alias,
            title,
            name,
            Some(key.clone()),
            self.store.clone(),
            archive.clone(),
            Snapshot::new(key.clone(), resumed.manifest.clone(), None, false),
            self.changes.clone(),
        ));
        let publisher = Publisher::begin(
            stream.clone(),
            key,
            self.store.clone(),
            archive.clone(),
            journal,
            resumed,
            self.clock.clone(),
            self.metrics.clone(),
        );
        if let Some(archive) = archive {
            self.archives.begin(archive);
        }
        streams.insert(alias.to_owned(), stream);
        drop(streams);
        self.changes.send_modify(|count| *count += 1);
        Ok(publisher)
    }

    /// Opens the stream of this name, which another gateway publishes, and takes up what an earlier run held. `title` is
    /// shown of it. What is returned is its only writer.
    ///
    /// # Errors
    /// When a stream of this name or alias is open already, and what the journal says.
    pub fn follow(
        &self,
        name: &StreamName,
        alias: &str,
        title: Option<String>,
    ) -> Result<Mirrored, Error> {
        let mut streams = self
            .by_alias
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let known = streams.get(alias).map(|_| alias.to_owned());
        let published = streams.values().find(|stream| stream.name() == name);
        if let Some(taken) = known.or(published.map(|stream| stream.alias().to_owned())) {
            return Err(Error::Followed {
                name: name.clone(),
                alias: taken,
            });
        }
        let failed = |error| Error::Journal {
            alias: alias.to_owned(),
            error,
        };
        let journal = self.store.side_journal(name, mirrored::JOURNAL);
        let archive = self.archive(alias, name, None);
        let kept = mirrored::Kept::read(name, journal.map_err(failed)?);
        self.names.follow(name);
        let stream = Arc::new(Stream::new(
            alias,
            title,
            name.clone(),
            None,
            self.store.clone(),
            archive.clone(),
            kept.snapshot(false),
            self.changes.clone(),
        ));
        let (store, metrics) = (self.store.clone(), self.metrics.clone());
        let mirrored = Mirrored::begin(stream.clone(), store, archive.clone(), kept, metrics);
        if let Some(archive) = archive {
            self.archives.begin(archive);
        }
        streams.insert(alias.to_owned(), stream);
        drop(streams);
        self.changes.send_modify(|count| *count += 1);
        Ok(mirrored)
    }

    /// Without its archive a stream is live all the same.
    fn archive(
        &self,
        alias: &str,
        name: &StreamName,
        key: Option<Arc<SigningKey>>,
    ) -> Option<Arc<Archive>> {
        self.archives.open(alias, name, key).unwrap_or_else(|error| {
            tracing::error!(stream = alias, %error, "no archive is kept: see that the data folder can be written");
            None
        })
    }

    /// All streams, in order of their alias.
    pub fn list(&self) -> Vec<Arc<Stream>> {
        let streams = self.by_alias.read().unwrap_or_else(PoisonError::into_inner);
        streams.values().cloned().collect()
    }

    /// By stream name (`k51…`) or alias.
    pub fn find(&self, name_or_alias: &str) -> Option<Arc<Stream>> {
        let streams = self.by_alias.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = streams.get(name_or_alias) {
            return Some(stream.clone());
        }
        streams
            .values()
            .find(|stream| stream.text() == name_or_alias)
            .cloned()
    }

    /// Changes whenever a stream appears, begins, ends or changes its title, notices, renditions or the other gateways
    /// that have it.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
