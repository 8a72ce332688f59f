//! `resize`: pictures in another size. The filters are those of the crate `fast_image_resize`; `nearest` is our own.

use bytemuck::Pod;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions as Settings, Resizer};

use super::super::{Datatype, Tensor};
use super::number::{CHUNK, narrow};
use super::{Limits, OpError, cast, empty, tensor_of};

/// What the dimensions are: batch, channels, height, width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Nchw,
    Nhwc,
    Chw,
    Hwc,
}

/// How a pixel comes from those around it. Borders take the weights of the pixels that are there, made to add up to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The pixel in which the middle of the new one lies. Nothing is computed: any datatype but `BYTES`.
    Nearest,
    Bilinear,
    /// Catmull-Rom, a = -0.5, as Pillow; PyTorch without antialias and OpenCV take a = -0.75.
    Bicubic,
    /// The mean of the pixels whose middle lies in the new one (Pillow's BOX), with or without `antialias`. OpenCV's
    /// INTER_AREA and PyTorch's `area` weigh cut pixels otherwise where the ratio is not whole.
    Area,
    Lanczos3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizeOptions {
    pub width: u32,
    pub height: u32,
    pub layout: Layout,
    pub filter: Filter,
    /// Widens the filter where the picture shrinks, as Pillow always does, as PyTorch with `antialias` and ONNX with
    /// `antialias = 1, exclude_outside = 1`. Without it the filter is not widened, as in OpenCV.
    pub antialias: bool,
}

/// Uint8 weights have 22 bits or so: where a picture shrinks more than this, they say too little and fp32 is taken.
const UINT8_RATIO_MAX: u64 = 1024;

/// Coefficients, bounds and their copies in another format, for each pixel of a side.
const SIDE_BYTES: u64 = 192;

/// The pictures in another size. Pixel middles are at halves (`half_pixel`).
///
/// `UINT8`, `UINT16` and `FP32` are computed in their own; other numbers in fp32, integers then rounded to nearest even
/// and saturated.
///
/// # Errors
/// `ShapeMismatch` for another rank than the layout's, or pixels from no pixels; `DatatypeMismatch` for `BYTES`, and for
/// `BOOL` unless `Nearest`; `InvalidArgument` for a width or height of 0; `OutOfTime`.
pub fn resize(input: &Tensor, options: &ResizeOptions, limits: &Limits<'_>) -> Result<Tensor, OpError> {
    let datatype = input.datatype();
    if datatype == Datatype::Bytes || (datatype == Datatype::Bool && options.filter != Filter::Nearest) {
        return Err(OpError::DatatypeMismatch(datatype));
    }
    if options.width == 0 || options.height == 0 {
        return Err(OpError::InvalidArgument(format!("a picture of {} x {}", options.width, options.height)));
    }
    let pictures = Pictures::new(input.shape(), options)?;
    if pictures.from == pictures.to {
        return Ok(input.clone());
    }
    let count = limits.claim(datatype, &pictures.shape, pictures.scratch_bytes(datatype))?;
    if count == 0 {
        return Ok(empty(datatype, &pictures.shape));
    }
    if input.count() == 0 {
        return Err(OpError::ShapeMismatch(format!("{:?} has no pixels", input.shape())));
    }
    let shape = &pictures.shape[..];
    let bytes = input.bytes();
    Ok(match (options.filter, datatype) {
        (Filter::Nearest, _) => match datatype.width() {
            Some(1) => tensor_of(datatype, shape, pictures.nearest::<u8>(bytes)),
            Some(2) => tensor_of(datatype, shape, pictures.nearest::<u16>(bytemuck::cast_slice(bytes))),
            Some(4) => tensor_of(datatype, shape, pictures.nearest::<u32>(bytemuck::cast_slice(bytes))),
            _ => tensor_of(datatype, shape, pictures.nearest::<u64>(bytemuck::cast_slice(bytes))),
        },
        (_, Datatype::Fp32) => {
            tensor_of(datatype, shape, pictures.filtered::<f32>(bytemuck::cast_slice(bytes), limits)?)
        }
        (_, Datatype::Uint16) => {
            tensor_of(datatype, shape, pictures.filtered::<u16>(bytemuck::cast_slice(bytes), limits)?)
        }
        (_, Datatype::Uint8) if !pictures.shrinks_much() => {
            tensor_of(datatype, shape, pictures.filtered::<u8>(bytes, limits)?)
        }
        _ => {
            let wide = cast(input, Datatype::Fp32, limits)?;
            let values = pictures.filtered::<f32>(wide.as_slice().expect("cast to fp32"), limits)?;
            tensor_of(datatype, shape, rounded(values, datatype, count))
        }
    })
}

