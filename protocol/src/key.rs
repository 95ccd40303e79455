//! Signing keys: what a stream's name is made of (README §1).

use std::fmt;

use libp2p_identity::{Keypair, ed25519};

use crate::name::StreamName;

/// An Ed25519 key that signs one stream's announcements and manifests.
#[derive(Clone)]
pub struct SigningKey(ed25519::Keypair);

/// Why bytes are not a signing key.
#[derive(Debug, thiserror::Error)]
#[error(
    "not a signing key ({0}); expected the libp2p protobuf of an Ed25519 private key, 68 bytes"
)]
pub struct KeyError(String);

impl SigningKey {
    /// A new key from the system's randomness.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn generate() -> Self {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .expect("the system gives random bytes; without them no key can be made");
        Self::from_secret(secret)
    }

    /// The key of these 32 secret bytes (RFC 8032 §5.1.5). They must come from a cryptographic source.
    pub fn from_secret(mut secret: [u8; 32]) -> Self {
        let secret = ed25519::SecretKey::try_from_bytes(&mut secret)
            .expect("any 32 bytes are an Ed25519 secret");
        Self(secret.into())
    }

    /// Reads what [`to_protobuf`](Self::to_protobuf) wrote.
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, KeyError> {
        let pair =
            Keypair::from_protobuf_encoding(bytes).map_err(|error| KeyError(error.to_string()))?;
        pair.try_into_ed25519()
            .map(Self)
            .map_err(|_| KeyError("another kind of key".into()))
    }

    /// The libp2p protobuf of the private key, 68 bytes: what `ipfs key import` reads. Secret.
    pub fn to_protobuf(&self) -> Vec<u8> {
        let pair = Keypair::from(self.0.clone());
        pair.to_protobuf_encoding()
            .expect("an Ed25519 key has a protobuf")
    }

    /// The name of the stream that this key signs.
    pub fn name(&self) -> StreamName {
        StreamName::from_public_key(&self.0.public())
    }

    /// The Ed25519 signature of `message`, 64 bytes.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message)
    }
}

impl fmt::Debug for SigningKey {
    /// Never shows the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey of {}", self.name())
    }
}
