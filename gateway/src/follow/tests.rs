//! A real origin with a past, and a real mirror that missed it: it has all of it soon, while live goes on.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use libp2p::{Multiaddr, multiaddr::Protocol};
use meshlive_protocol::{
    archive::{Entry, HOUR, HourEntry, Labelled, Link, What},
    dag,
    key::SigningKey,
};
use tokio::time::sleep;

use super::peer::Peer;
use crate::{
    Gateway,
    archive::{
        Archive,
        tests::{Run, TEN, copies::flip, wait_for},
        walk,
    },
    config::{
        Config,
        value::{Address, Beside},
    },
    publish::Stream,
    store::{self, Store},
    swarm::now,
};

const SECOND: u64 = 1_000_000;
const PATIENCE: Duration = Duration::from_secs(60);

fn config(data: &Path) -> Config {
    let mut config = Config {
        data: data.into(),
        inputs: Vec::new(),
        ..Config::default()
    };
    config.listen.http = Address::loopback(0);
    config.listen.rtmp = Address::OFF;
    config.listen.p2p_tcp = Beside::Port(0);
    for off in [
        &mut config.listen.p2p_quic,
        &mut config.listen.p2p_webrtc,
        &mut config.listen.stun,
    ] {
        *off = Beside::Off;
    }
    config
}

/// Where other gateways reach it.
fn tcp(gateway: &Gateway) -> String {
    let ready = gateway.ready();
    let port = ready.split("p2p-tcp=127.0.0.1:").nth(1).unwrap();
    format!("/ip4/127.0.0.1/tcp/{}", port.split(' ').next().unwrap())
}

/// When each announcement of a stream was told from now on.
fn tell_times(stream: &Stream) -> tokio::task::JoinHandle<BTreeMap<(u64, u64), Instant>> {
    let mut news = stream.subscribe();
    tokio::spawn(async move {
        let mut told = BTreeMap::new();
        let end = Instant::now() + Duration::from_secs(8);
        while Instant::now() < end {
            let waiting = tokio::time::timeout(Duration::from_secs(1), news.changed());
            if !matches!(waiting.await, Ok(Ok(()))) {
                continue;
            }
            let manifest = &news.borrow_and_update().manifest;
            told.insert((manifest.epoch(), manifest.sequence()), Instant::now());
        }
        told
    })
}

