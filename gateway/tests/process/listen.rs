//! Hearing what a gateway announces.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use cid::Cid;
use futures_util::StreamExt;
use meshlive_protocol::{
    manifest::{self, Announcement, Manifest, News, Opened},
    name::StreamName,
};
use tokio_tungstenite::tungstenite::Message;

use super::Gateway;

/// (rendition, segment, part) → CID.
pub(crate) type Parts = BTreeMap<(u8, u64, u32), Cid>;

/// Listens until `enough` parts were announced: the stream's name, the manifest it began with, what came since.
pub(crate) async fn listen(
    gateway: &Gateway,
    enough: usize,
) -> (StreamName, Manifest, Vec<Announcement>) {
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

pub(crate) fn parts_of(announcement: &Announcement) -> Parts {
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
