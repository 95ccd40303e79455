//! Bitswap over loopback TCP: what is wanted before it is there comes when it is stored, and a peer that wants, cancels
//! or sends too much takes nothing from the others.

use std::time::{Duration, Instant};

use libp2p::Multiaddr;
use meshlive_gateway::swarm::Place;
use meshlive_protocol::{Cid, dag, key::SigningKey, protobuf};
use tokio::{sync::Mutex, time::sleep};

use super::{
    client::Host,
    wire::{BLOCK, HAVE, Peer, cancels, raw_block, wants, write},
};

/// Some of these look at the memory of the process: one after the other.
static ALONE: Mutex<()> = Mutex::const_new(());

/// The largest message there is.
const MAX_MESSAGE: usize = 4 << 20;

fn cid(n: u32) -> Cid {
    dag::cid_of(&n.to_le_bytes())
}

/// Stores a block in the gateway's store.
fn keep(host: &Host, block: &[u8]) -> Cid {
    let name = SigningKey::from_secret([1; 32]).name();
    let cid = dag::cid_of(block);
    let store = host.gateway.store();
    store.append(&name, "v", 1_000_000, &cid, block).unwrap();
    cid
}

/// Memory of this process, bytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: usize = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kilobytes << 10
}

/// That somebody else gets a block, and how long it takes.
async fn others_are_served(host: &Host, address: &Multiaddr) -> Duration {
    let cid = keep(host, b"for others");
    let mut other = Peer::connect(address, true).await;
    let since = Instant::now();
    assert!(other.say(&wants(&[cid], BLOCK)).await);
    assert_eq!(other.hears().await.blocks, [b"for others"]);
    let took = since.elapsed();
    assert!(
        took < Duration::from_secs(2),
        "another peer waited {took:?}"
    );
    took
}