/// An origin whose stream has two closed hours, and goes on with the test card.
fn with_past(folder: &Path) -> Config {
    let run = Run::start(folder, TEN);
    let mut air = run.air();
    air.segments(TEN, TEN + 2 * HOUR + 4 * SECOND);
    wait_for(&air.archive(), 2);
    drop((air, run));
    let mut origin = config(folder);
    origin.inputs = vec!["testcard?name=cam&size=320x240&rate=15&bit_rate=300000".into()];
    origin
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_missed_two_hours_has_them_soon_with_the_same_roots_and_live_is_not_late() {
    let folders = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let origin = Gateway::start(with_past(folders[0].path())).await.unwrap();
    let original = origin.streams().find("cam").unwrap();
    let name = original.name().clone();
    let mut copy = config(folders[1].path());
    copy.mirror.follow = vec![format!("{name}@{}?name=copy", tcp(&origin))];
    let copy = Gateway::start(copy).await.unwrap();
    let mirrored = copy.streams().find("copy").unwrap();
    let begun = Instant::now();
    while !mirrored.is_live() {
        assert!(begun.elapsed() < PATIENCE, "the mirror is not live");
        sleep(Duration::from_millis(20)).await;
    }

    let (told, mirrors) = (tell_times(&original), tell_times(&mirrored));
    let archive = mirrored.archive().unwrap().clone();
    // The third is of four seconds alone, and closes as soon as the origin runs.
    let past = original.archive().unwrap().clone();
    while past.catalogue().hours().len() < 3 {
        assert!(begun.elapsed() < PATIENCE, "{:?}", past.catalogue());
        sleep(Duration::from_millis(20)).await;
    }
    // What an hour is called stands in the list as well.
    let first = *past.catalogue().hours().keys().next().unwrap();
    past.label(Labelled::Hour(first), "Opening").unwrap();
    let wanted = past.catalogue();
    let root = wanted.root().unwrap().cid;
    while archive.held().len() < 3 || !archive.is_whole(&root) || archive.catalogue() != wanted {
        assert!(begun.elapsed() < PATIENCE, "{:?}", archive.catalogue());
        // What nobody holds goes at once: all of this is a week old.
        let store = copy.store().clone();
        let tidied = tokio::task::spawn_blocking(move || store.tidy());
        tidied.await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    println!("two hours caught up in {:?}", begun.elapsed());
    assert_eq!(archive.labels().titles[&first], "Opening");
    assert_eq!(copy.streams().root_of(&name), Some(root), "/ipns");
    let (told, mirrors) = (told.await.unwrap(), mirrors.await.unwrap());
    let late = mirrors
        .iter()
        .filter_map(|(at, seen)| Some(seen.saturating_duration_since(*told.get(at)?)));
    let late: Vec<_> = late.collect();
    let worst = late.iter().max().unwrap();
    println!(
        "live was {worst:?} behind the origin at most, of {}",
        late.len()
    );
    assert!(
        late.len() > 10 && *worst < Duration::from_secs(2),
        "{worst:?}"
    );
    drop((archive, mirrored, past, original));
    copy.shutdown().await;
    origin.shutdown().await;

    // As `archive verify` does. A read that was under way when the gateway ended may have the folder for a moment.
    let (folder, ended) = (folders[1].path().join("store"), Instant::now());
    let store = loop {
        match Store::open(&folder, store::Settings::default()) {
            Ok(store) => break store,
            Err(error) => assert!(ended.elapsed() < PATIENCE, "{error}"),
        }
        sleep(Duration::from_millis(20)).await;
    };
    let archive = Archive::of_mirror(name, store.clone()).unwrap();
    assert_eq!(archive.catalogue(), wanted, "after a restart");
    let (mut blocks, mut faults) = (0, Vec::new());
    walk(&store, root, "", &mut HashSet::new(), &mut |_, block| {
        blocks += 1;
        faults.extend(block.err());
        Ok(())
    })
    .unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    assert!(blocks > 2 * 1800, "{blocks}");
    assert!(archive.lacking().is_empty(), "nothing is fetched again");
}

/// Blocks below a root that cannot be read as they should be.
fn faults(store: &Store, root: cid::Cid) -> usize {
    let mut faults = 0;
    walk(store, root, "", &mut HashSet::new(), &mut |_, block| {
        faults += usize::from(block.is_err());
        Ok(())
    })
    .unwrap();
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_heals_its_origin_and_without_one_it_stays_damaged() {
    let folders = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let mut origin = with_past(folders[0].path());
    origin.archive.verify_every = Duration::from_millis(300);
    let origin = Gateway::start(origin).await.unwrap();
    let original = origin.streams().find("cam").unwrap();
    let mut copy = config(folders[1].path());
    copy.mirror.follow = vec![format!("{}@{}?name=copy", original.name(), tcp(&origin))];
    let mirror = Gateway::start(copy.clone()).await.unwrap();
    let begun = Instant::now();
    let past = original.archive().unwrap().clone();
    let kept = mirror.streams().find("copy").unwrap().archive().cloned();
    let kept = kept.unwrap();
    while past.catalogue().hours().len() < 3 || !kept.lacking().is_empty() || kept.held().len() < 3
    {
        assert!(begun.elapsed() < PATIENCE, "{:?}", kept.catalogue());
        sleep(Duration::from_millis(20)).await;
    }
    drop(kept);
    mirror.shutdown().await;

    let root = past.catalogue().root().unwrap().cid;
    assert_eq!(faults(origin.store(), root), 0);
    flip(folders[0].path());
    sleep(Duration::from_secs(3)).await;
    assert_eq!(faults(origin.store(), root), 1, "nobody has it");

    let ended = Instant::now();
    let mirror = loop {
        // A read that was under way when it ended may have the folder for a moment.
        match Gateway::start(copy.clone()).await {
            Ok(mirror) => break mirror,
            Err(error) => assert!(ended.elapsed() < PATIENCE, "{error}"),
        }
        sleep(Duration::from_millis(50)).await;
    };
    let begun = Instant::now();
    while faults(origin.store(), root) > 0 {
        assert!(begun.elapsed() < PATIENCE, "it is not healed");
        sleep(Duration::from_millis(50)).await;
    }
    println!("healed {:?} after the mirror was there", begun.elapsed());
    drop((past, original));
    mirror.shutdown().await;
    origin.shutdown().await;
}

fn taken_down(key: &SigningKey, epoch: u64, sequence: u64, hour: u64) -> Bytes {
    let cid = dag::cid_of(b"without it");
    let (day, root) = (None, Link { cid, bytes: 8 });
    let what = What::Tombstone { hour, day };
    let entry = Entry {
        epoch,
        sequence,
        what,
        root: Some(root),
    };
    entry.sign(key).into()
}

fn entry(key: &SigningKey, epoch: u64, sequence: u64, hour: u64) -> Bytes {
    let cid = dag::cid_of(&hour.to_le_bytes());
    let link = Link { cid, bytes: 8 };
    let what = What::Hour {
        hour,
        entry: HourEntry {
            link,
            duration: HOUR,
        },
        day: link,
    };
    let entry = Entry {
        epoch,
        sequence,
        what,
        root: Some(link),
    };
    entry.sign(key).into()
}

#[test]
fn a_list_that_is_forged_replayed_or_of_a_lower_epoch_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), store::Settings::default()).unwrap();
    let (key, other) = (
        SigningKey::from_secret([7; 32]),
        SigningKey::from_secret([8; 32]),
    );
    let open = || Archive::of_mirror(key.name(), store.clone()).unwrap();
    let archive = open();
    let list = [entry(&key, 5, 1, 100), entry(&key, 5, 2, 101)];
    assert_eq!(archive.learn(&list).unwrap(), 2);
    let known = archive.catalogue();
    // Replayed, as it was and in part, and an older epoch.
    assert_eq!(archive.learn(&list).unwrap(), 0);
    assert_eq!(archive.learn(&[entry(&key, 4, 9, 200)]).unwrap(), 0);
    // Another key's, one that does not follow, and one that was changed on its way.
    let mut changed = entry(&key, 5, 3, 102).to_vec();
    *changed.last_mut().unwrap() ^= 1;
    for bad in [
        entry(&other, 5, 3, 102),
        entry(&key, 5, 4, 103),
        changed.into(),
    ] {
        assert!(archive.learn(&[bad]).is_err());
    }
    assert_eq!(
        (archive.catalogue(), archive.entry_count()),
        (known.clone(), 2)
    );
    drop(archive);
    let archive = open();
    assert_eq!(archive.catalogue(), known, "after a restart");
    // A list that was lost goes on with a higher epoch.
    assert_eq!(archive.learn(&[entry(&key, 6, 1, 102)]).unwrap(), 1);
    let lacking: Vec<u64> = archive.lacking().iter().map(|(hour, _)| *hour).collect();
    assert_eq!(lacking, [102, 101, 100], "the newest first");
    // An hour that was taken down is let go, and not fetched again.
    let at = 101 * HOUR;
    let part = dag::cid_of(b"a part");
    store
        .append(&key.name(), "source", at, &part, b"a part")
        .unwrap();
    for pack in ["source", "hour.archive"] {
        store.pin("archive", &key.name(), pack, at).unwrap();
    }
    let pinned = || store.pinned("archive", &key.name()).len();
    assert!(pinned() == 2 && archive.held().is_empty() && store.has(&part).unwrap());
    assert_eq!(archive.learn(&[taken_down(&key, 6, 2, 101)]).unwrap(), 1);
    assert!(pinned() == 0 && !store.has(&part).unwrap());
    let lacking: Vec<u64> = archive.lacking().iter().map(|(hour, _)| *hour).collect();
    assert_eq!(lacking, [102, 100]);
}

