//! Frames: how a stream's bytes and flags travel in the messages of a data channel.
//!
//! libp2p/specs webrtc/README.md, "Multiplexing": a protobuf `Message { optional Flag flag = 1; optional bytes message = 2; }`
//! behind its length as unsigned varint, both together at most 16 KiB.

use bytes::{Buf, Bytes, BytesMut};

/// Most bytes of one frame, its length prefix included.
pub const MAX_FRAME: usize = 16 * 1024;
/// Most bytes of payload in one frame without a flag: two bytes of prefix, one of tag, two of payload length.
pub const MAX_PAYLOAD: usize = MAX_FRAME - 5;

/// What a frame says beside its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// The sender will send no more.
    Fin = 0,
    /// The sender will read no more.
    StopSending = 1,
    /// The sender gives the stream up.
    Reset = 2,
    /// The sender has read everything up to the other's [`Flag::Fin`].
    FinAck = 3,
}

/// One message of a stream. Without payload `payload` is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// What it says beside its payload, if anything.
    pub flag: Option<Flag>,
    /// Bytes of the stream.
    pub payload: Bytes,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The length prefix says more than [`MAX_FRAME`] holds.
    TooLong(u64),
    /// A varint of more than ten bytes, or past 64 bits.
    Varint,
    /// A field reaches past the end of its frame.
    Truncated,
    /// Flag or payload with another wire type than theirs, or a wire type that does not exist.
    WireType(u64),
    /// A flag no specification knows.
    Flag(u64),
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong(length) => write!(to, "a frame of {length} bytes; at most {MAX_FRAME}"),
            Self::Varint => write!(to, "a frame with a varint past 64 bits"),
            Self::Truncated => write!(to, "a frame with a field past its end"),
            Self::WireType(tag) => write!(to, "a frame with a field of tag {tag}"),
            Self::Flag(flag) => write!(to, "a frame with the unknown flag {flag}"),
        }
    }
}

impl std::error::Error for Malformed {}

/// A frame of `payload` (at most [`MAX_PAYLOAD`] bytes), ready to be sent as one message.
pub fn encode_payload(payload: &[u8]) -> Vec<u8> {
    debug_assert!(payload.len() <= MAX_PAYLOAD);
    let mut body = [0; 5];
    body[0] = PAYLOAD_TAG;
    let tagged = 1 + put_varint(payload.len() as u64, &mut body[1..]);
    let mut prefix = [0; 5];
    let prefixed = put_varint((tagged + payload.len()) as u64, &mut prefix);
    [&prefix[..prefixed], &body[..tagged], payload].concat()
}

/// A frame that says only this.
pub fn encode_flag(flag: Flag) -> [u8; 3] {
    [2, FLAG_TAG, flag as u8]
}

/// Finds the frames in a channel's messages. A frame may be split over messages, a message may hold several.
#[derive(Debug, Default)]
pub struct Decoder {
    rest: BytesMut, // the beginning of a frame, less than MAX_FRAME bytes after `next` gave `None`
}

impl Decoder {
    /// The next frame of `message` behind what earlier messages left, `None` when more is needed: then `message` is
    /// empty. After an error nothing more can be found.
    pub fn next(&mut self, message: &mut Bytes) -> Result<Option<Frame>, Malformed> {
        if self.rest.is_empty() {
            // The common case, without copying: the whole frame stands in this message.
            if let Some((prefix, length)) = frame_length(message)?
                && message.len() >= prefix + length
            {
                message.advance(prefix);
                return parse(message.split_to(length)).map(Some);
            }
        }
        // Byte by byte up to the end of the prefix, then the body at once.
        loop {
            let missing = match frame_length(&self.rest)? {
                None => 1,
                Some((prefix, length)) => prefix + length - self.rest.len(),
            };
            let taken = message.split_to(missing.min(message.len()));
            self.rest.extend_from_slice(&taken);
            if let Some((prefix, length)) = frame_length(&self.rest)?
                && self.rest.len() == prefix + length
            {
                self.rest.advance(prefix);
                return parse(self.rest.split().freeze()).map(Some);
            }
            if message.is_empty() {
                return Ok(None);
            }
        }
    }
}

const FLAG_TAG: u8 = 1 << 3; // field 1, varint
const PAYLOAD_TAG: u8 = 2 << 3 | 2; // field 2, bytes

/// Length of the prefix and of what it announces; `None` if the prefix is not whole.
fn frame_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut rest = bytes;
    let Some(length) = varint(&mut rest)? else {
        return Ok(None);
    };
    let prefix = bytes.len() - rest.len();
    if length > (MAX_FRAME - prefix) as u64 {
        return Err(Malformed::TooLong(length));
    }
    Ok(Some((prefix, length as usize)))
}

