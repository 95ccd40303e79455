//! The bodies of the fuzz targets in `fuzz/`: each takes any bytes and panics only on a bug.
//!
//! They are part of the crate so that a change of an interface breaks them at once, and `cargo test` replays
//! `fuzz/corpus/` through them.

use crate::{
    key::SigningKey,
    manifest::{self, Follower, Manifest, Opened},
    message::{MAX_CONTROL_FRAME_BYTES, MAX_NEIGHBOURS, MAX_PLACES, Message, PartHeader},
    name::StreamName,
    playlist::{self, Selection, Skip},
};

/// The key whose signatures the corpora hold.
pub fn key() -> SigningKey {
    SigningKey::from_secret([7; 32])
}

/// What a target runs.
pub type Body = fn(&[u8]);

/// All targets, by the name of their corpus.
pub const TARGETS: [(&str, Body); 6] = [
    ("envelope", envelope),
    ("announcement", announcement),
    ("manifest", manifest),
    ("message", message),
    ("name", name),
    ("part-header", part_header),
];

/// Bytes as they come from a stranger.
pub fn envelope(bytes: &[u8]) {
    let name = key().name();
    if let Ok(opened) = manifest::open(&name, bytes) {
        let again = match &opened {
            Opened::Announcement(announcement) => manifest::sign_announcement(&key(), announcement),
            Opened::Manifest(manifest) => manifest::sign_manifest(&key(), manifest),
        };
        assert_eq!(manifest::open(&name, &again), Ok(opened));
        assert_eq!(again, bytes, "there is one form only");
    }
}

/// The payload of an announcement, as the stream's own key might sign it.
pub fn announcement(payload: &[u8]) {
    let Ok(announcement) = manifest::Announcement::decode(payload) else {
        return;
    };
    assert_eq!(announcement.encode(), payload, "there is one form only");
    let mut manifest = Manifest::new(manifest::Settings::default());
    manifest.begin_epoch(announcement.epoch, announcement.clock);
    let next = manifest::Announcement {
        sequence: 1,
        ..announcement
    };
    if manifest.apply(&next).is_ok() {
        check(&manifest);
    } else {
        assert_eq!(manifest.sequence(), 0);
    }
}

/// The payload of a manifest, as the stream's own key might sign it.
pub fn manifest(payload: &[u8]) {
    let Ok(manifest) = Manifest::decode(payload) else {
        return;
    };
    assert_eq!(manifest.encode(), payload, "there is one form only");
    check(&manifest);
}

/// A frame of a control stream, from any peer.
pub fn message(bytes: &[u8]) {
    let stream = crate::key::SigningKey::from_secret([7; 32]).name();
    let Ok(message) = Message::decode(&bytes.to_vec().into(), &stream) else {
        return;
    };
    assert!(bytes.len() <= MAX_CONTROL_FRAME_BYTES);
    assert_eq!(message.encode(), bytes, "there is one form only");
    match &message {
        Message::Announcement { seeds, .. } => assert!(seeds.len() <= MAX_NEIGHBOURS),
        Message::Neighbours(peers) => assert!(peers.len() <= MAX_NEIGHBOURS),
        Message::Have(places)
        | Message::Want(places)
        | Message::Cancel(places)
        | Message::Lack(places) => assert!(places.len() <= MAX_PLACES),
        _ => {}
    }
}

/// What stands before a part, from any peer.
pub fn part_header(bytes: &[u8]) {
    let Some(bytes) = bytes.first_chunk() else {
        return;
    };
    if let Ok(header) = PartHeader::decode(bytes) {
        assert_eq!(&header.encode(), bytes, "there is one form only");
        assert!((1..=crate::part::MAX_PART_BYTES).contains(&(header.size as usize)));
    }
}

/// The text of a stream's name.
pub fn name(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    if let Ok(name) = text.parse::<StreamName>() {
        assert_eq!(name.to_string(), text);
        let mut follower = Follower::new(name);
        assert!(follower.accept(text.as_bytes()).is_err());
    }
}

/// A window that was accepted can be written, read and shown.
fn check(manifest: &Manifest) {
    let payload = manifest.encode();
    assert!(payload.len() <= manifest::MAX_MANIFEST_BYTES);
    assert_eq!(Manifest::decode(&payload).as_ref(), Ok(manifest));
    for selection in [Selection::Main, Selection::AudioOnly] {
        playlist::multivariant(manifest, selection);
    }
    for entry in manifest.renditions() {
        for skip in [Skip::No, Skip::Yes] {
            playlist::media(manifest, &entry.rendition.id, skip);
        }
        let newest: Vec<playlist::Group> = manifest
            .segments()
            .rev()
            .take(2)
            .zip(2..)
            .map(|(segment, parts)| playlist::Group {
                msn: segment.msn,
                parts,
            })
            .collect();
        playlist::grouped(manifest, &entry.rendition.id, &newest);
    }
}
