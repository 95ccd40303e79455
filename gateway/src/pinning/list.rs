//! The requests of others, and their limits. Pure: what the disk remembers is a [`Record`] for each change.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{
    filter::Filter,
    object::{Failure, Pin, PinStatus, Status},
};

/// All requests together take no more than this, so that a checkpoint fits a record of a journal.
const MAX_BYTES: usize = 8 << 20;
/// What a request takes beside its pin.
const OWN_BYTES: usize = 1024;
/// The longest reason that is kept.
const MAX_WHY_CHARS: usize = 500;

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) id: String,
    /// Whose it is: made of the token, which is written nowhere.
    pub(super) whose: String,
    /// Milliseconds since 1970, of no other request.
    pub(super) created: u64,
    pub(super) pin: Pin,
    /// The root of the request whose place it takes, if it takes one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) instead_of: String,
    pub(super) status: Status,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) why: String,
    /// Bytes of its blocks, as far as they are here.
    #[serde(default)]
    pub(super) bytes: u64,
}

/// A change, as the journal has it (JSON).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Record {
    /// A checkpoint.
    All(Vec<Request>),
    Asked(Request),
    Became {
        id: String,
        status: Status,
        why: String,
        bytes: u64,
    },
    Removed(String),
}

/// How many requests there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) requests: usize,
    pub(super) queue: usize,
}

/// All of them, oldest first.
#[derive(Debug, Default)]
pub(super) struct List {
    requests: BTreeMap<u64, Request>,
    places: HashMap<String, u64>,
    bytes: usize,
}

impl List {
    /// Takes over what a journal says.
    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::All(requests) => {
                *self = Self::default();
                requests
                    .into_iter()
                    .for_each(|request| self.insert(request));
            }
            Record::Asked(request) => self.insert(request),
            Record::Became {
                id,
                status,
                why,
                bytes,
            } => {
                if let Some(request) = self.get_mut(&id) {
                    request.status = status;
                    request.why = why.chars().take(MAX_WHY_CHARS).collect();
                    request.bytes = bytes;
                }
            }
            Record::Removed(id) => {
                if let Some(request) = self
                    .places
                    .remove(&id)
                    .and_then(|at| self.requests.remove(&at))
                {
                    self.bytes -= size(&request.pin);
                }
            }
        }
    }

    fn insert(&mut self, request: Request) {
        self.bytes += size(&request.pin);
        self.places.insert(request.id.clone(), request.created);
        self.requests.insert(request.created, request);
    }

    /// What is to be written down for a new request, which may take the place of another; its time is later than that of
    /// all others, whatever the clock says.
    ///
    /// # Errors
    /// At a limit.
    pub(super) fn ask(
        &self,
        whose: &str,
        pin: Pin,
        id: String,
        now: u64,
        limits: Limits,
        instead_of: Option<&str>,
    ) -> Result<Request, Failure> {
        let gone = instead_of.and_then(|id| self.get(id));
        let less = usize::from(gone.is_some());
        let full = |what: &str, most: usize| {
            let details = format!(
                "this gateway keeps at most {most} {what}: remove some, or ask its operator"
            );
            Failure::new(409, "LIMIT_REACHED", details)
        };
        if self.requests.len() - less >= limits.requests {
            return Err(full("requests", limits.requests));
        }
        let waits = gone.is_some_and(|request| request.status == Status::Queued);
        if self.count(Status::Queued) - usize::from(waits) >= limits.queue {
            return Err(full("requests that wait", limits.queue));
        }
        if self.bytes - gone.map_or(0, |request| size(&request.pin)) + size(&pin) > MAX_BYTES {
            return Err(full("bytes of requests", MAX_BYTES));
        }
        let newest = self.requests.keys().next_back();
        Ok(Request {
            id,
            whose: whose.to_owned(),
            created: newest.map_or(now, |newest| now.max(newest + 1)),
            pin,
            instead_of: String::new(),
            status: Status::Queued,
            why: String::new(),
            bytes: 0,
        })
    }

    pub(super) fn get(&self, id: &str) -> Option<&Request> {
        self.requests.get(self.places.get(id)?)
    }

    fn get_mut(&mut self, id: &str) -> Option<&mut Request> {
        self.requests.get_mut(self.places.get(id)?)
    }

    /// That of this owner.
    ///
    /// # Errors
    /// 404 where there is none: of another's request nothing is told.
    pub(super) fn of(&self, whose: &str, id: &str) -> Result<&Request, Failure> {
        let request = self.get(id).filter(|request| request.whose == whose);
        request.ok_or_else(|| Failure::new(404, "NOT_FOUND", "there is no such request"))
    }

    /// Those of this owner that match, newest first: how many, and as many as are wanted.
    pub(super) fn find(&self, whose: &str, filter: &Filter) -> (u64, Vec<&Request>) {
        let (mut count, mut found) = (0, Vec::new());
        for request in self
            .requests
            .values()
            .rev()
            .filter(|request| request.whose == whose)
        {
            if filter.takes(&request.pin, request.status, request.created) {
                count += 1;
                if found.len() < filter.limit {
                    found.push(request);
                }
            }
        }
        (count, found)
    }

    /// The oldest that waits.
    pub(super) fn next(&self) -> Option<&Request> {
        self.requests
            .values()
            .find(|request| request.status == Status::Queued)
    }

    pub(super) fn count(&self, status: Status) -> usize {
        self.requests
            .values()
            .filter(|request| request.status == status)
            .count()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Request> {
        self.requests.values()
    }

    /// As it is told; `delegates` are our addresses, `bytes` what came until now.
    pub(super) fn told(&self, request: &Request, delegates: &[String], bytes: u64) -> PinStatus {
        let mut info = BTreeMap::new();
        let mut say = |key: &str, value: String| drop(info.insert(key.to_owned(), value));
        match request.status {
            Status::Queued => {
                let before = self.requests.range(..request.created);
                let before = before
                    .filter(|(_, one)| one.status == Status::Queued)
                    .count();
                say("status_details", format!("{before} wait before it"));
            }
            Status::Pinning => say("status_details", format!("{bytes} bytes are here")),
            Status::Pinned => say("dag_size", request.bytes.to_string()),
            Status::Failed => say("status_details", request.why.clone()),
        }
        PinStatus {
            requestid: request.id.clone(),
            status: request.status,
            created: date(request.created),
            pin: request.pin.clone(),
            delegates: delegates.to_vec(),
            info,
        }
    }
}

fn size(pin: &Pin) -> usize {
    let meta = pin
        .meta
        .iter()
        .map(|(key, value)| key.len() + value.len() + 8);
    let origins = pin.origins.iter().map(|origin| origin.len() + 4);
    // JSON writes a character as six at most.
    OWN_BYTES + 6 * (pin.cid.len() + pin.name.len() + meta.sum::<usize>() + origins.sum::<usize>())
}

/// RFC 3339 with milliseconds.
fn date(millis: u64) -> String {
    let latest = 253_402_300_799_999; // the end of the year 9999, beyond which there is no form
    let time = UNIX_EPOCH + Duration::from_millis(millis.min(latest));
    humantime::format_rfc3339_millis(time).to_string()
}
