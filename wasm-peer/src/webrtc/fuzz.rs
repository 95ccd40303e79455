//! The bodies of the fuzz targets in `fuzz/`: each takes any bytes and panics only on a bug. `cargo test` replays
//! `fuzz/corpus/` through them.

use bytes::{Bytes, BytesMut};

use super::{
    frame::{Decoder, Frame, MAX_FRAME, Malformed},
    signal::{
        codec::{self, MAX_MESSAGE, Message},
        session::{Input, MAX_CANDIDATES, Output, Role, Session},
    },
};

/// What a target runs.
pub type Body = fn(&[u8]);

/// All targets, by the name of their corpus.
pub const TARGETS: [(&str, Body); 3] = [
    ("frames", frames),
    ("signalling", signalling),
    ("session", session),
];

/// A channel's bytes, cut into messages as the first byte says: the same frames are found as in one message.
pub fn frames(bytes: &[u8]) {
    let Some((cut, wire)) = bytes.split_first() else {
        return;
    };
    let whole = decoded(&mut [wire].into_iter());
    let pieces = decoded(&mut wire.chunks(1 + usize::from(*cut)));
    assert_eq!(whole, pieces);
    for frame in whole.0 {
        assert!(frame.payload.len() <= MAX_FRAME);
    }
}

fn decoded(messages: &mut dyn Iterator<Item = &[u8]>) -> (Vec<Frame>, Result<(), Malformed>) {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    for message in messages {
        let mut message = Bytes::copy_from_slice(message);
        loop {
            match decoder.next(&mut message) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(malformed) => return (frames, Err(malformed)),
            }
        }
        assert!(message.is_empty());
    }
    (frames, Ok(()))
}

/// The bytes of a signalling stream.
pub fn signalling(bytes: &[u8]) {
    let mut received = BytesMut::from(bytes);
    while let Ok(Some(message)) = codec::decode(&mut received) {
        let (Message::Offer(data) | Message::Answer(data) | Message::Candidate(data)) = &message;
        assert!(data.len() <= MAX_MESSAGE);
        let mut again = BytesMut::from(&codec::encode(&message)[..]);
        if again.len() <= MAX_MESSAGE {
            assert_eq!(codec::decode(&mut again), Ok(Some(message)));
            assert!(again.is_empty());
        }
    }
}

/// A session to which anything happens in any order: each byte is an event.
pub fn session(bytes: &[u8]) {
    let role = match bytes.first() {
        Some(first) if first & 0x80 != 0 => Role::Initiator,
        _ => Role::Responder,
    };
    let (mut session, _) = Session::new(role);
    let (mut over, mut sent, mut taken) = (false, 0, 0);
    for byte in bytes {
        let text = || "x".to_owned();
        let input = match byte & 0xf {
            0 => Input::Message(Message::Offer(text())),
            1 => Input::Message(Message::Answer(text())),
            2..=4 => Input::Message(Message::Candidate(text())),
            5 => Input::Message(Message::Candidate(String::new())),
            6 => Input::Described(text()),
            7 => Input::RemoteSet,
            8..=10 => Input::Candidate(text()),
            11 | 12 => Input::Connected,
            13 => Input::StreamEnded,
            14 => Input::Lost,
            _ => Input::Late,
        };
        for output in session.handle(input) {
            assert!(!over, "nothing is to be done after the end");
            match output {
                Output::Send(Message::Candidate(_)) => sent += 1,
                Output::AddCandidate(_) => taken += 1,
                Output::Done | Output::Fail(_) => over = true,
                _ => {}
            }
        }
    }
    assert!(sent <= MAX_CANDIDATES && taken <= MAX_CANDIDATES);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_corpora_pass() {
        for (name, body) in TARGETS {
            let folder = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
            let files = std::fs::read_dir(&folder).unwrap();
            let passed = files.map(|file| body(&std::fs::read(file.unwrap().path()).unwrap()));
            assert!(passed.count() > 0, "{folder} is empty");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_pass(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            for (_, body) in TARGETS {
                body(&bytes);
            }
        }

        /// Bytes that look like frames get further than any bytes do.
        #[test]
        fn likely_bytes_pass(bytes in prop::collection::vec(prop::sample::select(&[0_u8, 1, 2, 3, 5, 8, 0x12, 0x7f, 0x80, 0xff][..]), 0..400)) {
            for (_, body) in TARGETS {
                body(&bytes);
            }
        }
    }
}
