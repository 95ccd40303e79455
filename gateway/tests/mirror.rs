//! Real mirrors of a real origin: they serve what it serves, byte for byte; killed, alone, and when it returns.

#![allow(clippy::unwrap_used)] // a test from its first line to its last

mod process;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use meshlive_protocol::{
    archive::Vouched,
    dag,
    manifest::{self, Manifest, Opened},
    name::StreamName,
    playlist::{self, Skip},
};
use process::Gateway;
use tokio_tungstenite::tungstenite::Message;

const CARD: &str = "testcard?name=cam&size=320x240&rate=30&bit_rate=300000";
/// All of a test's waiting ends by then.
const PATIENCE: Duration = Duration::from_secs(40);

fn origin(data: &Path) -> Gateway {
    Gateway::start(data, &["--input", CARD])
}

fn mirror(data: &Path, stream: &StreamName, of: &[&Gateway]) -> Gateway {
    let gateways: Vec<String> = of.iter().map(|one| tcp(one)).collect();
    let follow = format!("{stream}@{}?name=copy", gateways.join(","));
    Gateway::start(data, &["--follow", &follow])
}

/// Where other gateways reach it.
fn tcp(gateway: &Gateway) -> String {
    let port = gateway.ready.split("p2p-tcp=127.0.0.1:").nth(1).unwrap();
    format!(
        "/ip4/127.0.0.1/tcp/{}",
        port.split([' ', '\n']).next().unwrap()
    )
}

fn name(gateway: &Gateway, alias: &str) -> StreamName {
    let (_, body) = gateway.get(&format!("/api/v1/streams/{alias}"));
    let object: serde_json::Value = serde_json::from_slice(&body).unwrap();
    object["stream"].as_str().unwrap().parse().unwrap()
}

fn is_live(gateway: &Gateway, alias: &str) -> bool {
    let (_, body) = gateway.get(&format!("/api/v1/streams/{alias}"));
    let object: serde_json::Value = serde_json::from_slice(&body).unwrap();
    object["live"].as_bool().unwrap()
}

/// What it announces within so many seconds: the window that this leads to, and when each (epoch, sequence) was there.
async fn listen(
    gateway: &Gateway,
    stream: &StreamName,
    seconds: u64,
) -> (Manifest, BTreeMap<(u64, u64), Instant>) {
    let url = format!("ws://{}/live/{stream}/announcements", gateway.address);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let (mut window, mut heard) = (None::<Manifest>, BTreeMap::new());
    let listening = async {
        loop {
            let Message::Binary(envelope) = socket.next().await.unwrap().unwrap() else {
                continue;
            };
            match (manifest::open(stream, &envelope).unwrap(), &mut window) {
                (Opened::Manifest(whole), window) => *window = Some(whole),
                (Opened::Announcement(one), Some(window)) => window.apply(&one).unwrap(),
                (Opened::Announcement(_), None) => panic!("an announcement before any window"),
            }
            if let Some(known) = &window {
                heard.insert((known.epoch(), known.sequence()), Instant::now());
            }
        }
    };
    let _: Result<(), _> = tokio::time::timeout(Duration::from_secs(seconds), listening).await;
    (window.expect("it says something"), heard)
}

/// Everything of a window is served by its numbers, whole.
fn serves(gateway: &Gateway, alias: &str, window: &Manifest) {
    let mut parts = 0;
    for segment in window.segments() {
        for (index, entry) in window.renditions().iter().enumerate() {
            let (id, msn) = (&entry.rendition.id, segment.msn);
            for (number, part) in segment.parts(index).iter().enumerate() {
                let (status, body) = gateway.get(&format!("/live/{alias}/{id}/{msn}.{number}.m4s"));
                assert_eq!(status, 200, "{id} {msn}.{number}");
                assert!(dag::verify(&part.cid, &body), "{id} {msn}.{number}");
                parts += 1;
            }
            if let Some(root) = segment.strand(index).root {
                let (status, _) = gateway.get(&format!("/ipfs/{root}"));
                assert_eq!(status, 200, "segment {msn} of {id} as a file");
            }
            let init = segment.init;
            let (status, body) = gateway.get(&format!("/live/{alias}/{id}/init-{init}.mp4"));
            let known = window.find_init(id, init).unwrap();
            assert!(
                status == 200 && dag::verify(&known.cid, &body),
                "init {init} of {id}"
            );
        }
    }
    assert!(parts > 10, "{parts} parts");
}

