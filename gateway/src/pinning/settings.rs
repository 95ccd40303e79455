//! The settings of this room.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Nonsense, value};

/// A token that can be guessed protects nothing.
const LEAST_TOKEN_BYTES: usize = 16;
const MOST_TOKEN_BYTES: usize = 1024;
/// Tokens, and services, at most.
const MOST: usize = 64;

/// What others may pin here, and where this gateway pins what it keeps (the IPFS Pinning Service API).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whoever has one of these pins here, at http://NODE:8080/api/v1/pinning: any client of that API, or [[pinning.services]]
    /// of another gateway. Each sees its own pins only. At least 16 characters each; none: nobody pins here.
    pub tokens: Vec<String>,
    /// Bytes that a pinned DAG may have; it also has to fit into what store.max_bytes leaves.
    pub max_bytes: u64,
    /// Requests that are kept, 1 to 10000.
    pub requests: usize,
    /// How many of them may wait to be fetched, 1 to 10000.
    pub queue: usize,
    /// How long nothing new may come of a DAG before its request fails, "1s" to "30days".
    #[serde(with = "value::duration")]
    #[schemars(with = "String")]
    pub give_up: Duration,
    /// Where closed hours and days are pinned too, at most 64: a table [[pinning.services]] each, with url = "http://…/api/v1/pinning" (to which
    /// /pins is added) and token. They are told this gateway's addresses, and fetch from it.
    pub services: Vec<Remote>,
}

/// A pinning service that keeps what this gateway archives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// Its base URL.
    pub url: String,
    /// What it gave us to ask with.
    pub token: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tokens: Vec::new(),
            max_bytes: 10 << 30,
            requests: 1000,
            queue: 100,
            give_up: Duration::from_secs(3600),
            services: Vec::new(),
        }
    }
}

impl Settings {
    /// Says which setting makes no sense. Tokens are secrets: they are not repeated.
    ///
    /// # Errors
    /// For the first that makes none.
    pub fn check(&self) -> Result<(), Nonsense> {
        let fits = |token: &String| {
            (LEAST_TOKEN_BYTES..=MOST_TOKEN_BYTES).contains(&token.len())
                && token.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if let Some(token) = self.tokens.iter().find(|token| !fits(token)) {
            let remedy = "give 16 to 1024 visible ASCII characters that nobody guesses: `openssl rand -hex 16`";
            let shown = format!("a token of {} bytes", token.len());
            return Err(Nonsense::new("pinning.tokens", shown, remedy));
        }
        for (name, value) in [
            ("pinning.requests", self.requests),
            ("pinning.queue", self.queue),
        ] {
            if !(1..=10_000).contains(&value) {
                return Err(Nonsense::new(name, value, "give 1 to 10000"));
            }
        }
        for (name, count) in [
            ("pinning.tokens", self.tokens.len()),
            ("pinning.services", self.services.len()),
        ] {
            if count > MOST {
                return Err(Nonsense::new(name, count, format!("give at most {MOST}")));
            }
        }
        let (second, month) = (Duration::from_secs(1), Duration::from_secs(30 * 86_400));
        Nonsense::unless_within("pinning.give_up", self.give_up, second..=month)?;
        for (at, remote) in self.services.iter().enumerate() {
            let url = reqwest::Url::parse(&remote.url).ok();
            if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
                let remedy = "give a URL such as https://node.example/api/v1/pinning";
                return Err(Nonsense::new("pinning.services.url", &remote.url, remedy));
            }
            let before = &self.services[..at];
            if before.iter().any(|other| other.base() == remote.base()) {
                let remedy = "give each service once";
                return Err(Nonsense::new("pinning.services.url", &remote.url, remedy));
            }
            if remote.token.is_empty() || !remote.token.bytes().all(|byte| byte.is_ascii_graphic())
            {
                let remedy = "give the token that this service issued";
                return Err(Nonsense::new("pinning.services.token", "", remedy));
            }
        }
        Ok(())
    }
}

impl Remote {
    /// The URL without a slash at its end: what it is remembered by.
    pub(super) fn base(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    /// The host alone, for logs and metrics.
    pub(super) fn host(&self) -> String {
        let url = reqwest::Url::parse(&self.url).ok();
        let host = url.as_ref().and_then(|url| {
            let port = url.port().map_or(String::new(), |port| format!(":{port}"));
            Some(format!("{}{port}", url.host_str()?))
        });
        host.unwrap_or_default()
    }
}
