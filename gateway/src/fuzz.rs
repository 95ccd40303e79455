//! The bodies of the fuzz targets in `fuzz/`: each takes any bytes and panics only on a bug.
//!
//! They are part of the crate so that a change of an interface breaks them at once, and `cargo test` replays
//! `fuzz/corpus/` through them. A room adds its file here and its targets to [`TARGETS`].

pub mod http;
pub mod ingest;
pub mod rtmp;
pub mod store;
pub mod swarm;

/// What a target runs.
pub type Body = fn(&[u8]);

/// All targets, by the name of their corpus.
pub const TARGETS: &[(&str, Body)] = &[
    ("rtmp_session", rtmp::session),
    ("flv_tags", rtmp::flv_tags),
    ("h264", ingest::h264),
    ("original", ingest::original),
    ("aac", ingest::aac),
    ("timeline", ingest::timeline),
    ("input_spec", ingest::spec),
    ("http_query", http::query),
    ("http_file", http::file),
    ("http_range", http::range),
    ("http_ipfs", http::ipfs),
    ("pack", store::pack),
    ("journal", store::journal),
    ("bitswap", swarm::bitswap),
];

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn the_corpora_are_replayed() {
        for (name, body) in TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("fuzz/corpus")
                .join(name);
            let mut replayed = 0;
            for file in fs::read_dir(&folder)
                .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            {
                let bytes = fs::read(file.unwrap().path()).unwrap();
                body(&bytes);
                for cut in 0..bytes.len().min(200) {
                    body(&bytes[..cut]);
                }
                replayed += 1;
            }
            assert!(replayed > 0, "{} is empty", folder.display());
        }
    }

    #[test]
    fn every_target_has_its_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name())
            .collect();
        let mut targets: Vec<std::ffi::OsString> = TARGETS
            .iter()
            .map(|(name, _)| format!("{name}.rs").into())
            .collect();
        files.sort();
        targets.sort();
        assert_eq!(files, targets);
    }
}
