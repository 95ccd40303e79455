//! Asks a pinning service, over HTTP: how long is waited, and how much is read of its answers.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode, redirect::Policy};
use serde::de::DeserializeOwned;

use super::{
    object::{Pin, PinResults, PinStatus, Status},
    settings::Remote,
};

/// A service has so long for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// A service and what asks it.
pub(super) struct Asked<'a> {
    client: Client,
    pub(super) remote: &'a Remote,
}

impl<'a> Asked<'a> {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// Where the system has no TLS to ask with.
    pub(super) fn new(remote: &'a Remote) -> Result<Self, String> {
        let client = Client::builder()
            .timeout(PATIENCE)
            .redirect(Policy::none()) // it would take the token elsewhere
            .user_agent("meshlive-gateway")
            .build();
        let client = client.map_err(|error| reason(&error))?;
        Ok(Self { client, remote })
    }

    /// Asks it to keep something; what it keeps already under the same name is found again.
    pub(super) async fn pin(
        &self,
        pin: &Pin,
        instead_of: Option<&str>,
    ) -> Result<PinStatus, String> {
        let query = [
            ("cid", &*pin.cid),
            ("name", &*pin.name),
            ("status", "queued,pinning,pinned"),
        ];
        let found: Option<PinResults> = self.ask(Method::GET, "pins", &query, None).await?;
        let found = found.into_iter().flat_map(|found| found.results);
        let same = found.filter(|told| told.pin.cid == pin.cid && told.pin.name == pin.name);
        let same = same.max_by_key(|told| told.status == Status::Pinned);
        if let Some(told) = same {
            return Ok(told);
        }
        if let Some(id) = instead_of {
            let told = self
                .ask(Method::POST, &format!("pins/{}", part(id)), &[], Some(pin))
                .await?;
            if let Some(told) = told {
                return Ok(told);
            }
        }
        let told = self.ask(Method::POST, "pins", &[], Some(pin)).await?;
        told.ok_or_else(|| format!("{} has no /pins: give its base URL", self.remote.url))
    }

    pub(super) async fn look(&self, id: &str) -> Result<Option<PinStatus>, String> {
        self.ask(Method::GET, &format!("pins/{}", part(id)), &[], None)
            .await
    }

    pub(super) async fn remove(&self, id: &str) -> Result<(), String> {
        let path = format!("pins/{}", part(id));
        self.send(Method::DELETE, &path, &[], None).await.map(drop)
    }

    /// `None` for 404.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        pin: Option<&Pin>,
    ) -> Result<Option<T>, String> {
        let Some(body) = self.send(method.clone(), path, query, pin).await? else {
            return Ok(None);
        };
        let told = serde_json::from_slice(&body);
        told.map(Some).map_err(|error| {
            format!(
                "{method} {}/{path}: its answer is not understood: {error}",
                self.remote.base()
            )
        })
    }

    /// The body of the answer; `None` for 404.
    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        pin: Option<&Pin>,
    ) -> Result<Option<Vec<u8>>, String> {
        let url = format!("{}/{path}", self.remote.base());
        let said = |what: String| format!("{method} {url}: {what}");
        let mut full = reqwest::Url::parse(&url).map_err(|error| said(error.to_string()))?;
        if !query.is_empty() {
            full.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self
            .client
            .request(method.clone(), full)
            .bearer_auth(&self.remote.token);
        if let Some(pin) = pin {
            request = request.json(pin);
        }
        let mut answer = request.send().await.map_err(|error| said(reason(&error)))?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(more) = answer.chunk().await.map_err(|error| said(reason(&error)))? {
            body.extend_from_slice(&more);
            if body.len() > MAX_ANSWER_BYTES {
                return Err(said(format!(
                    "its answer has more than {MAX_ANSWER_BYTES} bytes"
                )));
            }
        }
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            let told: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let field = |name: &str| {
                told["error"][name]
                    .as_str()
                    .unwrap_or_default()
                    .chars()
                    .take(200)
                    .collect::<String>()
            };
            let remedy = match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    "; check pinning.services.token"
                }
                _ => "",
            };
            return Err(said(format!(
                "{status} {} {}{remedy}",
                field("reason"),
                field("details")
            )));
        }
        Ok(Some(body))
    }
}

/// What went wrong, with what caused it.
fn reason(error: &reqwest::Error) -> String {
    let mut causes = vec![error.to_string()];
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        causes.push(inner.to_string());
        cause = inner.source();
    }
    causes.pop().unwrap_or_default() // the outer ones repeat the URL
}

/// An id as a part of a path.
fn part(id: &str) -> impl std::fmt::Display + '_ {
    percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC)
}
