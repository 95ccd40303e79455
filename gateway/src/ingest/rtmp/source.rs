//! From a publisher's audio and video messages to [`SourceEvent`]s: the same that every other source yields.
//!
//! Both codecs are waited for before the streams are announced (at most [`MAX_HELD_MILLIS`] of media), because a
//! track that is announced later costs viewers a discontinuity.

use bytes::Bytes;

use super::{
    flv::{self, Audio, TagError, Video},
    metadata::Metadata,
    track::{Track, audio_track, video_track},
};
use crate::ingest::media::{Codec, Packet, SourceEvent};

/// How long frames of one track wait for the other track's configuration.
const MAX_HELD_MILLIS: u32 = 500;
/// And how many, of how many bytes.
const MAX_HELD_PACKETS: usize = 64;
const MAX_HELD_BYTES: usize = 8 << 20;

/// One publisher's stream.
#[derive(Debug, Default)]
pub struct Source {
    metadata: Metadata,
    video: Option<Track>,
    audio: Option<Track>,
    announced: bool,
    /// Frames that came before the streams were announced: whether video, and the packet.
    held: Vec<(bool, Packet)>,
    held_since: u32,
}

impl Source {
    /// Takes a description of the stream.
    pub fn metadata(&mut self, metadata: Metadata, events: &mut Vec<SourceEvent>) {
        if let Some(title) = &metadata.title
            && self.metadata.title.as_ref() != Some(title)
        {
            events.push(SourceEvent::Title(title.clone()));
        }
        self.metadata = metadata;
    }

    /// Takes a video message; `timestamp` in milliseconds, wrapping.
    ///
    /// # Errors
    /// What cannot be carried; the publisher is to be told and closed.
    pub fn video(
        &mut self,
        timestamp: u32,
        tag: &Bytes,
        events: &mut Vec<SourceEvent>,
    ) -> Result<(), TagError> {
        match flv::video(tag)? {
            Video::Config(codec) => {
                if is_new(&self.video, &codec) {
                    self.video = Some(video_track(codec, &self.metadata)?);
                    self.configured(events);
                }
            }
            Video::Frame {
                key,
                composition,
                offset,
                data,
            } => {
                let Some(track) = &self.video else {
                    return Ok(()); // nothing can decode it without its configuration
                };
                let dts = i64::from(timestamp) * 1000 + i64::from(offset / 1000);
                let pts = dts + i64::from(composition) * 1000;
                let packet = Packet {
                    stream: 0,
                    dts,
                    pts,
                    duration: track.duration,
                    key,
                    data,
                };
                self.packet(timestamp, true, packet, events);
            }
            Video::Nothing => {}
        }
        Ok(())
    }

    /// Takes an audio message; `timestamp` in milliseconds, wrapping.
    ///
    /// # Errors
    /// What cannot be carried; the publisher is to be told and closed.
    pub fn audio(
        &mut self,
        timestamp: u32,
        tag: &Bytes,
        events: &mut Vec<SourceEvent>,
    ) -> Result<(), TagError> {
        match flv::audio(tag)? {
            Audio::Config(codec) => {
                if is_new(&self.audio, &codec) {
                    self.audio = Some(audio_track(codec, &self.metadata)?);
                    self.configured(events);
                }
            }
            Audio::Frame { offset, data } => {
                let Some(track) = &self.audio else {
                    return Ok(());
                };
                let dts = i64::from(timestamp) * 1000 + i64::from(offset / 1000);
                let packet = Packet {
                    stream: 0,
                    dts,
                    pts: dts,
                    duration: track.duration,
                    key: true,
                    data,
                };
                self.packet(timestamp, false, packet, events);
            }
            Audio::Nothing => {}
        }
        Ok(())
    }

    /// The publisher has ended: what is still held goes out.
    pub fn finish(&mut self, events: &mut Vec<SourceEvent>) {
        if !self.held.is_empty() {
            self.announce(events);
        }
    }

    /// A configuration is new: announced at once where there is nothing to wait for, or nothing left to wait.
    fn configured(&mut self, events: &mut Vec<SourceEvent>) {
        if self.announced || !self.held.is_empty() && self.is_complete() {
            self.announce(events);
        }
    }

    fn packet(
        &mut self,
        timestamp: u32,
        video: bool,
        packet: Packet,
        events: &mut Vec<SourceEvent>,
    ) {
        if self.announced {
            events.push(SourceEvent::Packet(self.numbered(video, packet)));
            return;
        }
        if self.held.is_empty() {
            self.held_since = timestamp;
        }
        self.held.push((video, packet));
        // Signed: the two tracks' timestamps are not in order.
        let waited = timestamp
            .wrapping_sub(self.held_since)
            .cast_signed()
            .unsigned_abs();
        let bytes: usize = self.held.iter().map(|(_, held)| held.data.len()).sum();
        let full = self.held.len() >= MAX_HELD_PACKETS || bytes >= MAX_HELD_BYTES;
        if self.is_complete() || waited >= MAX_HELD_MILLIS || full {
            self.announce(events);
        }
    }

    /// Whether every track that is to be expected is known.
    fn is_complete(&self) -> bool {
        (self.video.is_some() || self.metadata.video == Some(false))
            && (self.audio.is_some() || self.metadata.audio == Some(false))
    }

    fn announce(&mut self, events: &mut Vec<SourceEvent>) {
        let tracks = self.video.iter().chain(&self.audio);
        events.push(SourceEvent::Streams(
            tracks.map(|track| track.stream.clone()).collect(),
        ));
        self.announced = true;
        for (video, packet) in std::mem::take(&mut self.held) {
            events.push(SourceEvent::Packet(self.numbered(video, packet)));
        }
    }

    /// Video is stream 0 where there is video.
    fn numbered(&self, video: bool, packet: Packet) -> Packet {
        let stream = usize::from(!video && self.video.is_some());
        Packet { stream, ..packet }
    }
}

/// Whether `codec` is another configuration than the track's.
fn is_new(track: &Option<Track>, codec: &Codec) -> bool {
    track
        .as_ref()
        .is_none_or(|track| track.stream.codec != *codec)
}
