//! Every setting: one TOML file, composed of what each room declares for itself.
//!
//! A room's `Settings` is a struct with `#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]` and
//! `#[serde(default, deny_unknown_fields)]`, a `Default` that works unchanged, and a doc comment on each field: that
//! comment is what `config print` shows (see [`print`]), so it says the unit and the bounds. No `Option`s: every
//! setting has a value. Durations are [`value::duration`], listening addresses [`value::Address`].
//! Where not every value makes sense, `fn check(&self) -> Result<(), Nonsense>` beside it says so.

pub mod print;
pub mod value;

use std::collections::BTreeMap;
use std::io::Read;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ingest::Spec;
use value::{Address, Beside};

/// No configuration is longer than this; whatever is, is not one.
pub const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Everything an operator can set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder with the keys, the journals and the pinned parts. It is made when it does not exist.
    pub data: PathBuf,
    /// The URL under which viewers reach this gateway, where that is not the address it listens on:
    /// "http://node.mesh/" behind a reverse proxy, for example. Empty: the address.
    pub public_url: String,
    /// What is shown from the start: "testcard", a file or URL that FFmpeg reads, or "v4l2:/dev/video0";
    /// each may carry ?name=ALIAS&title=TITLE&loop=1. Publishers (RTMP, SRT) come beside these.
    pub inputs: Vec<String>,
    /// Where the gateway listens: IP:PORT, port 0 for any free one, "off" for not at all.
    pub listen: Listen,
    /// From a source to coded samples: when to transcode, with what encoder, the ladder, the test card.
    pub ingest: crate::ingest::Settings,
    /// Publishers over RTMP: how many, how large, how patient.
    pub rtmp: crate::ingest::rtmp::Settings,
    /// How streams are cut into parts and segments.
    pub package: crate::package::Settings,
    /// What viewers are offered of a live stream.
    pub publish: crate::publish::Settings,
    /// Where published parts stay, how long, and how many.
    pub store: crate::store::Settings,
    /// How much of its past each stream keeps, as hours and days that can be watched.
    pub archive: crate::archive::Settings,
    /// How many viewers are served, and how long a slow one is waited for.
    pub http: crate::http::Settings,
    /// How many peers are served, and how they find this gateway.
    pub p2p: crate::swarm::Settings,
    /// Streams of other gateways that are kept and served here, too.
    pub mirror: crate::follow::Settings,
    /// What others may pin here, and where this gateway pins what it archives.
    pub pinning: crate::pinning::Settings,
    /// What is known beforehand of single streams, by alias: a table [streams.ALIAS] each.
    pub streams: BTreeMap<String, StreamSettings>,
}

/// The listeners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Page, playlists, parts and API (TCP). Never "off".
    pub http: Address,
    /// Publishers over RTMP: OBS, ffmpeg (TCP).
    pub rtmp: Address,
    /// Publishers over SRT (UDP).
    pub srt: Address,
    /// Other gateways, over TCP. Here and below a port alone means: at the IP of "http"; where that port is taken, another.
    pub p2p_tcp: Beside,
    /// Other gateways, over QUIC (UDP).
    pub p2p_quic: Beside,
    /// Viewers' peers, over WebRTC (UDP). They also come over WebSocket, at "http".
    pub p2p_webrtc: Beside,
    /// Tells viewers their own address (STUN, UDP), so that they find each other without any server of others.
    pub stun: Beside,
}

impl Listen {
    /// Where other gateways come in over TCP; `None` where they do not.
    pub(crate) fn p2p_tcp_ip(&self) -> Option<IpAddr> {
        match self.p2p_tcp {
            Beside::Off => None,
            Beside::Port(_) => self.http.0.map(|address| address.ip()),
            Beside::At(address) => Some(address.ip()),
        }
    }
}

/// What an operator says about one stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamSettings {
    /// Shown instead of the title that the publisher gives. Empty: the publisher's.
    pub title: String,
    /// How long its past is kept: as archive.keep, which counts where this is empty.
    pub archive: crate::archive::Keep,
    /// Days that stay, beside those of archive.keep_days.
    pub archive_days: crate::archive::Days,
    /// Bytes of closed hours at most: as archive.max_bytes, which counts where this is 0.
    pub archive_max_bytes: u64,
}

impl StreamSettings {
    /// How much of its past it keeps.
    pub fn archive_rule(&self) -> crate::archive::Rule {
        crate::archive::Rule {
            keep: self.archive,
            days: self.archive_days.clone(),
            max_bytes: self.archive_max_bytes,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: user_data_folder(),
            public_url: String::new(),
            inputs: vec!["testcard".into()],
            listen: Listen::default(),
            ingest: crate::ingest::Settings::default(),
            rtmp: crate::ingest::rtmp::Settings::default(),
            package: crate::package::Settings::default(),
            publish: crate::publish::Settings::default(),
            store: crate::store::Settings::default(),
            archive: crate::archive::Settings::default(),
            http: crate::http::Settings::default(),
            p2p: crate::swarm::Settings::default(),
            mirror: crate::follow::Settings::default(),
            pinning: crate::pinning::Settings::default(),
            streams: BTreeMap::new(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            http: Address::loopback(8080),
            rtmp: Address::loopback(1935),
            srt: Address::OFF,
            p2p_tcp: Beside::Port(4101),
            p2p_quic: Beside::Port(4101),
            p2p_webrtc: Beside::Port(4102),
            stun: Beside::Port(3478),
        }
    }
}

/// A setting that cannot be meant: which, what it says, and what would make sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} = {value:?} makes no sense: {remedy}")]
pub struct Nonsense {
    /// Dotted, as in the file: `listen.http`.
    pub setting: String,
    /// As it was given.
    pub value: String,
    /// What to write instead.
    pub remedy: String,
}

impl Nonsense {
    /// `setting` is dotted as in the file.
    pub fn new(
        setting: impl Into<String>,
        value: impl ToString,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            setting: setting.into(),
            value: value.to_string(),
            remedy: remedy.into(),
        }
    }

