//! An hour: its renditions, its segments, and their directory.

use std::collections::BTreeMap;

use super::{MAX_SEGMENTS, Made, Maker, Segment, media::Media, media::VERSION};
use crate::{
    manifest::Rendition,
    playlist::{Selection, variants},
};

/// What is known of an hour.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hour {
    /// At most one of an id.
    pub renditions: Vec<Rendition>,
    segments: BTreeMap<u64, Segment>,
}

impl Hour {
    /// By rising number.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> + ExactSizeIterator {
        self.segments.values()
    }

    /// A segment by its number.
    pub fn segment(&self, msn: u64) -> Option<&Segment> {
        self.segments.get(&msn)
    }

    /// Takes a segment in; one that is known already stays as it is. False where the hour is full ([`MAX_SEGMENTS`]).
    pub fn add(&mut self, segment: Segment) -> bool {
        if self.segments.len() >= MAX_SEGMENTS && !self.segments.contains_key(&segment.msn) {
            return false;
        }
        self.segments.entry(segment.msn).or_insert(segment);
        true
    }

    /// What is now true of the rendition with this id.
    pub fn describe(&mut self, rendition: &Rendition) {
        match (self.renditions.iter_mut()).find(|known| known.id == rendition.id) {
            Some(known) => *known = rendition.clone(),
            None => self.renditions.push(rendition.clone()),
        }
    }

    /// Takes in what another has of the same hour.
    pub fn merge(&mut self, other: Self) {
        for rendition in &other.renditions {
            if !self.renditions.iter().any(|known| known.id == rendition.id) {
                self.renditions.push(rendition.clone());
            }
        }
        for segment in other.segments.into_values() {
            self.add(segment);
        }
    }

    /// Microseconds of media.
    pub fn duration(&self) -> u64 {
        self.segments().map(Segment::duration).sum()
    }

    /// `HH/`: the multivariant playlist `index.m3u8` (and `audio.m3u8`, where there are renditions with and without video),
    /// and for each rendition `id/` with `index.m3u8`, its init segments and its segments.
    pub fn directory(&self) -> Made {
        let mut maker = Maker::default();
        let mut entries = Vec::new();
        // The order of announcements is not told by an hour's bytes, so it must not matter to them.
        let mut renditions: Vec<_> = self.renditions.iter().collect();
        renditions.sort_by(|a, b| a.id.cmp(&b.id));
        renditions.retain(|rendition| {
            self.segments()
                .any(|one| one.strand(&rendition.id).is_some())
        });
        for rendition in &renditions {
            let mut media = Media::new();
            let mut files = BTreeMap::new();
            for segment in self.segments() {
                media.add(segment, &rendition.id, "", true);
                if let Some(strand) = segment.strand(&rendition.id) {
                    files.insert(format!("init-{}.mp4", segment.init), strand.init);
                    files.insert(format!("{}.m4s", segment.msn), strand.file);
                }
            }
            let id = rendition.id.as_str().into();
            let playlist = media.finish().expect("the rendition has a segment here");
            files.insert(
                "index.m3u8".into(),
                maker.file(Some(&id), playlist.as_bytes()),
            );
            entries.push((rendition.id.clone(), maker.directory(Some(&id), files)));
        }
        let place = |id: &str| format!("{id}/index.m3u8");
        entries.extend(indexes(&mut maker, &renditions, place));
        let link = maker.directory(None, entries);
        maker.made(link)
    }
}

/// The multivariant playlists of a directory.
pub(super) fn indexes(
    maker: &mut Maker,
    renditions: &[&Rendition],
    place: impl Fn(&str) -> String,
) -> Vec<(String, super::Link)> {
    let mut write = |name: &str, selection| {
        let text = variants(VERSION, renditions.to_vec(), selection, &place);
        (name.to_owned(), maker.file(None, text.as_bytes()))
    };
    let mut entries = vec![write("index.m3u8", Selection::Main)];
    let audio = renditions
        .iter()
        .filter(|rendition| rendition.audio_only())
        .count();
    if audio > 0 && audio < renditions.len() {
        entries.push(write("audio.m3u8", Selection::AudioOnly));
    }
    entries
}
