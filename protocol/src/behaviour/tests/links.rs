//! Links between honest peers, and those to liars.

use std::time::Duration;

use super::{
    super::Lie,
    node::{Node, Publisher, body, for_a_while, has_window, until},
};
use crate::scheduler::{Kind, Role};

fn three() -> (Publisher, Node, Node, Node) {
    let publisher = Publisher::new(7);
    let name = publisher.name();
    let (gateway, a, b) = (
        Node::new(&name, Role::Gateway),
        Node::new(&name, Role::Viewer),
        Node::new(&name, Role::Viewer),
    );
    (publisher, gateway, a, b)
}

#[tokio::test]
async fn parts_come_from_the_gateway_and_from_the_other_viewer() {
    let (mut publisher, mut gateway, mut a, mut b) = three();
    a.join(&gateway);
    b.join(&gateway);
    b.dial(&a.address);
    let (ids, all) = (
        (gateway.me, a.me, b.me),
        &mut [&mut gateway, &mut a, &mut b],
    );
    until(all, "all are linked", |all| {
        all[0].is_linked(ids.1)
            && all[0].is_linked(ids.2)
            && all[1].is_linked(ids.0)
            && all[1].is_linked(ids.2)
            && all[2].is_linked(ids.1)
    })
    .await;
    has_window(&mut publisher, all).await;
    for _ in 0..20 {
        let place = publisher.publish(all[0], 100_000);
        until(all, "both have the part", |all| {
            all[1..].iter().all(|viewer| viewer.ready.contains(&place))
        })
        .await;
        for viewer in &all[1..] {
            let part = viewer.scheduler().part(place);
            assert_eq!(part, Some(body(place.msn, place.part, 100_000)));
        }
    }
    for viewer in &all[1..] {
        let counters = viewer.scheduler().counters();
        assert!(counters.parts_from_peers >= 5, "{counters:?}");
        assert!(counters.parts_from_gateway >= 5, "{counters:?}");
        assert_eq!(counters.parts_rejected, 0);
        let kinds: Vec<Kind> = viewer.scheduler().peers().iter().map(|p| p.kind).collect();
        assert!(kinds.contains(&Kind::Gateway) && kinds.contains(&Kind::Viewer));
    }
}

#[tokio::test]
async fn a_link_ends_with_its_stream_and_with_its_connection() {
    let (_, mut gateway, mut a, mut b) = three();
    a.join(&gateway);
    b.join(&gateway);
    let (gateway_id, a_id, b_id) = (gateway.me, a.me, b.me);
    let all = &mut [&mut gateway, &mut a, &mut b];
    until(all, "both are linked", |all| {
        all[0].is_linked(a_id) && all[0].is_linked(b_id) && all[1].is_linked(gateway_id)
    })
    .await;
    let stream = all[1].stream.clone();
    all[1].engine().close(&stream);
    until(all, "the gateway knows that one left", |all| {
        !all[0].is_linked(a_id)
    })
    .await;
    assert_eq!(
        all[0].closed, 0,
        "the connection need not end with the link"
    );
    all[2].swarm.disconnect_peer_id(gateway_id).unwrap();
    until(all, "both know that the connection is gone", |all| {
        !all[0].is_linked(b_id) && !all[2].is_linked(gateway_id)
    })
    .await;
}

#[tokio::test]
async fn a_link_survives_one_of_two_connections() {
    let (mut publisher, mut gateway, mut a, _) = three();
    a.join(&gateway);
    a.dial(&gateway.address);
    let (gateway_id, a_id) = (gateway.me, a.me);
    let all = &mut [&mut gateway, &mut a];
    until(all, "two connections stand, and a link", |all| {
        let connections = all[1].swarm.network_info().connection_counters().clone();
        connections.num_established() == 2 && all[0].is_linked(a_id) && all[1].is_linked(gateway_id)
    })
    .await;
    // Whichever has the link: first one, later the other.
    let connections = all[1].swarm.behaviour().connections(gateway_id);
    assert_eq!(connections.len(), 2);
    assert!(all[1].swarm.close_connection(connections[0]));
    until(all, "one connection is gone on both sides", |all| {
        all.iter().all(|node| node.closed == 1)
    })
    .await;
    until(all, "the link stands", |all| {
        all[0].is_linked(a_id) && all[1].is_linked(gateway_id)
    })
    .await;
    for_a_while(all, Duration::from_millis(1500)).await;
    assert!(all[0].is_linked(a_id) && all[1].is_linked(gateway_id));
    has_window(&mut publisher, all).await;
    let place = publisher.publish(all[0], 1000);
    until(all, "a part comes over the other", |all| {
        all[1].ready.contains(&place)
    })
    .await;
}

