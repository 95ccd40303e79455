//! What renditions may be, and how they change (README §4).

use meshlive_protocol::manifest::{self, News, Tracks};

use crate::{
    common::{part_of, rendition},
    rules::{refuses, some},
};

#[test]
fn renditions_are_well_formed() {
    let publisher = some();
    let with = |change: &dyn Fn(&mut manifest::Rendition)| {
        let mut rendition = rendition("new", Tracks::Both);
        change(&mut rendition);
        News::Rendition(rendition)
    };
    for id in ["", "A", "a.b", "a/b", "..", "ä", "a b", &"a".repeat(33)] {
        refuses(
            &publisher,
            with(&|rendition| rendition.id = id.into()),
            "its id is not",
        );
    }
    for codecs in ["", "a\"b", "a\nb", "é", &"a".repeat(129)] {
        refuses(
            &publisher,
            with(&|rendition| rendition.codecs = codecs.into()),
            "its codecs are not",
        );
    }
    refuses(
        &publisher,
        with(&|rendition| rendition.bandwidth = 0),
        "its bandwidth is 0",
    );
    refuses(
        &publisher,
        with(&|rendition| rendition.part_target = 0),
        "its part target is",
    );
    refuses(
        &publisher,
        with(&|rendition| rendition.part_target = 10_000_001),
        "its part target is",
    );
    refuses(
        &publisher,
        with(&|rendition| rendition.width = 0),
        "does not fit its tracks",
    );
    refuses(
        &publisher,
        with(&|rendition| rendition.tracks = Tracks::Audio),
        "does not fit its tracks",
    );
    let longest =
        with(&|rendition| (rendition.id, rendition.codecs) = ("a".repeat(32), "b".repeat(128)));
    assert!(
        publisher
            .manifest
            .clone()
            .apply(&publisher.next(vec![longest]))
            .is_ok()
    );
}

#[test]
fn a_rendition_may_change_be_withdrawn_and_return() {
    let mut publisher = some();
    let mut changed = rendition("low", Tracks::Both);
    (changed.bandwidth, changed.part_target) = (500_000, 150_000);
    publisher.publish(vec![
        News::Rendition(changed),
        News::Withdrawn { rendition: 1 },
    ]);
    let entry = &publisher.manifest.renditions()[1];
    assert!(entry.withdrawn);
    assert_eq!(entry.rendition.bandwidth, 500_000);
    assert_eq!(
        entry.rendition.part_target, 202_000,
        "parts of the old length are still there"
    );
    refuses(&publisher, part_of(1, 101, 4), "its rendition is withdrawn");
    refuses(
        &publisher,
        News::Withdrawn { rendition: 1 },
        "it is withdrawn already",
    );
    publisher.publish(vec![
        News::Rendition(rendition("low", Tracks::Both)),
        part_of(1, 101, 4),
    ]);
    assert_eq!(publisher.manifest.renditions().len(), 3);
}
