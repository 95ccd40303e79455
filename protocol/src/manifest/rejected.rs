//! Why an envelope, an announcement or a manifest is not accepted.

/// Why something was not accepted. It changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The bytes are not in the one form that README §4 to §6 describe.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// A number or length is beyond its limit.
    #[error("{what} is {value}, at most {max} is allowed")]
    TooBig {
        /// What it counts.
        what: &'static str,
        /// What it is.
        value: u64,
        /// What it may be.
        max: u64,
    },
    /// The envelope holds something else than an announcement or a manifest.
    #[error("the envelope's payload type is not known; this may be a newer version")]
    UnknownType,
    /// The envelope was signed by another stream's key.
    #[error("signed by another key than the stream's")]
    AnotherKey,
    /// The signature does not verify.
    #[error("the signature is wrong")]
    BadSignature,
    /// A duplicate, a replay, or overtaken by something newer.
    #[error("old: (epoch, sequence) is {got:?}, known already is {known:?}")]
    Old {
        /// What came.
        got: (u64, u64),
        /// What was known.
        known: (u64, u64),
    },
    /// Something between is missing, or a new epoch began: get a manifest.
    #[error("a gap: (epoch, sequence) is {got:?}, known is {known:?}; a manifest closes it")]
    Gap {
        /// What came.
        got: (u64, u64),
        /// What was known.
        known: (u64, u64),
    },
    /// The news contradicts the rules of README §4.
    #[error("{what} {value}: {why}")]
    Rule {
        /// What the news is about.
        what: &'static str,
        /// Its number or index.
        value: u64,
        /// The rule it broke.
        why: &'static str,
    },
}

impl Rejected {
    /// A broken rule about `what` number `value`.
    pub(crate) fn rule(what: &'static str, value: impl Into<u64>, why: &'static str) -> Self {
        Self::Rule {
            what,
            value: value.into(),
            why,
        }
    }
}
