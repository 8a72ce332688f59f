//! PNG: expanded to bytes, transparency dropped.

use image::metadata::Orientation;
use inferwit_plugin::Failure;
use png::{ColorType, Decoder, DecodingError, Limits, Transformations};
use std::io::Cursor;

use crate::Config;
use crate::decode::{Picture, check_memory, check_size, recolour};

/// What the decoder may keep besides the pixels: rows, and chunks such as an EXIF block.
const SIDE_BYTES: usize = 2 << 20;

pub(crate) fn decode(bytes: &[u8], config: &Config) -> Result<Picture, Failure> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: SIDE_BYTES });
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(|error| refuse(&error))?;
    let (width, height) = (header.width, header.height);
    let pixel_count = check_size(width, height, config)?;
    let mut reader = decoder.read_info().map_err(|error| refuse(&error))?;
    let exif = reader.info().exif_metadata.as_deref();
    let orientation = exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms);
    let channels: u8 = match reader.output_color_type().0 {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb | ColorType::Indexed => 3,
        ColorType::Rgba => 4,
    };
    // Grey pixels that become colours need a second place; all others are converted where they are.
    let widened = if channels < 3 { config.colour.channels() } else { 0 };
    check_memory(bytes.len() as u64 + pixel_count * u64::from(channels + widened) + SIDE_BYTES as u64, config)?;
    let Some(length) = reader.output_buffer_size() else {
        return Err(Failure::unprocessable("the PNG picture is too large"));
    };
    let mut pixels = vec![0; length];
    reader.next_frame(&mut pixels).map_err(|error| refuse(&error))?;
    if length as u64 != pixel_count * u64::from(channels) {
        return Err(Failure::unprocessable("the PNG picture is not what its header says"));
    }
    Ok(Picture {
        width,
        height,
        channels: config.colour.channels(),
        pixels: recolour(pixels, channels.into(), config.colour),
        orientation,
    })
}

fn refuse(error: &DecodingError) -> Failure {
    inferwit_plugin::log!(Debug, "png: {error}");
    Failure::unprocessable(match error {
        DecodingError::LimitsExceeded => "the PNG picture is too large",
        _ => "the PNG picture is truncated or damaged",
    })
}
