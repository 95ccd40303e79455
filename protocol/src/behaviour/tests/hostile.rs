//! Peers that keep to no protocol: each is bounded, and an honest viewer beside it misses nothing.

use std::{
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};

use futures::{AsyncRead, AsyncWriteExt};
use libp2p_swarm::Stream;

use super::{
    super::{Protocol, frames::put_length, handler::MAX_READERS, queue::MAX_MESSAGES},
    node::{Node, Publisher, for_a_while, has_window, until},
    raw::Raw,
};
use crate::{
    message::{Join, MAX_MESSAGE_BYTES, Message},
    scheduler::Role,
};

fn frame(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_length(&mut out, body.len());
    out.extend_from_slice(body);
    out
}

struct Scene {
    publisher: Publisher,
    gateway: Node,
    viewer: Node,
    raw: Raw,
}

impl Scene {
    /// A gateway with an honest viewer, and a raw peer that is connected.
    async fn begin() -> Self {
        let publisher = Publisher::new(7);
        let mut gateway = Node::new(&publisher.name(), Role::Gateway);
        let mut viewer = Node::new(&publisher.name(), Role::Viewer);
        let raw = Raw::start();
        viewer.join(&gateway);
        raw.dial(&gateway.address);
        let (raw_id, viewer_id) = (raw.me, viewer.me);
        until(&mut [&mut gateway, &mut viewer], "both are here", |all| {
            all[0].is_linked(viewer_id) && all[0].swarm.is_connected(&raw_id)
        })
        .await;
        Self {
            publisher,
            gateway,
            viewer,
            raw,
        }
    }

    async fn open(&mut self, protocol: Protocol) -> Stream {
        self.raw.open(self.gateway.me, protocol);
        let mut stream = None;
        let all = &mut [&mut self.gateway, &mut self.viewer];
        until(all, "a stream is opened", |_| {
            stream = self.raw.opened.try_recv().ok();
            stream.is_some()
        })
        .await;
        stream.flatten().expect("the protocol is spoken")
    }

    /// A control stream with its name.
    async fn control(&mut self) -> Stream {
        let mut stream = self.open(Protocol::Control).await;
        self.say(
            &mut stream,
            &frame(self.publisher.name().to_string().as_bytes()),
        )
        .await;
        stream
    }

    /// Writes what the other side takes within a moment.
    async fn say(&mut self, stream: &mut Stream, bytes: &[u8]) {
        let write = async {
            let _ = stream.write_all(bytes).await;
            let _ = stream.flush().await;
        };
        let write = tokio::time::timeout(Duration::from_millis(300), write);
        let mut nodes = [&mut self.gateway, &mut self.viewer];
        let run = for_a_while(&mut nodes, Duration::from_millis(500));
        let _ = futures::future::join(write, run).await;
    }

    /// The honest viewer gets all that is published now.
    async fn is_well(&mut self) {
        has_window(
            &mut self.publisher,
            &mut [&mut self.gateway, &mut self.viewer],
        )
        .await;
        for _ in 0..5 {
            let place = self.publisher.publish(&mut self.gateway, 20_000);
            let all = &mut [&mut self.gateway, &mut self.viewer];
            until(all, "the honest viewer has the part", |all| {
                all[1].ready.contains(&place)
            })
            .await;
        }
    }

    fn is_banned(&self) -> bool {
        !self.gateway.swarm.is_connected(&self.raw.me)
    }
}

/// Whether the other side has not reset it.
fn still_open(stream: &mut Stream) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(stream).poll_read(&mut cx, &mut [0]).is_pending()
}

