//! libp2p signed envelopes (libp2p RFC 0002; README §6): a payload, what it is, whose it is, and the proof.
//!
//! Written here rather than taken from libp2p-core, which brings a random number generator and a protobuf
//! library into what a phone downloads; a test compares the two byte for byte.

use super::Rejected;
use crate::{key::SigningKey, name::StreamName, protobuf};

/// Separates our signatures from every other use of the same key.
pub const DOMAIN: &str = "meshlive/1";
/// Length of an Ed25519 signature.
const SIGNATURE_BYTES: usize = 64;
/// No payload type of ours is longer.
const MAX_TYPE_BYTES: usize = 16;

/// Fields of the protobuf `Envelope`; 4 is not used.
const PUBLIC_KEY: u64 = 1;
const PAYLOAD_TYPE: u64 = 2;
const PAYLOAD: u64 = 3;
const SIGNATURE: u64 = 5;

/// Signs `payload` as `payload_type`.
pub(crate) fn seal(key: &SigningKey, payload_type: &[u8], payload: &[u8]) -> Vec<u8> {
    let signature = key.sign(&signed_bytes(payload_type, payload));
    let mut out = head(&key.name(), payload_type);
    out.reserve_exact(payload.len() + 80);
    protobuf::bytes(&mut out, PAYLOAD, payload);
    protobuf::bytes(&mut out, SIGNATURE, &signature);
    out
}

/// With what every envelope of a stream and type begins: its first two fields.
pub(crate) fn head(stream: &StreamName, payload_type: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(48);
    protobuf::bytes(&mut out, PUBLIC_KEY, &stream.key_protobuf());
    protobuf::bytes(&mut out, PAYLOAD_TYPE, payload_type);
    out
}

/// What is inside an envelope of `stream`, its signature verified: (payload type, payload). Accepts the one
/// canonical encoding: the four fields in order, each once, nothing else. `limit` gives the longest payload
/// that its type allows, or why the type is refused, and is asked before the signature is computed.
pub(crate) fn open<'a>(
    stream: &StreamName,
    bytes: &'a [u8],
    limit: impl Fn(&[u8]) -> Result<usize, Rejected>,
) -> Result<(&'a [u8], &'a [u8]), Rejected> {
    let (key, rest) = field(bytes, PUBLIC_KEY)?;
    let (payload_type, rest) = field(rest, PAYLOAD_TYPE)?;
    let (payload, rest) = field(rest, PAYLOAD)?;
    let (signature, rest) = field(rest, SIGNATURE)?;
    if !rest.is_empty() {
        return Err(Rejected::Malformed("bytes behind the envelope"));
    }
    if payload_type.len() > MAX_TYPE_BYTES {
        return Err(Rejected::UnknownType);
    }
    let max = limit(payload_type)?;
    if payload.len() > max {
        return Err(Rejected::TooBig {
            what: "payload bytes",
            value: payload.len() as u64,
            max: max as u64,
        });
    }
    if key != stream.key_protobuf() {
        return Err(Rejected::AnotherKey);
    }
    let key = stream.public_key().ok_or(Rejected::AnotherKey)?;
    if signature.len() != SIGNATURE_BYTES
        || !key.verify(&signed_bytes(payload_type, payload), signature)
    {
        return Err(Rejected::BadSignature);
    }
    Ok((payload_type, payload))
}

/// What the signature covers: domain, type and payload, each behind its length as a varint.
fn signed_bytes(payload_type: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(DOMAIN.len() + payload_type.len() + payload.len() + 12);
    for item in [DOMAIN.as_bytes(), payload_type, payload] {
        protobuf::varint(&mut out, item.len() as u64);
        out.extend_from_slice(item);
    }
    out
}

/// Takes the bytes of `number` from the front; the rest comes back beside them.
fn field(bytes: &[u8], number: u64) -> Result<(&[u8], &[u8]), Rejected> {
    let short = Rejected::Malformed("an envelope that is cut short");
    let (tag, bytes) = bytes.split_first().ok_or(short.clone())?;
    if u64::from(*tag) != number << 3 | 2 {
        return Err(Rejected::Malformed("an envelope with other fields"));
    }
    let mut length = 0;
    for (index, byte) in bytes.iter().enumerate().take(4) {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if *byte == 0 && index > 0 {
                return Err(Rejected::Malformed(
                    "a length that is not in its shortest form",
                ));
            }
            return bytes[index + 1..].split_at_checked(length).ok_or(short);
        }
    }
    Err(Rejected::Malformed(
        "an envelope with a length beyond any limit",
    ))
}
