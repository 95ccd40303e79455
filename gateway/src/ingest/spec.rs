//! How the command line names a source: `testcard`, a file or URL that FFmpeg reads, `v4l2:/dev/video0`.
//!
//! Each may carry `?name=ALIAS&title=…&loop=1`; a test card also `size=640x360&rate=25&bit_rate=800000`, a camera also
//! `audio=DEVICE` (ALSA), `size=…` and `rate=…`. Other keys of a URL's query are the URL's own and stay in it.

use std::{fmt, path::Path, str::FromStr};

/// A source and how its stream is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// What gives the video.
    pub source: Source,
    /// The stream's alias; by default made from the source's own name.
    pub alias: String,
    /// The stream's title, which then wins over the source's own.
    pub title: Option<String>,
    /// Begin again at the end of a file.
    pub looped: bool,
}

/// What gives the video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The test card of [`super::testcard`].
    Testcard(CardSpec),
    /// A file or URL that FFmpeg reads.
    Url(String),
    /// A camera by Video4Linux2.
    Camera(CameraSpec),
}

/// What the command line says about the test card; the rest is as the settings have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardSpec {
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Frames per second.
    pub frame_rate: Option<u32>,
    /// Bits per second.
    pub bit_rate: Option<u32>,
}

/// A camera, with sound where `audio` says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CameraSpec {
    /// As in `/dev/video0`.
    pub device: String,
    /// An ALSA device as in `default` or `hw:1`.
    pub audio: Option<String>,
    /// Width and height in pixels that the camera is asked for.
    pub size: Option<(u32, u32)>,
    /// Frames per second that the camera is asked for.
    pub frame_rate: Option<u32>,
}

/// What is wrong with an input on the command line; names the value and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SpecError(String);

/// Longest input accepted, in bytes.
const MAX_SPEC: usize = 4096;

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        if text.is_empty() || text.len() > MAX_SPEC || text.contains('\0') {
            let message = format!(
                "an input of {} bytes: give testcard, a file or URL, or v4l2:/dev/video0, up to {MAX_SPEC} bytes",
                text.len()
            );
            return Err(SpecError(message));
        }
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let mut keys = Keys::parse(place, query)?;
        let alias = keys.take("name");
        if alias.as_deref() == Some("") {
            return Err(SpecError(format!(
                "{place}: name is empty: give an alias, or leave it out"
            )));
        }
        let title = keys.take("title");
        let looped = match keys.take("loop").as_deref() {
            None | Some("0") => false,
            Some("1") => true,
            Some(other) => return Err(SpecError(format!("{place}: loop is {other}: set 0 or 1"))),
        };
        let source = if place == "testcard" {
            let size = keys.size()?;
            let (frame_rate, bit_rate) = (keys.number("rate")?, keys.number("bit_rate")?);
            Source::Testcard(CardSpec {
                size,
                frame_rate,
                bit_rate,
            })
        } else if let Some(device) = place.strip_prefix("v4l2:") {
            if device.is_empty() {
                return Err(SpecError(
                    "v4l2: names no device: give for example v4l2:/dev/video0".into(),
                ));
            }
            let (size, frame_rate) = (keys.size()?, keys.number("rate")?);
            Source::Camera(CameraSpec {
                device: device.into(),
                audio: keys.take("audio"),
                size,
                frame_rate,
            })
        } else if place.contains("://") {
            let rest: Vec<String> = keys.left.drain(..).map(|key| key.raw).collect();
            let separator = if rest.is_empty() { "" } else { "?" };
            Source::Url(format!("{place}{separator}{}", rest.join("&")))
        } else {
            Source::Url(place.into())
        };
        if let Some(key) = keys.left.first() {
            return Err(SpecError(format!(
                "{place}: {} is not a key of this input: leave it out",
                key.name
            )));
        }
        let alias = alias.unwrap_or_else(|| source.default_alias());
        Ok(Self {
            source,
            alias,
            title,
            looped,
        })
    }
}

impl Source {
    /// An alias made from the source's own name: its letters and digits in lower case, joined by dashes.
    fn default_alias(&self) -> String {
        let name = match self {
            Self::Testcard(_) => "testcard",
            Self::Camera(camera) => camera.device.rsplit('/').next().unwrap_or_default(),
            Self::Url(url) => Path::new(url.split(['?', '#']).next().unwrap_or_default())
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default(),
        };
        let words: Vec<String> = name
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
        let alias: String = words.join("-").chars().take(32).collect();
        if alias.is_empty() {
            "stream".into()
        } else {
            alias
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Testcard(_) => f.write_str("testcard"),
            Self::Url(url) => f.write_str(url),
            Self::Camera(camera) => write!(f, "v4l2:{}", camera.device),
        }
    }
}

