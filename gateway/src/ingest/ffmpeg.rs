//! FFmpeg where ffmpeg-next has no safe door: the only file of the project with `unsafe`.
//!
//! Everything here is small, owns what it makes and frees it once. What FFmpeg hands out as pointers is copied
//! out or borrowed for as long as its owner is.
#![allow(unsafe_code)]

use std::sync::Once;

use bytes::Bytes;
use ffmpeg_next::{self as ff, ffi, frame};

/// Registers devices and silences FFmpeg's own log (errors come back as values and are told by us). Cheap to repeat.
pub(super) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ff::init().expect("FFmpeg's registration does not fail");
        ff::log::set_level(ff::log::Level::Quiet);
    });
}

/// What the codec needs to start a decoder: SPS and PPS, AudioSpecificConfig.
pub(super) fn extradata(context: &ff::codec::Context) -> Bytes {
    // SAFETY: the context is alive for this call; FFmpeg keeps `extradata` null or `extradata_size` bytes long.
    unsafe {
        let context = &*context.as_ptr();
        copied(context.extradata, context.extradata_size)
    }
}

/// Prepares an audio encoder's (or decoder's) context for `channels` in their usual order.
pub(super) fn set_channels(context: &mut ff::codec::Context, channels: u16) {
    // SAFETY: the context is alive and not yet open; `ch_layout` is an initialised field of it which
    // av_channel_layout_default overwrites with a layout that owns no memory.
    unsafe {
        ffi::av_channel_layout_default(&mut (*context.as_mut_ptr()).ch_layout, i32::from(channels));
    }
}

/// A frame of planar 32-bit float sound with room for `samples` per channel, or None when memory is short.
pub(super) fn sound_frame(samples: usize, channels: u16, sample_rate: u32) -> Option<frame::Audio> {
    let mut sound = frame::Audio::empty();
    // SAFETY: `empty` allocated the AVFrame (checked for null); its fields are set before av_frame_get_buffer,
    // which allocates buffers that the frame owns and frees.
    let status = unsafe {
        let pointer = sound.as_mut_ptr();
        if pointer.is_null() {
            return None;
        }
        (*pointer).format = ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP as i32;
        (*pointer).nb_samples = i32::try_from(samples).ok()?;
        (*pointer).sample_rate = i32::try_from(sample_rate).ok()?;
        ffi::av_channel_layout_default(&mut (*pointer).ch_layout, i32::from(channels));
        ffi::av_frame_get_buffer(pointer, 0)
    };
    (status >= 0).then_some(sound)
}

/// One channel of a frame made by [`sound_frame`]; empty when there is no such channel.
pub(super) fn channel_mut(sound: &mut frame::Audio, channel: usize) -> &mut [f32] {
    // SAFETY: for planar float each of the `ch_layout.nb_channels` planes holds `nb_samples` floats, allocated and
    // aligned by av_frame_get_buffer; the slice borrows the frame mutably, so nobody else sees the plane meanwhile.
    unsafe {
        let raw = &*sound.as_ptr();
        let planar = raw.format == ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP as i32;
        if !planar || channel >= usize::try_from(raw.ch_layout.nb_channels).unwrap_or(0) {
            return &mut [];
        }
        let plane = (*raw.extended_data.add(channel)).cast::<f32>();
        std::slice::from_raw_parts_mut(plane, usize::try_from(raw.nb_samples).unwrap_or(0))
    }
}

/// A second handle on the same picture: its pixels are shared, its time and kind are its own.
pub(super) fn shared(picture: &frame::Video) -> Option<frame::Video> {
    let mut copy = frame::Video::empty();
    // SAFETY: both frames are allocated (the new one checked for null); av_frame_ref takes references on the source's
    // buffers, which the new frame gives back when it is dropped.
    let status = unsafe {
        if copy.as_ptr().is_null() {
            return None;
        }
        ffi::av_frame_ref(copy.as_mut_ptr(), picture.as_ptr())
    };
    (status >= 0).then_some(copy)
}

/// # Safety
/// `data` is null or points to at least `size` readable bytes.
unsafe fn copied(data: *const u8, size: i32) -> Bytes {
    let size = usize::try_from(size).unwrap_or(0);
    if data.is_null() || size == 0 {
        return Bytes::new();
    }
    // SAFETY: as the caller promises.
    Bytes::copy_from_slice(unsafe { std::slice::from_raw_parts(data, size) })
}
