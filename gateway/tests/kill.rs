//! `kill -9` of a real gateway while a reader listens: everything that was announced is served by the next run.

#![allow(clippy::unwrap_used)] // a test from its first line to its last

use meshlive_protocol::{dag, manifest::News, name::StreamName};

mod process;

use process::{
    Gateway,
    listen::{Parts, listen, parts_of},
};

const CARD: &str = "testcard?name=cam&size=320x240&rate=30&bit_rate=300000";

#[test]
fn everything_announced_is_served_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut announced = Parts::new();
    let mut last: Option<(StreamName, u64, u64)> = None;
    for enough in [9, 23, 2, 40] {
        let gateway = Gateway::start(folder.path(), &["--input", CARD]);
        let (name, first, heard) = runtime.block_on(listen(&gateway, enough));
        if let Some((known, epoch, segment)) = &last {
            assert_eq!(name, *known, "the same stream");
            assert!(first.epoch() > *epoch, "a higher epoch");
            let new = heard
                .iter()
                .flat_map(|one| &one.news)
                .find_map(|news| match *news {
                    News::Segment {
                        msn, discontinuity, ..
                    } => Some((msn, discontinuity)),
                    _ => None,
                });
            let first_new = first
                .segments()
                .find(|one| one.msn > *segment)
                .map(|one| (one.msn, one.discontinuity));
            assert_eq!(
                first_new.or(new),
                Some((segment + 1, true)),
                "numbers go on, behind a discontinuity"
            );
        }
        for (&(rendition, msn, part), cid) in &announced {
            let id = &first.renditions()[usize::from(rendition)].rendition.id;
            let (status, body) = gateway.get(&format!("/live/cam/{id}/{msn}.{part}.m4s"));
            assert_eq!(status, 200, "{id} {msn}.{part}");
            assert!(dag::verify(cid, &body), "{id} {msn}.{part}");
            let segment = first.segment(msn).unwrap();
            assert!(
                segment.strand(usize::from(rendition)).root.is_some(),
                "closed"
            );
        }
        for one in &heard {
            announced.extend(parts_of(one));
        }
        let newest = announced.keys().map(|key| key.1).max().unwrap();
        last = Some((name, first.epoch(), newest));
        gateway.kill();
    }
    assert!(announced.len() >= 70);
}