/// The keys of a query that nobody has taken yet.
struct Keys<'a> {
    place: &'a str,
    left: Vec<Key>,
}

struct Key {
    name: String,
    value: String,
    /// As it stood in the query.
    raw: String,
}

impl<'a> Keys<'a> {
    fn parse(place: &'a str, query: &str) -> Result<Self, SpecError> {
        let parse = |raw: &str| {
            let (name, value) = raw.split_once('=').unwrap_or((raw, ""));
            let value = percent_decoded(value).ok_or_else(|| {
                SpecError(format!(
                    "{place}: the value of {name} is not percent-encoded UTF-8"
                ))
            })?;
            Ok(Key {
                name: name.into(),
                value,
                raw: raw.into(),
            })
        };
        let left = query
            .split('&')
            .filter(|raw| !raw.is_empty())
            .map(parse)
            .collect::<Result<_, _>>()?;
        Ok(Self { place, left })
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.left.iter().position(|key| key.name == name)?;
        Some(self.left.remove(at).value)
    }

    fn number(&mut self, name: &str) -> Result<Option<u32>, SpecError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let number = value.parse().map_err(|_| {
            SpecError(format!(
                "{}: {name} is {value}: give a whole number",
                self.place
            ))
        })?;
        Ok(Some(number))
    }

    fn size(&mut self) -> Result<Option<(u32, u32)>, SpecError> {
        let Some(value) = self.take("size") else {
            return Ok(None);
        };
        let size = value
            .split_once('x')
            .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        size.map(Some).ok_or_else(|| {
            SpecError(format!(
                "{}: size is {value}: give for example 1280x720",
                self.place
            ))
        })
    }
}

/// RFC 3986 §2.1, and `+` for a space as forms write it.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).expect("two hexadecimal digits fit a byte")
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Spec {
        text.parse().unwrap()
    }

    #[test]
    fn testcard_alone_and_with_everything() {
        let plain = parse("testcard");
        assert_eq!(plain.source, Source::Testcard(CardSpec::default()));
        assert_eq!(
            (plain.alias.as_str(), plain.title, plain.looped),
            ("testcard", None, false)
        );
        let full = parse(
            "testcard?name=card&title=Guten%20Tag+%C3%BC&size=640x360&rate=25&bit_rate=800000",
        );
        assert_eq!(full.alias, "card");
        assert_eq!(full.title.as_deref(), Some("Guten Tag ü"));
        let card = CardSpec {
            size: Some((640, 360)),
            frame_rate: Some(25),
            bit_rate: Some(800_000),
        };
        assert_eq!(full.source, Source::Testcard(card));
    }

    #[test]
    fn files_lose_our_keys_and_urls_keep_theirs() {
        let file = parse("/media/My Film (1).mp4?loop=1");
        assert_eq!(file.source, Source::Url("/media/My Film (1).mp4".into()));
        assert_eq!((file.alias.as_str(), file.looped), ("my-film-1", true));
        let url = parse("srt://0.0.0.0:9000?mode=listener&name=field&latency=200");
        assert_eq!(
            url.source,
            Source::Url("srt://0.0.0.0:9000?mode=listener&latency=200".into())
        );
        assert_eq!(url.alias, "field");
    }

    #[test]
    fn cameras() {
        let camera = parse("v4l2:/dev/video0?audio=hw:1&size=640x480&rate=30");
        let Source::Camera(spec) = camera.source else {
            panic!()
        };
        assert_eq!(
            (spec.device.as_str(), spec.audio.as_deref()),
            ("/dev/video0", Some("hw:1"))
        );
        assert_eq!((spec.size, spec.frame_rate), (Some((640, 480)), Some(30)));
        assert_eq!(camera.alias, "video0");
    }

    #[test]
    fn refusals_name_the_value_and_the_remedy() {
        for (text, word) in [
            ("testcard?colour=red", "colour"),
            ("film.mp4?loop=maybe", "maybe"),
            ("testcard?size=big", "1280x720"),
            ("v4l2:", "/dev/video0"),
            ("testcard?title=%zz", "title"),
            ("testcard?name=", "name is empty"),
            ("", "testcard"),
        ] {
            let message = text.parse::<Spec>().unwrap_err().to_string();
            assert!(message.contains(word), "{text}: {message}");
        }
        assert!("x".repeat(MAX_SPEC + 1).parse::<Spec>().is_err());
    }
}