#[tokio::test]
async fn who_follows_another_stream_is_not_linked() {
    let (_, mut gateway, ..) = three();
    let mut stranger = Node::new(&Publisher::new(8).name(), Role::Viewer);
    stranger.dial(&gateway.address);
    let (gateway_id, stranger_id) = (gateway.me, stranger.me);
    let all = &mut [&mut gateway, &mut stranger];
    until(all, "they are connected", |all| {
        all[0].swarm.is_connected(&stranger_id)
    })
    .await;
    for_a_while(all, Duration::from_millis(500)).await;
    assert!(!all[0].is_linked(stranger_id));
    assert!(!all[1].is_linked(gateway_id));
}

/// Two honest viewers and a liar, each linked to all.
async fn lied_to(lies: &[Lie]) -> Vec<Node> {
    let (mut publisher, mut gateway, mut a, mut b) = three();
    let mut liar = Node::new(&publisher.name(), Role::Viewer);
    liar.engine().lie(lies);
    let (a_id, liar_id) = (a.me, liar.me);
    for viewer in [&mut a, &mut b, &mut liar] {
        viewer.join(&gateway);
    }
    b.dial(&a.address);
    liar.dial(&a.address);
    liar.dial(&b.address);
    let all = &mut [&mut gateway, &mut a, &mut b, &mut liar];
    until(all, "all are linked", |all| {
        all[1].is_linked(liar_id) && all[2].is_linked(liar_id) && all[2].is_linked(a_id)
    })
    .await;
    has_window(&mut publisher, all).await;
    for _ in 0..15 {
        let place = publisher.publish(all[0], 10_000);
        until(all, "the honest have the part", |all| {
            all[1..3].iter().all(|viewer| viewer.ready.contains(&place))
        })
        .await;
        for viewer in &all[1..3] {
            let part = viewer.scheduler().part(place);
            assert_eq!(part, Some(body(place.msn, place.part, 10_000)));
        }
    }
    for_a_while(all, Duration::from_millis(300)).await;
    vec![gateway, a, b, liar]
}

fn assert_banned(nodes: &[Node], lies: &[Lie]) {
    let [_, a, b, liar] = nodes else {
        panic!("four");
    };
    for honest in [a, b] {
        assert!(!honest.is_linked(liar.me), "{lies:?}");
        assert!(!honest.swarm.is_connected(&liar.me), "{lies:?}");
        let rejected = honest.scheduler().counters().parts_rejected;
        assert!(rejected <= 1, "{lies:?}: {rejected} parts rejected");
    }
    assert!(a.is_linked(b.me) && b.is_linked(a.me), "{lies:?}");
}

#[tokio::test]
async fn liars_are_banned_and_nobody_misses_a_part() {
    for lies in [
        &[Lie::Altered][..],
        &[Lie::Unknown],
        &[Lie::Forged],
        &[Lie::Foreign],
    ] {
        let mut nodes = lied_to(lies).await;
        assert_banned(&nodes, lies);
        // It is not taken back.
        let address = nodes[1].address.clone();
        nodes[3].dial(&address);
        let all = &mut nodes.iter_mut().collect::<Vec<_>>()[..];
        for_a_while(all, Duration::from_millis(300)).await;
        assert_banned(&nodes, lies);
    }
}

#[tokio::test]
async fn who_repeats_itself_changes_nothing_and_the_honest_twin_is_not_banned() {
    for lies in [&[][..], &[Lie::Replayed]] {
        let nodes = lied_to(lies).await;
        for honest in &nodes[1..3] {
            if lies.is_empty() {
                assert!(honest.is_linked(nodes[3].me));
            }
            let manifest = honest.scheduler().manifest().unwrap();
            assert_eq!(manifest.sequence(), 16);
        }
    }
}
