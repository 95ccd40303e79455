//! `kill -9` of a real gateway while a reader listens: everything that was announced is served by the next run.

#![allow(clippy::unwrap_used)] // a test from its first line to its last

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use cid::Cid;
use futures_util::StreamExt;
use meshlive_protocol::{
    dag,
    manifest::{self, Announcement, Manifest, News, Opened},
    name::StreamName,
};
use tokio_tungstenite::tungstenite::Message;

mod process;

use process::Gateway;

const CARD: &str = "testcard?name=cam&size=320x240&rate=30&bit_rate=300000";

/// (rendition, segment, part) → CID.
type Parts = BTreeMap<(u8, u64, u32), Cid>;

/// Listens until `enough` parts were announced: the stream's name, the manifest it began with, what came since.
async fn listen(gateway: &Gateway, enough: usize) -> (StreamName, Manifest, Vec<Announcement>) {
    let url = format!("ws://{}/live/cam/announcements", gateway.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let mut name: Option<StreamName> = None;
    let mut first = None;
    let mut heard = Vec::new();
    let mut count = 0;
    let until = Instant::now() + Duration::from_secs(60);
    while count < enough {
        assert!(Instant::now() < until, "{count} parts in a minute");
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => {
                let object: serde_json::Value = serde_json::from_str(&text).unwrap();
                name = object["stream"].as_str().map(|name| name.parse().unwrap());
            }
            Message::Binary(envelope) => {
                match manifest::open(name.as_ref().unwrap(), &envelope).unwrap() {
                    Opened::Manifest(manifest) => first = Some(manifest),
                    Opened::Announcement(announcement) => {
                        count += parts_of(&announcement).len();
                        heard.push(announcement);
                    }
                }
            }
            _ => {}
        }
    }
    (
        name.unwrap(),
        first.expect("the manifest comes first"),
        heard,
    )
}

fn parts_of(announcement: &Announcement) -> Parts {
    let part = |news: &News| match *news {
        News::Part {
            rendition,
            msn,
            part,
            cid,
            ..
        } => Some(((rendition, msn, part), cid)),
        _ => None,
    };
    announcement.news.iter().filter_map(part).collect()
}

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
