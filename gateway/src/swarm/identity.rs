//! Who this gateway is among peers: a key that stays, so that addresses with its peer id stay valid over restarts.

use std::path::Path;

use libp2p::identity::Keypair;
use meshlive_protocol::name::StreamName;

use crate::{
    StartError,
    keys::{self, Error},
};

/// In the data folder: Ed25519, libp2p's protobuf encoding, mode 0600.
const PEER_KEY: &str = "peer.key";

/// The key of this data folder, made when there is none.
///
/// # Errors
/// When the disk refuses, or the file holds something else.
pub(super) fn key(data: &Path) -> Result<Keypair, Error> {
    let bytes = keys::kept(data, PEER_KEY, || {
        Ok(Keypair::generate_ed25519()
            .to_protobuf_encoding()
            .expect("Ed25519 keys have an encoding"))
    })?;
    Keypair::from_protobuf_encoding(&bytes).map_err(|error| Error::Content {
        path: data.join(PEER_KEY),
        problem: format!("{error}: delete the file, and this gateway gets a new peer id"),
    })
}

/// The key's name, as a stream has one.
///
/// # Errors
/// For a key of another kind than is made here.
pub(super) fn name(key: &Keypair) -> Result<StreamName, StartError> {
    let public = key.public().try_into_ed25519();
    let public = public.map_err(|error| StartError::Peer(error.to_string()))?;
    Ok(StreamName::from_public_key(&public))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_stays_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = key(folder.path()).unwrap().public().to_peer_id();
        assert_eq!(key(folder.path()).unwrap().public().to_peer_id(), first);
        let file = folder.path().join(PEER_KEY);
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(key(other.path()).unwrap().public().to_peer_id(), first);
    }

    #[test]
    fn another_file_of_that_name_is_left_alone_and_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(PEER_KEY), b"not a key").unwrap();
        let error = key(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains(PEER_KEY) && error.contains("delete"),
            "{error}"
        );
        let kept = std::fs::read(folder.path().join(PEER_KEY)).unwrap();
        assert_eq!(kept, b"not a key");
    }
}
