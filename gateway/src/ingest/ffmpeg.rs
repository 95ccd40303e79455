//! FFmpeg where ffmpeg-next has no safe door: the only file of the project with `unsafe`.
//!
//! Everything here is small, owns what it makes and frees it once. What FFmpeg hands out as pointers is copied
//! out or borrowed for as long as its owner is.
#![allow(unsafe_code)]

use std::{ffi::CString, ptr, sync::Once};

use bytes::Bytes;
use ffmpeg_next::{self as ff, codec, ffi, frame};

use super::media::{Codec, Hints, Kind, Packet, SourceStream};

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

/// Converts a frame of sound as the resampler was told; what comes out has as many samples as are ready.
pub(super) fn resample(
    context: &mut ff::software::resampling::Context,
    from: &frame::Audio,
    to: &mut frame::Audio,
) -> Result<(), ff::Error> {
    let target = *context.output();
    // SAFETY: all three are alive. `to` is empty (its AVFrame checked for null) and gets format, rate and layout, which
    // owns no memory; swr_convert_frame then allocates its buffers. The copy of `from` holds references of its own and
    // gets a layout that owns no memory, because FFmpeg's decoders may leave it unspecified, which the resampler refuses.
    unsafe {
        let mut source = frame::Audio::empty();
        let (raw, out) = (source.as_mut_ptr(), to.as_mut_ptr());
        if raw.is_null() || out.is_null() {
            return Err(ff::Error::Other { errno: ffi::ENOMEM });
        }
        let status = ffi::av_frame_ref(raw, from.as_ptr());
        if status < 0 {
            return Err(status.into());
        }
        let channels = (*raw).ch_layout.nb_channels;
        ffi::av_channel_layout_uninit(&mut (*raw).ch_layout);
        ffi::av_channel_layout_default(&mut (*raw).ch_layout, channels);
        (*out).format = ffi::AVSampleFormat::from(target.format) as i32;
        (*out).sample_rate = i32::try_from(target.rate).map_err(|_| ff::Error::InvalidData)?;
        ffi::av_channel_layout_default(&mut (*out).ch_layout, target.channel_layout.channels());
        match ffi::swr_convert_frame(context.as_mut_ptr(), out, raw) {
            status if status < 0 => Err(status.into()),
            _ => Ok(()),
        }
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

/// Finds the decoder of `codec` and prepares its context, not yet opened.
pub(super) fn decoder(
    codec: &Codec,
    kind: &Kind,
) -> Result<(ff::Codec, codec::Context), ff::Error> {
    let (id, extradata, hints) = match codec {
        Codec::H264 { avcc } => (codec::Id::H264, avcc, Hints::default()),
        Codec::Hevc { hvcc } => (codec::Id::HEVC, hvcc, Hints::default()),
        Codec::Av1 { av1c } => (codec::Id::AV1, av1c, Hints::default()),
        Codec::Aac { config } => (codec::Id::AAC, config, Hints::default()),
        Codec::Opus { head } => (codec::Id::OPUS, head, Hints::default()),
        Codec::Other {
            name,
            extradata,
            hints,
        } => (id_by_name(name), extradata, *hints),
    };
    let found = codec::decoder::find(id).ok_or(ff::Error::DecoderNotFound)?;
    let mut context = codec::Context::new_with_codec(found);
    let padding = ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
    let size = i32::try_from(extradata.len()).map_err(|_| ff::Error::InvalidData)?;
    // SAFETY: the context was just allocated (checked for null) and is not open. `extradata` must come from av_malloc with
    // zeroed padding behind it, which av_mallocz gives (checked for null); the context frees it. The other fields are plain
    // numbers that avcodec_open2 checks.
    unsafe {
        let raw = context.as_mut_ptr();
        if raw.is_null() {
            return Err(ff::Error::Other { errno: ffi::ENOMEM });
        }
        if size > 0 {
            let memory = ffi::av_mallocz(extradata.len() + padding).cast::<u8>();
            if memory.is_null() {
                return Err(ff::Error::Other { errno: ffi::ENOMEM });
            }
            ptr::copy_nonoverlapping(extradata.as_ptr(), memory, extradata.len());
            (*raw).extradata = memory;
            (*raw).extradata_size = size;
        }
        (*raw).codec_tag = hints.tag;
        (*raw).block_align = hints.block_align;
        (*raw).bits_per_coded_sample = hints.bits_per_sample;
        match *kind {
            Kind::Video { width, height, .. } => {
                (*raw).width = i32::try_from(width).unwrap_or(0);
                (*raw).height = i32::try_from(height).unwrap_or(0);
                if hints.format > 0 && id == codec::Id::RAWVIDEO {
                    (*raw).pix_fmt = pixel_format(hints.format - 1);
                }
            }
            Kind::Audio {
                sample_rate,
                channels,
            } => {
                (*raw).sample_rate = i32::try_from(sample_rate).unwrap_or(0);
                ffi::av_channel_layout_default(&mut (*raw).ch_layout, i32::from(channels));
            }
        }
    }
    Ok((found, context))
}

/// FFmpeg's codec of this name, or none.
fn id_by_name(name: &str) -> codec::Id {
    let Ok(name) = CString::new(name) else {
        return codec::Id::None;
    };
    // SAFETY: the name is a C string that lives for this call; descriptors are static, and null when not found.
    unsafe {
        let descriptor = ffi::avcodec_descriptor_get_by_name(name.as_ptr());
        if descriptor.is_null() {
            codec::Id::None
        } else {
            (*descriptor).id.into()
        }
    }
}

/// The pixel format with this number, or none.
fn pixel_format(number: i32) -> ffi::AVPixelFormat {
    // SAFETY: descriptors are static; av_pix_fmt_desc_get_id gives a valid format for one that av_pix_fmt_desc_next gave,
    // so no number from outside becomes an enumeration value.
    unsafe {
        let mut descriptor = ffi::av_pix_fmt_desc_next(ptr::null());
        while !descriptor.is_null() {
            let format = ffi::av_pix_fmt_desc_get_id(descriptor);
            if format as i32 == number {
                return format;
            }
            descriptor = ffi::av_pix_fmt_desc_next(descriptor);
        }
    }
    ffi::AVPixelFormat::AV_PIX_FMT_NONE
}

/// An opened file, URL or device.
pub(super) struct Demuxer {
    input: ff::format::context::Input,
}

/// A packet as it stands in the file, with what changed before it.
pub(super) struct Demuxed {
    pub(super) packet: Packet,
    /// The stream's new extradata, where it changed.
    pub(super) extradata: Option<Bytes>,
}

impl Demuxer {
    /// Opens `url` with FFmpeg's demuxer `format` (or the one that fits); gives up as soon as `stop` says so.
    pub(super) fn open(
        url: &str,
        format: Option<&str>,
        options: &[(&str, String)],
        stop: impl FnMut() -> bool + Send + 'static,
    ) -> Result<Self, ff::Error> {
        init();
        let invalid = |_| ff::Error::InvalidData;
        let url = CString::new(url).map_err(invalid)?;
        let format = format.map(CString::new).transpose().map_err(invalid)?;
        let mut dictionary = ff::Dictionary::new();
        options
            .iter()
            .for_each(|(key, value)| dictionary.set(key, value));
        let interrupt = ff::util::interrupt::new(Box::new(stop));
        // SAFETY: the context is ours until avformat_open_input, which frees it when it fails; then avformat_close_input
        // frees it, or the wrapper does. The callback's closure is owned by the guard, which outlives the context: here
        // until the end of this function, in the wrapper as a field of the same owner, dropped after the context. The
        // strings live until the end of this function. The dictionary is taken and freed through the same pointer.
        unsafe {
            let mut context = ffi::avformat_alloc_context();
            if context.is_null() {
                return Err(ff::Error::Other { errno: ffi::ENOMEM });
            }
            (*context).interrupt_callback = interrupt.interrupt;
            let demuxer = match &format {
                None => ptr::null(),
                Some(name) => {
                    // Devices would otherwise wait in the kernel, where no callback reaches them.
                    (*context).flags |= ffi::AVFMT_FLAG_NONBLOCK;
                    ffi::av_find_input_format(name.as_ptr())
                }
            };
            if format.is_some() && demuxer.is_null() {
                ffi::avformat_free_context(context);
                return Err(ff::Error::DemuxerNotFound);
            }
            let mut raw_options = dictionary.disown();
            let status = ffi::avformat_open_input(
                &mut context,
                url.as_ptr(),
                demuxer.cast_mut(),
                &mut raw_options,
            );
            drop(ff::Dictionary::own(raw_options));
            if status < 0 {
                return Err(status.into());
            }
            let status = ffi::avformat_find_stream_info(context, ptr::null_mut());
            if status < 0 {
                ffi::avformat_close_input(&mut context);
                return Err(status.into());
            }
            let input = ff::format::context::Input::wrap_with_interrupt(context, interrupt.guard);
            Ok(Self { input })
        }
    }

    /// All streams, in the file's order; None for what is neither video nor sound (and for cover pictures).
    pub(super) fn streams(&self) -> Vec<Option<SourceStream>> {
        self.input
            .streams()
            .map(|stream| described(&stream))
            .collect()
    }

    /// Title as the file's metadata has it.
    pub(super) fn title(&self) -> Option<String> {
        self.input
            .metadata()
            .get("title")
            .filter(|title| !title.is_empty())
            .map(Into::into)
    }

    /// The next packet; None at the end.
    pub(super) fn read(&mut self) -> Result<Option<Demuxed>, ff::Error> {
        let mut packet = ff::Packet::empty();
        match packet.read(&mut self.input) {
            Ok(()) => {}
            Err(ff::Error::Eof) => return Ok(None),
            Err(error) => return Err(error),
        }
        let base = self
            .input
            .stream(packet.stream())
            .ok_or(ff::Error::StreamNotFound)?
            .time_base();
        let changed = packet
            .side_data()
            .find(|data| data.kind() == codec::packet::side_data::Type::NewExtraData);
        let extradata = changed.map(|data| Bytes::copy_from_slice(data.data()));
        let time = |ticks: Option<i64>| ticks.map_or(Packet::UNKNOWN, |ticks| micros(ticks, base));
        Ok(Some(Demuxed {
            extradata,
            packet: Packet {
                stream: packet.stream(),
                dts: time(packet.dts()),
                pts: time(packet.pts()),
                duration: micros(packet.duration(), base).max(0),
                key: packet.is_key(),
                data: Bytes::from_owner(Payload(packet)),
            },
        }))
    }

    /// Back to the beginning.
    pub(super) fn rewind(&mut self) -> Result<(), ff::Error> {
        self.input.seek(0, ..)
    }
}

/// A packet's bytes, shared without a copy.
struct Payload(ff::Packet);

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self.0.data().unwrap_or_default()
    }
}

