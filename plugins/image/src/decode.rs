//! From encoded bytes to pixels, and everything that a picture can be refused for on the way. Each format has its file.

use image::metadata::Orientation;
use inferwit_plugin::{Failure, Tensor};

use crate::config::Colour;
use crate::{Config, jpeg, png};

/// A decoded picture as it was stored: rows of `channels` bytes for each pixel, not yet turned upright.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: u8,
    pub(crate) pixels: Vec<u8>,
    pub(crate) orientation: Orientation,
}

impl Picture {
    /// Width and height once it is turned upright.
    pub(crate) fn upright_size(&self) -> (u32, u32) {
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        match self.orientation {
            Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH => (self.height, self.width),
            _ => (self.width, self.height),
        }
    }
}

/// Decodes a picture into the channels that the configuration asks for.
pub(crate) fn decode(image: &Tensor, config: &Config) -> Result<Picture, Failure> {
    if image.count() != 1 {
        return Err(Failure::invalid("input `image` must hold one picture"));
    }
    check_memory(image.byte_length(), config)?;
    let bytes = image.element(0)?;
    if bytes.starts_with(&[0xff, 0xd8]) {
        jpeg::decode(&bytes, config)
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        png::decode(&bytes, config)
    } else {
        Err(Failure::unprocessable("not a JPEG or PNG picture"))
    }
}

/// Refuses a size that a header claims, before anything is allocated for it.
pub(crate) fn check_size(width: u32, height: u32, config: &Config) -> Result<u64, Failure> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(Failure::unprocessable("the picture has no pixels"));
    }
    if pixels > config.max_pixels {
        return Err(Failure::unprocessable(format!(
            "the picture is {width} x {height}, more than {} pixels",
            config.max_pixels
        )));
    }
    Ok(pixels)
}

/// Refuses what would take more memory than the configuration allows: an allocation that fails inside a decoder ends the
/// call, and is then the plugin's fault instead of the picture's.
pub(crate) fn check_memory(bytes: u64, config: &Config) -> Result<(), Failure> {
    let needed_mib = bytes.div_ceil(1 << 20);
    if needed_mib <= u64::from(config.decode_mib) {
        return Ok(());
    }
    Err(Failure::unprocessable(format!(
        "decoding the picture takes {needed_mib} MiB, more than {} MiB",
        config.decode_mib
    )))
}

/// Pixels of one to four channels (grey, grey and alpha, RGB, RGBA) as those of `colour`.
pub(crate) fn recolour(mut pixels: Vec<u8>, channels: usize, colour: Colour) -> Vec<u8> {
    let colourful = channels >= 3;
    match (colour, colourful) {
        (Colour::Grey, true) => compact(pixels, channels, |pixel| [luma(pixel)]),
        (Colour::Grey, false) => compact(pixels, channels, |pixel| [pixel[0]]),
        (Colour::Rgb | Colour::Bgr, false) => pixels.chunks_exact(channels).flat_map(|pixel| [pixel[0]; 3]).collect(),
        (Colour::Rgb, true) if channels == 3 => pixels,
        (Colour::Rgb, true) => compact(pixels, channels, |pixel| [pixel[0], pixel[1], pixel[2]]),
        (Colour::Bgr, true) if channels == 3 => {
            pixels.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
            pixels
        }
        (Colour::Bgr, true) => compact(pixels, channels, |pixel| [pixel[2], pixel[1], pixel[0]]),
    }
}

/// Replaces each pixel by one of at most as many channels, in place.
fn compact<const N: usize>(mut pixels: Vec<u8>, channels: usize, convert: impl Fn(&[u8]) -> [u8; N]) -> Vec<u8> {
    if channels == N && N == 1 {
        return pixels;
    }
    let count = pixels.len() / channels;
    for index in 0..count {
        let converted = convert(&pixels[index * channels..(index + 1) * channels]);
        pixels[index * N..(index + 1) * N].copy_from_slice(&converted);
    }
    pixels.truncate(count * N);
    pixels
}

/// Brightness as in ITU-R BT.601.
fn luma(pixel: &[u8]) -> u8 {
    let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    u8::try_from((299 * red + 587 * green + 114 * blue + 500) / 1000).expect("a mean of bytes is a byte")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pixels: &[u8], channels: usize, colour: Colour, expected: &[u8]) {
        assert_eq!(recolour(pixels.to_vec(), channels, colour), expected, "{channels} channels as {colour:?}");
    }

    #[test]
    fn channels_are_those_that_were_asked_for() {
        check(&[1, 2, 3, 4, 5, 6], 3, Colour::Rgb, &[1, 2, 3, 4, 5, 6]);
        check(&[1, 2, 3, 4, 5, 6], 3, Colour::Bgr, &[3, 2, 1, 6, 5, 4]);
        check(&[1, 2, 3, 9, 4, 5, 6, 9], 4, Colour::Rgb, &[1, 2, 3, 4, 5, 6]);
        check(&[1, 2, 3, 9, 4, 5, 6, 9], 4, Colour::Bgr, &[3, 2, 1, 6, 5, 4]);
        check(&[255, 255, 255, 0, 0, 0], 3, Colour::Grey, &[255, 0]);
        check(&[7, 9, 8, 9], 2, Colour::Grey, &[7, 8]);
        check(&[7, 8], 1, Colour::Rgb, &[7, 7, 7, 8, 8, 8]);
    }
}
