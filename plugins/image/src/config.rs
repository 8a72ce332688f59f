//! What an author of a pipeline may ask of the picture, and whether it makes sense. Touches no pixel.

use inferwit_plugin::{Datatype, Diagnostic};
use schemars::JsonSchema;
use serde::Deserialize;

/// 16 megapixels: 48 MiB of pixels, which the usual limit of 64 MiB holds.
const DEFAULT_MAX_PIXELS: u64 = 1 << 24;
/// What the usual limit of 64 MiB leaves beside code, stack and what the allocator can't use.
const DEFAULT_DECODE_MIB: u32 = 56;
const MAX_SIDE: u32 = 1 << 14;

/// How a picture becomes a tensor.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// The order of the axes.
    pub layout: Layout,
    pub colour: Colour,
    pub datatype: PixelType,
    /// None: as large as the picture, whose pixels are then exactly those of the tensor.
    pub resize: Option<Resize>,
    pub filter: Filter,
    /// Pads width and height on the right and at the bottom to a multiple of this.
    #[schemars(range(min = 1, max = 16384))]
    pub multiple_of: u32,
    /// The value of padded pixels, before `scale`, `mean` and `std`.
    pub fill: u8,
    /// Each value, from 0 to 255, becomes `(value * scale - mean) / std`.
    pub scale: f32,
    /// One number, or one for each channel.
    #[schemars(length(min = 1, max = 3))]
    pub mean: Vec<f32>,
    /// One number, or one for each channel.
    #[schemars(length(min = 1, max = 3))]
    pub std: Vec<f32>,
    /// The smaller side of a picture must have at least so many pixels.
    #[schemars(range(min = 1))]
    pub min_side: u32,
    /// A picture with more pixels is refused before it is decoded.
    #[schemars(range(min = 1, max = 268_435_456))]
    pub max_pixels: u64,
    /// A picture that takes more memory to decode is refused before it is decoded. Keep it some 8 MiB below the step's
    /// `memory_mib`, beyond which the call is ended. A pixel takes 3 bytes; 9 in a progressive JPEG, 4 in a PNG with
    /// transparency.
    #[schemars(range(min = 1, max = 4096))]
    pub decode_mib: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            layout: Layout::default(),
            colour: Colour::default(),
            datatype: PixelType::default(),
            resize: None,
            filter: Filter::default(),
            multiple_of: 1,
            fill: 0,
            scale: 1.0,
            mean: vec![0.0],
            std: vec![1.0],
            min_side: 1,
            max_pixels: DEFAULT_MAX_PIXELS,
            decode_mib: DEFAULT_DECODE_MIB,
        }
    }
}

/// The order of the axes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    #[default]
    Nchw,
    Nhwc,
}

/// The channels, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    #[default]
    Rgb,
    Bgr,
    Grey,
}

impl Colour {
    pub(crate) fn channels(self) -> u8 {
        if self == Self::Grey { 1 } else { 3 }
    }
}

/// The datatype of the tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum PixelType {
    #[default]
    Fp32,
    Uint8,
}

impl PixelType {
    pub(crate) fn datatype(self) -> Datatype {
        match self {
            Self::Fp32 => Datatype::Fp32,
            Self::Uint8 => Datatype::Uint8,
        }
    }
}

/// How the picture is resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// To exactly this size, whatever that does to its proportions.
    Exact(Size),
    /// To the largest size within this that keeps its proportions.
    Fit(Size),
    /// Only if its larger side has more pixels, keeping its proportions.
    MaxSide(#[schemars(range(min = 1, max = 16384))] u32),
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Size {
    #[schemars(range(min = 1, max = 16384))]
    pub width: u32,
    #[schemars(range(min = 1, max = 16384))]
    pub height: u32,
}

/// How pixels are interpolated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    Nearest,
    #[default]
    Bilinear,
    Bicubic,
    Area,
    Lanczos3,
}

impl Filter {
    pub(crate) fn filter(self) -> inferwit_plugin::Filter {
        match self {
            Self::Nearest => inferwit_plugin::Filter::Nearest,
            Self::Bilinear => inferwit_plugin::Filter::Bilinear,
            Self::Bicubic => inferwit_plugin::Filter::Bicubic,
            Self::Area => inferwit_plugin::Filter::Area,
            Self::Lanczos3 => inferwit_plugin::Filter::Lanczos3,
        }
    }
}

