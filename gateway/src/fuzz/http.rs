//! What stands in the URLs and headers of strangers, and the blocks of foreign DAGs.

use crate::http::{check_ipfs, query, range};

/// Delivery directives and other queries.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(reload) = query::reload(text) {
        assert!(reload.part.is_none() || reload.msn.is_some());
    }
    let _ = query::flag(text, "audio");
}

/// Names of media files: each file has one.
pub fn file(bytes: &[u8]) {
    let Ok(name) = std::str::from_utf8(bytes) else {
        return;
    };
    match query::file(name) {
        Some(query::File::Init(number)) => assert_eq!(name, format!("init-{number}.mp4")),
        Some(query::File::Segment(msn)) => assert_eq!(name, format!("{msn}.m4s")),
        Some(query::File::Part(msn, part)) => assert_eq!(name, format!("{msn}.{part}.m4s")),
        None => {}
    }
}

/// Ranges and tags. The first eight bytes are the length of the body.
pub fn range(bytes: &[u8]) {
    let Some((length, header)) = bytes.split_first_chunk() else {
        return;
    };
    let length = u64::from_be_bytes(*length);
    let Ok(header) = std::str::from_utf8(header) else {
        return;
    };
    if let range::Wanted::Bytes(wanted) = range::wanted(header, length) {
        assert!(wanted.start < wanted.end && wanted.end <= length);
    }
    let _ = range::none_match_names(header, "\"tag\"");
    let _ = range::if_range_allows(header, "\"tag\"");
}

/// Nodes of a DAG; and, where it is text, the form that a request to `/ipfs` asks for, behind a line end its `Accept`.
pub fn ipfs(bytes: &[u8]) {
    check_ipfs(bytes);
}
