//! What a publisher's bytes go through: the RTMP conversation, and FLV tags up to [`SourceEvent`]s.

use bytes::{Bytes, BytesMut};

use crate::ingest::{
    media::SourceEvent,
    rtmp::{event::Event, session::Session, source::Source},
};

/// Largest message here; small, so that the fuzzer reaches the limit.
const MAX_MESSAGE: usize = 4096;

/// A conversation behind the handshake. The first byte says how the rest is cut into reads: that must not matter.
pub fn session(bytes: &[u8]) {
    let Some((&step, rest)) = bytes.split_first() else {
        return;
    };
    let mut conversation = vec![3];
    conversation.resize(1 + 2 * 1536, 0);
    conversation.extend_from_slice(rest);
    let cut = converse(&conversation, 1 + usize::from(step));
    assert_eq!(cut, converse(&conversation, conversation.len()));
    // Without its handshake it is only another handshake.
    converse(bytes, 1 + usize::from(step));
}

fn converse(bytes: &[u8], step: usize) -> (Vec<Event>, bool) {
    let mut session = Session::new(MAX_MESSAGE);
    let (mut input, mut send, mut events) = (BytesMut::new(), Vec::new(), Vec::new());
    for read in bytes.chunks(step) {
        input.extend_from_slice(read);
        loop {
            match session.receive(&mut input, &mut send) {
                Ok(None) => break,
                Ok(Some(event)) => {
                    if matches!(event, Event::Publish { .. }) {
                        session.accept(&mut send);
                    }
                    events.push(event);
                }
                Err(_) => return (events, false),
            }
        }
        assert!(input.len() <= 1536, "{} bytes kept back", input.len());
        assert!(
            send.len() <= 8192 + 16 * bytes.len(),
            "{} bytes of answers",
            send.len()
        );
    }
    (events, true)
}

/// Tags one after the other, each behind a byte of kind (bit 0: video) and time, and a byte of length.
pub fn flv_tags(mut bytes: &[u8]) {
    let (mut source, mut events) = (Source::default(), Vec::new());
    while let Some((&[head, length], rest)) = bytes.split_first_chunk() {
        let (tag, rest) = rest.split_at(usize::from(length).min(rest.len()));
        bytes = rest;
        let (tag, timestamp) = (Bytes::copy_from_slice(tag), u32::from(head) << 24);
        let taken = match head & 1 {
            1 => source.video(timestamp, &tag, &mut events),
            _ => source.audio(timestamp, &tag, &mut events),
        };
        if taken.is_err() {
            break;
        }
    }
    source.finish(&mut events);
    let mut streams = 0;
    for event in events {
        match event {
            SourceEvent::Streams(announced) => streams = announced.len(),
            SourceEvent::Packet(packet) => {
                assert!(
                    packet.stream < streams,
                    "stream {} of {streams}",
                    packet.stream
                );
                assert!(!packet.data.is_empty());
            }
            _ => {}
        }
    }
}
