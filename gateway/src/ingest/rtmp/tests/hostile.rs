//! Bytes that no publisher sends, over sockets: each ends its own connection and nobody else's.

use tokio::io::AsyncWriteExt;

use super::{
    client::{Client, configuration, frame, hello, opening},
    *,
};

#[tokio::test]
async fn closed_at_every_byte_it_ends_clean() {
    let gateway = Gateway::start().await;
    let (secret, mut events) = gateway.stream("studio", 4096);
    let conversation = [opening(&secret), configuration(), frame(0, true, 100)].concat();
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    for cut in 0..conversation.len() {
        let mut client = Client::send(&gateway, &conversation[..cut]).await;
        client.socket.shutdown().await.unwrap();
        let said = client.closed().await;
        assert_eq!(said.len() >= 3073, cut > 1536, "after {cut} bytes");
    }
    gateway.idle().await;
    Client::publish(&gateway, &secret).await;
}

#[tokio::test]
async fn others_are_untouched_and_a_wrong_secret_looks_like_a_stream_that_is_not_there() {
    let gateway = Gateway::start().await;
    let (secret, mut events) = gateway.stream("studio", 4096);
    let mut publisher = Client::publish(&gateway, &secret).await;
    publisher.write(&configuration()).await;
    let noise: Vec<u8> = (0..50_000u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut answers = Vec::new();
    for at in 0..40u32 {
        let bytes = match at % 4 {
            0 => noise[at as usize * 1000..].to_vec(),
            1 => [&hello()[..], &noise[at as usize * 1000..]].concat(),
            2 => opening("studio"),
            _ => opening(&secret.replace(|_: char| true, "a")),
        };
        let mut client = Client::send(&gateway, &bytes[..bytes.len().min(20_000)]).await;
        let answer = client.closed().await;
        if at % 4 >= 2 {
            answers.push(answer);
        }
        publisher.write(&frame(40 * at, at == 0, 1000)).await;
    }
    assert!(
        answers
            .iter()
            .all(|answer| answer == &answers[0] && answer.len() > 3300)
    );
    let last = |event: &SourceEvent| matches!(event, SourceEvent::Packet(packet) if packet.dts == 39 * 40_000);
    assert_eq!(until(&mut events, last).await.len(), 41);
    assert_eq!(gateway.server.connections(), 1);
}
