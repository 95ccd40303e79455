//! What a page checks of what was live, for itself: signed list → newest directory → names in it → bytes; and, of what is
//! in no list yet, playlists with their proof. Needs no [`Peer`](crate::peer::Peer), and no network.

use meshlive_protocol::{
    Cid,
    archive::{self, Entry, Vouched},
    dag,
};
use wasm_bindgen::prelude::*;

/// What a signed entry (as text) of the stream's list says: its epoch, its sequence, and the newest directory where it names
/// that, with blanks between them; undefined where it is not the stream's.
#[wasm_bindgen(js_name = signedRoot)]
pub fn signed_root(stream: &str, entry: &str) -> Option<String> {
    let entry = Entry::open_text(&stream.parse().ok()?, entry).ok()?;
    let root = entry.root.map(|root| root.cid.to_string());
    let root = root.unwrap_or_default();
    Some(format!("{} {} {root}", entry.epoch, entry.sequence))
}

/// Epoch and sequence of the stream's list by the proof in a playlist, which is the one that was asked for as `path` below
/// `/live/{stream}/earlier/`; undefined where there is no proof of that.
#[wasm_bindgen(js_name = signedPlaylist)]
pub fn signed_playlist(stream: &str, path: &str, text: &str) -> Option<String> {
    let vouched = Vouched::check(&stream.parse().ok()?, path, text).ok()?;
    let (epoch, sequence) = vouched.list;
    Some(format!("{epoch} {sequence}"))
}

/// The names in a directory, a line each: CID, bytes of all blocks below, name, with blanks between them; undefined where
/// these bytes are not what `cid` names, or no directory, or a name has control characters.
#[wasm_bindgen(js_name = directoryNames)]
pub fn directory_names(cid: &str, bytes: &[u8]) -> Option<String> {
    let cid: Cid = cid.parse().ok()?;
    let links = dag::verify(&cid, bytes).then(|| dag::read_directory(bytes))??;
    let mut lines = String::new();
    for (name, cid, size) in links {
        if name.bytes().any(|byte| byte < b' ') {
            return None;
        }
        lines += &format!("{cid} {size} {name}\n");
    }
    Some(lines)
}

/// Whether `bytes` are the whole file that `cid` names: a segment, an init segment, a playlist.
#[wasm_bindgen(js_name = isFile)]
pub fn is_file(cid: &str, bytes: &[u8]) -> bool {
    cid.parse()
        .is_ok_and(|cid: Cid| archive::is_file(&cid, bytes))
}
