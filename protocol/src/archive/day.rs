//! A day: its hours, and playlists over all of them.

use std::collections::BTreeMap;

use super::{Hour, Link, Made, Maker, hour::indexes, hour_name, media::Media};
use crate::manifest::Rendition;

/// A day in the making; it holds the text of its playlists and no hour.
#[derive(Default)]
pub struct Day {
    hours: Vec<(String, Link)>,
    /// The last description of each counts.
    renditions: BTreeMap<String, Rendition>,
    medias: BTreeMap<String, Media>,
    /// As of a rendition that has had nothing yet.
    none: Media,
}

impl Day {
    /// Takes in the next hour (counted from 1970) and where its directory is. Hours must come in their order.
    pub fn add(&mut self, hour: u64, link: Link, contents: &Hour) {
        let name = hour_name(hour);
        for rendition in &contents.renditions {
            self.renditions
                .insert(rendition.id.clone(), rendition.clone());
            let none = &self.none;
            (self.medias.entry(rendition.id.clone())).or_insert_with(|| none.clone());
        }
        for (id, media) in &mut self.medias {
            let folder = format!("{name}/{id}/");
            media.tell_date();
            for segment in contents.segments() {
                media.add(segment, id, &folder, false);
            }
        }
        for segment in contents.segments() {
            self.none.add(segment, "", "", false);
        }
        self.hours.push((name, link));
    }

    /// `2026-11-22/`: its hours, `index.m3u8` over the whole day (and `audio.m3u8`), and `day-{rendition}.m3u8` that these name.
    pub fn directory(&self) -> Made {
        let mut maker = Maker::default();
        let mut entries = self.hours.clone();
        let place = |id: &str| format!("day-{id}.m3u8");
        let mut renditions = Vec::new();
        for (id, media) in &self.medias {
            if let Some(text) = media.finish() {
                entries.push((place(id), maker.file(None, text.as_bytes())));
                renditions.push(&self.renditions[id]);
            }
        }
        entries.extend(indexes(&mut maker, &renditions, place));
        let link = maker.directory(None, entries);
        maker.made(link)
    }
}
