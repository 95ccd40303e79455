//! Which renditions there are becomes news.

use meshlive_protocol::{
    dag,
    manifest::{self, News, Tracks},
};

use super::publisher::{Lane, Publisher};
use crate::package;

impl Publisher {
    /// From the next segment on there are these; `number` is that of their init segments.
    pub(super) fn renditions(&mut self, number: u32, renditions: Vec<package::Rendition>) {
        let known = self.announcer.manifest.renditions();
        let mut ids: Vec<String> = known
            .iter()
            .map(|entry| entry.rendition.id.clone())
            .collect();
        for (index, entry) in known.iter().enumerate() {
            let gone = !renditions.iter().any(|one| one.id == entry.rendition.id);
            if gone && !entry.withdrawn {
                self.news.push(News::Withdrawn {
                    rendition: index as u8,
                });
            }
        }
        let mut lanes = Vec::new();
        for one in renditions {
            let cid = dag::cid_of(&one.init);
            let index = ids.iter().position(|id| *id == one.id).unwrap_or(ids.len());
            if index < manifest::MAX_RENDITIONS {
                if index == ids.len() {
                    ids.push(one.id.clone());
                }
                let described = describe(&one);
                let same = known
                    .get(index)
                    .is_some_and(|entry| !entry.withdrawn && entry.rendition == described);
                if !same {
                    self.news.push(News::Rendition(described));
                }
                self.news.push(News::Init {
                    rendition: index as u8,
                    number,
                    cid,
                    size: one.init.len() as u32,
                });
            } else {
                self.stream().notice(&format!(
                    "rendition {}: a stream has at most {} over its life; use the ids of earlier ones",
                    one.id,
                    manifest::MAX_RENDITIONS
                ));
            }
            lanes.push(Lane {
                index: (index < manifest::MAX_RENDITIONS).then_some(index as u8),
                id: one.id,
                init: (cid, one.init),
                parts: Vec::new(),
            });
        }
        self.lanes = lanes;
    }
}

/// As announcements and hours have it.
pub(crate) fn describe(one: &package::Rendition) -> manifest::Rendition {
    let (has_video, has_audio) = (one.width > 0, one.width == 0 || one.codecs.contains(','));
    let (numerator, denominator) = one.frame_rate;
    let frame_rate = u64::from(numerator) * 1_000 / u64::from(denominator.max(1));
    manifest::Rendition {
        id: one.id.clone(),
        tracks: match (has_video, has_audio) {
            (true, true) => Tracks::Both,
            (true, false) => Tracks::Video,
            _ => Tracks::Audio,
        },
        codecs: one.codecs.clone(),
        bandwidth: one.bandwidth.max(1),
        width: one.width,
        height: one.height,
        frame_rate: u32::try_from(frame_rate).unwrap_or(u32::MAX),
        part_target: one.part_target,
    }
}
