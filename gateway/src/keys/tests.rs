use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use proptest::prelude::*;
use tempfile::tempdir;

use super::*;

#[test]
fn an_alias_is_made_on_first_use_and_found_again() {
    let folder = tempdir().unwrap();
    let keys = Keys::open(folder.path()).unwrap();
    let made = keys.ensure("studio").unwrap();
    assert_eq!(made.publish_secret.len(), 32, "160 bits of base32");
    assert_eq!(
        keys.ensure("studio").unwrap().publish_secret,
        made.publish_secret
    );
    assert_eq!(keys.find(&made.publish_secret), Some("studio".into()));

    let again = Keys::open(folder.path()).unwrap().list().unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].publish_secret, made.publish_secret);
    assert_eq!(again[0].signing_key.name(), made.signing_key.name());
}

#[test]
fn files_are_readable_by_their_owner_only_and_nothing_else_is_left() {
    let folder = tempdir().unwrap();
    let keys = Keys::open(folder.path()).unwrap();
    keys.new_alias("studio").unwrap();
    keys.rotate("studio").unwrap();
    let names = |path: &PathBuf| {
        let mut names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let studio = folder.path().join("keys/studio");
    assert_eq!(names(&folder.path().join("keys")), ["studio"]);
    assert_eq!(names(&studio), ["publish.secret", "signing.key"]);
    for name in names(&studio) {
        let mode = fs::metadata(studio.join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(
        fs::metadata(&studio).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn a_file_that_others_could_read_is_closed_to_them() {
    let folder = tempdir().unwrap();
    let keys = Keys::open(folder.path()).unwrap();
    keys.new_alias("studio").unwrap();
    let path = folder.path().join("keys/studio/publish.secret");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    keys.list().unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn rotating_changes_the_secret_and_never_the_name() {
    let folder = tempdir().unwrap();
    let keys = Keys::open(folder.path()).unwrap();
    let old = keys.new_alias("studio").unwrap();
    let new = keys.rotate("studio").unwrap();
    assert_ne!(old.publish_secret, new.publish_secret);
    assert_eq!(old.signing_key.name(), new.signing_key.name());
    assert_eq!(keys.find(&old.publish_secret), None);
    assert_eq!(keys.find(&new.publish_secret), Some("studio".into()));
}

#[test]
fn a_change_by_another_process_is_seen_within_the_refresh_time() {
    let folder = tempdir().unwrap();
    let server = Keys::open(folder.path()).unwrap();
    let command = Keys::open(folder.path()).unwrap();
    let old = command.new_alias("studio").unwrap();
    let new = command.rotate("studio").unwrap();
    std::thread::sleep(REFRESH + Duration::from_millis(100));
    assert_eq!(server.find(&new.publish_secret), Some("studio".into()));
    assert_eq!(server.find(&old.publish_secret), None);
}

#[test]
fn what_is_there_is_not_made_again_and_what_is_not_cannot_be_changed() {
    let folder = tempdir().unwrap();
    let keys = Keys::open(folder.path()).unwrap();
    keys.new_alias("studio").unwrap();
    assert!(matches!(keys.new_alias("studio"), Err(Error::Exists(_))));
    assert!(matches!(keys.rotate("stage"), Err(Error::Unknown(_))));
    assert!(matches!(keys.remove("stage"), Err(Error::Unknown(_))));
    keys.remove("studio").unwrap();
    assert!(matches!(keys.remove("studio"), Err(Error::Unknown(_))));
    assert!(keys.list().unwrap().is_empty());
}

#[test]
fn a_lost_signing_key_is_an_error_and_never_silently_another_name() {
    let folder = tempdir().unwrap();
    Keys::open(folder.path())
        .unwrap()
        .new_alias("studio")
        .unwrap();
    let path = folder.path().join("keys/studio/signing.key");
    fs::remove_file(&path).unwrap();
    let error = Keys::open(folder.path()).err().unwrap().to_string();
    assert!(
        error.contains("signing.key: missing: put it back"),
        "{error}"
    );
    fs::write(&path, b"not a key").unwrap();
    let error = Keys::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("signing.key: not a signing key"), "{error}");
}

#[test]
fn a_lost_secret_is_made_anew_and_a_weak_one_refused() {
    let folder = tempdir().unwrap();
    let keys = Keys::open(folder.path()).unwrap();
    let old = keys.new_alias("studio").unwrap();
    let path = folder.path().join("keys/studio/publish.secret");
    fs::remove_file(&path).unwrap();
    assert_ne!(keys.list().unwrap()[0].publish_secret, old.publish_secret);
    for weak in [
        "",
        "1234",
        "a secret with spaces in it and more",
        &"x".repeat(5000),
    ] {
        fs::write(&path, weak).unwrap();
        let error = keys.list().err().unwrap().to_string();
        assert!(error.contains("22 to 128 characters"), "{error}");
        // A running gateway keeps what it knew.
        assert_eq!(keys.find("1234"), None);
    }
}

#[test]
fn a_guess_is_never_found() {
    let folder = tempdir().unwrap();
    let keys = Keys::open(folder.path()).unwrap();
    let secret = keys.new_alias("studio").unwrap().publish_secret;
    keys.new_alias("stage").unwrap();
    let long = secret.clone() + &"x".repeat(100_000);
    for guess in [
        "",
        "studio",
        "../studio",
        &secret[1..],
        &secret.to_uppercase(),
        &long,
    ] {
        assert_eq!(keys.find(guess), None);
    }
}

#[test]
fn a_near_guess_takes_as_long_as_a_far_one() {
    let folder = tempdir().unwrap();
    let keys = Keys::open(folder.path()).unwrap();
    let secret = keys.new_alias("studio").unwrap().publish_secret;
    for at in 0..30 {
        keys.new_alias(&format!("stage-{at}")).unwrap();
    }
    let near = format!("{}!", &secret[..31]);
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    // In turns, so that whatever else the machine does hits all alike.
    for _ in 0..1000 {
        for (offered, times) in [near.as_str(), "studio", "?"].into_iter().zip(&mut times) {
            let begin = Instant::now();
            assert_eq!(keys.find(black_box(offered)), None);
            times.push(begin.elapsed());
        }
    }
    let median = times.map(|mut times| {
        times.sort();
        times[500].as_secs_f64()
    });
    for other in &median[1..] {
        assert!((0.75..1.33).contains(&(median[0] / other)), "{median:?}");
    }
}

#[test]
fn aliases_that_are_possible() {
    for alias in [
        "a",
        "7",
        "studio",
        "studio-2",
        "k51",
        "bafy",
        &"a".repeat(64),
    ] {
        assert_eq!(check_alias(alias), Ok(()), "{alias}");
    }
}

#[test]
fn aliases_that_are_not_possible_with_the_reason() {
    let name = SigningKey::generate().name().to_string();
    assert!(name.starts_with("k51") && name.len() <= MAX_ALIAS_BYTES);
    let cases = [
        ("", "cannot be empty"),
        ("..", "holds '.' (U+002E)"),
        ("../../etc/passwd", "holds '.' (U+002E)"),
        ("a/b", "holds '/' (U+002F)"),
        ("a\\b", "U+005C"),
        ("a\0b", "U+0000"),
        ("-rf", "from the second character on"),
        ("Studio", "holds 'S'"),
        ("st\u{443}dio", "(U+0443)"),
        ("ｓtudio", "(U+FF53)"),
        ("a\u{202e}b", "(U+202E)"),
        ("studio ", "(U+0020)"),
        ("watch", "used by the gateway itself"),
        (&"a".repeat(65), "has 65 bytes: at most 64"),
        (&"a".repeat(10_240), "has 10240 bytes"),
        (&"é".repeat(10_240), "has 20480 bytes"),
        (&name, "reads as a stream's name"),
    ];
    for (alias, reason) in cases {
        let error = check_alias(alias).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(error.len() < 400 && !error.contains('\u{202e}'), "{error}");
    }
}

#[test]
fn a_refused_alias_touches_no_file() {
    let folder = tempdir().unwrap();
    let keys = Keys::open(folder.path()).unwrap();
    fs::create_dir(folder.path().join("victim")).unwrap();
    assert!(matches!(keys.ensure("../victim"), Err(Error::Alias(_))));
    assert!(matches!(keys.rotate("../victim"), Err(Error::Alias(_))));
    assert!(matches!(keys.remove("../victim"), Err(Error::Alias(_))));
    assert!(folder.path().join("victim").exists());
}

proptest! {
    #[test]
    fn any_string_is_judged_and_what_passes_is_a_plain_name(alias in ".*") {
        if check_alias(&alias).is_ok() {
            prop_assert!(alias.len() <= 64 && !alias.starts_with('-'));
            prop_assert!(alias.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')));
        }
    }
}

#[test]
fn an_exported_key_goes_on_elsewhere_and_overwrites_nothing() {
    let (old, new) = (tempdir().unwrap(), tempdir().unwrap());
    let first = Keys::open(old.path()).unwrap().new_alias("studio").unwrap();
    let file = old.path().join("exported");
    fs::write(&file, first.signing_key.to_protobuf()).unwrap();
    let keys = Keys::open(new.path()).unwrap();
    let taken = keys.import("studio", &file).unwrap();
    assert_eq!(taken.signing_key.name(), first.signing_key.name());
    assert_ne!(taken.publish_secret, first.publish_secret);
    let secret = new.path().join("keys/studio/signing.key");
    let mode = fs::metadata(&secret).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(matches!(
        keys.import("studio", &file),
        Err(Error::Exists(_))
    ));
    assert!(matches!(keys.import("other", &file), Err(Error::Same(..))));
    // Another key under an alias that is there; no key at all.
    let other = keys.new_alias("other").unwrap();
    let kept = fs::read(&secret).unwrap();
    fs::write(&file, SigningKey::generate().to_protobuf()).unwrap();
    assert!(matches!(
        keys.import("studio", &file),
        Err(Error::Exists(_))
    ));
    assert_eq!(fs::read(&secret).unwrap(), kept);
    fs::write(&file, b"no key").unwrap();
    let error = keys.import("third", &file).unwrap_err().to_string();
    assert!(error.contains("exported"), "{error}");
    assert_eq!(keys.list().unwrap().len(), 2);
    assert_eq!(keys.list().unwrap()[0].alias, other.alias);
}
