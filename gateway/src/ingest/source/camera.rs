//! A camera by Video4Linux2, with sound by ALSA where asked.
//!
//! Picture and sound come from two devices on two threads; both stamp with the wall clock, which the timeline brings
//! together.

use tokio::sync::mpsc;

use super::file::{self, Reading};
use crate::{
    clock::Clock,
    ingest::{
        CameraSpec, Error,
        media::{Event, Packet, SourceEvent, SourceStream},
        pipeline::Pipeline,
        run::{self, Output},
    },
};

/// Events between a device's thread and the pipeline's; a device that finds no room loses pictures.
const QUEUE: usize = 64;

/// How the camera is opened.
fn picture(camera: &CameraSpec) -> Reading {
    let mut options = Vec::new();
    if let Some((width, height)) = camera.size {
        options.push(("video_size", format!("{width}x{height}")));
    }
    if let Some(rate) = camera.frame_rate {
        options.push(("framerate", rate.to_string()));
    }
    Reading {
        url: camera.device.clone(),
        format: Some("v4l2"),
        options,
        looped: false,
        live: true,
    }
}

/// How its sound is opened.
fn sound(device: &str) -> Reading {
    Reading {
        url: device.into(),
        format: Some("alsa"),
        options: Vec::new(),
        looped: false,
        live: true,
    }
}

/// Reads the camera and publishes until told to stop.
pub(in crate::ingest) fn run(
    camera: &CameraSpec,
    mut pipeline: Pipeline,
    clock: &Clock,
    out: &Output,
) -> Result<(), Error> {
    let Some(device) = &camera.audio else {
        return file::run(&picture(camera), pipeline, clock, out);
    };
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    let mut merged = Merged::default();
    std::thread::scope(|scope| {
        for (which, reading) in [picture(camera), sound(device)].into_iter().enumerate() {
            let (sender, stop) = (sender.clone(), out.stop.clone());
            scope.spawn(move || {
                let done = file::read(&reading, &stop, &mut |event| {
                    run::send(&sender, (which, event), &stop)
                });
                if let Err(Error::Refused(message)) = done {
                    tracing::error!("{message}");
                }
            });
        }
        drop(sender);
        loop {
            let Some((which, event)) = receiver.blocking_recv() else {
                break Ok(());
            };
            let step = merged.take(which, event).map_or(Ok(()), |event| {
                pipeline.handle(event, clock.now())?;
                pipeline
                    .events()
                    .into_iter()
                    .try_for_each(|event| out.send(event))
            });
            if let Err(error) = step {
                if let Error::Refused(message) = error {
                    // Nobody reads it where this fails.
                    let _ = out
                        .send(Event::Notice { message })
                        .and_then(|()| out.send(Event::End));
                }
                // The devices' threads wait for nothing else.
                out.stop.set();
                break Err(Error::Stopped);
            }
        }
    })
}

/// Two devices as one source: the camera's streams first, then the microphone's.
#[derive(Default)]
struct Merged {
    streams: [Vec<SourceStream>; 2],
}

impl Merged {
    fn take(&mut self, which: usize, event: SourceEvent) -> Option<SourceEvent> {
        Some(match event {
            SourceEvent::Streams(streams) => {
                let video = which == 0;
                self.streams[which] = streams
                    .into_iter()
                    .filter(|stream| stream.is_video() == video)
                    .take(1)
                    .collect();
                SourceEvent::Streams(self.streams.concat())
            }
            SourceEvent::Packet(packet) => {
                let stream = if which == 0 { 0 } else { self.streams[0].len() };
                SourceEvent::Packet(Packet { stream, ..packet })
            }
            // One device may go and come back while the other goes on.
            SourceEvent::Gone { .. } if which == 1 => return None,
            other => other,
        })
    }
}