fn parse(body: Bytes) -> Result<Frame, Malformed> {
    let mut frame = Frame::default();
    let mut rest = &body[..];
    while !rest.is_empty() {
        let tag = varint(&mut rest)?.ok_or(Malformed::Truncated)?;
        match tag {
            1 | 2 => return Err(Malformed::WireType(tag)), // field 0 does not exist
            _ if tag == u64::from(FLAG_TAG) => {
                let flag = varint(&mut rest)?.ok_or(Malformed::Truncated)?;
                frame.flag = Some(match flag {
                    0 => Flag::Fin,
                    1 => Flag::StopSending,
                    2 => Flag::Reset,
                    3 => Flag::FinAck,
                    other => return Err(Malformed::Flag(other)),
                });
            }
            _ if tag == u64::from(PAYLOAD_TAG) => {
                let field = bytes_field(&mut rest)?;
                frame.payload = body.slice_ref(field);
            }
            _ if tag >> 3 <= 2 => return Err(Malformed::WireType(tag)),
            // Fields of a later specification are passed over.
            _ => match tag & 7 {
                0 => drop(varint(&mut rest)?.ok_or(Malformed::Truncated)?),
                1 => rest = rest.get(8..).ok_or(Malformed::Truncated)?,
                2 => drop(bytes_field(&mut rest)?),
                5 => rest = rest.get(4..).ok_or(Malformed::Truncated)?,
                _ => return Err(Malformed::WireType(tag)),
            },
        }
    }
    Ok(frame)
}

fn bytes_field<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = varint(rest)?.ok_or(Malformed::Truncated)?;
    let length = usize::try_from(length).map_err(|_| Malformed::Truncated)?;
    let (field, after) = rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
    *rest = after;
    Ok(field)
}

/// The varint at the beginning of `bytes`, which then begins behind it; `None` if it is not whole.
pub fn varint(bytes: &mut &[u8]) -> Result<Option<u64>, Malformed> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if at == 9 && *byte > 1 {
            return Err(Malformed::Varint);
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// Writes `value` to the beginning of `to`; gives the bytes it took. `to` must be long enough.
pub fn put_varint(mut value: u64, to: &mut [u8]) -> usize {
    let mut at = 0;
    while value >= 0x80 {
        to[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    to[at] = value as u8;
    at + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(message: &[u8]) -> Result<Option<Frame>, Malformed> {
        Decoder::default().next(&mut Bytes::copy_from_slice(message))
    }

    fn frame(flag: Option<Flag>, payload: &[u8]) -> Frame {
        Frame {
            flag,
            payload: Bytes::copy_from_slice(payload),
        }
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(encode_payload(b"abc"), [5, 0x12, 3, b'a', b'b', b'c']);
        assert_eq!(encode_flag(Flag::Fin), [2, 8, 0]);
        assert_eq!(encode_flag(Flag::FinAck), [2, 8, 3]);
        let both = [7, 8, 2, 0x12, 3, b'a', b'b', b'c'];
        assert_eq!(decode(&both), Ok(Some(frame(Some(Flag::Reset), b"abc"))));
    }

    #[test]
    fn the_longest_payload_makes_the_longest_frame() {
        let payload = vec![7; MAX_PAYLOAD];
        let sent = encode_payload(&payload);
        assert_eq!(sent.len(), MAX_FRAME);
        assert_eq!(decode(&sent), Ok(Some(frame(None, &payload))));
        let mut longer = sent;
        longer[0] += 1; // the length prefix's lowest bits are 0x7d: no carry
        assert_eq!(
            decode(&longer),
            Err(Malformed::TooLong(MAX_FRAME as u64 - 1))
        );
    }

    #[test]
    fn frames_are_found_however_messages_cut_them() {
        let frames = [
            frame(None, &[1; 300]),
            frame(None, b""),
            frame(Some(Flag::StopSending), b""),
            frame(None, &[2; MAX_PAYLOAD]),
            frame(Some(Flag::Fin), b""),
        ];
        let mut wire = encode_payload(&[1; 300]);
        wire.extend([0]);
        wire.extend(encode_flag(Flag::StopSending));
        wire.extend(encode_payload(&[2; MAX_PAYLOAD]));
        wire.extend(encode_flag(Flag::Fin));
        for cut in [1, 2, 3, 7, 100, 303, 16_384, wire.len()] {
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for message in wire.chunks(cut) {
                let mut message = Bytes::copy_from_slice(message);
                while let Some(frame) = decoder.next(&mut message).unwrap() {
                    found.push(frame);
                }
                assert!(message.is_empty());
            }
            assert_eq!(found, frames, "cut every {cut} bytes");
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for (message, why) in [
            (&[0xff; 10][..], Malformed::Varint),
            (&[2, 8, 4], Malformed::Flag(4)),
            (&[2, 8, 0x80], Malformed::Truncated),
            (&[3, 0x12, 2, 0], Malformed::Truncated),
            (&[3, 9, 2, 0], Malformed::WireType(9)),
            (&[2, 0x1b, 0], Malformed::WireType(0x1b)),
            (&[0xff, 0xff, 0x7f], Malformed::TooLong(0x1f_ffff)),
        ] {
            assert_eq!(decode(message), Err(why), "{message:?}");
        }
    }

    #[test]
    fn unknown_fields_are_passed_over() {
        let mut message = vec![0, 0x18, 9, 0x22, 1, 0, 0x25, 0, 0, 0, 0, 0x12, 1, b'x'];
        message[0] = message.len() as u8 - 1;
        assert_eq!(decode(&message), Ok(Some(frame(None, b"x"))));
    }
}
