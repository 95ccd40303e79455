//! Limits, time-outs and endings of publishers that do nothing wrong.

use super::{
    client::{Client, configuration, frame, opening},
    *,
};
use crate::ingest::media::Packet;

#[tokio::test]
async fn a_pipeline_that_stands_still_costs_frames_and_no_memory_and_goes_on_with_a_key_frame() {
    let gateway = Gateway::start().await;
    let (secret, mut events) = gateway.stream("studio", 16);
    let mut client = Client::publish(&gateway, &secret).await;
    client.write(&configuration()).await;
    for at in 0..2000 {
        client.write(&frame(40 * at, at % 50 == 0, 2000)).await;
    }
    // The pipeline holds the announcement and 15 frames; each of the others has been read, and counted. Not before
    // that is anything taken: a key frame that is still in the socket would find room.
    let lost = 2000 - 15;
    gateway.dropped(lost).await;
    assert_eq!(events.len(), 16);
    assert!(matches!(next(&mut events).await, SourceEvent::Streams(_)));
    for at in 0..15 {
        assert!(
            matches!(next(&mut events).await, SourceEvent::Packet(Packet { dts, .. }) if dts == 40_000 * at)
        );
    }

    // There is room again, but nothing that can be decoded without what was lost.
    for at in 2001..2050 {
        client.write(&frame(40 * at, false, 2000)).await;
    }
    gateway.dropped(lost + 49).await;
    assert!(events.is_empty());
    for at in 2050..2060 {
        client.write(&frame(40 * at, at == 2050, 2000)).await;
    }
    for at in 2050..2060 {
        let resumed = next(&mut events).await;
        assert!(
            matches!(resumed, SourceEvent::Packet(Packet { key, dts, .. }) if key == (at == 2050) && dts == 40_000 * at),
            "{resumed:?}"
        );
    }
    assert_eq!(gateway.server.dropped_frames(), lost + 49);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_room_is_given_back() {
    let settings = Settings {
        max_connections: 2,
        ..Settings::default()
    };
    let gateway = Gateway::with(settings).await;
    let (secret, mut events) = gateway.stream("studio", 64);
    let mut first = Client::publish(&gateway, &secret).await;
    let second = Client::send(&gateway, b"").await;
    assert_eq!(Client::send(&gateway, b"").await.closed().await, b"");
    assert_eq!(gateway.server.connections(), 2);
    first
        .write(&[configuration(), frame(0, true, 100), frame(600, false, 100)].concat())
        .await;
    until(&mut events, |event| matches!(event, SourceEvent::Packet(_))).await;
    drop((first, second));
    gateway.idle().await;
    until(&mut events, gone).await;
    Client::publish(&gateway, &secret).await;
}

#[tokio::test]
async fn who_does_not_publish_or_falls_silent_is_disconnected() {
    let brief = Duration::from_millis(300);
    let settings = Settings {
        handshake_timeout: brief,
        idle_timeout: brief,
        ..Settings::default()
    };
    let gateway = Gateway::with(settings).await;
    let (secret, mut events) = gateway.stream("studio", 64);
    assert_eq!(Client::send(&gateway, b"").await.closed().await, b"");
    assert_eq!(
        Client::send(&gateway, &opening(&secret)[..3000])
            .await
            .closed()
            .await
            .len(),
        3073
    );

    let mut client = Client::publish(&gateway, &secret).await;
    client.closed().await;
    assert_eq!(
        next(&mut events).await,
        SourceEvent::Gone {
            reason: "nothing came for 300ms".into()
        }
    );
}

#[tokio::test]
async fn what_was_held_back_for_the_other_track_is_not_lost_at_the_end() {
    let gateway = Gateway::start().await;
    let (secret, mut events) = gateway.stream("studio", 64);
    let mut client = Client::publish(&gateway, &secret).await;
    client
        .write(&[configuration(), frame(0, true, 100)].concat())
        .await;
    drop(client);
    let events = until(&mut events, gone).await;
    assert!(matches!(
        &events[..],
        [
            SourceEvent::Streams(_),
            SourceEvent::Packet(_),
            SourceEvent::Gone { .. }
        ]
    ));
}

#[tokio::test]
async fn the_gateway_stops_with_a_word_to_every_pipeline() {
    let gateway = Gateway::start().await;
    let (secret, mut events) = gateway.stream("studio", 64);
    let mut client = Client::publish(&gateway, &secret).await;
    let address = gateway.server.address();
    timeout(PATIENCE, gateway.server.shutdown())
        .await
        .expect("it stops");
    assert_eq!(
        next(&mut events).await,
        SourceEvent::Gone {
            reason: "the gateway stops".into()
        }
    );
    client.closed().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_gateways_own_refusal_reaches_the_publisher() {
    let gateway = Gateway::start().await;
    let secret = gateway.keys.ensure("studio").unwrap().publish_secret;
    let mut client = Client::send(&gateway, &opening(&secret)).await;
    client.skip_handshake().await;
    let status = client.status().await;
    assert_eq!(
        status,
        (
            "NetStream.Publish.BadName".into(),
            "no room for another stream".into()
        )
    );
    client.closed().await;
    // The claim was given back.
    gateway.stream("studio", 1);
    Client::publish(&gateway, &secret).await;
}
