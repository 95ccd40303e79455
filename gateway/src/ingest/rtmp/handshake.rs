//! The plain RTMP handshake (RTMP 1.0 §5.2), our side of it.
//!
//! C0 and C1 in, S0, S1 and S2 out, C2 in. Nothing but the version byte carries meaning: the rest is echoed or
//! random. Publishers that offer Adobe's signed variant fall back to this one, because S1 carries version 0.

use bytes::{Buf, BytesMut};

/// Bytes of C1, S1, C2 and S2.
const BLOCK: usize = 1536;
/// The only version there is; 6 and 8 are the encrypted variants.
const VERSION: u8 = 3;

/// Where the handshake stands.
#[derive(Debug, Default)]
pub(super) enum Handshake {
    #[default]
    Hello,
    Echo,
    Done,
}

impl Handshake {
    /// Takes what it needs from `input`; true once everything that follows is messages.
    ///
    /// # Errors
    /// The version byte, when it is not RTMP's.
    pub(super) fn receive(&mut self, input: &mut BytesMut, send: &mut Vec<u8>) -> Result<bool, u8> {
        if let Handshake::Hello = self {
            if let Some(&version) = input.first()
                && version != VERSION
            {
                return Err(version);
            }
            if input.len() < 1 + BLOCK {
                return Ok(false);
            }
            send.push(VERSION);
            send.extend_from_slice(&[0; 8]); // S1: time 0, version 0: the plain handshake
            send.extend((8..BLOCK).map(filler));
            send.extend_from_slice(&input[1..=BLOCK]); // S2 echoes C1
            input.advance(1 + BLOCK);
            *self = Handshake::Echo;
        }
        if let Handshake::Echo = self {
            if input.len() < BLOCK {
                return Ok(false);
            }
            // Publishers in the field do not all echo S1 to the byte; what they send is not looked at.
            input.advance(BLOCK);
            *self = Handshake::Done;
        }
        Ok(true)
    }
}

/// "Arbitrary data" that tells S1 from C1; nothing secret depends on it.
fn filler(at: usize) -> u8 {
    (at.wrapping_mul(167) >> 3) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_every_cut_the_answer_is_the_same() {
        let mut hello = vec![VERSION];
        hello.extend((0..2 * BLOCK).map(|at| (at % 251) as u8));
        for cut in 0..=hello.len() {
            let (mut handshake, mut input, mut send) = <(Handshake, BytesMut, Vec<u8>)>::default();
            input.extend_from_slice(&hello[..cut]);
            let early = handshake.receive(&mut input, &mut send).unwrap();
            assert_eq!(early, cut == hello.len());
            assert_eq!(send.len(), if cut > BLOCK { 1 + 2 * BLOCK } else { 0 });
            input.extend_from_slice(&hello[cut..]);
            assert!(handshake.receive(&mut input, &mut send).unwrap());
            assert!(input.is_empty());
            assert_eq!(send.len(), 1 + 2 * BLOCK);
            assert_eq!(send[1 + BLOCK..], hello[1..=BLOCK]);
        }
    }

    #[test]
    fn another_protocol_is_known_by_its_first_byte() {
        let mut input = BytesMut::from("GET / HTTP/1.1\r\n");
        let answer = Handshake::default().receive(&mut input, &mut Vec::new());
        assert_eq!(answer, Err(b'G'));
    }
}
