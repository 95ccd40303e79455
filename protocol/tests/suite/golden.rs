//! Every form that leaves this crate, byte for byte. A second implementation can be held against the same files.

use crate::common::{hex, key, stream};
use meshlive_protocol::{
    dag, manifest,
    name::StreamName,
    playlist::{self, Selection, Skip},
};

/// In lines of 64 digits, so that a difference is readable.
fn lines(bytes: &[u8]) -> String {
    hex(bytes)
        .as_bytes()
        .chunks(64)
        .map(|line| format!("{}\n", str::from_utf8(line).unwrap()))
        .collect()
}

#[test]
fn a_part_has_the_cid_that_ipfs_gives_it() {
    let cid = dag::cid_of(b"hello world\n");
    assert_eq!(
        cid.to_string(),
        "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"
    );
    assert!(dag::verify(&cid, b"hello world\n"));
    assert!(!dag::verify(&cid, b"hello world"));
}

/// The expected bytes were written by ipfs-unixfs-importer 15 (Helia) for the same leaves.
#[test]
fn a_segment_file_is_the_node_that_ipfs_writes() {
    let leaves = [vec![1; 150_000], vec![2; 149_999], vec![3; 100]];
    let leaves: Vec<_> = leaves
        .iter()
        .map(|leaf| (dag::cid_of(leaf), leaf.len() as u64))
        .collect();
    let (cid, node) = dag::segment_file(&leaves);
    assert_eq!(
        cid.to_string(),
        "bafybeieog6tdghoh5qsjyq2sgsngj44qf24xrjujk7ulbbo3k7ohvekt5a"
    );
    let expected = concat!(
        "122c0a240155122053399c43cfcbc825e17d227fb9213043bdd0bde2c1923ca81927ad053f39a676120018f09309",
        "122c0a240155122063dca439ab139eaa8a85f433a9f584ad4d45a6a3f6af9a1b9c9b64776888d215120018ef9309",
        "122a0a2401551220af463dc9670b6c91799ed7bd94e868ae7201a333aa7effe2958c02d401b2aa641200186",
        "40a10080218c3a81220f0930920ef93092064"
    );
    assert_eq!(hex(&node), expected);
    assert!(dag::verify(&cid, &node));
}

/// Likewise; the entries are given out of order.
#[test]
fn a_directory_is_the_node_that_ipfs_writes() {
    let hello = dag::cid_of(b"hello world\n");
    let file = "bafybeieog6tdghoh5qsjyq2sgsngj44qf24xrjujk7ulbbo3k7ohvekt5a"
        .parse()
        .unwrap();
    let entries = [
        ("b.m4s".into(), hello, 12),
        ("a.m3u8".into(), file, 300_253),
        ("10".into(), hello, 12),
    ];
    let (cid, node) = dag::directory(&entries);
    assert_eq!(
        cid.to_string(),
        "bafybeihaomyelopenwkcvca3asyf4wuqoajxisrfbhrhs573zduugv4ml4"
    );
    let expected = concat!(
        "122c0a2401551220a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a44712023130180c",
        "12320a24017012208e37a6331dc7ec249c4352349a64f3902eb978a68957e8b085db57dc7a9153e81206612e6d33753818dda912",
        "122f0a2401551220a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a4471205622e6d3473180c",
        "0a020801"
    );
    assert_eq!(hex(&node), expected);
    let (empty, _) = dag::directory(&[]);
    assert_eq!(
        empty.to_string(),
        "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
    );
}

#[test]
fn a_key_and_its_name() {
    assert_eq!(
        hex(&key().to_protobuf()),
        concat!(
            "080112400707070707070707070707070707070707070707070707070707070707070707",
            "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c"
        )
    );
    let name = "k51qzi5uqu5dm0t4vbwri4lkg76q03b4x9tsvekgvbu4zli6454ff7w8wdosa4";
    assert_eq!(key().name().to_string(), name);
    assert_eq!(name.parse::<StreamName>().unwrap(), key().name());
}

#[test]
fn announcements() {
    let publisher = stream(14);
    for (file, index) in [
        ("announcement-first.hex", 0),
        ("announcement-parts.hex", 2),
        ("announcement-closed.hex", 10),
    ] {
        crate::common::golden(
            file,
            &lines(&manifest::sign_announcement(
                &key(),
                &publisher.announcements[index],
            )),
        );
    }
}

#[test]
fn a_manifest() {
    crate::common::golden(
        "manifest.hex",
        &lines(&manifest::sign_manifest(&key(), &stream(14).manifest)),
    );
}

/// Each kind of message in a line of its own, its name before it; then a part's header.
#[test]
fn messages() {
    let mut text: String = crate::messages::each()
        .map(|(name, message)| format!("{name} {}\n", hex(&message.encode())))
        .collect();
    let header = crate::messages::header();
    text += &format!("part {}\n", hex(&header.encode()));
    crate::common::golden("messages.hex", &text);
}

#[test]
fn playlists() {
    let manifest = stream(14).manifest;
    crate::common::golden(
        "index.m3u8",
        &playlist::multivariant(&manifest, Selection::Main),
    );
    crate::common::golden(
        "index-audio.m3u8",
        &playlist::multivariant(&manifest, Selection::AudioOnly),
    );
    crate::common::golden(
        "source.m3u8",
        &playlist::media(&manifest, "source", Skip::No).unwrap(),
    );
    crate::common::golden(
        "audio.m3u8",
        &playlist::media(&manifest, "audio", Skip::No).unwrap(),
    );
    let long = stream(10 * 23 + 3).manifest;
    crate::common::golden(
        "source-skip.m3u8",
        &playlist::media(&long, "source", Skip::Yes).unwrap(),
    );
}

/// README §9: the first word of each line of the last block of code is the envelope.
#[test]
fn the_example_in_the_readme() {
    let readme = include_str!("../../README.md");
    let block = readme.rsplit("```").nth(1).unwrap();
    let written: String = block
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let news = vec![crate::common::part_of(0, 101, 3)];
    let (epoch, sequence, clock) = (1_795_338_000, 15, 1_795_338_003_000_000);
    let announcement = manifest::Announcement {
        epoch,
        sequence,
        clock,
        news,
    };
    assert_eq!(
        hex(&manifest::sign_announcement(&key(), &announcement)),
        written
    );
    for told in [
        key().name().to_string(),
        crate::common::block(0, 101, 3).to_string(),
    ] {
        assert!(readme.contains(&told), "the README should tell {told}");
    }
    assert!(dag::verify(
        &crate::common::block(0, 101, 3),
        b"part 0 101 3"
    ));
}
