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