/// Waits until `what` is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn both<T, U>(one: impl Future<Output = T>, other: impl Future<Output = U>) -> (T, U) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { futures_util::future::join(one, other).await })
}

/// Other gateways that it tells viewers of, in any order.
fn elsewhere(gateway: &Gateway, alias: &str) -> Vec<String> {
    let (_, body) = gateway.get(&format!("/api/v1/streams/{alias}"));
    let object: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let mut all: Vec<String> = serde_json::from_value(object["gateways"].clone()).unwrap();
    all.sort();
    all
}

#[test]
fn gateways_that_have_a_stream_know_each_other_as_long_as_they_are_there() {
    let folders = [0; 3].map(|_| tempfile::tempdir().unwrap());
    let origin = origin(folders[0].path());
    let stream = name(&origin, "cam");
    let one = mirror(folders[1].path(), &stream, &[&origin]);
    let two = mirror(folders[2].path(), &stream, &[&origin]);
    let urls = |all: &[&Gateway]| {
        let urls = all.iter().map(|one| format!("http://{}", one.address));
        let mut urls: Vec<_> = urls.collect();
        urls.sort();
        urls
    };
    for (who, alias, others) in [
        (&origin, "cam", urls(&[&one, &two])),
        (&one, "copy", urls(&[&origin, &two])),
        (&two, "copy", urls(&[&origin, &one])),
    ] {
        until("it knows the others", || elsewhere(who, alias) == others);
    }
    let known = urls(&[&origin]);
    two.kill();
    until("the origin knows one mirror", || {
        elsewhere(&origin, "cam") == urls(&[&one])
    });
    until("the mirror knows the origin alone", || {
        elsewhere(&one, "copy") == known
    });
    // Nobody says otherwise of an origin that is gone, and its address is where it returns.
    origin.kill();
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(elsewhere(&one, "copy"), known);
}

#[test]
fn a_mirror_finds_its_stream_at_another_mirror_when_the_origin_returns_elsewhere() {
    let folders = [0; 4].map(|_| tempfile::tempdir().unwrap());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere_at = free.local_addr().unwrap();
    drop(free);
    let first = origin(folders[0].path());
    let stream = name(&first, "cam");
    let new = format!("/ip4/127.0.0.1/tcp/{}", elsewhere_at.port());
    let both = format!("{stream}@{},{new}?name=copy", tcp(&first));
    let told = Gateway::start(folders[1].path(), &["--follow", &both]);
    let other = mirror(folders[2].path(), &stream, &[&first]);
    until("the mirrors know each other", || {
        elsewhere(&other, "copy").contains(&format!("http://{}", told.address))
    });
    first.kill();
    until("nothing is heard", || !is_live(&other, "copy"));
    // The twin: it knows no other gateway than the one that is gone, and by its name alone nobody.
    let alone = Gateway::start(folders[3].path(), &["--follow", &stream.to_string()]);
    let address = elsewhere_at.to_string();
    let second = Gateway::start(folders[0].path(), &["--input", CARD, "--p2p-tcp", &address]);
    until("the one that was told is live", || is_live(&told, "copy"));
    until("the other is live", || is_live(&other, "copy"));
    same_playlists(&second, &other);
    assert!(!is_live(&alone, &stream.to_string()));
}

