//! What goes over the wire: pins, their status, and failures, with the bounds of the specification. Pure.

use std::{collections::BTreeMap, str::FromStr};

use cid::Cid;
use libp2p::{Multiaddr, multiaddr::Protocol};
use meshlive_protocol::dag::{DAG_PB, RAW, SHA2_256};
use serde::{Deserialize, Serialize};

/// The longest body of a request.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;
/// As specified.
pub(super) const MAX_NAME_CHARS: usize = 255;
/// As specified.
pub(super) const MAX_ORIGINS: usize = 20;
const MAX_ORIGIN_BYTES: usize = 512;
/// As specified.
const MAX_META: usize = 1000;

/// What somebody asks to be kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pin {
    /// The root of a DAG, all of which is kept.
    pub(crate) cid: String,
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "or_default"
    )]
    pub(crate) name: String,
    /// Multiaddrs of who may have it.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "or_default"
    )]
    pub(crate) origins: Vec<String>,
    /// The asker's own.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    pub(crate) meta: BTreeMap<String, String>,
}

/// `null` says as little as nothing.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits for others.
    Queued,
    /// It is being fetched.
    Pinning,
    /// All of it is kept.
    Pinned,
    /// It cannot be had.
    Failed,
}

impl Status {
    pub(super) const ALL: [Self; 4] = [Self::Queued, Self::Pinning, Self::Pinned, Self::Failed];

    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Pinning => "pinning",
            Self::Pinned => "pinned",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for Status {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|one| one.name() == text)
            .ok_or(())
    }
}

/// A request and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PinStatus {
    pub(crate) requestid: String,
    pub(crate) status: Status,
    /// RFC 3339, whole milliseconds, of no other request.
    pub(crate) created: String,
    pub(crate) pin: Pin,
    /// Our addresses: who has the data may connect to them. 1 to 20.
    pub(crate) delegates: Vec<String>,
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    pub(crate) info: BTreeMap<String, String>,
}

/// A listing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PinResults {
    /// Of all that match, also of those that were left out by the limit.
    pub(crate) count: u64,
    pub(crate) results: Vec<PinStatus>,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// HTTP's.
    pub(crate) code: u16,
    /// For machines.
    pub(crate) reason: &'static str,
    /// For people.
    pub(crate) details: String,
}

impl Failure {
    pub(crate) fn new(code: u16, reason: &'static str, details: impl Into<String>) -> Self {
        let details = details.into();
        Self {
            code,
            reason,
            details,
        }
    }

    pub(crate) fn wrong(details: impl Into<String>) -> Self {
        Self::new(400, "BAD_REQUEST", details)
    }
}

impl Pin {
    /// Reads what somebody asks for, within the bounds of the specification and those of what is kept here.
    ///
    /// # Errors
    /// Which of them does not hold.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Failure> {
        let pin: Self = serde_json::from_slice(body)
            .map_err(|error| Failure::wrong(format!("the body is no pin object: {error}")))?;
        pin.root()?;
        if pin.name.chars().count() > MAX_NAME_CHARS {
            return Err(Failure::wrong(format!(
                "name has more than {MAX_NAME_CHARS} characters"
            )));
        }
        if pin.origins.len() > MAX_ORIGINS {
            return Err(Failure::wrong(format!(
                "there are {} origins: give at most {MAX_ORIGINS}",
                pin.origins.len()
            )));
        }
        let wrong = |origin: &&String| {
            origin.len() > MAX_ORIGIN_BYTES || origin.parse::<Multiaddr>().is_err()
        };
        if let Some(origin) = pin.origins.iter().find(wrong) {
            let shown: String = origin.chars().take(100).collect();
            return Err(Failure::wrong(format!(
                "origin {shown:?} is no multiaddr of at most {MAX_ORIGIN_BYTES} bytes"
            )));
        }
        if pin.meta.len() > MAX_META {
            return Err(Failure::wrong(format!(
                "meta has more than {MAX_META} entries"
            )));
        }
        Ok(pin)
    }

    /// The root, in the form in which blocks are kept here.
    ///
    /// # Errors
    /// For what is no CID, and for what is of a kind that is not kept here.
    pub(crate) fn root(&self) -> Result<Cid, Failure> {
        let shown: String = self.cid.chars().take(100).collect();
        let cid = Cid::from_str(&self.cid)
            .map_err(|error| Failure::wrong(format!("cid {shown:?} is no CID: {error}")))?;
        let hash = cid.hash();
        if hash.code() != SHA2_256 || hash.size() != 32 || !matches!(cid.codec(), RAW | DAG_PB) {
            let details = format!(
                "cid {shown} is not CIDv1 or CIDv0 with sha2-256 and raw or dag-pb: this gateway keeps nothing else"
            );
            return Err(Failure::new(400, "UNSUPPORTED_CID", details));
        }
        Ok(Cid::new_v1(cid.codec(), *hash))
    }

    /// Where it may be dialled: what names a peer.
    pub(super) fn sources(&self) -> Vec<Multiaddr> {
        let parsed = self
            .origins
            .iter()
            .filter_map(|origin| origin.parse::<Multiaddr>().ok());
        let named =
            parsed.filter(|address| matches!(address.iter().last(), Some(Protocol::P2p(_))));
        named.take(MAX_ORIGINS).collect()
    }
}
