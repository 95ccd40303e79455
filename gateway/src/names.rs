//! IPNS records: those of the streams that this gateway publishes, made when their newest directory changes, those of the
//! streams that it follows, and the newest of other streams that peers have told. Never on the live path.
//!
//! A record replaces another only if it verifies against the stream's name, is still valid, and is newer.
//! Own ones are on the disk (`names/<stream>`), so that their sequence never goes back; should that be lost as well, it
//! goes on from the clock, or from what peers still have. So are those of followed streams: a mirror tells them when the
//! origin is gone, also after a restart.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use cid::Cid;
use libp2p::identity::ed25519;
use meshlive_protocol::{
    ipns::{Record, Refused},
    key::SigningKey,
    name::StreamName,
};

/// A record is valid for so long; it is made anew when less than [`RENEW`] is left, so that a bookmark outlives a
/// gateway by a year at least.
const VALID: Duration = Duration::from_secs(2 * 365 * 86_400);
const RENEW: Duration = Duration::from_secs(400 * 86_400);
/// How long the newest may be taken for the newest.
const TTL: Duration = Duration::from_secs(60);
/// Records of others that are held; one more is refused.
pub const MAX_FOREIGN: usize = 1024;

/// What stands before a name in a record's key.
const PREFIX: &[u8] = b"/ipns/";
/// Identity multihash of the protobuf of an Ed25519 key.
const KEY_HEADER: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// The key of a stream's record, where IPFS nodes ask for it.
pub fn key_of(name: &StreamName) -> Vec<u8> {
    [PREFIX, &name.to_cid().hash().to_bytes()].concat()
}

/// The stream whose record has this key.
pub fn name_of(key: &[u8]) -> Option<StreamName> {
    let key = key.strip_prefix(PREFIX)?.strip_prefix(&KEY_HEADER)?;
    let key = ed25519::PublicKey::try_from_bytes(key).ok()?;
    Some(StreamName::from_public_key(&key))
}

/// All records; shared.
pub struct Names {
    folder: Option<PathBuf>,
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    held: HashMap<StreamName, Held>,
    followed: BTreeSet<StreamName>,
}

#[derive(Clone)]
struct Held {
    record: Record,
    bytes: Bytes,
    own: bool,
}

/// Why a record of a peer is not taken. What was held stays.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is not valid.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A newer one is known.
    #[error("sequence {got} is older than {known}, which is known")]
    Older {
        /// What came.
        got: u64,
        /// What is known.
        known: u64,
    },
    /// There are too many.
    #[error("there are {MAX_FOREIGN} records of other streams already")]
    Full,
}

/// Microseconds since the Unix epoch: a record's end is a date, for all who read it.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

impl Names {
    /// None yet; own ones are read when they are first needed, from the data folder. Without one nothing outlives a run.
    pub fn new(data: Option<&Path>) -> Self {
        Self {
            folder: data.map(|data| data.join("names")),
            all: Mutex::default(),
        }
    }

    /// This stream is followed here: its record is kept, and told to others.
    pub fn follow(&self, name: &StreamName) {
        let mut all = self.lock();
        if !all.followed.insert(name.clone()) {
            return;
        }
        if let Some(held) = all.held.get(name) {
            self.write(name, &held.bytes);
        } else if let Some(held) = self.read(name, false) {
            all.held.insert(name.clone(), held);
        }
    }

    /// The record of a stream of ours whose newest directory is `root`: what there is if it says so and is valid for long
    /// enough, else a new one.
    pub fn publish(&self, key: &SigningKey, root: &Cid, now: u64) -> Bytes {
        let name = key.name();
        let mut all = self.lock();
        let (known, own) = match all.held.get(&name) {
            Some(held) => (Some(held.clone()), held.own),
            None => (self.read(&name, true), true),
        };
        let micros = |duration: Duration| duration.as_micros() as u64;
        if let Some(held) = &known {
            let same = held.record.value == format!("/ipfs/{root}");
            if same && held.record.valid_until > now + micros(RENEW) {
                let held = Held {
                    own: true,
                    ..held.clone()
                };
                let bytes = held.bytes.clone();
                if !own {
                    self.write(&name, &bytes);
                }
                all.held.insert(name, held);
                return bytes;
            }
        }
        let next = known.map_or(0, |held| held.record.sequence.saturating_add(1));
        // Whole milliseconds, as the record is read back.
        let end = (now + micros(VALID)) / 1000 * 1000;
        let record = Record::of(root, next.max(now / 1_000_000), end, TTL.as_nanos() as u64);
        let bytes = Bytes::from(record.sign(key));
        self.write(&name, &bytes);
        let held = Held {
            record,
            bytes: bytes.clone(),
            own: true,
        };
        all.held.insert(name, held);
        bytes
    }

