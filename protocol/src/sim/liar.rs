//! What comes out of a node that lies. Its engine is an honest one: only what it says and gives is changed.

use bytes::Bytes;

use crate::{
    key::SigningKey,
    message::{Message, Place},
    scheduler::random::Random,
};

/// How a node lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// One byte of each part is another.
    AltersParts,
    /// Parts at places of which nobody has heard.
    InventsParts,
    /// Announcements that another key has signed.
    ForgesAnnouncements,
    /// Genuine announcements and manifests, again and again.
    Replays,
    /// It says that it has everything, and gives nothing.
    PromisesAll,
}

/// Bytes with one of them changed.
pub(super) fn altered(bytes: &Bytes, random: &mut Random) -> Bytes {
    let mut bytes = bytes.to_vec();
    let at = random.below(bytes.len());
    bytes[at] ^= 1;
    bytes.into()
}

/// What a liar says every now and then, beside what its engine says.
pub(super) fn says(lie: Lie, heard: &[Bytes], newest: Place, random: &mut Random) -> Vec<Message> {
    match lie {
        Lie::AltersParts | Lie::InventsParts => Vec::new(),
        Lie::ForgesAnnouncements => {
            let other = SigningKey::from_secret([8; 32]);
            let forged = crate::manifest::Announcement {
                epoch: 1,
                sequence: u64::from(newest.part) + 1,
                clock: 1,
                news: Vec::new(),
            };
            vec![Message::Announcement {
                envelope: crate::manifest::sign_announcement(&other, &forged).into(),
                seeds: Vec::new(),
                by: 0,
            }]
        }
        Lie::Replays => heard
            .get(random.below(heard.len().max(1)))
            .into_iter()
            .flat_map(|envelope| vec![envelope.clone(); 20])
            .map(|envelope| Message::Announcement {
                envelope,
                seeds: Vec::new(),
                by: 0,
            })
            .collect(),
        Lie::PromisesAll => {
            let place = |part| Place {
                msn: newest.msn,
                part,
                rendition: newest.rendition,
            };
            vec![Message::Have((0..20).map(place).collect())]
        }
    }
}
