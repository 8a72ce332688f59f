//! JPEG: headers are read with indulgence, the picture itself strictly, so that a truncated one is refused.

use image::metadata::Orientation;
use inferwit_plugin::Failure;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use crate::Config;
use crate::config::Colour;
use crate::decode::{Picture, check_memory, check_size, recolour};

pub(crate) fn decode(bytes: &[u8], config: &Config) -> Result<Picture, Failure> {
    let outline = Outline::read(bytes).ok_or_else(|| Failure::unprocessable("not a readable JPEG picture"))?;
    let pixel_count = check_size(outline.width, outline.height, config)?;
    if !outline.ends {
        return Err(Failure::unprocessable("the JPEG picture is truncated"));
    }
    // A progressive picture is held as 16-bit coefficients, in blocks, until its last scan has been read.
    let coefficients = if outline.progressive { 2 * u64::from(outline.components) } else { 0 };
    let rows = u64::from(outline.width) * 256 + (1 << 20);
    check_memory(bytes.len() as u64 + pixel_count * (3 + coefficients) + rows, config)?;

    let options = DecoderOptions::default().set_strict_mode(false).set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| refuse(&error))?;
    let direct = matches!(decoder.input_colorspace(), Some(ColorSpace::YCbCr | ColorSpace::Luma));
    let luma = config.colour == Colour::Grey && direct;
    let colorspace = if luma { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.set_strict_mode(true).jpeg_set_out_colorspace(colorspace));
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    let pixels = decoder.decode().map_err(|error| refuse(&error))?;
    let decoded_channels = if luma { 1 } else { 3 };
    if pixels.len() as u64 != pixel_count * decoded_channels as u64 {
        return Err(Failure::unprocessable("the JPEG picture is not what its header says"));
    }
    Ok(Picture {
        width: outline.width,
        height: outline.height,
        channels: config.colour.channels(),
        pixels: recolour(pixels, decoded_channels, config.colour),
        orientation: orientation.unwrap_or(Orientation::NoTransforms),
    })
}

fn refuse(error: &DecodeErrors) -> Failure {
    // The decoder's own words span lines and name its internals.
    inferwit_plugin::log!(Debug, "jpeg: {error:?}");
    Failure::unprocessable("the JPEG picture is truncated or damaged")
}

/// What the segments before the first scan say, without decoding anything.
#[derive(Debug, PartialEq, Eq)]
struct Outline {
    width: u32,
    height: u32,
    components: u8,
    progressive: bool,
    /// Whether the end marker follows the scan; a thumbnail's own end doesn't count.
    ends: bool,
}

impl Outline {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut frame = None;
        let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
        loop {
            // Bytes between segments, and any number of 0xff before a marker, are skipped.
            rest = &rest[rest.iter().position(|&byte| byte == 0xff)?..];
            rest = &rest[rest.iter().position(|&byte| byte != 0xff)?..];
            let (&marker, segment) = rest.split_first()?;
            if matches!(marker, 0x00 | 0x01 | 0xd0..=0xd8) {
                rest = segment;
                continue;
            }
            let length = usize::from(u16::from_be_bytes(*segment.first_chunk()?));
            let body = segment.get(2..length.max(2))?;
            rest = segment.get(length.max(2)..)?;
            match marker {
                0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => frame = Some((marker, body)),
                0xda => break,
                0xd9 => return None,
                _ => {}
            }
        }
        let (marker, body) = frame?;
        let &[_, height_high, height_low, width_high, width_low, components] = body.first_chunk::<6>()?;
        Some(Self {
            width: u16::from_be_bytes([width_high, width_low]).into(),
            height: u16::from_be_bytes([height_high, height_low]).into(),
            components,
            progressive: marker == 0xc2,
            ends: rest.windows(2).rev().any(|pair| pair == [0xff, 0xd9]),
        })
    }
}
