//! The live window as LL-HLS (draft-pantos-hls-rfc8216bis §4; README §7).
//!
//! Everything comes from the [`Manifest`], so gateway and viewer write the same bytes. URIs are relative to
//! `/live/{stream}/`, where both kinds of playlist are.

mod view;

use std::fmt::{self, Write};

use crate::manifest::{Manifest, Rendition};
use view::View;

/// What a player must understand: EXT-X-SKIP (RFC 8216bis §8).
const VERSION: u8 = 9;
/// Which renditions a multivariant playlist holds.
///
/// Players drop audio-only variants that stand beside video ones, so "audio only" is a playlist of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// All with video; where there are none, all.
    #[default]
    Main,
    /// All without video.
    AudioOnly,
}

/// Whether the player has the older segments already (`_HLS_skip=YES`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Skip {
    /// The whole playlist.
    #[default]
    No,
    /// A delta update (§6.2.5.1), where it would leave out anything.
    Yes,
}

/// The multivariant playlist: first what every browser plays, best first, then the rest. It has no variants before the
/// first rendition is announced.
pub fn multivariant(manifest: &Manifest, selection: Selection) -> String {
    let live = manifest
        .renditions()
        .iter()
        .filter(|entry| !entry.withdrawn)
        .map(|entry| &entry.rendition)
        .collect();
    variants(VERSION, live, selection, |id| format!("{id}.m3u8"))
}

/// A multivariant playlist of these renditions; `uri` gives the place of each one's media playlist.
pub fn variants(
    version: u8,
    mut renditions: Vec<&Rendition>,
    selection: Selection,
    uri: impl Fn(&str) -> String,
) -> String {
    let video = renditions.iter().any(|rendition| !rendition.audio_only());
    renditions.retain(|rendition| match selection {
        Selection::Main => !(video && rendition.audio_only()),
        Selection::AudioOnly => rendition.audio_only(),
    });
    // Players begin with the first; equals stay in the order of their announcement.
    renditions.sort_by_key(|rendition| {
        (
            !plays_everywhere(&rendition.codecs),
            std::cmp::Reverse(rendition.bandwidth),
        )
    });
    let mut out = format!("#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    for rendition in renditions {
        line(
            &mut out,
            format_args!("#EXT-X-STREAM-INF:BANDWIDTH={},", rendition.bandwidth),
        );
        line(&mut out, format_args!("CODECS=\"{}\"", rendition.codecs));
        if rendition.width > 0 {
            line(
                &mut out,
                format_args!(",RESOLUTION={}x{}", rendition.width, rendition.height),
            );
        }
        if rendition.frame_rate > 0 {
            let (whole, thousandths) = (rendition.frame_rate / 1000, rendition.frame_rate % 1000);
            line(
                &mut out,
                format_args!(",FRAME-RATE={whole}.{thousandths:03}"),
            );
        }
        line(&mut out, format_args!("\n{}\n", uri(&rendition.id)));
    }
    out
}

/// Whether all of a rendition's codecs are H.264 or AAC.
fn plays_everywhere(codecs: &str) -> bool {
    codecs
        .split(',')
        .map(str::trim)
        .all(|codec| codec.starts_with("avc1.") || codec.starts_with("mp4a.40."))
}

/// The media playlist of a rendition; `None` if there is no such rendition, or nothing of it yet.
pub fn media(manifest: &Manifest, rendition_id: &str, skip: Skip) -> Option<String> {
    let index = manifest.rendition_index(rendition_id)?;
    let view = View::new(manifest, index)?;
    let skipped = if skip == Skip::Yes {
        view.skippable()
    } else {
        0
    };
    let mut out = String::with_capacity(200 * view.segments.len() + 2000);
    view.head(&mut out);
    if skipped > 0 {
        line(
            &mut out,
            format_args!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n"),
        );
    }
    for at in skipped..view.segments.len() {
        view.segment(&mut out, at, at == skipped);
    }
    view.tail(&mut out);
    Some(out)
}

/// A segment whose parts a player takes several at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The segment's number.
    pub msn: u64,
    /// How many parts at a time; 0 is 1.
    pub parts: u8,
}

/// The same for a viewer's own player, which takes the parts of some segments several at a time, and so has less to do:
/// `{msn}.{first}-{last}.m4s`. Parts that are too few for a group come when their segment is closed. The
/// reports on other renditions, which count single parts, are left out.
pub fn grouped(manifest: &Manifest, rendition_id: &str, groups: &[Group]) -> Option<String> {
    if groups.is_empty() {
        return media(manifest, rendition_id, Skip::No);
    }
    let index = manifest.rendition_index(rendition_id)?;
    let view = View::new(manifest, index)?.grouped(groups);
    let mut out = String::with_capacity(200 * view.segments.len() + 2000);
    view.head(&mut out);
    for at in 0..view.segments.len() {
        view.segment(&mut out, at, at == 0);
    }
    view.tail(&mut out);
    Some(out)
}

pub(crate) fn line(out: &mut String, text: fmt::Arguments) {
    out.write_fmt(text)
        .expect("a String takes all that is written to it");
}
