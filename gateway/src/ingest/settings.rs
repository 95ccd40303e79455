//! What an operator can set about ingest; every key has a default.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::CardSpec;
use crate::package;

/// Section `[ingest]` of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seconds. H.264 whose key frames are further apart is transcoded, because a viewer could neither join nor
    /// switch in between. Not set here: it is `package.longest_key_frame_gap`.
    #[serde(skip)]
    pub max_key_frame_gap: f64,
    /// Seconds between the key frames of what is encoded here. Segments are this long.
    pub key_frame_interval: f64,
    /// Encoder by FFmpeg's name: "libx264", "h264_v4l2m2m" (Raspberry Pi), "h264_vaapi" (Intel, AMD), "h264_nvenc" (NVIDIA).
    pub encoder: String,
    /// libx264's preset: "ultrafast", "superfast", "veryfast", … A slower one gives a better picture for more processor time.
    pub preset: String,
    /// Threads per video encoder; 0 is as many as there are processors.
    pub encoder_threads: u32,
    /// Bits per second of video that must be transcoded at its own size (HEVC, AV1, key frames too far apart);
    /// 0 chooses by size and frame rate (2.5 Mbit/s for 1280 × 720 at 30 frames per second).
    pub video_bit_rate: u32,
    /// Bits per second of sound that is encoded here.
    pub audio_bit_rate: u32,
    /// What the test card looks like.
    pub testcard: TestcardSettings,
    /// Smaller renditions that are transcoded beside the source, the largest first. Those that are higher than the source are left out.
    pub ladder: Vec<Rung>,
}

/// One `[[ingest.ladder]]`: a smaller rendition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// `[a-z0-9-]{1,32}`, unique, not "source", "audio" or "original".
    pub id: String,
    /// Pixels, even; the width follows from the source's aspect ratio.
    pub height: u32,
    /// Bits per second.
    pub bit_rate: u32,
}

/// Section `[ingest.testcard]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TestcardSettings {
    /// Pixels, a multiple of 32, 320 to 3840.
    pub width: u32,
    /// Pixels, a multiple of 24, 240 to 2160.
    pub height: u32,
    /// Frames per second, 1 to 120.
    pub frame_rate: u32,
    /// Bits per second of the picture.
    pub bit_rate: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_key_frame_gap: package::Settings::default()
                .longest_key_frame_gap
                .as_secs_f64(),
            key_frame_interval: 2.0,
            encoder: "libx264".into(),
            preset: "superfast".into(),
            encoder_threads: 0,
            video_bit_rate: 0,
            audio_bit_rate: 128_000,
            testcard: TestcardSettings::default(),
            ladder: Vec::new(),
        }
    }
}

impl Default for TestcardSettings {
    fn default() -> Self {
        Self {
            width: 1280,
            height: 720,
            frame_rate: 30,
            bit_rate: 2_500_000,
        }
    }
}

impl TestcardSettings {
    /// These settings with what the command line says instead.
    pub(super) fn with(&self, card: &CardSpec) -> Self {
        let (width, height) = card.size.unwrap_or((self.width, self.height));
        Self {
            width,
            height,
            frame_rate: card.frame_rate.unwrap_or(self.frame_rate),
            bit_rate: card.bit_rate.unwrap_or(self.bit_rate),
        }
    }

    fn check(&self) -> Result<(), String> {
        let Self {
            width,
            height,
            frame_rate,
            bit_rate,
        } = self;
        if !(320..=3840).contains(width) || width % 32 != 0 {
            return Err(format!(
                "testcard.width is {width}: set a multiple of 32 from 320 to 3840"
            ));
        }
        if !(240..=2160).contains(height) || height % 24 != 0 {
            return Err(format!(
                "testcard.height is {height}: set a multiple of 24 from 240 to 2160"
            ));
        }
        if !(1..=120).contains(frame_rate) {
            return Err(format!("testcard.frame_rate is {frame_rate}: set 1 to 120"));
        }
        check_bit_rate("testcard.bit_rate", *bit_rate).map_err(|e| e.replacen("ingest.", "", 1))
    }
}

impl Settings {
    /// What makes no sense, as one line that names the setting, its value and the remedy.
    pub fn check(&self) -> Result<(), String> {
        if !(0.5..=10.0).contains(&self.key_frame_interval) {
            return Err(format!(
                "ingest.key_frame_interval is {}: set 0.5 to 10 seconds",
                self.key_frame_interval
            ));
        }
        if self.encoder_threads > 64 {
            return Err(format!(
                "ingest.encoder_threads is {}: set 0 to 64",
                self.encoder_threads
            ));
        }
        if self.video_bit_rate != 0 {
            check_bit_rate("video_bit_rate", self.video_bit_rate)?;
        }
        if !(16_000..=512_000).contains(&self.audio_bit_rate) {
            return Err(format!(
                "ingest.audio_bit_rate is {}: set 16000 to 512000",
                self.audio_bit_rate
            ));
        }
        self.testcard
            .check()
            .map_err(|problem| format!("ingest.{problem}"))?;
        if self.ladder.len() > 8 {
            return Err(format!(
                "ingest.ladder has {} renditions: keep at most 8",
                self.ladder.len()
            ));
        }
        for (index, rung) in self.ladder.iter().enumerate() {
            let id = &rung.id;
            let known = ["source", "audio", "original"].contains(&id.as_str())
                || self.ladder[..index].iter().any(|other| other.id == *id);
            let plain = id
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if known || !plain || !(1..=32).contains(&id.len()) {
                return Err(format!(
                    "ingest.ladder.id is {id:?}: give each rendition a name of its own from a-z, 0-9 and -, up to 32 long, not source, audio or original"
                ));
            }
            if !(64..=4320).contains(&rung.height) || rung.height % 2 != 0 {
                return Err(format!(
                    "ingest.ladder.height of {id} is {}: set an even number from 64 to 4320",
                    rung.height
                ));
            }
            check_bit_rate(&format!("ladder.bit_rate of {id}"), rung.bit_rate)?;
        }
        Ok(())
    }
}

fn check_bit_rate(name: &str, value: u32) -> Result<(), String> {
    if (50_000..=40_000_000).contains(&value) {
        return Ok(());
    }
    Err(format!(
        "ingest.{name} is {value}: set 50000 to 40000000 bits per second"
    ))
}
