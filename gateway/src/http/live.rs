//! What HTTP keeps of each stream: its renderings (one serves all who wait), what it showed lately, and its viewers.

use std::{
    collections::{HashMap, VecDeque},
    io::Write,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use meshlive_protocol::{
    manifest::Manifest,
    playlist::{self, Selection, Skip},
};
use tokio::time::Instant;

use super::{
    archive::Stretches, blocks::UNPOISONED, earlier::Kept, still::Still, viewers::Viewers,
};
use crate::publish::{Snapshot, Stream};

/// One stream, as HTTP sees it.
pub(super) struct Live {
    pub(super) stream: Arc<Stream>,
    pub(super) viewers: Mutex<Viewers>,
    pub(super) still: Still,
    pub(super) earlier: Kept,
    pub(super) stretches: Stretches,
    renderings: Mutex<Renderings>,
    shown: Mutex<Shown>,
}

/// Which playlist of a stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Playlist {
    /// `index.m3u8`
    Multivariant { audio_only: bool },
    /// `{rendition}.m3u8`, whole or as a delta update
    Media { rendition: String, skip: bool },
}

/// A playlist as it goes out, made once and shared.
#[derive(Debug)]
pub(super) struct Rendering {
    pub(super) plain: Bytes,
    pub(super) gzip: Bytes,
}

impl Rendering {
    pub(super) fn of(text: String) -> Self {
        let mut gzip = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::fast());
        gzip.write_all(text.as_bytes())
            .expect("writing to a Vec cannot fail");
        let gzip = gzip.finish().expect("writing to a Vec cannot fail");
        Self {
            plain: text.into(),
            gzip: gzip.into(),
        }
    }
}

impl Live {
    pub(super) fn new(stream: Arc<Stream>) -> Self {
        Self {
            stream,
            viewers: Mutex::default(),
            still: Still::default(),
            earlier: Kept::default(),
            stretches: Stretches::default(),
            renderings: Mutex::default(),
            shown: Mutex::default(),
        }
    }

    /// The playlist as of `snapshot`; `None` if there is nothing of the rendition in it. Whoever comes first
    /// renders, all others who want the same wait for that and share it.
    pub(super) fn rendering(
        &self,
        snapshot: &Arc<Snapshot>,
        playlist: Playlist,
    ) -> Option<Arc<Rendering>> {
        if let Playlist::Media { rendition, .. } = &playlist {
            // What a remote made up must not fill the map.
            snapshot.manifest.rendition_index(rendition)?;
        }
        let slot = self
            .renderings
            .lock()
            .expect(UNPOISONED)
            .slot(snapshot, playlist.clone());
        slot.get_or_init(|| {
            self.shown
                .lock()
                .expect(UNPOISONED)
                .remember(snapshot, Instant::now());
            render(&snapshot.manifest, &playlist).map(Arc::new)
        })
        .clone()
    }

    /// Manifests that may hold what a player still asks for, newest first: what a playlist named stays there for as
    /// long as the playlist lasts after it left it (RFC 8216bis §6.2.2).
    pub(super) fn manifests(&self, newest: Arc<Snapshot>) -> Vec<Arc<Snapshot>> {
        let shown = self.shown.lock().expect(UNPOISONED);
        std::iter::once(newest)
            .chain(shown.0.iter().rev().map(|(_, snapshot)| snapshot.clone()))
            .collect()
    }
}

/// The renderings of the newest snapshot that anyone has asked for: at most two for each rendition and two more.
#[derive(Default)]
struct Renderings {
    of: Option<Arc<Snapshot>>,
    slots: HashMap<Playlist, Slot>,
}

type Slot = Arc<OnceLock<Option<Arc<Rendering>>>>;

impl Renderings {
    fn slot(&mut self, snapshot: &Arc<Snapshot>, playlist: Playlist) -> Slot {
        if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, snapshot)) {
            self.of = Some(snapshot.clone());
            self.slots.clear();
        }
        self.slots.entry(playlist).or_default().clone()
    }
}

fn render(manifest: &Manifest, playlist: &Playlist) -> Option<Rendering> {
    let text = match playlist {
        Playlist::Multivariant { audio_only } => {
            let selection = if *audio_only {
                Selection::AudioOnly
            } else {
                Selection::Main
            };
            playlist::multivariant(manifest, selection)
        }
        Playlist::Media { rendition, skip } => playlist::media(
            manifest,
            rendition,
            if *skip { Skip::Yes } else { Skip::No },
        )?,
    };
    Some(Rendering::of(text))
}

/// Snapshots that were shown in a playlist, oldest first, one for each [`Shown::EVERY`] and as long back as the window
/// is long. Their segments are shared with the newest, so that they cost little.
#[derive(Default)]
struct Shown(VecDeque<(Instant, Arc<Snapshot>)>);

impl Shown {
    const EVERY: Duration = Duration::from_secs(10);

    fn remember(&mut self, snapshot: &Arc<Snapshot>, now: Instant) {
        let keep = Duration::from_micros(snapshot.manifest.settings().window);
        while self
            .0
            .front()
            .is_some_and(|(shown, _)| now.duration_since(*shown) > keep)
        {
            self.0.pop_front();
        }
        if self
            .0
            .back()
            .is_none_or(|(shown, _)| now.duration_since(*shown) >= Self::EVERY)
        {
            self.0.push_back((now, snapshot.clone()));
        }
    }
}