    /// Whether a duration lies within the bounds of its `setting`.
    ///
    /// # Errors
    /// Names both.
    pub fn unless_within(
        setting: &str,
        value: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Result<(), Self> {
        if bounds.contains(&value) {
            return Ok(());
        }
        let shown = humantime::format_duration;
        let (least, most) = bounds.into_inner();
        let remedy = format!("give {} to {}", shown(least), shown(most));
        Err(Self::new(setting, shown(value), remedy))
    }
}

/// Why there is no configuration. Each message is one line and names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there, not readable, too long or not text.
    #[error(
        "config {path:?} cannot be read: {reason}; `meshlive-gateway config print` writes a complete one"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said, or what it is instead.
        reason: String,
    },
    /// Not TOML, or a setting that does not exist or has another type.
    #[error(
        "config {path:?} line {line} ({text:?}): {reason}; `meshlive-gateway config print` shows every setting and its form"
    )]
    Wrong {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What stands there, at most 80 characters.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Well formed, but not meant.
    #[error(transparent)]
    Nonsense(#[from] Nonsense),
    /// The same, in a room's own words, which name the setting, the value and the remedy.
    #[error("{0}")]
    Refused(String),
}

impl Config {
    /// Reads and checks a file; the settings it does not mention keep their defaults.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let unreadable = |reason: String| Error::Unreadable {
            path: path.into(),
            reason,
        };
        let file = std::fs::File::open(path).map_err(|e| unreadable(e.to_string()))?;
        let mut bytes = Vec::new();
        let limit = file.take(MAX_CONFIG_BYTES + 1).read_to_end(&mut bytes);
        limit.map_err(|e| unreadable(e.to_string()))?;
        if bytes.len() as u64 > MAX_CONFIG_BYTES {
            return Err(unreadable(format!("longer than {MAX_CONFIG_BYTES} bytes")));
        }
        let text = String::from_utf8(bytes)
            .map_err(|e| unreadable(format!("not text (UTF-8) {}", e.utf8_error())))?;
        let config = Self::parse(&text, path)?;
        config.check()?;
        Ok(config)
    }

    /// Parses without [`check`](Self::check); `path` is only for the message.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |s| s.start.min(text.len()));
            let line = text.as_bytes()[..at]
                .iter()
                .filter(|&&b| b == b'\n')
                .count();
            let shown = text.lines().nth(line).unwrap_or("").trim();
            Error::Wrong {
                path: path.into(),
                line: line + 1,
                text: shown.chars().take(80).collect(),
                reason: error.message().replace('\n', " "),
            }
        })
    }

    /// Whether the settings can be meant, each by itself and all together.
    pub fn check(&self) -> Result<(), Error> {
        self.check_own()?;
        self.http.check()?;
        self.archive.check()?;
        self.p2p.check()?;
        self.mirror.check()?;
        self.pinning.check()?;
        self.store.s3.check()?;
        for input in &self.inputs {
            Spec::from_str(input).map_err(|error| Error::Refused(format!("inputs: {error}")))?;
        }
        self.ingest.check().map_err(Error::Refused)?;
        self.rtmp.check()?;
        self.package.check()?;
        self.publish.check()?;
        let longest = self.package.longest_key_frame_gap.as_secs_f64();
        if self.ingest.key_frame_interval > longest {
            return Err(Error::Nonsense(Nonsense::new(
                "ingest.key_frame_interval",
                self.ingest.key_frame_interval,
                format!("give at most package.longest_key_frame_gap ({longest} s)"),
            )));
        }
        Ok(())
    }

    fn check_own(&self) -> Result<(), Nonsense> {
        if self.data.as_os_str().is_empty() {
            return Err(Nonsense::new(
                "data",
                "",
                "give a folder that can be written",
            ));
        }
        if self.listen.http == Address::OFF {
            return Err(Nonsense::new(
                "listen.http",
                "off",
                "viewers come in over HTTP; give IP:PORT such as 127.0.0.1:8080",
            ));
        }
        let url = &self.public_url;
        let after = (url.strip_prefix("http://")).or_else(|| url.strip_prefix("https://"));
        if !url.is_empty() && after.is_none_or(|rest| rest.trim_matches('/').is_empty()) {
            return Err(Nonsense::new(
                "public_url",
                url,
                "give a URL such as http://node.mesh/ or leave it empty",
            ));
        }
        Ok(())
    }
}

/// `$XDG_DATA_HOME/meshlive`, `~/.local/share/meshlive`, or `./meshlive-data` for a user without a home.
fn user_data_folder() -> PathBuf {
    let folder = |name| std::env::var_os(name).map(PathBuf::from);
    (folder("XDG_DATA_HOME").filter(|p| p.is_absolute()))
        .or_else(|| folder("HOME").map(|home| home.join(".local/share")))
        .map_or_else(|| "meshlive-data".into(), |data| data.join("meshlive"))
}

#[cfg(test)]
mod tests;
