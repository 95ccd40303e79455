//! Renditions: what a player must know of each, and the rules for them (README §4).

use std::sync::Arc;

use cid::Cid;

use super::{
    MAX_CODECS_BYTES, MAX_ID_BYTES, MAX_INITS, MAX_RENDITIONS, Manifest, Rejected,
    apply::{NOT_A_BLOCK, bounded, is_block},
};
use crate::{
    cbor::{Reader, Writer},
    part::MAX_PART_MICROS,
};

/// Which tracks a rendition has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracks {
    /// Video and audio, muxed.
    Both,
    /// Video alone.
    Video,
    /// Audio alone.
    Audio,
}

/// What a player must know to choose a rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// `[a-z0-9-]`, 1 to [`MAX_ID_BYTES`] bytes, unique in the stream.
    pub id: String,
    /// Its tracks.
    pub tracks: Tracks,
    /// RFC 6381, as in `CODECS`: printable ASCII without quotes, 1 to [`MAX_CODECS_BYTES`] bytes.
    pub codecs: String,
    /// Peak bits per second, not 0.
    pub bandwidth: u32,
    /// Pixels; 0 without video.
    pub width: u32,
    /// Pixels; 0 without video.
    pub height: u32,
    /// Frames per thousand seconds (29.97 is 29970); 0 without video or if unknown.
    pub frame_rate: u32,
    /// PART-TARGET: the longest part, microseconds, not 0.
    pub part_target: u32,
}

impl Rendition {
    /// Whether it has no video.
    pub fn audio_only(&self) -> bool {
        self.tracks == Tracks::Audio
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.text(&self.id)
            .number(self.tracks as u8)
            .text(&self.codecs)
            .number(self.bandwidth);
        out.number(self.width)
            .number(self.height)
            .number(self.frame_rate)
            .number(self.part_target);
    }

    pub(crate) fn decode(from: &mut Reader) -> Result<Self, Rejected> {
        Ok(Self {
            id: from.text("rendition id bytes", MAX_ID_BYTES)?.to_owned(),
            tracks: match from.number("tracks", 2u8)? {
                0 => Tracks::Both,
                1 => Tracks::Video,
                _ => Tracks::Audio,
            },
            codecs: from.text("codecs bytes", MAX_CODECS_BYTES)?.to_owned(),
            bandwidth: from.number("bandwidth", u32::MAX)?,
            width: from.number("width", u32::MAX)?,
            height: from.number("height", u32::MAX)?,
            frame_rate: from.number("frame rate", u32::MAX)?,
            part_target: from.number("part target", u32::MAX)?,
        })
    }
}

/// A rendition in the window.
#[derive(Clone, Debug, PartialEq)]
pub struct RenditionEntry {
    /// What a player must know of it.
    pub rendition: Rendition,
    /// Whether it has ended while others go on.
    pub withdrawn: bool,
    /// Its init segments, numbers going up.
    pub inits: Vec<InitEntry>,
}

/// An init segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitEntry {
    /// As in `init-{number}.mp4`.
    pub number: u32,
    /// Of its bytes.
    pub cid: Cid,
    /// Bytes.
    pub size: u32,
}

impl RenditionEntry {
    /// The init segments that segments from `number` on can need.
    pub(super) fn inits_from(&self, number: u32) -> impl Iterator<Item = &InitEntry> {
        self.inits.iter().filter(move |init| init.number >= number)
    }
}

impl Manifest {
    pub(super) fn add_rendition(&mut self, rendition: Rendition) -> Result<(), Rejected> {
        let index = self
            .rendition_index(&rendition.id)
            .unwrap_or(self.renditions.len());
        let broken = |why| Err(Rejected::rule("rendition", index as u64, why));
        bounded("renditions", index as u64 + 1, MAX_RENDITIONS as u64)?;
        if !is_id(&rendition.id) {
            return broken("its id is not a short name of a-z, 0-9 and -");
        }
        if !is_codecs(&rendition.codecs) {
            return broken(
                "its codecs are not a short text of printable characters without quotes",
            );
        }
        if rendition.bandwidth == 0 {
            return broken("its bandwidth is 0");
        }
        if !(1..=MAX_PART_MICROS).contains(&rendition.part_target) {
            return broken("its part target is 0 or longer than a part may be");
        }
        let picture = rendition.width != 0 && rendition.height != 0;
        let none = rendition.width == 0 && rendition.height == 0 && rendition.frame_rate == 0;
        if if rendition.tracks == Tracks::Audio {
            !none
        } else {
            !picture
        } {
            return broken("its size in pixels does not fit its tracks");
        }
        let renditions = Arc::make_mut(&mut self.renditions);
        match renditions.get_mut(index) {
            Some(entry) => {
                // Parts of the old length are still in the window, and no part may be longer than PART-TARGET.
                let part_target = rendition.part_target.max(entry.rendition.part_target);
                entry.rendition = Rendition {
                    part_target,
                    ..rendition
                };
                entry.withdrawn = false;
            }
            None => renditions.push(RenditionEntry {
                rendition,
                withdrawn: false,
                inits: Vec::new(),
            }),
        }
        Ok(())
    }

    pub(super) fn add_init(&mut self, rendition: u8, init: InitEntry) -> Result<(), Rejected> {
        let entry = self.entry(rendition)?;
        let broken = |why| Err(Rejected::rule("init segment", init.number, why));
        if entry
            .inits
            .last()
            .is_some_and(|last| last.number >= init.number)
        {
            return broken("numbers must go up");
        }
        bounded(
            "init segments",
            entry.inits.len() as u64 + 1,
            MAX_INITS as u64,
        )?;
        if !is_block(&init.cid, init.size) {
            return broken(NOT_A_BLOCK);
        }
        Arc::make_mut(&mut self.renditions)[usize::from(rendition)]
            .inits
            .push(init);
        Ok(())
    }

    pub(super) fn withdraw(&mut self, rendition: u8) -> Result<(), Rejected> {
        if self.entry(rendition)?.withdrawn {
            return Err(Rejected::rule(
                "rendition",
                rendition,
                "it is withdrawn already",
            ));
        }
        Arc::make_mut(&mut self.renditions)[usize::from(rendition)].withdrawn = true;
        Ok(())
    }

    pub(super) fn entry(&self, rendition: u8) -> Result<&RenditionEntry, Rejected> {
        let entry = self.renditions.get(usize::from(rendition));
        entry.ok_or(Rejected::rule(
            "rendition",
            rendition,
            "it was not announced",
        ))
    }
}

/// Whether a text may be a rendition's id: it stands in URLs and playlists as it is.
fn is_id(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len())
        && id
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// Whether a text may stand between the quotes of an attribute (RFC 8216bis §4.2).
fn is_codecs(codecs: &str) -> bool {
    (1..=MAX_CODECS_BYTES).contains(&codecs.len())
        && codecs
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && byte != b'"')
}