/// The mirror's playlist is the origin's, byte for byte: both are rendered from the same signed window. On a busy machine a
/// mirror is some parts behind all the while: what it says is what the origin said a moment before.
fn same_playlists(origin: &Gateway, mirror: &Gateway) {
    let end = Instant::now() + PATIENCE;
    for file in ["index.m3u8", "source.m3u8", "audio.m3u8"] {
        let mut said = Vec::new();
        loop {
            let (status, original) = origin.get(&format!("/live/cam/{file}"));
            assert_eq!(status, 200);
            if said.last() != Some(&original) {
                said.push(original);
            }
            let (_, mirrored) = mirror.get(&format!("/live/copy/{file}"));
            if said.contains(&mirrored) {
                break;
            }
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(
                Instant::now() < end,
                "{file} of the mirror:\n{}\nof the origin:\n{}",
                text(&mirrored),
                text(&said[said.len() - 1])
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A mirror tells the announcements of eight seconds so much later than its origin at most; the window then.
fn in_time(origin: &Gateway, mirror: &Gateway, stream: &StreamName, most: Duration) -> Manifest {
    let told = both(listen(origin, stream, 8), listen(mirror, stream, 8));
    let ((window, original), (_, mirrored)) = told;
    let late = mirrored
        .iter()
        .filter_map(|(at, seen)| Some(seen.saturating_duration_since(*original.get(at)?)));
    let mut late: Vec<Duration> = late.collect();
    late.sort();
    assert!(late.len() > 20, "{} announcements of both", late.len());
    let (median, worst) = (late[late.len() / 2], late[late.len() - 1]);
    println!("told {median:?} after the origin, at most {worst:?}");
    assert!(worst < most, "told {worst:?} after the origin");
    window
}

#[test]
fn a_mirror_of_a_mirror_serves_what_the_origin_serves_within_a_second() {
    let folders = [0; 3].map(|_| tempfile::tempdir().unwrap());
    let origin = origin(folders[0].path());
    let stream = name(&origin, "cam");
    let near = mirror(folders[1].path(), &stream, &[&origin]);
    let far = mirror(folders[2].path(), &stream, &[&near]);
    until("the farther mirror is live", || is_live(&far, "copy"));
    assert_eq!(name(&far, "copy"), stream);
    for mirror in [&near, &far] {
        same_playlists(&origin, mirror);
        let window = in_time(&origin, mirror, &stream, Duration::from_secs(1));
        serves(mirror, "copy", &window);
    }
}

/// What was given to that one to be passed on is asked of the origin, also where nothing was missing before.
#[test]
fn a_mirror_beside_one_that_stands_still_is_not_late() {
    let folders = [0; 3].map(|_| tempfile::tempdir().unwrap());
    let origin = origin(folders[0].path());
    let stream = name(&origin, "cam");
    let still = mirror(folders[1].path(), &stream, &[&origin]);
    let copy = mirror(folders[2].path(), &stream, &[&origin]);
    for mirror in [&still, &copy] {
        until("a mirror is live", || is_live(mirror, "copy"));
    }
    std::thread::sleep(Duration::from_secs(5));
    // What this one misses now is told and pushed to it as what is new.
    copy.kill();
    let copy = mirror(folders[2].path(), &stream, &[&origin]);
    until("it is live again", || is_live(&copy, "copy"));
    std::thread::sleep(Duration::from_secs(5));
    still.freeze();
    let window = in_time(&origin, &copy, &stream, Duration::from_millis(1_500));
    serves(&copy, "copy", &window);
}

#[test]
fn a_mirror_has_its_origins_proofs_of_what_is_past_and_in_no_hour_yet() {
    let folders = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let origin = origin(folders[0].path());
    let stream = name(&origin, "cam");
    let copy = mirror(folders[1].path(), &stream, &[&origin]);
    let proved = |gateway: &Gateway, path: &str| {
        let (status, body) = gateway.get(&format!("/live/{stream}/earlier/{path}"));
        let text = String::from_utf8(body).unwrap();
        (status == 200).then(|| Vouched::check(&stream, path, &text).map_err(|_| text))
    };
    let paths = ["index.m3u8", "source/index.m3u8", "audio/index.m3u8"];
    for path in paths {
        until("the mirror proves it", || {
            matches!(proved(&copy, path), Some(Ok(_)))
        });
    }
    // They go on with the stream, and of the same segments both say the same.
    let first = proved(&copy, paths[1]).unwrap().unwrap();
    until("there are newer ones", || {
        let newer = proved(&copy, paths[1]).and_then(Result::ok);
        newer.is_some_and(|newer| newer.msn > first.msn + 2)
    });
    until("both have the same newest segment", || {
        proved(&copy, paths[1]) == proved(&origin, paths[1])
    });
}

#[test]
fn a_mirror_that_is_killed_has_what_it_told_also_without_its_origin_and_goes_on_when_that_returns()
{
    let folders = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let first = origin(folders[0].path());
    let stream = name(&first, "cam");
    let copy = mirror(folders[1].path(), &stream, &[&first]);
    until("the mirror is live", || is_live(&copy, "copy"));
    let (_, (told, _)) = both(async {}, listen(&copy, &stream, 7));
    let address = tcp(&first);
    copy.kill();
    first.kill();

    let follow = format!("{stream}@{address}?name=copy");
    let copy = Gateway::start(folders[1].path(), &["--follow", &follow]);
    let (_, (alone, _)) = both(async {}, listen(&copy, &stream, 1));
    assert!(!is_live(&copy, "copy"), "nothing comes in");
    let at = |window: &Manifest| (window.epoch(), window.sequence());
    assert!(
        at(&alone) >= at(&told),
        "{:?} after {:?}",
        at(&alone),
        at(&told)
    );
    serves(&copy, "copy", &alone);
    let (_, shown) = copy.get("/live/copy/source.m3u8");
    let rendered = playlist::media(&alone, "source", Skip::No).unwrap();
    assert_eq!(String::from_utf8(shown).unwrap(), rendered);

    // The same origin, at its old address, with a higher epoch and numbers that go on.
    let socket = address.replace("/ip4/127.0.0.1/tcp/", "127.0.0.1:");
    let second = Gateway::start(folders[0].path(), &["--input", CARD, "--p2p-tcp", &socket]);
    until("the mirror is live again", || is_live(&copy, "copy"));
    same_playlists(&second, &copy);
    let (_, (later, _)) = both(async {}, listen(&copy, &stream, 3));
    assert!(later.epoch() > alone.epoch(), "a new epoch");
    assert!(
        later.segment(alone.next_msn()).is_some(),
        "behind what was told"
    );
    serves(&copy, "copy", &later);
}

/// Nobody says that a process is gone which was reached over QUIC.
#[test]
fn a_mirror_that_follows_over_quic_goes_on_soon_after_its_origin_was_killed() {
    let folders = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let first = origin(folders[0].path());
    let stream = name(&first, "cam");
    let socket = first.ready.split("p2p-quic=").nth(1).unwrap();
    let socket: SocketAddr = socket.split([' ', '\n']).next().unwrap().parse().unwrap();
    let follow = format!(
        "{stream}@/ip4/127.0.0.1/udp/{}/quic-v1?name=copy",
        socket.port()
    );
    let copy = Gateway::start(
        folders[1].path(),
        &["--follow", &follow, "--p2p-tcp", "off"],
    );
    until("the mirror is live", || is_live(&copy, "copy"));
    // What asks for blocks has a connection of its own, and would go on asking there in vain.
    let over_quic = || copy.metric("meshlive_p2p_connections{transport=\"quic\"}");
    until("it asks for blocks as well", || over_quic() > Some(0));
    first.kill();
    std::thread::sleep(Duration::from_secs(4));
    assert!(!is_live(&copy, "copy"), "nothing comes in");
    assert_eq!(over_quic(), Some(0));
    let port = format!("127.0.0.1:{}", socket.port());
    let second = Gateway::start(folders[0].path(), &["--input", CARD, "--p2p-quic", &port]);
    let began = Instant::now();
    until("the mirror is live again", || is_live(&copy, "copy"));
    let took = began.elapsed();
    println!("live again {took:?} after its origin");
    // Ten seconds after the kill, where only the transport's own time-out tells.
    assert!(took < Duration::from_secs(3), "{took:?}");
    same_playlists(&second, &copy);
}

/// Bytes of media that it has sent to peers, and over HTTP.
fn sent(gateway: &Gateway) -> u64 {
    let of = |way: &str| {
        let name = format!("meshlive_{way}_sent_bytes_total{{kind=\"part\"}}");
        gateway.metric(&name).unwrap_or(0)
    };
    of("p2p") + of("http")
}

/// Copies of the stream that its origin sends while so many mirrors follow it, of which the last is killed so often meanwhile
/// and comes back.
fn copies(origin: &Gateway, stream: &StreamName, mirrors: usize, kills: u64) -> f64 {
    let folders: Vec<_> = (0..mirrors).map(|_| tempfile::tempdir().unwrap()).collect();
    let mut mirrors: Vec<_> = folders
        .iter()
        .map(|folder| mirror(folder.path(), stream, &[origin]))
        .collect();
    for mirror in &mirrors {
        until("a mirror is live", || is_live(mirror, "copy"));
    }
    // What came before they joined is fetched by each; then they meet.
    std::thread::sleep(Duration::from_secs(5));
    let bytes = |window: &Manifest| -> BTreeMap<_, u64> {
        let mut all = BTreeMap::new();
        for segment in window.segments() {
            for index in 0..window.renditions().len() {
                for (part, entry) in segment.parts(index).iter().enumerate() {
                    all.insert((segment.msn, index, part), u64::from(entry.size));
                }
            }
        }
        all
    };
    let (_, (before, _)) = both(async {}, listen(origin, stream, 1));
    let began = sent(origin);
    let folder = folders[mirrors.len() - 1].path();
    for _ in 0..kills {
        let last = mirrors.pop().expect("there are some");
        last.kill();
        std::thread::sleep(Duration::from_secs(3));
        mirrors.push(mirror(folder, stream, &[origin]));
        std::thread::sleep(Duration::from_secs(4));
    }
    let (_, (after, _)) = both(async {}, listen(origin, stream, 8));
    let sent = sent(origin) - began;
    let before = bytes(&before);
    let new = bytes(&after).into_iter();
    let new = new.filter(|(place, _)| !before.contains_key(place));
    let stream: u64 = new.map(|(_, size)| size).sum();
    assert!(stream > 200_000, "the stream had only {stream} bytes");
    for mirror in &mirrors {
        same_playlists(origin, mirror);
    }
    sent as f64 / stream as f64
}

#[test]
fn two_mirrors_of_one_origin_take_one_copy_together() {
    let folder = tempfile::tempdir().unwrap();
    let origin = origin(folder.path());
    let stream = name(&origin, "cam");
    let (one, two) = (
        copies(&origin, &stream, 1, 0),
        copies(&origin, &stream, 2, 0),
    );
    println!("{one:.2} copies to one mirror, {two:.2} to two");
    assert!((0.9..=1.1).contains(&one), "{one} copies to one mirror");
    // A machine that is busy meanwhile costs a few parts; each by itself would be two copies.
    assert!(two <= 1.3, "{two} copies to two mirrors");
}

/// What it missed it has from the other, which does not take it for a liar; what it stored before it asks nobody for.
#[test]
fn a_mirror_that_is_killed_again_and_again_costs_its_origin_no_second_copy() {
    let folder = tempfile::tempdir().unwrap();
    let origin = origin(folder.path());
    let stream = name(&origin, "cam");
    let killed = copies(&origin, &stream, 2, 4);
    println!("{killed:.3} copies to two mirrors, one of which was killed four times");
    assert!((0.9..=1.2).contains(&killed), "{killed} copies");
}

#[test]
fn a_stream_that_the_gateway_does_not_have_is_waited_for_and_nothing_is_served_of_it() {
    let folders = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let origin = origin(folders[0].path());
    let other = meshlive_protocol::key::SigningKey::from_secret([9; 32]).name();
    let copy = mirror(folders[1].path(), &other, &[&origin]);
    std::thread::sleep(Duration::from_secs(4));
    assert!(!is_live(&copy, "copy"));
    let (status, why) = copy.get("/readyz");
    let why = String::from_utf8_lossy(&why).into_owned();
    assert!(
        status == 503 && why.contains("heard yet of the stream copy"),
        "{status} {why}"
    );
    assert_eq!(origin.get("/readyz").0, 200);
    for path in ["source.m3u8", "manifest"] {
        let (status, _) = copy.get(&format!("/live/copy/{path}"));
        assert_eq!(status, 404, "{path}");
    }
    let real = name(&origin, "cam");
    assert_eq!(
        copy.get(&format!("/live/{real}/index.m3u8")).0,
        404,
        "not asked for"
    );
}
