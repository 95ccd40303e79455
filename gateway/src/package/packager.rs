//! The packager: ingest's events in, packaged bytes out. Pure; the time is an argument.

use super::{Numbers, Packaged, Rendition, Settings, stage::Stage};
use crate::ingest::media::Event;

/// Packages one stream, through all its formats and discontinuities.
#[derive(Debug)]
pub struct Packager {
    settings: Settings,
    books: Books,
    stage: Option<Stage>,
}

/// Microseconds.
const SECOND: u64 = 1_000_000;

/// What lasts longer than a format.
#[derive(Debug)]
pub(super) struct Books {
    /// The next segment and init numbers, and whether the next segment is behind a discontinuity.
    pub(super) numbers: Numbers,
    /// Of the next part's `mfhd`.
    pub(super) sequence: u32,
    /// The timeline's second 0, µs since the Unix epoch.
    pub(super) anchor: u64,
    /// Seconds by which the timeline of a run that goes on with an earlier one's stream is moved, once it is anchored: to its
    /// time since 1970, so that no timestamp of the stream goes back at a restart. Players of a whole archived day need that.
    pub(super) moved: Option<u64>,
    /// The renditions as told last, with their number.
    pub(super) told: Option<(u32, Vec<Rendition>)>,
    /// Whether a part has been made since the start.
    pub(super) published: bool,
}

impl Packager {
    /// Begins at `numbers`.
    pub fn new(settings: Settings, numbers: Numbers) -> Self {
        let books = Books {
            numbers,
            sequence: 1,
            anchor: 0,
            moved: (!numbers.discontinuity).then_some(0),
            told: None,
            published: false,
        };
        Self {
            settings,
            books,
            stage: None,
        }
    }

    /// Takes one event at `now` (µs since the Unix epoch on the gateway's clock). Never fails: what cannot be carried
    /// becomes a [`Packaged::Notice`].
    pub fn handle(&mut self, event: Event, now: u64) -> Vec<Packaged> {
        let mut out = Vec::new();
        match event {
            Event::Format(format) => {
                self.interrupt(now, &mut out);
                self.stage = Some(Stage::new(self.settings.clone(), format, now));
            }
            Event::Anchor { at } => {
                let moved = *self.books.moved.get_or_insert(at / SECOND);
                let at = at.saturating_sub(moved * SECOND);
                if at != self.books.anchor {
                    self.interrupt(now, &mut out);
                    self.books.anchor = at;
                }
            }
            Event::Discontinuity { reason } => {
                tracing::info!(reason, "discontinuity");
                self.interrupt(now, &mut out);
            }
            Event::Sample(mut sample) => {
                if let Some(stage) = &mut self.stage {
                    let moved = stage.ticks(sample.track, self.books.moved.unwrap_or(0));
                    sample.dts = sample.dts.saturating_add(moved);
                    sample.pts = sample.pts.saturating_add(moved);
                    stage.sample(sample, now, &mut self.books, &mut out);
                }
            }
            Event::Notice { message } => out.push(Packaged::Notice(message)),
            Event::Title { title } => out.push(Packaged::Title(title)),
            Event::End => {
                self.interrupt(now, &mut out);
                out.push(Packaged::End);
            }
        }
        out
    }

    /// Closes what is open with what there is.
    fn interrupt(&mut self, now: u64, out: &mut Vec<Packaged>) {
        if let Some(stage) = &mut self.stage {
            stage.interrupt(now, &mut self.books, out);
        }
    }
}
