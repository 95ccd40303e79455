//! `onMetaData`: what a publisher says about its stream (Adobe Flash Video File Format 10.1 annex E.5).

use super::amf0::Value;

/// What a publisher says about its stream; hints, not facts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Not empty.
    pub title: Option<String>,
    /// Pixels.
    pub size: Option<(u32, u32)>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// Bits per second.
    pub video_bit_rate: u32,
    /// Bits per second.
    pub audio_bit_rate: u32,
    /// Whether video will come; None when it does not say.
    pub video: Option<bool>,
    /// Whether audio will come; None when it does not say.
    pub audio: Option<bool>,
}

impl Metadata {
    /// Reads the object behind `onMetaData`. What is odd counts as not said.
    pub(super) fn read(fields: &Value) -> Metadata {
        let number = |name| {
            fields
                .get(name)?
                .as_number()
                .filter(|n| n.is_finite() && *n > 0.0)
        };
        let pixels = |name| number(name).map(|n| n as u32);
        let bit_rate = |name| number(name).map_or(0, |kilobits| (kilobits * 1000.0) as u32);
        let title = fields.get("title").and_then(Value::as_str);
        let video = fields.get("videocodecid").is_some();
        let audio = fields.get("audiocodecid").is_some();
        Metadata {
            title: title.filter(|title| !title.is_empty()).map(str::to_owned),
            size: pixels("width").zip(pixels("height")),
            frame_rate: number("framerate"),
            video_bit_rate: bit_rate("videodatarate"),
            audio_bit_rate: bit_rate("audiodatarate"),
            // Only who names at least one codec is taken at their word about the other.
            video: (video || audio).then_some(video),
            audio: (video || audio).then_some(audio),
        }
    }
}
