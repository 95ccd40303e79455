use std::{io, time::Instant};

use meshlive_protocol::{dag, key::SigningKey, name::StreamName};

use super::{Settings, There};
use crate::store::{Store, key::HOUR, pack::extension, record};

/// Nobody listens there.
fn nowhere() -> Settings {
    Settings {
        endpoint: "http://127.0.0.1:1".into(),
        bucket: "packs".into(),
        key_id: "a".into(),
        secret: "b".into(),
        ..Settings::default()
    }
}

fn put(store: &Store, name: &StreamName, hour: u64, text: &str) -> cid::Cid {
    let cid = dag::cid_of(text.as_bytes());
    store
        .append(name, "v", hour * HOUR, &cid, text.as_bytes())
        .unwrap();
    cid
}

#[test]
fn nonsense_in_settings_is_named() {
    assert_eq!(
        (Settings::default().check(), nowhere().check()),
        (Ok(()), Ok(()))
    );
    for (settings, name) in [
        (
            Settings {
                endpoint: "s3.example.org".into(),
                ..nowhere()
            },
            "store.s3.endpoint",
        ),
        (
            Settings {
                endpoint: "file:///etc".into(),
                ..nowhere()
            },
            "store.s3.endpoint",
        ),
        (
            Settings {
                endpoint: String::new(),
                ..nowhere()
            },
            "store.s3.bucket",
        ),
        (
            Settings {
                bucket: "a/b".into(),
                ..nowhere()
            },
            "store.s3.bucket",
        ),
        (
            Settings {
                secret: String::new(),
                ..nowhere()
            },
            "store.s3.key_id",
        ),
        (
            Settings {
                upload: 1,
                ..nowhere()
            },
            "store.s3.upload",
        ),
    ] {
        assert_eq!(settings.check().unwrap_err().setting, name);
    }
}

/// Two packs, of which the disk says that one is in the object store alone; what is stored of each.
fn folder_of_two(name: &StreamName) -> (tempfile::TempDir, [cid::Cid; 2], std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), crate::store::Settings::default()).unwrap();
    let cids = [1, 2].map(|hour| put(&store, name, hour, &format!("hour {hour}")));
    for hour in [1, 2] {
        store.pin("test", name, "v", hour * HOUR).unwrap();
    }
    store.close_all().unwrap();
    drop(store);
    let stem = folder.path().join(name.to_string()).join("19700101T01-v-0");
    let bytes = std::fs::metadata(extension(&stem, "car")).unwrap().len();
    There {
        object: "an/object".into(),
        bytes,
        upload: None,
    }
    .write(&stem)
    .unwrap();
    std::fs::remove_file(extension(&stem, "car")).unwrap();
    (folder, cids, stem)
}

#[test]
fn while_the_object_store_is_away_the_error_names_it_and_the_disk_goes_on() {
    let name = SigningKey::generate().name();
    let (folder, [far, near], stem) = folder_of_two(&name);
    let away = crate::store::Settings {
        s3: nowhere(),
        ..crate::store::Settings::default()
    };
    let store = Store::open(folder.path(), away).unwrap();
    assert_eq!(
        store.get_here(&far).unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    let error = store.get(&far).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::HostUnreachable);
    assert!(
        error.to_string().contains("http://127.0.0.1:1/packs"),
        "{error}"
    );
    let begun = Instant::now();
    assert!(
        store.get(&far).is_err() && begun.elapsed().as_millis() < 100,
        "who comes next does not wait"
    );
    assert!(store.has(&far).unwrap() && store.get(&near).unwrap().is_some());
    let live = put(&store, &name, 3, "live");
    assert_eq!(store.get(&live).unwrap().as_deref(), Some(&b"live"[..]));
    let stats = store.stats();
    assert_eq!(
        (stats.tier_up, stats.tier_bytes > 40, stats.packs),
        (Some(false), true, 3)
    );
    // What is given up is remembered until it is removed there.
    store.unpin("test", &name, "v", HOUR).unwrap();
    store.give_up_hour(&name, HOUR).unwrap();
    assert!(!extension(&stem, "s3").exists() && folder.path().join("gone/an-object").exists());
    assert_eq!(store.get(&far).unwrap(), None);
}

#[test]
fn without_its_settings_a_pack_that_is_there_is_not_taken_for_lost() {
    let name = SigningKey::generate().name();
    let (folder, [far, near], _) = folder_of_two(&name);
    let store = Store::open(folder.path(), crate::store::Settings::default()).unwrap();
    let error = store.get(&far).unwrap_err().to_string();
    assert!(error.contains("[store.s3]"), "{error}");
    assert!(store.get(&near).unwrap().is_some());
}

#[test]
fn a_file_of_another_kind_names_no_object() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.s3");
    for bytes in [
        Vec::new(),
        b"x".to_vec(),
        record::encode(b"[]"),
        record::encode(b"{}"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(There::read(&path), None);
    }
}