impl Config {
    /// What makes no sense, all at once.
    pub(crate) fn diagnose(&self) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let mut refuse = |path: &str, message: &str, hint: &str| {
            diagnostics.push(Diagnostic::error("invalid-value", message).at(path).hint(hint));
        };
        let side = |value: u32| (1..=MAX_SIDE).contains(&value);
        if !side(self.multiple_of) {
            refuse("/multiple_of", "not between 1 and 16384", "leave it out for no padding");
        }
        let resize_fits = match self.resize {
            None => true,
            Some(Resize::Exact(size) | Resize::Fit(size)) => side(size.width) && side(size.height),
            Some(Resize::MaxSide(value)) => side(value),
        };
        if !resize_fits {
            refuse("/resize", "a side is not between 1 and 16384", "leave it out to keep the picture's size");
        }
        if self.min_side == 0 {
            refuse("/min_side", "0 is no side", "1 accepts all pictures");
        }
        if !(1..=1 << 28).contains(&self.max_pixels) {
            refuse("/max_pixels", "not between 1 and 268435456", "leave it out for 16 megapixels");
        }
        if !(1..=4096).contains(&self.decode_mib) {
            refuse("/decode_mib", "not between 1 and 4096", "leave it out for 56 MiB");
        }
        let channels = usize::from(self.colour.channels());
        for (path, values) in [("/mean", &self.mean), ("/std", &self.std)] {
            if values.len() != 1 && values.len() != channels {
                refuse(path, &format!("{} values for {channels} channels", values.len()), "give one, or one each");
            }
        }
        if !self.std.iter().all(|std| std.is_normal()) {
            refuse("/std", "0 or no finite number", "what is divided by must not be 0");
        }
        if !self.scale.is_finite() || !self.mean.iter().all(|mean| mean.is_finite()) {
            refuse("/scale", "`scale` or `mean` is no finite number", "leave them out to keep 0 to 255");
        }
        let keeps_values = self.scale == 1.0 && self.mean == [0.0] && self.std == [1.0];
        if self.datatype == PixelType::Uint8 && !keeps_values {
            refuse("/datatype", "UINT8 leaves no room for `scale`, `mean` and `std`", "use FP32, or leave those out");
        }
        diagnostics
    }

    /// The size of an upright picture after resizing, before padding.
    pub(crate) fn resized(&self, width: u32, height: u32) -> (u32, u32) {
        match self.resize {
            None => (width, height),
            Some(Resize::Exact(size)) => (size.width, size.height),
            Some(Resize::Fit(size)) => fit(width, height, size),
            Some(Resize::MaxSide(side)) if width.max(height) <= side => (width, height),
            Some(Resize::MaxSide(side)) => fit(width, height, Size { width: side, height: side }),
        }
    }

    /// The size of every tensor, if it does not depend on the picture.
    pub(crate) fn fixed_size(&self) -> Option<(u32, u32)> {
        let Some(Resize::Exact(size)) = self.resize else { return None };
        Some((size.width.next_multiple_of(self.multiple_of), size.height.next_multiple_of(self.multiple_of)))
    }

    /// `(value * scale - mean) / std` as a factor and an addend, one of each for all channels or one for each channel.
    pub(crate) fn affine(&self) -> (Vec<f32>, Vec<f32>) {
        let entries = self.mean.len().max(self.std.len());
        let entry = |values: &[f32], place: usize| if values.len() == 1 { values[0] } else { values[place] };
        let factors = (0..entries).map(|place| self.scale / entry(&self.std, place)).collect();
        let addends = (0..entries).map(|place| 0.0 - entry(&self.mean, place) / entry(&self.std, place)).collect();
        (factors, addends)
    }

    pub(crate) fn channel_axis(&self) -> i32 {
        match self.layout {
            Layout::Nchw => 1,
            Layout::Nhwc => 3,
        }
    }
}

/// The largest size within `bounds` with the proportions of `width` and `height`, but at least one pixel.
fn fit(width: u32, height: u32, bounds: Size) -> (u32, u32) {
    let (width, height) = (u64::from(width), u64::from(height));
    let (bound_width, bound_height) = (u64::from(bounds.width), u64::from(bounds.height));
    let rounded = |numerator: u64, denominator: u64, bound: u32| {
        let value = (numerator + denominator / 2) / denominator;
        u32::try_from(value).map_or(bound, |value| value.clamp(1, bound))
    };
    if bound_width * height <= bound_height * width {
        (bounds.width, rounded(height * bound_width, width, bounds.height))
    } else {
        (rounded(width * bound_height, height, bounds.width), bounds.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(resize: Resize, size: (u32, u32), expected: (u32, u32)) {
        let config = Config { resize: Some(resize), ..Config::default() };
        assert_eq!(config.resized(size.0, size.1), expected, "{resize:?} of {size:?}");
    }

    #[test]
    fn sizes_keep_their_proportions() {
        let square = Size { width: 640, height: 640 };
        check(Resize::Exact(square), (3, 9), (640, 640));
        check(Resize::Fit(square), (1280, 960), (640, 480));
        check(Resize::Fit(square), (100, 200), (320, 640));
        check(Resize::Fit(square), (10000, 1), (640, 1));
        check(Resize::MaxSide(640), (100, 200), (100, 200));
        check(Resize::MaxSide(640), (641, 1000), (410, 640));
    }

    #[test]
    fn factors_are_those_of_the_formula() {
        let config = Config { scale: 0.5, mean: vec![1.0, 2.0, 3.0], std: vec![2.0], ..Config::default() };
        assert_eq!(config.affine(), (vec![0.25; 3], vec![-0.5, -1.0, -1.5]));
        assert_eq!(Config::default().affine(), (vec![1.0], vec![0.0]));
    }
}
