//! What a publisher's bytes go through: the RTMP conversation, and FLV tags up to [`SourceEvent`]s.

use bytes::{Bytes, BytesMut};

use crate::ingest::{
    media::SourceEvent,
    rtmp::{event::Event, session::Session, source::Source, violation::Violation},
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
    let step = 1 + usize::from(step);
    let cut = converse(MAX_MESSAGE, conversation.chunks(step));
    let whole = converse(MAX_MESSAGE, [&conversation[..]]);
    assert_eq!((cut.0, cut.2), (whole.0, whole.2));
    let answers = cut.1.len().max(whole.1.len());
    let most = 8192 + 16 * conversation.len();
    assert!(answers <= most, "{answers} bytes of answers");
    // Without its handshake it is only another handshake.
    converse(MAX_MESSAGE, bytes.chunks(step));
}

/// Feeds `reads` to a session that accepts whoever publishes: what the publisher did, our answers, and what ended it.
pub fn converse<'a>(
    max_message: usize,
    reads: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Vec<u8>, Option<Violation>) {
    let mut session = Session::new(max_message);
    let (mut input, mut send, mut events) = (BytesMut::new(), Vec::new(), Vec::new());
    for read in reads {
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
                Err(violation) => return (events, send, Some(violation)),
            }
        }
        assert!(input.len() <= 1536, "{} bytes kept back", input.len());
    }
    (events, send, None)
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