/// A place at a relay goes with the connection over which it was asked for, though another to the same gateway stands.
#[tokio::test]
async fn a_place_at_a_relay_that_is_lost_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Gateway::start(config(folder.path())).await.unwrap();
    let address: Multiaddr = tcp(&origin).parse().unwrap();
    let stream = SigningKey::generate().name();
    let mut peer = Peer::new(stream, std::slice::from_ref(&address), None, 0, now).unwrap();
    let is_introduced = |peer: &Peer| {
        let mut listening = peer.swarm.listeners();
        listening.any(|one| one.iter().any(|part| part == Protocol::P2pCircuit))
    };
    drive(&mut peer, is_introduced).await;
    peer.swarm.dial(address).unwrap();
    let connections = |peer: &Peer| {
        peer.swarm
            .network_info()
            .connection_counters()
            .num_established()
    };
    drive(&mut peer, |peer| connections(peer) == 2).await;
    let first = peer.gateways[0].connection.unwrap();
    assert!(peer.swarm.close_connection(first));
    drive(&mut peer, |peer| !is_introduced(peer)).await;
    assert_eq!(connections(&peer), 1, "it is linked all the time");
    drive(&mut peer, is_introduced).await;
    origin.shutdown().await;
}

/// Lets a peer do what it does until this is so.
async fn drive(peer: &mut Peer, is_so: impl Fn(&Peer) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so(peer) {
        assert!(Instant::now() < end, "not in {PATIENCE:?}");
        peer.dial();
        let _ = tokio::time::timeout(Duration::from_millis(50), peer.next()).await;
    }
}
