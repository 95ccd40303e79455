//! Finding out at the start which packs there are: file names, sizes, fences of indexes, and the ends of open packs.

use std::{collections::HashSet, fs, io, path::Path, sync::Arc};

use super::{
    index::Index, key::PackKey, merge, pack::extension, recover::recover, state::State, tier,
};

/// Reads the folder.
pub(crate) fn load(folder: &Path) -> io::Result<State> {
    let mut state = State::default();
    let merged = merge::load(folder);
    let covered: HashSet<&str> = merged
        .iter()
        .flat_map(|index| &index.packs)
        .map(String::as_str)
        .collect();
    let mut own = Vec::new();
    for stream in fs::read_dir(folder)? {
        let stream = stream?;
        if let (Some(name), true) = (stream.file_name().to_str(), stream.file_type()?.is_dir()) {
            load_stream(folder, name, &covered, &mut state, &mut own)?;
        }
    }
    own.sort_by(|(one, _), (other, _)| one.cmp(other));
    let own = own.into_iter().map(|(_, index)| index);
    state.indexes = Arc::new(merged.into_iter().chain(own).map(Arc::new).collect());
    Ok(state)
}

fn load_stream(
    folder: &Path,
    stream: &str,
    covered: &HashSet<&str>,
    state: &mut State,
    own: &mut Vec<(PackKey, Index)>,
) -> io::Result<()> {
    let path = folder.join(stream);
    let files = fs::read_dir(&path)?.collect::<io::Result<Vec<_>>>()?;
    let names: HashSet<String> = files
        .iter()
        .filter_map(|file| file.file_name().into_string().ok())
        .collect();
    for (key, there) in tier::load(folder, stream, names.iter()) {
        let stem = key.stem();
        state.there.insert(key.clone(), there);
        if names.contains(&format!("{stem}.car")) {
            continue;
        }
        // It is in the second tier alone: its index is here, or it is brought back.
        if !covered.contains(key.to_string().as_str()) {
            match Index::open(&extension(&path.join(&stem), "idx")) {
                Ok(index) => own.push((key.clone(), index)),
                Err(error) => {
                    tracing::warn!(pack = %key, %error, "its index is made anew from the object store");
                    continue;
                }
            }
        }
        state.closed.insert(key, 0);
    }
    for file in files {
        let name = file.file_name();
        let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".car")) else {
            continue;
        };
        let Some(key) = PackKey::from_file(stream, stem) else {
            continue;
        };
        let closed = names.contains(&format!("{stem}.idx"));
        let covered = covered.contains(key.to_string().as_str());
        if closed && !covered {
            match Index::open(&extension(&path.join(stem), "idx")) {
                Ok(index) => own.push((key.clone(), index)),
                Err(error) => {
                    tracing::warn!(%error, "made anew from its pack");
                    state
                        .open
                        .insert(key.clone(), Arc::new(recover(key, folder, true)?));
                    continue;
                }
            }
        }
        if closed {
            state.closed.insert(key, file.metadata()?.len());
        } else {
            // What the second tier has takes no more: it is to stay the same.
            let lost = covered || state.there.contains_key(&key);
            state
                .open
                .insert(key.clone(), Arc::new(recover(key, folder, lost)?));
        }
    }
    Ok(())
}
