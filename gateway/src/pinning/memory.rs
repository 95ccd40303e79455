//! What the disk remembers of what services keep of a stream's past.

use std::{collections::BTreeMap, io};

use meshlive_protocol::name::StreamName;
use serde::{Deserialize, Serialize};

use super::{
    object::Status,
    plan::{Held, Known},
    settings::Remote,
};
use crate::store::{Journal, Store};

/// Of each stream.
const JOURNAL: &str = "elsewhere.log";
const CHECKPOINT_BYTES: u64 = 8 << 20;

/// One pin elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The service's base URL.
    pub(super) service: String,
    /// `2026-11-22T10` (an hour) or `2026-11-22` (a day), UTC.
    pub what: String,
    /// Its root; empty where it is no longer asked for.
    pub cid: String,
    pub(super) requestid: String,
    /// How far the service said it is.
    pub status: Status,
}

impl Remembered {
    /// The service's host, and port if it has one.
    pub fn service(&self) -> String {
        let url = self.service.clone();
        let token = String::new();
        Remote { url, token }.host()
    }
}

/// What of a stream's past is pinned elsewhere, as the disk remembers it: for a command, where no gateway runs.
///
/// # Errors
/// What the disk says.
pub fn remembered(store: &Store, stream: &StreamName) -> io::Result<Vec<Remembered>> {
    Ok(Memory::open(store, stream)?.all())
}

/// Of one stream.
pub(super) struct Memory {
    journal: Journal,
    pub(super) by_service: BTreeMap<String, Held>,
}

impl Memory {
    pub(super) fn open(store: &Store, stream: &StreamName) -> io::Result<Self> {
        let mut journal = store.side_journal(stream, JOURNAL)?;
        let mut by_service = BTreeMap::new();
        for record in journal.take_records() {
            match serde_json::from_slice::<Vec<Remembered>>(&record) {
                Ok(all) => all.into_iter().for_each(|one| apply(&mut by_service, one)),
                Err(error) => {
                    tracing::warn!(%stream, %error, "a record of {JOURNAL} does not fit");
                }
            }
        }
        Ok(Self {
            journal,
            by_service,
        })
    }

    pub(super) fn write(&mut self, one: Remembered) -> io::Result<()> {
        let json = |all: &[Remembered]| serde_json::to_vec(all).expect("texts are JSON");
        self.journal.append(&json(std::slice::from_ref(&one)))?;
        apply(&mut self.by_service, one);
        if self.journal.bytes() > CHECKPOINT_BYTES {
            let all = self.all();
            self.journal.checkpoint(&json(&all))?;
        }
        self.journal.sync()
    }

    pub(super) fn all(&self) -> Vec<Remembered> {
        let each = self.by_service.iter().flat_map(|(service, held)| {
            held.iter().map(move |(what, known)| (service, what, known))
        });
        each.map(|(service, what, known)| Remembered {
            service: service.clone(),
            what: what.clone(),
            cid: known.cid.clone(),
            requestid: known.requestid.clone(),
            status: known.status,
        })
        .collect()
    }
}

fn apply(by_service: &mut BTreeMap<String, Held>, one: Remembered) {
    let Remembered {
        service,
        what,
        cid,
        requestid,
        status,
    } = one;
    let held = by_service.entry(service).or_default();
    if cid.is_empty() {
        held.remove(&what);
    } else {
        held.insert(
            what,
            Known {
                cid,
                requestid,
                status,
            },
        );
    }
}
