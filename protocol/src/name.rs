//! Names of streams (README §1): the IPNS name of the stream's Ed25519 signing key.

use std::{fmt, str::FromStr};

use cid::Cid;
use libp2p_identity::ed25519;
use multibase::Base;
use multihash::Multihash;

/// Multicodec `libp2p-key`.
const LIBP2P_KEY: u64 = 0x72;
/// Multihash function `identity`: the "digest" is the key itself.
const IDENTITY: u64 = 0x00;
/// The libp2p protobuf of an Ed25519 public key is these four bytes (Type = 1, Data of 32 bytes) and the key.
const KEY_HEADER: [u8; 4] = [0x08, 0x01, 0x12, 0x20];
/// Length of [`KEY_HEADER`] and an Ed25519 public key.
pub(crate) const KEY_PROTOBUF_BYTES: usize = KEY_HEADER.len() + 32;
/// Length of every stream name as text: `k`, and 61 digits of base36.
pub const TEXT_BYTES: usize = 62;

/// A stream's name: the key that signs what it publishes, as `k51…` in text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName([u8; 32]);

/// Why a text is not a stream name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a stream name: {1}; one looks like k51qzi5uqu5d…, {TEXT_BYTES} characters long"
)]
pub struct NameError(String, &'static str);

impl StreamName {
    /// The name of the stream that `key` signs.
    pub fn from_public_key(key: &ed25519::PublicKey) -> Self {
        Self(key.to_bytes())
    }

    /// The key that signs what this stream publishes; `None` if the name is no point of the curve, so that
    /// nothing can ever verify against it.
    pub fn public_key(&self) -> Option<ed25519::PublicKey> {
        ed25519::PublicKey::try_from_bytes(&self.0).ok()
    }

    /// The name as a CID: version 1, codec libp2p-key, identity multihash.
    pub fn to_cid(&self) -> Cid {
        let hash = Multihash::wrap(IDENTITY, &self.key_protobuf())
            .expect("36 bytes fit into a multihash of 64");
        Cid::new_v1(LIBP2P_KEY, hash)
    }

    /// The libp2p protobuf of the public key.
    pub(crate) fn key_protobuf(&self) -> [u8; KEY_PROTOBUF_BYTES] {
        let mut bytes = [0; KEY_PROTOBUF_BYTES];
        bytes[..4].copy_from_slice(&KEY_HEADER);
        bytes[4..].copy_from_slice(&self.0);
        bytes
    }
}

impl FromStr for StreamName {
    type Err = NameError;

    /// Reads the one canonical form, `k51…`. Its length is checked before anything is decoded.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let reject = |why| {
            let shown: String = text.chars().take(TEXT_BYTES + 2).collect();
            NameError(shown, why)
        };
        if text.len() != TEXT_BYTES {
            return Err(reject("its length is wrong"));
        }
        if !text.starts_with('k') {
            return Err(reject("it is not in base36"));
        }
        let (_, bytes) = multibase::decode(text).map_err(|_| reject("it is not in base36"))?;
        let cid = Cid::try_from(bytes.as_slice()).map_err(|_| reject("it holds no CID"))?;
        let key = cid.hash().digest();
        if cid.codec() != LIBP2P_KEY
            || cid.hash().code() != IDENTITY
            || key.len() != KEY_PROTOBUF_BYTES
        {
            return Err(reject("it holds no Ed25519 key"));
        }
        let (header, key) = key.split_at(KEY_HEADER.len());
        if header != KEY_HEADER {
            return Err(reject("it holds no Ed25519 key"));
        }
        let name = Self(key.try_into().expect("36 bytes less a header of 4 are 32"));
        // Base36 of other alphabets or with leading zeros would give one stream two names.
        if name.to_string() != text {
            return Err(reject("it is not in its canonical form"));
        }
        Ok(name)
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&multibase::encode(
            Base::Base36Lower,
            self.to_cid().to_bytes(),
        ))
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
