//! Replays what the fuzzers found worth keeping. `MESHLIVE_GOLDEN=write` writes the seeds anew.

use std::{fs, path::PathBuf};

use meshlive_protocol::{fuzz, manifest};

use crate::common::{key, payload, stream};

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target)
}

#[test]
fn corpora_are_replayed() {
    if std::env::var("MESHLIVE_GOLDEN").is_ok_and(|value| value == "write") {
        write_seeds();
    }
    for (target, body) in fuzz::TARGETS {
        let files: Vec<_> = fs::read_dir(folder(target))
            .expect(target)
            .map(|file| file.unwrap().path())
            .collect();
        assert!(files.len() >= 3, "the corpus of {target} is missing");
        for file in files {
            body(&fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
        }
    }
}

fn write_seeds() {
    let publisher = stream(14);
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(folder(target)).unwrap();
        fs::write(folder(target).join(name), bytes).unwrap();
    };
    let whole = manifest::sign_manifest(&key(), &publisher.manifest);
    write("envelope", "manifest", &whole);
    write("manifest", "two-segments", &payload(&whole));
    let empty = manifest::sign_manifest(&key(), &crate::common::stream(0).manifest);
    write("manifest", "no-segments", &payload(&empty));
    write(
        "manifest",
        "claimed",
        &[
            0x8c, 0xf6, 1, 1, 1, 1, 6, 1, 0xf4, 0, 0, 0x80, 0x9a, 0xff, 0xff, 0xff, 0xff,
        ],
    );
    for (name, index) in [
        ("renditions", 0),
        ("begin", 1),
        ("parts", 2),
        ("closed", 10),
    ] {
        let envelope = manifest::sign_announcement(&key(), &publisher.announcements[index]);
        write("envelope", name, &envelope);
        write("announcement", name, &payload(&envelope));
    }
    let other = meshlive_protocol::key::SigningKey::from_secret([8; 32]);
    write(
        "envelope",
        "another-key",
        &manifest::sign_announcement(&other, &publisher.announcements[2]),
    );
    for (name, message) in crate::messages::each() {
        write("message", name, &message.encode());
    }
    write(
        "message",
        "claimed",
        &[0x82, 4, 0x9a, 0xff, 0xff, 0xff, 0xff, 0x83],
    );
    let header = crate::messages::header();
    write("part-header", "good", &header.encode());
    write(
        "part-header",
        "largest",
        &crate::messages::largest().encode(),
    );
    write("part-header", "empty", &[0; 16]);
    write("name", "good", key().name().to_string().as_bytes());
    write("name", "zeros", format!("k{}", "0".repeat(61)).as_bytes());
    write(
        "name",
        "look-alike",
        "k51qzi5uqu5dm0t4vbwri4lkg76q03b4x9tsvekgvbu4zli6454ff7w8wdosа4".as_bytes(),
    );
}
