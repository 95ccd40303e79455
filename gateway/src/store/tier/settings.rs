//! Where the second tier is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Nonsense;

/// Packs that are closed and pinned (archived hours, clips, pins of others) also go to an S3-compatible store; here they may
/// then go when max_bytes presses, and are read from there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Its URL, such as "https://s3.example.org". Empty: everything is kept here alone.
    pub endpoint: String,
    /// The bucket, which exists.
    pub bucket: String,
    /// The region that requests are signed for.
    pub region: String,
    /// Who asks. Empty, here and below: the environment's AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    pub key_id: String,
    /// The secret of that.
    pub secret: String,
    /// Whether the bucket stands in the path of URLs, and not in their host.
    pub path_style: bool,
    /// Bytes per second that are sent there, at most. 0: as fast as can be.
    pub upload: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            bucket: String::new(),
            region: "us-east-1".into(),
            key_id: String::new(),
            secret: String::new(),
            path_style: true,
            upload: 0,
        }
    }
}

impl Settings {
    /// Whether there is a second tier.
    pub(in crate::store) fn is_on(&self) -> bool {
        !self.endpoint.is_empty()
    }

    pub(super) fn key_id(&self) -> Option<String> {
        or_variable(&self.key_id, "AWS_ACCESS_KEY_ID")
    }

    pub(super) fn secret(&self) -> Option<String> {
        or_variable(&self.secret, "AWS_SECRET_ACCESS_KEY")
    }

    /// Says which setting makes no sense.
    ///
    /// # Errors
    /// For the first that makes none.
    pub fn check(&self) -> Result<(), Nonsense> {
        if !self.is_on() {
            return match self.bucket.as_str() {
                "" => Ok(()),
                bucket => Err(Nonsense::new(
                    "store.s3.bucket",
                    bucket,
                    "give store.s3.endpoint too, or neither",
                )),
            };
        }
        let url = reqwest::Url::parse(&self.endpoint).ok();
        let fits = |url: &reqwest::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        if !url.as_ref().is_some_and(fits) {
            let remedy = "give a URL such as https://s3.example.org";
            return Err(Nonsense::new("store.s3.endpoint", &self.endpoint, remedy));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if !(3..=255).contains(&self.bucket.len()) || !self.bucket.chars().all(plain) {
            let remedy = "give the name of a bucket, 3 to 255 of a-z 0-9 . -";
            return Err(Nonsense::new("store.s3.bucket", &self.bucket, remedy));
        }
        if self.key_id.is_empty() != self.secret.is_empty() {
            let remedy = "give store.s3.key_id and store.s3.secret together, or neither for the environment's";
            return Err(Nonsense::new("store.s3.key_id", &self.key_id, remedy));
        }
        if [self.key_id(), self.secret()].contains(&None) {
            let remedy = "give it and store.s3.secret, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment";
            return Err(Nonsense::new("store.s3.key_id", "", remedy));
        }
        if (1..10_000).contains(&self.upload) {
            return Err(Nonsense::new(
                "store.s3.upload",
                self.upload,
                "give 10000 bytes per second or more, or 0",
            ));
        }
        Ok(())
    }
}

fn or_variable(own: &str, name: &str) -> Option<String> {
    match own {
        "" => std::env::var(name).ok().filter(|value| !value.is_empty()),
        own => Some(own.to_owned()),
    }
}
