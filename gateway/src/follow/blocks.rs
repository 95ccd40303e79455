//! The blocks that a window or an announcement names, and what is to be known to fetch each. Pure.

use std::collections::HashSet;

use cid::Cid;
use meshlive_protocol::{
    manifest::{Announcement, Manifest, News},
    message::Place,
};

use super::backlog::Block;

/// A block that a window names: a part of a segment, or an init segment.
pub(super) struct Named {
    pub(super) cid: Cid,
    pub(super) block: Block,
    pub(super) msn: u64,
    pub(super) part: Option<u32>,
}

impl Named {
    /// Its place in a window, where it is a part behind all that its rendition had in the one before.
    pub(super) fn behind(&self, before: &Manifest, window: &Manifest) -> Option<Place> {
        let part = self.part?;
        let latest = before.latest_of(&self.block.rendition);
        let rendition = window
            .rendition_index(&self.block.rendition)?
            .try_into()
            .ok()?;
        let msn = self.msn;
        latest
            .is_none_or(|latest| (msn, part) > latest)
            .then_some(Place {
                msn,
                part,
                rendition,
            })
    }
}

fn named(
    manifest: &Manifest,
    index: usize,
    cid: Cid,
    size: u32,
    at: (u64, u64),
    part: Option<u32>,
) -> Named {
    let rendition = manifest.renditions()[index].rendition.id.clone();
    let (msn, start) = at;
    let urgent = part.is_none();
    Named {
        cid,
        block: Block {
            cid,
            size,
            rendition,
            start,
            urgent,
        },
        msn,
        part,
    }
}

/// All parts and init segments of a window.
pub(super) fn blocks(manifest: &Manifest) -> Vec<Named> {
    let mut all = Vec::new();
    let mut inits = HashSet::new();
    for segment in manifest.segments() {
        let at = (segment.msn, segment.start);
        for (index, entry) in manifest.renditions().iter().enumerate() {
            let init = manifest.find_init(&entry.rendition.id, segment.init);
            if let Some(init) = init.filter(|init| inits.insert(init.cid)) {
                all.push(named(manifest, index, init.cid, init.size, at, None));
            }
            for (number, part) in (0..).zip(segment.parts(index)) {
                all.push(named(
                    manifest,
                    index,
                    part.cid,
                    part.size,
                    at,
                    Some(number),
                ));
            }
        }
    }
    all
}

/// Those that an announcement, which led to this window, brought.
pub(super) fn new_blocks(manifest: &Manifest, announcement: &Announcement) -> Vec<Named> {
    let start_of = |msn| {
        manifest
            .segment(msn)
            .map_or(announcement.clock, |segment| segment.start)
    };
    let mut all = Vec::new();
    for news in &announcement.news {
        match *news {
            News::Init {
                rendition,
                number,
                cid,
                size,
            } => {
                let segment = manifest
                    .segments()
                    .rev()
                    .find(|segment| segment.init == number);
                let at = segment.map_or((0, announcement.clock), |one| (one.msn, one.start));
                all.push(named(manifest, rendition.into(), cid, size, at, None));
            }
            News::Part {
                rendition,
                msn,
                part,
                cid,
                size,
                ..
            } => {
                let at = (msn, start_of(msn));
                all.push(named(manifest, rendition.into(), cid, size, at, Some(part)));
            }
            _ => {}
        }
    }
    all
}

/// The part at a place.
pub(super) fn part(manifest: &Manifest, place: Place) -> Option<Block> {
    let segment = manifest.segment(place.msn)?;
    let index = usize::from(place.rendition);
    let part = segment
        .parts(index)
        .get(usize::try_from(place.part).ok()?)?;
    let at = (segment.msn, segment.start);
    let block = named(manifest, index, part.cid, part.size, at, Some(place.part)).block;
    // The engine asks because it is nearly late.
    Some(Block {
        urgent: true,
        ..block
    })
}