    /// Takes a record that a peer has told; whether it is newer than what was known.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn take(&self, name: &StreamName, bytes: &[u8], now: u64) -> Result<bool, NotTaken> {
        let record = Record::open(name, bytes, now)?;
        let mut all = self.lock();
        let All { held, followed } = &mut *all;
        let followed = followed.contains(name);
        let own = match held.get(name) {
            Some(held) if held.record == record => return Ok(false),
            Some(held) if !record.is_newer_than(&held.record) => {
                return Err(NotTaken::Older {
                    got: record.sequence,
                    known: held.record.sequence,
                });
            }
            Some(held) => held.own,
            None if followed => false,
            None => {
                held.retain(|_, held| held.own || held.record.valid_until > now);
                if held.values().filter(|held| !held.own).count() >= MAX_FOREIGN {
                    return Err(NotTaken::Full);
                }
                false
            }
        };
        if followed {
            self.write(name, bytes);
        }
        let newest = Held {
            record,
            bytes: Bytes::copy_from_slice(bytes),
            own,
        };
        held.insert(name.clone(), newest);
        Ok(true)
    }

    /// A stream's newest record that is still valid, and when it ends (µs since the Unix epoch).
    pub fn get(&self, name: &StreamName, now: u64) -> Option<(Bytes, u64)> {
        let all = self.lock();
        let held = all.held.get(name)?;
        (held.record.valid_until > now).then(|| (held.bytes.clone(), held.record.valid_until))
    }

    /// All that are valid, each with whether we tell it: it is ours, or followed.
    pub fn all(&self, now: u64) -> Vec<(StreamName, Bytes, bool)> {
        let all = self.lock();
        let valid = (all.held.iter()).filter(|(_, held)| held.record.valid_until > now);
        let told = |name, held: &Held| held.own || all.followed.contains(name);
        valid
            .map(|(name, held)| (name.clone(), held.bytes.clone(), told(name, held)))
            .collect()
    }

    /// The streams whose records we tell and want to hear of: ours that have one, and the followed ones. In order.
    pub fn told(&self) -> BTreeSet<StreamName> {
        let all = self.lock();
        let own = (all.held.iter()).filter(|(_, held)| held.own);
        let own = own.map(|(name, _)| name.clone());
        own.chain(all.followed.iter().cloned()).collect()
    }

    /// Whether we tell this stream's record and want to hear of it.
    pub fn is_told(&self, name: &StreamName) -> bool {
        let all = self.lock();
        all.followed.contains(name) || all.held.get(name).is_some_and(|held| held.own)
    }

    /// What an earlier run left, also if it is not valid any more: its sequence counts.
    fn read(&self, name: &StreamName, own: bool) -> Option<Held> {
        let path = self.folder.as_ref()?.join(name.to_string());
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            read => read.inspect_err(|error| tracing::warn!(path = %path.display(), %error, "an IPNS record cannot be read; the next one takes its sequence from the clock")),
        };
        let bytes = Bytes::from(bytes.ok()?);
        match Record::open(name, &bytes, 0) {
            Ok(record) => Some(Held { record, bytes, own }),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "not an IPNS record of this stream; the next one takes its sequence from the clock");
                None
            }
        }
    }

    /// Whole or not at all. A record that could not be written is told all the same.
    fn write(&self, name: &StreamName, bytes: &[u8]) {
        let Some(folder) = &self.folder else {
            return;
        };
        let path = folder.join(name.to_string());
        let temporary = folder.join(format!("{name}.new"));
        let written = fs::create_dir_all(folder)
            .and_then(|()| fs::write(&temporary, bytes))
            .and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "an IPNS record cannot be kept; make room on the disk");
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use meshlive_protocol::dag;

    use super::*;

    const NOW: u64 = 1_800_000_000_000_000;
    const DAY: u64 = 86_400_000_000;

    fn key(n: usize) -> SigningKey {
        let mut secret = [1; 32];
        secret[..8].copy_from_slice(&n.to_le_bytes());
        SigningKey::from_secret(secret)
    }

    fn read(bytes: &[u8], now: u64) -> Record {
        Record::open(&key(1).name(), bytes, now).unwrap()
    }

    #[test]
    fn a_record_is_made_when_the_directory_changes_and_stays_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (dag::cid_of(b"a"), dag::cid_of(b"b"));
        let names = Names::new(Some(folder.path()));
        let first = names.publish(&key(1), &a, NOW);
        assert_eq!(names.publish(&key(1), &a, NOW + DAY), first, "nothing new");
        assert!(read(&first, NOW).valid_until >= NOW + 365 * DAY);
        let second = names.publish(&key(1), &b, NOW);
        assert_eq!(read(&second, NOW).sequence, read(&first, NOW).sequence + 1);
        assert_eq!(read(&second, NOW).value, format!("/ipfs/{b}"));
        // After a restart, even with a clock that stands at the beginning of time.
        let again = Names::new(Some(folder.path()));
        assert_eq!(again.publish(&key(1), &b, 0), second);
        let third = again.publish(&key(1), &a, 0);
        assert_eq!(read(&third, 0).sequence, read(&second, NOW).sequence + 1);
    }

    #[test]
    fn it_is_made_anew_long_before_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new(Some(folder.path()));
        let root = dag::cid_of(b"a");
        let first = read(&names.publish(&key(1), &root, NOW), NOW);
        let later = NOW + 340 * DAY;
        let second = read(&names.publish(&key(1), &root, later), later);
        assert!(second.is_newer_than(&first) && second.valid_until >= later + 365 * DAY);
    }

    #[test]
    fn forged_older_and_expired_ones_replace_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new(Some(folder.path()));
        let name = key(1).name();
        let signed =
            |sequence, end, by| Record::of(&dag::cid_of(b"r"), sequence, end, 1).sign(&key(by));
        let good = signed(5, NOW + DAY, 1);
        assert_eq!(names.take(&name, &good, NOW), Ok(true));
        assert_eq!(names.take(&name, &good, NOW), Ok(false), "it is known");
        for (bad, why) in [
            (signed(9, NOW + DAY, 2), "forged"),
            (signed(4, NOW + 2 * DAY, 1), "older"),
            (signed(9, NOW, 1), "expired"),
            (b"nothing".to_vec(), "none"),
        ] {
            assert!(names.take(&name, &bad, NOW).is_err(), "{why}");
            let held = names.get(&name, NOW).unwrap();
            assert_eq!(held, (good.clone().into(), NOW + DAY), "{why}");
        }
        assert_eq!(names.take(&name, &signed(6, NOW + DAY, 1), NOW), Ok(true));
        assert_eq!(names.get(&name, NOW + DAY), None, "its time is over");
    }

    #[test]
    fn a_lost_folder_goes_on_behind_what_peers_have() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new(Some(folder.path()));
        let theirs = NOW / 1_000_000 + 50;
        let record = Record::of(&dag::cid_of(b"r"), theirs, NOW + DAY, 1);
        names
            .take(&key(1).name(), &record.sign(&key(1)), NOW)
            .unwrap();
        let ours = read(&names.publish(&key(1), &dag::cid_of(b"x"), NOW), NOW);
        assert_eq!(ours.sequence, theirs + 1);
    }

    #[test]
    fn a_followed_stream_s_record_stays_over_a_restart_and_only_a_newer_one_replaces_it() {
        let folder = tempfile::tempdir().unwrap();
        let name = key(1).name();
        let signed =
            |sequence| Record::of(&dag::cid_of(b"r"), sequence, NOW + DAY, 1).sign(&key(1));
        let names = Names::new(Some(folder.path()));
        names.take(&name, &signed(5), NOW).unwrap();
        assert!(!names.is_told(&name) && names.told().is_empty());
        names.follow(&name);
        assert!(names.is_told(&name) && names.told().contains(&name));
        names.take(&name, &signed(6), NOW).unwrap();
        drop(names);
        let names = Names::new(Some(folder.path()));
        assert_eq!(names.get(&name, NOW), None, "nobody follows it");
        names.follow(&name);
        let held = names.get(&name, NOW).map(|(bytes, _)| bytes);
        assert_eq!(held, Some(signed(6).into()));
        let older = names.take(&name, &signed(5), NOW);
        assert_eq!(older, Err(NotTaken::Older { got: 5, known: 6 }));
    }

    #[test]
    fn a_key_is_the_name_of_its_stream_and_no_other_is_taken() {
        let name = key(3).name();
        assert_eq!(name_of(&key_of(&name)), Some(name));
        for other in [
            &b"/pk/x"[..],
            b"/ipns/",
            b"",
            b"/ipns/\x12\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert_eq!(name_of(other), None);
        }
    }

    #[test]
    fn records_of_others_have_a_limit_and_ours_have_a_place() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new(Some(folder.path()));
        let record = Record::of(&dag::cid_of(b"r"), 1, NOW + DAY, 1);
        for n in 0..MAX_FOREIGN {
            let key = key(n + 2);
            names.take(&key.name(), &record.sign(&key), NOW).unwrap();
        }
        let more = key(MAX_FOREIGN + 2);
        let more = names.take(&more.name(), &record.sign(&more), NOW);
        assert_eq!(more, Err(NotTaken::Full));
        names.publish(&key(1), &dag::cid_of(b"ours"), NOW);
        assert!(names.get(&key(1).name(), NOW).is_some());
        let followed = key(MAX_FOREIGN + 3);
        names.follow(&followed.name());
        let taken = names.take(&followed.name(), &record.sign(&followed), NOW);
        assert_eq!(taken, Ok(true), "what is followed has a place");
        assert_eq!(names.all(NOW).len(), MAX_FOREIGN + 2);
    }
}
