//! Proofs of the playlists of what is past and in no hour yet (protocol's README §10). The origin signs each when it is asked
//! for; a mirror, which has no key, takes over what its origin signed: of the same segments it makes the same playlists.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use meshlive_protocol::{archive::Vouched, dag, manifest::MAX_RENDITIONS};

use super::Archive;

/// Playlists of one run: of each rendition the whole and its delta update, and the multivariant one.
const MOST: usize = 2 * MAX_RENDITIONS + 1;
/// A mirror whose viewers asked for them lately asks its gateways in each round.
const LATELY: Duration = Duration::from_secs(60);

/// What a mirror knows: by the playlist's name.
#[derive(Default)]
pub(super) struct Learned {
    proofs: Mutex<Option<(u64, BTreeMap<String, Proof>)>>,
    asked: Mutex<Option<Instant>>,
}

struct Proof {
    vouched: Vouched,
    envelope: Vec<u8>,
}

impl Archive {
    /// A playlist with its proof, where it can be proved here; `msn` is the newest segment of its run.
    pub(crate) fn prove(&self, msn: u64, name: &str, playlist: String) -> String {
        let cid = dag::cid_of(playlist.as_bytes());
        if let Some(key) = &self.key {
            let list = self.list().rooted_at;
            let name = name.to_owned();
            let vouched = Vouched {
                list,
                msn,
                name,
                cid,
            };
            return Vouched::prove(&playlist, &vouched.sign(key));
        }
        let proofs = guard(&self.vouched.proofs);
        let proof = proofs.as_ref().and_then(|(_, proofs)| proofs.get(name));
        match proof.filter(|proof| (proof.vouched.msn, proof.vouched.cid) == (msn, cid)) {
            Some(proof) => Vouched::prove(&playlist, &proof.envelope),
            None => playlist,
        }
    }

    /// The newest segment of which a mirror has proofs; `None` at the origin, which needs none, and before there are any.
    pub(crate) fn proved_to(&self) -> Option<u64> {
        guard(&self.vouched.proofs).as_ref().map(|(msn, _)| *msn)
    }

    /// Someone asked for what only proofs make good.
    pub(crate) fn want_proofs(&self) {
        *guard(&self.vouched.asked) = Some(Instant::now());
    }

    /// Whether someone did lately, and they must come from elsewhere.
    pub(crate) fn wants_proofs(&self) -> bool {
        let asked = *guard(&self.vouched.asked);
        self.key.is_none() && asked.is_some_and(|asked| asked.elapsed() < LATELY)
    }

    /// Takes over proofs, a line each, in the place of older ones, as soon as the segments are here, too.
    ///
    /// # Errors
    /// `InvalidData` for one that the stream's key did not sign; nothing has changed then.
    pub(crate) fn learn_proofs(&self, lines: &str) -> io::Result<()> {
        let mut newest = (0, BTreeMap::new());
        for line in lines.lines().take(MOST) {
            let opened = Vouched::proof(line)
                .and_then(|envelope| Ok((Vouched::open(&self.stream, &envelope)?, envelope)));
            let (vouched, envelope) =
                opened.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if vouched.msn > newest.0 {
                newest = (vouched.msn, BTreeMap::new());
            }
            if vouched.msn == newest.0 {
                let name = vouched.name.clone();
                newest.1.insert(name, Proof { vouched, envelope });
            }
        }
        let (here, _) = self.open_edge();
        let is_newer = self.proved_to().is_none_or(|known| newest.0 > known);
        if is_newer && here >= Some(newest.0) && !newest.1.is_empty() {
            *guard(&self.vouched.proofs) = Some(newest);
        }
        Ok(())
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use meshlive_protocol::key::SigningKey;

    use super::*;
    use crate::archive::tests::{Run, TEN};

    const NAME: &str = "v/index.m3u8";
    const TEXT: &str = "#EXTM3U\n";

    fn line(key: &SigningKey, msn: u64, text: &str) -> String {
        let vouched = Vouched {
            list: (0, 0),
            msn,
            name: NAME.into(),
            cid: dag::cid_of(text.as_bytes()),
        };
        let proved = Vouched::prove("", &vouched.sign(key));
        proved.trim_end().to_owned()
    }

    #[test]
    fn a_mirror_proves_by_what_its_origin_signed_alone_and_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::start(folder.path(), TEN);
        let key = SigningKey::from_secret([7; 32]);
        let archive = Archive::of_mirror(key.name(), run.store.clone()).unwrap();
        let is_proved = |msn, text: &str| {
            let proved = archive.prove(msn, NAME, text.to_owned());
            Vouched::check(&key.name(), NAME, &proved).is_ok()
        };
        assert!(!archive.wants_proofs());
        archive.want_proofs();
        assert!(archive.wants_proofs());
        // As long as the segments themselves are not here, nothing is known of them.
        archive.learn_proofs(&line(&key, 7, TEXT)).unwrap();
        assert_eq!(archive.proved_to(), None);
        *guard(&archive.vouched.proofs) = Some((6, BTreeMap::new()));
        archive.learn_proofs(&line(&key, 5, TEXT)).unwrap();
        assert_eq!(archive.proved_to(), Some(6));
        let envelope = Vouched::proof(&line(&key, 7, TEXT)).unwrap();
        let vouched = Vouched::open(&key.name(), &envelope).unwrap();
        let proofs = BTreeMap::from([(NAME.to_owned(), Proof { vouched, envelope })]);
        *guard(&archive.vouched.proofs) = Some((7, proofs));
        assert!(is_proved(7, TEXT));
        assert!(!is_proved(8, TEXT) && !is_proved(7, "#EXTM3U\n#"));
        // Of another key, and what is no proof.
        let other = line(&SigningKey::from_secret([8; 32]), 9, TEXT);
        assert!(archive.learn_proofs(&other).is_err());
        assert!(archive.learn_proofs("#EXTM3U").is_err());
        assert!(archive.learn_proofs("").is_ok());
        assert_eq!(archive.proved_to(), Some(7));
    }
}
