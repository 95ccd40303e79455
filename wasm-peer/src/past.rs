//! What a page checks of what was live, for itself: signed list → newest directory → names in it → bytes; and, of what is
//! in no list yet, playlists with their proof. Needs no [`Peer`](crate::peer::Peer), and no network.

use meshlive_protocol::{
    Cid,
    archive::{self, Entry, Vouched},
    dag,
    manifest::Rejected,
    name::StreamName,
};
use wasm_bindgen::prelude::*;

/// What a signed entry (as text) of the stream's list says: its epoch, its sequence, and the newest directory where it names
/// that, with blanks between them. Throws a string that says why where it is not the stream's.
#[wasm_bindgen(js_name = signedRoot)]
pub fn signed_root(stream: &str, entry: &str) -> Result<String, String> {
    let entry = Entry::open_text(&name(stream)?, entry).map_err(why)?;
    let root = entry.root.map(|root| root.cid.to_string());
    let root = root.unwrap_or_default();
    Ok(format!("{} {} {root}", entry.epoch, entry.sequence))
}

/// Epoch and sequence of the stream's list by the proof in a playlist, which is the one that was asked for as `path` below
/// `/live/{stream}/earlier/`. Throws a string that says why where there is no proof of that.
#[wasm_bindgen(js_name = signedPlaylist)]
pub fn signed_playlist(stream: &str, path: &str, text: &str) -> Result<String, String> {
    let vouched = Vouched::check(&name(stream)?, path, text).map_err(why)?;
    let (epoch, sequence) = vouched.list;
    Ok(format!("{epoch} {sequence}"))
}

/// The names in a directory, a line each: CID, bytes of all blocks below, name, with blanks between them; undefined where
/// these bytes are not what `cid` names, or no directory, or a name has control characters.
#[wasm_bindgen(js_name = directoryNames)]
pub fn directory_names(cid: &str, bytes: &[u8]) -> Option<String> {
    let cid: Cid = cid.parse().ok()?;
    let links = dag::verify(&cid, bytes).then(|| dag::read_directory(bytes))??;
    let mut lines = String::new();
    for (name, cid, size) in links {
        if name.contains(char::is_control) {
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

fn name(stream: &str) -> Result<StreamName, String> {
    stream.parse().map_err(|error| format!("{error}"))
}

fn why(rejected: Rejected) -> String {
    rejected.to_string()
}
