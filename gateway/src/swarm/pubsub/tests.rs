use meshlive_protocol::key::SigningKey;

use super::{gossip::Allowance, *};

#[test]
fn a_topic_is_the_base64url_of_its_key() {
    // /ipns/ and 00 24 08 01 12 20 …, as Kubo and Helia make it: unpadded.
    let name = SigningKey::from_secret([3; 32]).name();
    let topic = topic_of(&name).hash();
    let text = topic.as_str();
    assert!(text.starts_with("/record/L2lwbnMvACQIARIg"), "{text}");
    assert_eq!(text.len(), "/record/".len() + 59);
    assert_eq!(stream_of(&topic), Some(name));
    for other in ["/record/", "/record/AAAA", "/record/!", "news", ""] {
        assert_eq!(stream_of(&gossipsub::TopicHash::from_raw(other)), None);
    }
    let padded = gossipsub::TopicHash::from_raw(format!("{text}="));
    assert_eq!(stream_of(&padded), None);
}

#[test]
fn an_allowance_is_a_burst_and_a_rate() {
    let start = Instant::now();
    let mut allowance = Allowance::new(3, 2, start);
    let taken = |allowance: &mut Allowance, at| (0..9).filter(|_| allowance.take(at)).count();
    assert_eq!(taken(&mut allowance, start), 3);
    let second = start + Duration::from_secs(1);
    assert_eq!(taken(&mut allowance, second), 2);
    assert_eq!(taken(&mut allowance, start), 0, "time does not go back");
    assert_eq!(taken(&mut allowance, second + Duration::from_secs(60)), 3);
}

#[test]
fn no_more_peers_wait_to_be_asked_than_the_limit_and_none_twice() {
    let mut pubsub = Pubsub::new(Arc::new(Names::new(None)));
    let name = SigningKey::from_secret([3; 32]).name();
    let peer = PeerId::random();
    for _ in 0..3 {
        pubsub.will_ask(peer, name.clone());
    }
    assert_eq!(pubsub.waiting.len(), 1);
    for _ in 0..MAX_WAITING + 5 {
        pubsub.will_ask(PeerId::random(), name.clone());
    }
    assert_eq!(pubsub.waiting.len(), MAX_WAITING);
}