#[tokio::test]
async fn what_is_wanted_before_it_is_there_comes_when_it_is_stored() {
    let _alone = ALONE.lock().await;
    let host = Host::start().await;
    let address = host.tcp().await;
    let mut peer = Peer::connect(&address, true).await;
    let mut slowest = Duration::ZERO;
    for n in 0..50_u32 {
        let block = [n.to_le_bytes().as_slice(), &[7; 150_000]].concat();
        let want = wants(&[dag::cid_of(&block), cid(n)], BLOCK);
        assert!(peer.say(&want).await);
        assert_eq!(peer.hears().await.absent, 2);
        let since = Instant::now();
        keep(&host, &block);
        assert_eq!(peer.hears().await.blocks, [block]);
        slowest = slowest.max(since.elapsed());
    }
    println!("slowest of 50 parts: {slowest:?} from its storing to its arrival");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn whether_a_block_is_here_is_told_and_a_cancelled_one_is_not_sent() {
    let _alone = ALONE.lock().await;
    let host = Host::start().await;
    let mut peer = Peer::connect(&host.tcp().await, true).await;
    let here = keep(&host, b"here");
    assert!(peer.say(&wants(&[here, cid(1)], HAVE)).await);
    let heard = peer.hears().await;
    assert_eq!((heard.here, heard.absent, heard.blocks.len()), (1, 1, 0));
    // Wanted, and then not any more: the next that comes is another.
    assert!(peer.say(&wants(&[cid(1), cid(2)], BLOCK)).await);
    assert_eq!(peer.hears().await.absent, 2);
    assert!(peer.say(&cancels(&[cid(1)])).await);
    sleep(Duration::from_millis(200)).await; // streams have no order among each other
    keep(&host, &1_u32.to_le_bytes());
    keep(&host, &2_u32.to_le_bytes());
    assert_eq!(peer.hears().await.blocks, [2_u32.to_le_bytes()]);
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn a_hundred_thousand_wants_and_cancels_take_no_memory_and_nothing_from_others() {
    let _alone = ALONE.lock().await;
    let host = Host::start().await;
    let address = host.tcp().await;
    others_are_served(&host, &address).await;
    let before = memory();
    // Three that read what they are told, and one that does not.
    for reads in [true, true, true, false] {
        let peer = Peer::connect(&address, reads).await;
        let mut stream = peer.stream().await.unwrap();
        for round in 0..25_u32 {
            let cids: Vec<_> = (0..4000).map(|n| cid(4000 * round + n)).collect();
            assert!(write(&mut stream, &wants(&cids, (round % 2).into())).await);
            assert!(write(&mut stream, &cancels(&cids[..2000])).await);
        }
        others_are_served(&host, &address).await;
        let grown = memory().saturating_sub(before);
        assert!(grown < 64 << 20, "{grown} bytes more");
        std::mem::forget(peer); // stays until the end
    }
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn who_reads_nothing_of_what_it_wants_takes_little_and_is_let_go() {
    let _alone = ALONE.lock().await;
    let host = Host::start().await;
    let address = host.tcp().await;
    let cids: Vec<_> = (0..200_u32)
        .map(|n| keep(&host, &[n.to_le_bytes().as_slice(), &[3; 1 << 20]].concat()))
        .collect();
    let before = memory();
    let mut peer = Peer::connect(&address, false).await;
    assert!(peer.say(&wants(&cids, BLOCK)).await);
    sleep(Duration::from_secs(2)).await;
    let grown = memory().saturating_sub(before);
    // 200 MB are wanted; the cache of what was read last takes its share as well.
    assert!(grown < 100 << 20, "{grown} bytes more");
    others_are_served(&host, &address).await;
    assert!(
        peer.is_closed(Duration::from_secs(40)).await,
        "it is let go"
    );
    // The same wants of a peer that reads are all served.
    let mut reader = Peer::connect(&address, true).await;
    assert!(reader.say(&wants(&cids, BLOCK)).await);
    let mut read = 0;
    while read < cids.len() {
        read += reader.hears().await.blocks.len();
    }
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn a_message_at_the_limit_is_read_and_one_byte_more_ends_the_connection() {
    let _alone = ALONE.lock().await;
    let host = Host::start().await;
    let address = host.tcp().await;
    let here = keep(&host, b"here");
    let mut message = wants(&[here], BLOCK);
    // A field that nobody knows fills it up.
    let left = MAX_MESSAGE - message.len();
    let mut filling = Vec::new();
    protobuf::bytes(&mut filling, 15, &vec![0; left - 5]);
    message.extend(filling);
    assert_eq!(message.len(), MAX_MESSAGE);
    let mut peer = Peer::connect(&address, true).await;
    assert!(peer.say(&message).await);
    assert_eq!(peer.hears().await.blocks, [b"here"]);
    message.push(0);
    peer.say(&message).await;
    assert!(peer.is_closed(Duration::from_secs(10)).await);
    // And so does what is no message.
    let mut peer = Peer::connect(&address, true).await;
    peer.say(b"\xff\xff\xff").await;
    assert!(peer.is_closed(Duration::from_secs(10)).await);
    others_are_served(&host, &address).await;
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn blocks_that_nobody_asked_for_are_not_stored_and_end_the_connection() {
    let _alone = ALONE.lock().await;
    let host = Host::start().await;
    let address = host.tcp().await;
    let mut peer = Peer::connect(&address, true).await;
    for n in 0..32_u8 {
        peer.say(&raw_block(&vec![n; 1 << 20])).await;
    }
    assert!(peer.is_closed(Duration::from_secs(20)).await);
    for n in 0..32_u8 {
        let cid = dag::cid_of(&vec![n; 1 << 20]);
        assert!(host.gateway.store().get(&cid).unwrap().is_none());
    }
    others_are_served(&host, &address).await;
    host.gateway.shutdown().await;
}

#[tokio::test]
async fn a_gateway_fetches_a_segment_from_another_and_nothing_that_is_not_there() {
    let _alone = ALONE.lock().await;
    let (origin, mirror) = (Host::start().await, Host::start().await);
    let address = origin.tcp().await;
    let parts: Vec<_> = (0..40_u32)
        .map(|n| [n.to_le_bytes().as_slice(), &[5; 100_000]].concat())
        .collect();
    let leaves: Vec<_> = parts
        .iter()
        .map(|part| (keep(&origin, part), part.len() as u64))
        .collect();
    let (root, node) = dag::segment_file(&leaves);
    let name = SigningKey::from_secret([1; 32]).name();
    let store = origin.gateway.store();
    store.append(&name, "v", 1_000_000, &root, &node).unwrap();
    let place = Place {
        stream: name,
        rendition: "v".into(),
        start: 1_000_000,
    };
    let fetch = || mirror.gateway.fetch(address.clone(), root, &place);
    let fetched = fetch().await.unwrap();
    assert_eq!((fetched.blocks, fetched.new), (41, 41));
    for (cid, _) in &leaves {
        assert!(mirror.gateway.store().get(cid).unwrap().is_some());
    }
    assert_eq!(fetch().await.unwrap().new, 0, "it is all here");
    let absent = mirror.gateway.fetch(address.clone(), cid(9), &place).await;
    let absent = absent.unwrap_err().to_string();
    assert!(absent.contains(&cid(9).to_string()), "{absent}");
    // The origin is gone: what was fetched is here, and nothing else can be.
    origin.gateway.shutdown().await;
    let gone = fetch().await.unwrap_err().to_string();
    assert!(gone.contains("/p2p/"), "{gone}");
    mirror.gateway.shutdown().await;
}

/// The status of an answer, and its body.
async fn answered(host: &Host, cid: &Cid, headers: &str) -> (u16, Vec<u8>) {
    let headers = format!("host: localhost\r\n{headers}");
    let answer = host.answer(&format!("/ipfs/{cid}"), &headers).await;
    let head = answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap();
    (status.parse().unwrap(), answer[head + 4..].to_vec())
}

#[tokio::test]
async fn what_others_have_is_given_over_http_where_the_operator_lets_it_be_fetched() {
    let _alone = ALONE.lock().await;
    let origin = Host::start().await;
    let parts: Vec<_> = (0..3_u8).map(|n| vec![n; 100_000]).collect();
    let leaves: Vec<_> = parts
        .iter()
        .map(|part| (keep(&origin, part), part.len() as u64))
        .collect();
    let (root, node) = dag::segment_file(&leaves);
    let name = SigningKey::from_secret([1; 32]).name();
    let store = origin.gateway.store();
    store.append(&name, "v", 1_000_000, &root, &node).unwrap();
    for fetches in [false, true] {
        let host = Host::with(|config| config.http.fetch = fetches).await;
        let place = Place {
            stream: name.clone(),
            rendition: "v".into(),
            start: 1_000_000,
        };
        // It is connected: nobody is dialled for what is asked over HTTP.
        let hello = keep(&origin, b"hello");
        let met = host.gateway.fetch(origin.tcp().await, hello, &place).await;
        met.unwrap();
        let here = answered(&host, &root, "cache-control: only-if-cached\r\n").await;
        assert_eq!(here.0, 412, "nobody is asked");
        let since = Instant::now();
        let mut answer = answered(&host, &root, "").await;
        // Who the other is may not be known yet.
        while fetches && answer.0 == 404 && since.elapsed() < Duration::from_secs(5) {
            answer = answered(&host, &root, "").await;
        }
        if fetches {
            assert_eq!(answer, (200, parts.concat()));
        } else {
            assert_eq!(answer.0, 404);
        }
        assert_eq!(answered(&host, &cid(9), "").await.0, 404, "nobody has it");
        // To peers it is not here, and nothing of it is kept.
        let (leaf, _) = leaves[0];
        assert!(host.gateway.store().get(&leaf).unwrap().is_none());
        let mut other = Peer::connect(&host.tcp().await, true).await;
        assert!(other.say(&wants(&[leaf, hello], HAVE)).await);
        let heard = other.hears().await;
        assert_eq!((heard.here, heard.absent), (1, 1));
        host.gateway.shutdown().await;
    }
    origin.gateway.shutdown().await;
}
