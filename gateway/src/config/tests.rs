use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Result<Config, Error> {
    let config = Config::parse(text, Path::new("test.toml"))?;
    config.check()?;
    Ok(config)
}

/// All dotted keys of a serialised value; an empty table counts as a key.
fn keys(prefix: &str, value: &toml::Value, into: &mut Vec<String>) {
    match value.as_table() {
        Some(table) if !table.is_empty() => {
            for (key, value) in table {
                keys(&format!("{prefix}.{key}"), value, into);
            }
        }
        _ => into.push(prefix.into()),
    }
}

#[test]
fn what_is_printed_loads_to_the_defaults_and_misses_no_key() {
    let printed = print::defaults();
    assert_eq!(parse(&printed).expect(&printed), Config::default());
    let (mut shown, mut all) = (Vec::new(), Vec::new());
    keys("", &toml::from_str(&printed).unwrap(), &mut shown);
    keys(
        "",
        &toml::Value::try_from(Config::default()).unwrap(),
        &mut all,
    );
    shown.sort();
    all.sort();
    assert_eq!(shown, all);
}

#[test]
fn every_setting_has_its_comment() {
    let printed = print::defaults();
    let lines: Vec<_> = printed.lines().collect();
    for (above, line) in lines.iter().zip(&lines[1..]) {
        if !line.is_empty() && !line.starts_with('#') {
            assert!(above.starts_with("# "), "{line:?} has no comment");
        }
    }
}

#[test]
fn a_setting_that_makes_no_sense_is_named_with_its_value_and_a_remedy() {
    for (text, names) in [
        (
            "listen.http = \"nowhere\"",
            ["listen.http", "nowhere", "IP:PORT"],
        ),
        ("listen.http = \"off\"", ["listen.http", "off", "IP:PORT"]),
        (
            "public_url = \"node.mesh\"",
            ["public_url", "node.mesh", "http://"],
        ),
        ("inputs = [\"\"]", ["inputs", "0 bytes", "testcard"]),
        ("data = \"\"", ["data", "\"\"", "folder"]),
        (
            "lisen.http = \"127.0.0.1:1\"",
            ["lisen", "127.0.0.1:1", "config print"],
        ),
        (
            "inputs = [\"film.mp4?loop=no\"]",
            ["inputs", "no", "0 or 1"],
        ),
        (
            "ingest.encoder_threads = 99",
            ["ingest.encoder_threads", "99", "64"],
        ),
        ("store.keep = \"long\"", ["keep", "long", "30days"]),
        ("http.connections = 0", ["http.connections", "0", "1000000"]),
        (
            "ingest.key_frame_interval = 4.5",
            ["ingest.key_frame_interval", "4.5", "package"],
        ),
        ("data = 7", ["data", "7", "config print"]),
    ] {
        let message = parse(text).expect_err(text).to_string();
        assert_eq!(message.lines().count(), 1, "{message}");
        for name in names {
            assert!(message.contains(name), "{message:?} does not say {name:?}");
        }
    }
}

#[test]
fn a_truncated_file_is_an_error_with_its_line_or_a_configuration() {
    let whole = print::defaults();
    for cut in (0..whole.len()).filter(|&cut| whole.is_char_boundary(cut)) {
        if let Err(error) = parse(&whole[..cut]) {
            assert_eq!(
                error.to_string().lines().count(),
                1,
                "cut at {cut}: {error}"
            );
        }
    }
}

#[test]
fn files_that_are_missing_too_long_or_not_text_are_named() {
    let folder = std::env::temp_dir().join(format!("meshlive-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        Config::load(&path).expect_err(name).to_string()
    };
    let too_long = vec![b'#'; MAX_CONFIG_BYTES as usize + 1];
    assert!(write("long.toml", &too_long).contains("longer than"));
    assert!(write("bytes.toml", b"data = \"\xff\xfe\"").contains("UTF-8"));
    let missing = Config::load(&folder.join("none.toml")).expect_err("missing");
    assert!(missing.to_string().contains("none.toml"));
    let at_limit = folder.join("limit.toml");
    std::fs::write(&at_limit, &too_long[1..]).unwrap();
    assert_eq!(Config::load(&at_limit).unwrap(), Config::default());
    std::fs::remove_dir_all(&folder).unwrap();
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_one_line_that_says_why(text in "\\PC{0,200}|[a-z.=\\[\\]\"\n ]{0,200}") {
        if let Err(error) = parse(&text) {
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
    }
}