fn rounded(mut values: Vec<f32>, datatype: Datatype, count: usize) -> Vec<u8> {
    let mut result = Vec::with_capacity(count * datatype.width().expect("BYTES was refused"));
    let is_float = matches!(datatype, Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp64);
    for chunk in values.chunks_mut(CHUNK) {
        if !is_float {
            chunk.iter_mut().for_each(|value| *value = value.round_ties_even());
        }
        narrow(chunk, datatype, &mut result);
    }
    result
}

/// A height and a width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    height: u32,
    width: u32,
}

impl Size {
    fn area(self) -> usize {
        self.height as usize * self.width as usize
    }
}

/// `count` pictures of `channels` interleaved channels; planes are pictures of one channel.
struct Pictures {
    count: usize,
    channels: usize,
    from: Size,
    to: Size,
    shape: Vec<u64>,
    algorithm: ResizeAlg,
}

impl Pictures {
    fn new(shape: &[u64], options: &ResizeOptions) -> Result<Self, OpError> {
        let (count, channels, height, width) = match (options.layout, shape) {
            (Layout::Nchw, &[batch, channels, height, width]) => (batch.saturating_mul(channels), 1, height, width),
            (Layout::Chw, &[channels, height, width]) => (channels, 1, height, width),
            (Layout::Nhwc, &[batch, height, width, channels]) => (batch, channels, height, width),
            (Layout::Hwc, &[height, width, channels]) => (1, channels, height, width),
            _ => return Err(OpError::ShapeMismatch(format!("{shape:?} is not {:?}", options.layout))),
        };
        let side = |side: u64| {
            u32::try_from(side).map_err(|_| OpError::ShapeMismatch(format!("a picture in {shape:?} is too long")))
        };
        let from = Size { height: side(height)?, width: side(width)? };
        let to = Size { height: options.height, width: options.width };
        let mut resized = shape.to_vec();
        let first = match options.layout {
            Layout::Nchw => 2,
            Layout::Chw | Layout::Nhwc => 1,
            Layout::Hwc => 0,
        };
        resized[first] = to.height.into();
        resized[first + 1] = to.width.into();
        let filter = match options.filter {
            Filter::Nearest | Filter::Bilinear => FilterType::Bilinear,
            Filter::Bicubic => FilterType::CatmullRom,
            Filter::Area => FilterType::Box,
            Filter::Lanczos3 => FilterType::Lanczos3,
        };
        let algorithm = if options.antialias || options.filter == Filter::Area {
            ResizeAlg::Convolution(filter)
        } else {
            ResizeAlg::Interpolation(filter)
        };
        Ok(Self { count: count as usize, channels: channels as usize, from, to, shape: resized, algorithm })
    }

    fn shrinks_much(&self) -> bool {
        let much = |from: u32, to: u32| u64::from(from) > UINT8_RATIO_MAX * u64::from(to);
        much(self.from.height, self.to.height) || much(self.from.width, self.to.width)
    }

    /// What resizing one picture needs, and where it goes through fp32, all of them once more.
    fn scratch_bytes(&self, datatype: Datatype) -> u64 {
        let sides = [self.from.height, self.from.width, self.to.height, self.to.width];
        let sides = SIDE_BYTES * sides.into_iter().map(u64::from).sum::<u64>();
        let (from, to) = (self.from.area() as u64, self.to.area() as u64);
        let direct = matches!(datatype, Datatype::Uint16 | Datatype::Fp32)
            || (datatype == Datatype::Uint8 && !self.shrinks_much());
        let width = if direct { datatype.width().unwrap_or(4) as u64 } else { 4 };
        // One picture between the passes and one that the crate may keep beside it; where channels are too many for the
        // crate, these are planes, and so are one taken out and one put back.
        let components = if self.channels <= 4 { 2 * self.channels as u64 } else { 4 };
        let pixels = from.max(to).saturating_mul(components * width);
        let pictures = (self.count as u64).saturating_mul(self.channels as u64);
        let wide = if direct { 0 } else { pictures.saturating_mul(from.saturating_add(to)).saturating_mul(4) };
        sides.saturating_add(pixels).saturating_add(wide)
    }

    fn nearest<T: Pod>(&self, input: &[T]) -> Vec<T> {
        let row = self.from.width as usize * self.channels;
        let columns: Vec<usize> =
            (0..self.to.width).map(|x| nearest_index(x, self.from.width, self.to.width) * self.channels).collect();
        let mut result = Vec::with_capacity(self.count * self.to.area() * self.channels);
        for picture in input.chunks_exact(self.from.area() * self.channels) {
            for y in 0..self.to.height {
                let from = &picture[nearest_index(y, self.from.height, self.to.height) * row..][..row];
                match self.channels {
                    1 => result.extend(columns.iter().map(|&x| from[x])),
                    3 => columns.iter().for_each(|&x| result.extend_from_slice(&from[x..x + 3])),
                    channels => columns.iter().for_each(|&x| result.extend_from_slice(&from[x..x + channels])),
                }
            }
        }
        result
    }

