//! Messages of `/webrtc-signaling/0.0.1` (libp2p/specs webrtc/webrtc.md): a protobuf
//! `Message { optional Type type = 1; optional string data = 2; }` behind its length as unsigned varint.

use bytes::{Buf, BytesMut};

use crate::webrtc::frame::{put_varint, varint};

/// Most bytes of one message, its prefix not counted. Chromium's offer is 0.7 KiB without candidates.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// What two peers tell each other to become connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A session description, SDP.
    Offer(String),
    /// A session description, SDP.
    Answer(String),
    /// JSON of an `RTCIceCandidate`; empty or `null` after the last.
    Candidate(String),
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Longer than [`MAX_MESSAGE`].
    TooLong(u64),
    /// No message of this protocol.
    Encoding,
    /// No type, or one that no specification knows.
    Type(Option<u64>),
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong(length) => {
                write!(to, "a message of {length} bytes; at most {MAX_MESSAGE}")
            }
            Self::Encoding => write!(to, "a malformed message"),
            Self::Type(None) => write!(to, "a message without a type"),
            Self::Type(Some(number)) => write!(to, "a message of unknown type {number}"),
        }
    }
}

impl std::error::Error for Malformed {}

/// The message with its length prefix.
pub fn encode(message: &Message) -> Vec<u8> {
    let (number, data) = match message {
        Message::Offer(data) => (0, data),
        Message::Answer(data) => (1, data),
        Message::Candidate(data) => (2, data),
    };
    // The type is written even when it is 0: other implementations tell "offer" from "no type".
    let mut head = [0x08, number, 0x12, 0, 0, 0, 0, 0];
    let head_length = 3 + put_varint(data.len() as u64, &mut head[3..]);
    let mut prefix = [0; 5];
    let prefixed = put_varint((head_length + data.len()) as u64, &mut prefix);
    [&prefix[..prefixed], &head[..head_length], data.as_bytes()].concat()
}

/// Takes the first message out of what was received; `None` if it is not whole.
pub fn decode(received: &mut BytesMut) -> Result<Option<Message>, Malformed> {
    let mut rest = &received[..];
    let Some(length) = varint(&mut rest).map_err(|_| Malformed::Encoding)? else {
        return Ok(None);
    };
    if length > MAX_MESSAGE as u64 {
        return Err(Malformed::TooLong(length));
    }
    let Some(body) = rest.get(..length as usize) else {
        return Ok(None);
    };
    let message = parse(body)?;
    let taken = received.len() - rest.len() + length as usize;
    received.advance(taken);
    Ok(Some(message))
}

fn parse(mut rest: &[u8]) -> Result<Message, Malformed> {
    let number = |rest: &mut &[u8]| varint(rest).ok().flatten().ok_or(Malformed::Encoding);
    let mut kind = None;
    let mut data = "";
    while !rest.is_empty() {
        let tag = number(&mut rest)?;
        let value = match tag & 7 {
            0 | 2 => number(&mut rest)?,
            _ => return Err(Malformed::Encoding), // the protocol has no other wire type
        };
        let mut field: &[u8] = &[];
        if tag & 7 == 2 {
            let length = usize::try_from(value).map_err(|_| Malformed::Encoding)?;
            (field, rest) = rest.split_at_checked(length).ok_or(Malformed::Encoding)?;
        }
        match tag {
            0x08 => kind = Some(value),
            0x12 => data = std::str::from_utf8(field).map_err(|_| Malformed::Encoding)?,
            _ => {} // fields of a later specification are passed over
        }
    }
    let data = data.to_owned();
    match kind {
        Some(0) => Ok(Message::Offer(data)),
        Some(1) => Ok(Message::Answer(data)),
        Some(2) => Ok(Message::Candidate(data)),
        other => Err(Malformed::Type(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Result<Option<Message>, Malformed> {
        decode(&mut BytesMut::from(bytes))
    }

    #[test]
    fn golden_bytes() {
        for (message, bytes) in [
            (
                Message::Offer("v=0".into()),
                &[7, 8, 0, 0x12, 3, b'v', b'=', b'0'][..],
            ),
            (
                Message::Answer("v=0".into()),
                &[7, 8, 1, 0x12, 3, b'v', b'=', b'0'],
            ),
            (Message::Candidate(String::new()), &[4, 8, 2, 0x12, 0]),
        ] {
            assert_eq!(encode(&message), bytes);
            assert_eq!(decoded(bytes), Ok(Some(message)));
        }
        // No data at all, as js-libp2p writes the end of candidates.
        assert_eq!(
            decoded(&[2, 8, 2]),
            Ok(Some(Message::Candidate(String::new())))
        );
    }

    #[test]
    fn a_message_is_taken_when_it_is_whole_and_no_sooner() {
        let offer = Message::Offer("x".repeat(300));
        let answer = Message::Answer("y".into());
        let wire = [encode(&offer), encode(&answer)].concat();
        let mut received = BytesMut::new();
        let mut found = Vec::new();
        for byte in wire {
            received.extend([byte]);
            found.extend(decode(&mut received).unwrap());
        }
        assert_eq!(found, [offer, answer]);
        assert!(received.is_empty());
    }

    #[test]
    fn the_longest_message_is_taken_and_a_longer_one_refused_by_its_prefix() {
        let fits = Message::Answer("z".repeat(MAX_MESSAGE - 6));
        let wire = encode(&fits);
        assert_eq!(wire.len(), MAX_MESSAGE + 3);
        assert_eq!(decoded(&wire), Ok(Some(fits)));
        let longer = encode(&Message::Answer("z".repeat(MAX_MESSAGE - 5)));
        assert_eq!(decoded(&longer[..3]), Err(Malformed::TooLong(65_537)));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for (bytes, why) in [
            (&[3, 0x12, 1, b'x'][..], Malformed::Type(None)),
            (&[2, 8, 3], Malformed::Type(Some(3))),
            (&[4, 8, 0, 0x12, 9], Malformed::Encoding),
            (&[5, 8, 0, 0x12, 1, 0xff], Malformed::Encoding),
            (&[3, 8, 0, 0x0d], Malformed::Encoding),
            (&[0xff; 10], Malformed::Encoding),
        ] {
            assert_eq!(decoded(bytes), Err(why), "{bytes:?}");
        }
    }
}
