//! A viewer that takes envelopes as they come (README §5, §6).

use meshlive_protocol::manifest::{self, Follower, Manifest, Opened, Rejected, Settings};

use crate::{
    common::{self, EPOCH, NINE, Publisher, closed, key, part_of},
    rules::some,
};

#[test]
fn a_follower_closes_gaps_by_manifests_and_a_new_epoch_too() {
    let mut publisher = some();
    let announce = |publisher: &Publisher| {
        manifest::sign_announcement(
            &key(),
            publisher.announcements.last().expect("one was published"),
        )
    };
    let whole = |publisher: &Publisher| manifest::sign_manifest(&key(), &publisher.manifest);
    let mut follower = Follower::new(key().name());
    assert!(follower.accept(&announce(&publisher)).is_err());
    assert!(follower.needs_manifest());
    let first = whole(&publisher);
    assert_eq!(follower.accept(&first), Ok(true));
    assert_eq!(follower.accept(&first), Ok(false));
    assert_eq!(follower.accept(&announce(&publisher)), Ok(false));
    assert!(!follower.needs_manifest());

    publisher.publish(vec![part_of(0, 101, 4)]);
    publisher.publish(vec![part_of(0, 101, 5)]);
    assert!(matches!(
        follower.accept(&announce(&publisher)),
        Err(Rejected::Gap { .. })
    ));
    assert!(follower.needs_manifest());
    assert_eq!(follower.accept(&first), Ok(false));
    assert!(follower.needs_manifest());
    assert_eq!(follower.accept(&whole(&publisher)), Ok(true));
    assert_eq!(follower.manifest(), Some(&publisher.manifest));

    // The gateway was started anew from a journal that lacks the last part, which is now another one.
    let old = whole(&publisher);
    let Ok(Opened::Manifest(mut manifest)) = manifest::open(&key().name(), &first) else {
        panic!("a manifest")
    };
    manifest.begin_epoch(EPOCH + 1, NINE);
    let mut restarted = Publisher {
        manifest,
        announcements: Vec::new(),
    };
    restarted.publish(vec![closed(0, 101, 4)]);
    assert!(matches!(
        follower.accept(&announce(&restarted)),
        Err(Rejected::Gap { .. })
    ));
    assert_eq!(follower.accept(&whole(&restarted)), Ok(true));
    assert_eq!(follower.accept(&old), Ok(false), "the higher epoch wins");
    assert_eq!(follower.manifest(), Some(&restarted.manifest));
    assert_eq!(common::payload(&old), common::payload(&whole(&publisher)));
}

#[test]
fn another_streams_envelopes_are_refused() {
    let other = meshlive_protocol::key::SigningKey::from_secret([8; 32]);
    let envelope = manifest::sign_manifest(&other, &Manifest::new(Settings::default()));
    assert_eq!(
        manifest::open(&key().name(), &envelope),
        Err(Rejected::AnotherKey)
    );
    assert!(manifest::open(&other.name(), &envelope).is_ok());
}
