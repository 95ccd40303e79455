//! Which compressed form a client takes (RFC 9110 §12.5.3). On plain http browsers offer gzip only.

use axum::http::{HeaderMap, header};

/// The forms that exist here, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Brotli,
    Gzip,
    Identity,
}

impl Encoding {
    /// As in `Content-Encoding`; none for the bytes as they are.
    pub(super) fn token(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }
}

/// The best of `offered` that the request accepts; the bytes as they are, if none.
pub(super) fn best(request: &HeaderMap, offered: &[Encoding]) -> Encoding {
    let accepted = request
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let accepts = |token: &str| {
        accepted.split(',').any(|item| {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let refused = parameters
                .trim()
                .strip_prefix("q=")
                .is_some_and(|q| q.trim().parse() == Ok(0.0));
            name.trim().eq_ignore_ascii_case(token) && !refused
        })
    };
    let found = offered
        .iter()
        .copied()
        .find(|encoding| encoding.token().is_none_or(accepts));
    found.unwrap_or(Encoding::Identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_that_is_accepted() {
        let all = [Encoding::Brotli, Encoding::Gzip];
        for (accepted, expected) in [
            ("gzip, deflate, br", Encoding::Brotli),
            ("gzip, deflate", Encoding::Gzip),
            ("GZIP;q=0.5", Encoding::Gzip),
            ("br;q=0, gzip", Encoding::Gzip),
            ("br; q=0.0, gzip;q=0.000", Encoding::Identity),
            ("", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("xgzip,,;;q=1", Encoding::Identity),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, accepted.parse().unwrap());
            assert_eq!(best(&headers, &all), expected, "{accepted}");
        }
        assert_eq!(best(&HeaderMap::new(), &all), Encoding::Identity);
    }
}