fn micros(ticks: i64, base: ff::Rational) -> i64 {
    let (over, under) = (
        i128::from(base.numerator()) * 1_000_000,
        i128::from(base.denominator().max(1)),
    );
    let micros = (i128::from(ticks) * over + under / 2).div_euclid(under);
    i64::try_from(micros).unwrap_or(i64::MAX)
}

fn described(stream: &ff::Stream<'_>) -> Option<SourceStream> {
    if stream
        .disposition()
        .contains(ff::format::stream::Disposition::ATTACHED_PIC)
    {
        return None;
    }
    let parameters = stream.parameters();
    // SAFETY: the parameters are alive for this call and FFmpeg keeps their extradata null or `extradata_size` long.
    let (raw, extradata) = unsafe {
        let raw = &*parameters.as_ptr();
        (raw, copied(raw.extradata, raw.extradata_size))
    };
    let rate = [stream.avg_frame_rate(), stream.rate()]
        .into_iter()
        .find(|rate| {
            rate.numerator() > 0
                && rate.denominator() > 0
                && (1.0..=240.0).contains(&f64::from(*rate))
        });
    let kind = match parameters.medium() {
        ff::media::Type::Video => Kind::Video {
            width: u32::try_from(raw.width).unwrap_or(0),
            height: u32::try_from(raw.height).unwrap_or(0),
            frame_rate: rate.map_or((0, 1), |rate| {
                (rate.numerator() as u32, rate.denominator() as u32)
            }),
        },
        ff::media::Type::Audio => Kind::Audio {
            sample_rate: u32::try_from(raw.sample_rate).unwrap_or(0),
            channels: u16::try_from(raw.ch_layout.nb_channels).unwrap_or(0),
        },
        _ => return None,
    };
    let hints = Hints {
        tag: raw.codec_tag,
        block_align: raw.block_align,
        bits_per_sample: raw.bits_per_coded_sample,
        format: raw.format.saturating_add(1),
    };
    let codec = Codec::Other {
        name: parameters.id().name().into(),
        extradata,
        hints,
    };
    Some(SourceStream {
        codec,
        kind,
        bit_rate: u32::try_from(raw.bit_rate).unwrap_or(0),
    })
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
