//! The files of [`super::Keys`]: written whole or not at all, readable by their owner only.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use meshlive_protocol::key::SigningKey;
use multibase::Base;

use super::{Entry, Error, check_alias};

const SIGNING_KEY: &str = "signing.key";
const PUBLISH_SECRET: &str = "publish.secret";
/// Bits of a publish secret: 160, as 32 characters of base32.
const SECRET_BYTES: usize = 20;
/// An operator's own secret has at least as many characters as 128 bits take in base64.
const MIN_SECRET_CHARACTERS: usize = 22;
const MAX_SECRET_CHARACTERS: usize = 128;
/// No file is ever as long (a certificate has about 1 KB); a longer one is not read into memory.
const MAX_FILE_BYTES: u64 = 4096;

pub(super) fn make_folder(folder: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(at(folder))
}

/// The text in the file `name` of the data folder, made by `make` where there is none yet.
pub(super) fn kept(
    data: &Path,
    name: &str,
    make: impl FnOnce() -> Result<Vec<u8>, Error>,
) -> Result<Vec<u8>, Error> {
    let path = data.join(name);
    match read_file(&path) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let made = make()?;
            write(data, name, &made)?;
            Ok(made)
        }
        read => read,
    }
}

/// Reads every alias. What is no alias by its name is passed over with a warning.
pub(super) fn read_all(folder: &Path) -> Result<BTreeMap<String, Entry>, Error> {
    let mut entries = BTreeMap::new();
    for item in fs::read_dir(folder).map_err(at(folder))? {
        let item = item.map_err(at(folder))?;
        let name = item.file_name();
        let alias = name.to_string_lossy();
        if alias.starts_with('.') {
            continue; // a folder in the making, or what a crash left of one
        }
        if let Err(error) = check_alias(&alias) {
            tracing::warn!(%error, folder = %folder.display(), "passed over: not an alias");
            continue;
        }
        match read(&item.path(), &alias) {
            Ok(entry) => drop(entries.insert(entry.alias.clone(), entry)),
            // Removed by another process between the listing and here.
            Err(Error::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound && !item.path().exists() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(entries)
}

/// Makes the folder of `alias` with this signing key and a new publish secret. It appears whole, by one rename.
pub(super) fn create(folder: &Path, alias: &str, key: &SigningKey) -> Result<(), Error> {
    let target = folder.join(alias);
    if target.exists() {
        return Err(Error::Exists(alias.into()));
    }
    let making = folder.join(format!(".new-{alias}-{}", random_text()?));
    make_folder(&making)?;
    let made = write(&making, SIGNING_KEY, &key.to_protobuf())
        .and_then(|()| write_secret(&making))
        .and_then(|()| match fs::rename(&making, &target) {
            // rename(2) refuses a folder that is there and not empty: another process was faster.
            Err(_) if target.exists() => Err(Error::Exists(alias.into())),
            renamed => renamed.map_err(at(&target)),
        });
    if made.is_err() {
        let _ = fs::remove_dir_all(&making);
    }
    made.and_then(|()| sync_folder(folder))
}

/// Writes a new publish secret in place of the old one.
pub(super) fn write_secret(folder: &Path) -> Result<(), Error> {
    write(
        folder,
        PUBLISH_SECRET,
        format!("{}\n", random_text()?).as_bytes(),
    )
}

/// Removes the folder of `alias`. It disappears whole, by one rename.
pub(super) fn remove(folder: &Path, alias: &str) -> Result<(), Error> {
    let target = folder.join(alias);
    let going = folder.join(format!(".old-{alias}-{}", random_text()?));
    match fs::rename(&target, &going) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Unknown(alias.into()));
        }
        renamed => renamed.map_err(at(&target))?,
    }
    fs::remove_dir_all(&going).map_err(at(&going))?;
    sync_folder(folder)
}

fn read(folder: &Path, alias: &str) -> Result<Entry, Error> {
    let path = folder.join(SIGNING_KEY);
    let broken = |problem: &str| Error::Content {
        path: path.clone(),
        problem: problem.into(),
    };
    let key = match read_file(&path) {
        // A new key would silently give the stream another name.
        Err(Error::Io { source, .. })
            if source.kind() == io::ErrorKind::NotFound && folder.exists() =>
        {
            return Err(broken(
                "missing: put it back from a copy, or delete the folder to begin a new stream under this alias",
            ));
        }
        read => read?,
    };
    let signing_key = SigningKey::from_protobuf(&key)
        .map_err(|error| broken(&format!("{error}: put it back from a copy")))?;

    let path = folder.join(PUBLISH_SECRET);
    let secret = match read_file(&path) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            write_secret(folder)?;
            read_file(&path)?
        }
        read => read?,
    };
    let secret = String::from_utf8_lossy(&secret).trim().to_owned();
    let url_safe = secret
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if !url_safe || !(MIN_SECRET_CHARACTERS..=MAX_SECRET_CHARACTERS).contains(&secret.len()) {
        return Err(Error::Content {
            path,
            problem: format!(
                "a publish secret has {MIN_SECRET_CHARACTERS} to {MAX_SECRET_CHARACTERS} characters of a to z, A to Z, 0 to 9, - and _: delete the file for a new one"
            ),
        });
    }
    Ok(Entry {
        alias: alias.to_owned(),
        signing_key,
        publish_secret: secret,
    })
}

/// At most the bytes of a key, and then some.
pub(super) fn read_foreign(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes))
        .map_err(at(path))?;
    Ok(bytes)
}

fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(at(path))?;
    let mode = file.metadata().map_err(at(path))?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777), "others could read this: set to 600");
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(at(path))?;
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(at(path))?;
    Ok(bytes)
}

/// Writes `name` in `folder`: after a crash it holds the old bytes or the new ones, whole.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let temporary = folder.join(format!(".{name}-{}", random_text()?));
    let target = folder.join(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, &target))
        .map_err(at(&target));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.and_then(|()| sync_folder(folder))
}

/// A rename is only safe from a power cut once its folder is.
fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(at(folder))
}

fn random_text() -> Result<String, Error> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(Base::Base32Lower.encode(bytes))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    |source| Error::Io { path, source }
}