#[tokio::test]
async fn a_thousand_streams_are_a_few() {
    let mut scene = Scene::begin().await;
    let name = frame(scene.publisher.name().to_string().as_bytes());
    let mut streams = Vec::new();
    for _ in 0..20 {
        for _ in 0..50 {
            scene.raw.open(scene.gateway.me, Protocol::Control);
        }
        let all = &mut [&mut scene.gateway, &mut scene.viewer];
        let mut answered = 0;
        until(all, "all were asked for", |_| {
            while let Ok(stream) = scene.raw.opened.try_recv() {
                answered += 1;
                streams.extend(stream);
            }
            answered == 50
        })
        .await;
        // Those that were refused are given up; yamux has no room for a thousand.
        let all = &mut [&mut scene.gateway, &mut scene.viewer];
        for_a_while(all, Duration::from_millis(50)).await;
        let mut open = Vec::new();
        for mut stream in streams {
            if still_open(&mut stream) {
                open.push(stream);
            }
        }
        assert!(open.len() <= MAX_READERS, "{} are open", open.len());
        streams = open;
    }
    assert_eq!(streams.len(), MAX_READERS);
    for stream in &mut streams {
        scene.say(stream, &name).await;
    }
    assert_eq!(scene.gateway.swarm.behaviour().links_of(scene.raw.me), 1);
    streams.retain_mut(still_open);
    assert_eq!(streams.len(), 1, "the last one replaced the others");
    scene.is_well().await;
}

#[tokio::test]
async fn what_breaks_the_protocol_is_banned() {
    let long = {
        let mut long = Vec::new();
        put_length(&mut long, MAX_MESSAGE_BYTES + 1);
        long
    };
    for bytes in [long, frame(b"nonsense"), frame(&[0x84, 0x00, 0x00])] {
        let mut scene = Scene::begin().await;
        let mut stream = scene.control().await;
        assert!(scene.gateway.is_linked(scene.raw.me));
        scene.say(&mut stream, &bytes).await;
        assert!(scene.is_banned(), "{bytes:?}");
        scene.raw.dial(&scene.gateway.address.clone());
        let all = &mut [&mut scene.gateway, &mut scene.viewer];
        for_a_while(all, Duration::from_millis(300)).await;
        assert!(scene.is_banned(), "{bytes:?}: taken back");
        scene.is_well().await;
    }
    // The twin: what keeps to it is not.
    let mut scene = Scene::begin().await;
    let mut stream = scene.control().await;
    let join = Message::Join(Join {
        renditions: 1,
        upload: 1000,
        gateway: true,
        site: 0,
    });
    scene.say(&mut stream, &frame(&join.encode())).await;
    assert!(!scene.is_banned() && scene.gateway.is_linked(scene.raw.me));
    scene.is_well().await;
}

#[tokio::test]
async fn a_gateway_takes_no_parts() {
    let mut scene = Scene::begin().await;
    let mut stream = scene.open(Protocol::Parts).await;
    let name = frame(scene.publisher.name().to_string().as_bytes());
    scene.say(&mut stream, &name).await;
    scene.say(&mut stream, &vec![0; 1 << 20]).await;
    assert!(!scene.gateway.is_linked(scene.raw.me));
    scene.is_well().await;
}

#[tokio::test]
async fn who_never_reads_loses_its_link_and_nothing_else_is_kept_for_it() {
    let mut scene = Scene::begin().await;
    // The honest viewer does not read 4,096 announcements in a moment, either.
    let gateway = scene.gateway.me;
    scene.viewer.swarm.disconnect_peer_id(gateway).unwrap();
    let _stream = scene.control().await;
    assert!(scene.gateway.is_linked(scene.raw.me));
    // More than its window takes, and more than may wait.
    for _ in 0..4 * MAX_MESSAGES {
        scene.publisher.publish(&mut scene.gateway, 10);
        let all = &mut [&mut scene.gateway, &mut scene.viewer];
        for_a_while(all, Duration::ZERO).await;
        if !scene.gateway.is_linked(scene.raw.me) {
            break;
        }
    }
    assert!(!scene.gateway.is_linked(scene.raw.me), "its link stands");
    let gateway = scene.gateway.address.clone();
    scene.viewer.dial(&gateway);
    let viewer = scene.viewer.me;
    let all = &mut [&mut scene.gateway, &mut scene.viewer];
    until(all, "the honest viewer is back", |all| {
        all[0].is_linked(viewer)
    })
    .await;
    scene.is_well().await;
}