    fn filtered<T: Component>(&self, input: &[T], limits: &Limits<'_>) -> Result<Vec<T>, OpError> {
        let (from, to) = (self.from.area() * self.channels, self.to.area() * self.channels);
        let mut passes = Passes { resizer: Resizer::new(), pictures: self };
        let mut result = vec![T::zeroed(); self.count * to];
        for (input, output) in input.chunks_exact(from).zip(result.chunks_exact_mut(to)) {
            limits.check_time()?;
            if let Some(&pixel) = T::PIXELS.get(self.channels - 1) {
                passes.resize(input, output, pixel)?;
                continue;
            }
            let mut resized = vec![T::zeroed(); self.to.area()];
            for channel in 0..self.channels {
                limits.check_time()?;
                let plane: Vec<T> = input.iter().skip(channel).step_by(self.channels).copied().collect();
                passes.resize(&plane, &mut resized, T::PIXELS[0])?;
                for (pixel, &value) in output.chunks_exact_mut(self.channels).zip(&resized) {
                    pixel[channel] = value;
                }
            }
        }
        Ok(result)
    }
}

/// The pixel whose place holds the middle of pixel `index` of `to`: floor((index + 1/2) * from / to), exactly.
fn nearest_index(index: u32, from: u32, to: u32) -> usize {
    (u128::from(2 * u64::from(index) + 1) * u128::from(from) / (2 * u128::from(to))) as usize
}

/// A component that the crate computes in.
trait Component: Pod {
    /// Pixels of one to four components.
    const PIXELS: [PixelType; 4];
    /// Whether the crate goes through the columns first and the rows second, or the other way round.
    const COLUMNS_FIRST: bool;
}

impl Component for u8 {
    const PIXELS: [PixelType; 4] = [PixelType::U8, PixelType::U8x2, PixelType::U8x3, PixelType::U8x4];
    const COLUMNS_FIRST: bool = true;
}

impl Component for u16 {
    const PIXELS: [PixelType; 4] = [PixelType::U16, PixelType::U16x2, PixelType::U16x3, PixelType::U16x4];
    const COLUMNS_FIRST: bool = false;
}

impl Component for f32 {
    const PIXELS: [PixelType; 4] = [PixelType::F32, PixelType::F32x2, PixelType::F32x3, PixelType::F32x4];
    const COLUMNS_FIRST: bool = false;
}

struct Passes<'a> {
    resizer: Resizer,
    pictures: &'a Pictures,
}

impl Passes<'_> {
    /// One picture, in the order of passes that keeps the picture between them no larger than the larger of both: one of
    /// the two orders always does, since the products of their areas are the same.
    fn resize<T: Component>(&mut self, input: &[T], output: &mut [T], pixel: PixelType) -> Result<(), OpError> {
        let (from, to) = (self.pictures.from, self.pictures.to);
        let columns_first = Size { height: to.height, width: from.width };
        let rows_first = Size { height: from.height, width: to.width };
        let (usual, other) = if T::COLUMNS_FIRST { (columns_first, rows_first) } else { (rows_first, columns_first) };
        if usual.area() <= from.area().max(to.area()) {
            return self.pass((input, from), (output, to), pixel);
        }
        let mut between = vec![T::zeroed(); other.area() * pixel.size() / size_of::<T>()];
        self.pass((input, from), (&mut between, other), pixel)?;
        self.pass((&between, other), (output, to), pixel)
    }

    fn pass<T: Component>(
        &mut self,
        (input, from): (&[T], Size),
        (output, to): (&mut [T], Size),
        pixel: PixelType,
    ) -> Result<(), OpError> {
        let failed = |error: &dyn std::fmt::Display| OpError::ShapeMismatch(error.to_string());
        let input =
            ImageRef::new(from.width, from.height, bytemuck::cast_slice(input), pixel).map_err(|e| failed(&e))?;
        let output = bytemuck::cast_slice_mut(output);
        let mut output = Image::from_slice_u8(to.width, to.height, output, pixel).map_err(|e| failed(&e))?;
        // A fourth channel is a number like the others, not a transparency.
        let settings = Settings::new().resize_alg(self.pictures.algorithm).use_alpha(false);
        self.resizer.resize(&input, &mut output, &settings).map_err(|e| failed(&e))
    }
}
