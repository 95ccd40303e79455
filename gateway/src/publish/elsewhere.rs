//! Other gateways that have a stream: where viewers go on when theirs is gone. Pure.

/// Gateways that are told of one stream, and mirrors of it that are.
pub(crate) const MAX_ELSEWHERE: usize = 8;
/// Longest URL of one, bytes.
const MAX_URL: usize = 256;

/// URLs of gateways, each as a browser writes an origin: `http://192.0.2.1:8080`, `https://tv.mesh`. Nobody need believe
/// them: what comes from there is checked against the stream's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// Where this stream is followed, and who follows it there, too.
    pub(crate) followed: Vec<String>,
    /// Who follows it here.
    pub(crate) mirrors: Vec<String>,
}

impl Elsewhere {
    /// All, each once: first those where it is followed, for they are nearer to its origin.
    pub(crate) fn gateways(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for url in self.followed.iter().chain(&self.mirrors) {
            if !all.contains(url) {
                all.push(url.clone());
            }
        }
        all.truncate(MAX_ELSEWHERE);
        all
    }
}

/// Whether this is an origin's URL and nothing more: no path, no user, no text that is no host.
pub(crate) fn is_origin(url: &str) -> bool {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    let fits =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']');
    url.len() <= MAX_URL && rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_named_once_and_no_more_than_the_limit() {
        let url = |n: usize| format!("http://10.0.0.{n}:8080");
        let elsewhere = Elsewhere {
            followed: vec![url(1), url(2)],
            mirrors: (2..20).map(url).collect(),
        };
        let all = elsewhere.gateways();
        assert_eq!(all, (1..=MAX_ELSEWHERE).map(url).collect::<Vec<_>>());
    }

    #[test]
    fn only_origins_are_taken() {
        for good in [
            "http://10.0.0.1:8080",
            "https://tv.mesh",
            "http://[fd00::1]:80",
        ] {
            assert!(is_origin(good), "{good}");
        }
        let long = format!("http://{}", "x".repeat(300));
        for bad in [
            "",
            "http://",
            "ftp://x",
            "//x",
            "http://x/",
            "http://x/y",
            "http://a@b",
            "http://x?y",
            "javascript:alert(1)",
            "http://a b",
            &long,
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
