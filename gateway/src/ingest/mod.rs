//! From whatever gives video to coded samples on one timeline.
//!
//! A [`Spec`] names a source. [`spawn`] runs it on threads of its own: the source yields
//! [`media::SourceEvent`]s, the [`pipeline`] puts them on one timeline, passes them through or transcodes
//! them, and what comes out are [`media::Event`]s. The RTMP server feeds [`pipeline::spawn`] itself. The
//! [`testcard`] has neither a foreign clock nor a foreign codec and goes straight to the encoders.
//!
//! Everything between two threads is bounded. A receiver that does not keep up makes the source wait; a
//! source that had to wait drops frames and goes on at the present moment.

pub(crate) mod aac;
mod bits;
mod decode;
mod dimensions;
mod encode;
mod ffmpeg;
pub(crate) mod h264;
pub(crate) mod hevc;
pub(crate) mod offline;
mod run;
mod settings;
mod source;
mod spec;
pub(crate) mod timeline;

pub mod media;
pub mod pipeline;
pub mod rtmp;
pub mod still;
pub mod testcard;

use std::{io, sync::Arc};

use tokio::sync::mpsc;

use crate::clock::Clock;
use media::Event;
use pipeline::Pipeline;
pub use run::Handle;
pub use settings::{Rung, Settings, TestcardSettings};
pub use source::srt::listener as srt_listener;
use source::{camera, file};
pub use spec::{CameraSpec, CardSpec, Source, Spec, SpecError};

/// Why ingest cannot do what it was asked for; names the thing, the value and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The handle was stopped or the receiver is gone; nobody needs to read this.
    #[error("stopped")]
    Stopped,
    /// A readable reason.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Refused(message.into())
    }
}

/// Runs the source that `spec` names until the handle is stopped or dropped, or the source ends for good.
///
/// The last event is [`Event::End`], after an [`Event::Notice`] where the source failed.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    spec: Spec,
    settings: Settings,
    clock: Arc<Clock>,
    out: mpsc::Sender<Event>,
) -> io::Result<Handle> {
    run::spawn("ingest", out, move |out| {
        if let Some(title) = spec.title.clone() {
            out.send(Event::Title { title })?;
        }
        let pipeline = || {
            let mut pipeline = Pipeline::new(settings.clone());
            if spec.title.is_some() {
                pipeline.keep_title();
            }
            pipeline
        };
        match &spec.source {
            Source::Testcard(card) => {
                testcard::run(&settings.testcard.with(card), &settings, &clock, out)
            }
            Source::Url(url) => {
                let reading = file::Reading::url(url, spec.looped);
                file::run(&reading, pipeline(), &clock, out)
            }
            Source::Camera(camera) => camera::run(camera, pipeline(), &clock, out),
        }
    })
}

#[cfg(test)]
mod tests;
