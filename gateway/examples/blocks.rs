//! Puts blocks of other people's making into a data folder, for `tests/interop`: what a gateway serves below `/ipfs` without
//! having written it.
//!
//! `blocks DATA FOLDER`: each file of FOLDER is a block, named by its CID; all are pinned.

use std::{env, error::Error, fs, path::Path};

use cid::Cid;
use meshlive_gateway::store::{self, Store};
use meshlive_protocol::key::SigningKey;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().collect();
    let [_, data, folder] = &args[..] else {
        return Err("give DATA FOLDER".into());
    };
    let store = Store::open(&Path::new(data).join("store"), store::Settings::default())?;
    let nobody = SigningKey::from_secret([1; 32]).name();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name();
        let cid = Cid::try_from(name.to_str().ok_or("a name is no CID")?)?;
        // Version 0 is another name of a node.
        let stored = Cid::new_v1(cid.codec(), *cid.hash());
        store.append(&nobody, "blocks", 0, &stored, &fs::read(file.path())?)?;
    }
    store.pin("example", &nobody, "blocks", 0)?;
    store.flush();
    Ok(())
}
