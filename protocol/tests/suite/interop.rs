//! Ours against other people's implementations of the same formats.

use crate::common::{key, stream};
use ipld_core::ipld::Ipld;
use libp2p_core::SignedEnvelope;
use libp2p_identity::Keypair;
use meshlive_protocol::manifest::{self, ANNOUNCEMENT_TYPE, DOMAIN, MANIFEST_TYPE, Opened};

#[test]
fn libp2p_opens_our_envelopes_and_writes_the_same_bytes() {
    let publisher = stream(14);
    let pair = Keypair::from_protobuf_encoding(&key().to_protobuf()).unwrap();
    for (bytes, payload_type) in [
        (
            manifest::sign_announcement(&key(), &publisher.announcements[3]),
            ANNOUNCEMENT_TYPE,
        ),
        (
            manifest::sign_manifest(&key(), &publisher.manifest),
            MANIFEST_TYPE,
        ),
    ] {
        let envelope = SignedEnvelope::from_protobuf_encoding(&bytes).unwrap();
        let (payload, signer) = envelope
            .payload_and_signing_key(DOMAIN.into(), payload_type)
            .unwrap();
        assert_eq!(*signer, pair.public());
        let theirs =
            SignedEnvelope::new(&pair, DOMAIN.into(), payload_type.into(), payload.into()).unwrap();
        assert_eq!(theirs.into_protobuf_encoding(), bytes);
    }
}

#[test]
fn payloads_are_canonical_dag_cbor() {
    let publisher = stream(14);
    let announcements = publisher
        .announcements
        .iter()
        .map(|announcement| manifest::sign_announcement(&key(), announcement));
    for envelope in announcements.chain([manifest::sign_manifest(&key(), &publisher.manifest)]) {
        let payload = crate::common::payload(&envelope);
        let value: Ipld = serde_ipld_dagcbor::from_slice(&payload).expect("dag-cbor");
        assert_eq!(serde_ipld_dagcbor::to_vec(&value).unwrap(), payload);
    }
}

#[test]
fn the_name_of_a_stream_is_the_peer_id_of_its_key() {
    let pair = Keypair::from_protobuf_encoding(&key().to_protobuf()).unwrap();
    assert_eq!(
        key().name().to_cid().hash().to_bytes(),
        pair.public().to_peer_id().to_bytes()
    );
}

#[test]
fn what_was_signed_is_what_is_opened() {
    let publisher = stream(14);
    let name = key().name();
    for announcement in &publisher.announcements {
        let opened = manifest::open(&name, &manifest::sign_announcement(&key(), announcement));
        assert_eq!(opened, Ok(Opened::Announcement(announcement.clone())));
    }
    let opened = manifest::open(&name, &manifest::sign_manifest(&key(), &publisher.manifest));
    assert_eq!(opened, Ok(Opened::Manifest(publisher.manifest)));
}
