//! How a request is refused: a status and one sentence for the person who reads it. Nothing of the inside of the
//! gateway (paths, types, sources of errors) ever stands in it.

use std::borrow::Cow;

use axum::{
    extract::{FromRequestParts, Path},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;

/// An answer that says no, as plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) why: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            why: why.into(),
        }
    }

    /// 404 with a reason.
    pub(super) fn absent(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, why)
    }

    /// 400 with what is wrong.
    pub(super) fn wrong(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }

    /// 503: what was waited for did not come, or there is no room at the moment.
    pub(super) fn busy(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, why)
    }

    /// The store could not be read. The log says why; the viewer need not know.
    pub(super) fn unreadable(error: &std::io::Error) -> Self {
        tracing::error!(%error, "the store cannot be read; see `meshlive-gateway doctor`");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the gateway cannot read its store",
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut answer = (self.status, format!("{}\n", self.why)).into_response();
        // A part that is not there yet will be there in a moment: nobody may remember this answer.
        answer
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }
}

/// The same as JSON, for `/api`.
#[derive(Debug)]
pub(super) struct ApiRefusal(pub(super) Refusal);

impl IntoResponse for ApiRefusal {
    fn into_response(self) -> Response {
        let body = axum::Json(serde_json::json!({ "error": self.0.why }));
        let mut answer = (self.0.status, body).into_response();
        answer
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }
}

/// No URL here has a longer name in it; longer ones are not even looked up.
const MAX_NAME_BYTES: usize = 1024;

/// The names in a URL's path, decoded. What cannot be decoded (no UTF-8) or is too long is simply not there: 404.
pub(super) struct At<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let nowhere = || Refusal::absent("there is nothing here");
        if parts.uri.path().len() > MAX_NAME_BYTES {
            return Err(nowhere());
        }
        let path = Path::from_request_parts(parts, state)
            .await
            .map_err(|_| nowhere())?;
        Ok(Self(path.0))
    }
}
