//! The kernels that native tests can have: cast, affine, crop, pad, transpose and summarize, slow and plain. The others
//! say that they run only in the host.

#![expect(clippy::cast_lossless, reason = "one macro converts all number types")]

use half::{bf16, f16};

use crate::{Datatype, Element, NmsOptions, ResizeOptions, Summary, Tensor, TensorError};

pub(crate) fn cast(input: &Tensor, to: Datatype) -> Result<Tensor, TensorError> {
    from_numbers(to, &input.shape(), &numbers(input)?)
}

pub(crate) fn affine(
    input: &Tensor,
    scale: &[f32],
    bias: &[f32],
    axis: i32,
    to: Datatype,
) -> Result<Tensor, TensorError> {
    let shape = input.shape();
    let entries = if scale.len() == 1 { 1 } else { usize_of(shape[axis_of(axis, shape.len())?]) };
    if scale.len() != entries || bias.len() != entries {
        return Err(TensorError::ShapeMismatch(format!("{} scales, {} biases", scale.len(), bias.len())));
    }
    let inner: usize = if entries == 1 { 1 } else { count(&shape[axis_of(axis, shape.len())? + 1..]) };
    let mut values = numbers(input)?;
    for (place, value) in values.iter_mut().enumerate() {
        let entry = place / inner % entries;
        #[expect(clippy::cast_possible_truncation, reason = "the kernel computes in fp32")]
        let result = *value as f32 * scale[entry] + bias[entry];
        *value = f64::from(result);
    }
    from_numbers(to, &shape, &values)
}

pub(crate) fn crop(input: &Tensor, start: &[u64], size: &[u64]) -> Result<Tensor, TensorError> {
    let shape = input.shape();
    let fits = start.len() == shape.len()
        && size.len() == shape.len()
        && (0..shape.len()).all(|axis| start[axis].checked_add(size[axis]).is_some_and(|end| end <= shape[axis]));
    if !fits {
        return Err(TensorError::OutOfBounds);
    }
    rearrange(input, size, |place| Some(place.iter().zip(start).map(|(place, start)| place + start).collect()), 0.0)
}

pub(crate) fn pad(input: &Tensor, before: &[u64], after: &[u64], value: f64) -> Result<Tensor, TensorError> {
    let shape = input.shape();
    if before.len() != shape.len() || after.len() != shape.len() {
        return Err(TensorError::ShapeMismatch(format!("padding of {} axes for {shape:?}", before.len())));
    }
    let padded: Vec<u64> = (0..shape.len()).map(|axis| before[axis] + shape[axis] + after[axis]).collect();
    let source = |place: &[u64]| {
        let inside = place
            .iter()
            .zip(before)
            .zip(&shape)
            .map(|((&place, &before), &dimension)| place.checked_sub(before).filter(|&place| place < dimension));
        inside.collect()
    };
    rearrange(input, &padded, source, value)
}

pub(crate) fn transpose(input: &Tensor, permutation: &[u32]) -> Result<Tensor, TensorError> {
    let shape = input.shape();
    let mut axes = permutation.to_vec();
    axes.sort_unstable();
    if !axes.iter().map(|&axis| axis as usize).eq(0..shape.len()) {
        return Err(TensorError::InvalidArgument(format!("{permutation:?} is no permutation")));
    }
    let turned: Vec<u64> = permutation.iter().map(|&axis| shape[axis as usize]).collect();
    let source = |place: &[u64]| {
        let mut origin = vec![0; place.len()];
        for (&axis, &place) in permutation.iter().zip(place) {
            origin[axis as usize] = place;
        }
        Some(origin)
    };
    rearrange(input, &turned, source, 0.0)
}

pub(crate) fn summarize(input: &Tensor) -> Result<Summary, TensorError> {
    let values = numbers(input)?;
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let sum: f64 = finite.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "no test has 2^53 elements")]
    let mean = sum / finite.len() as f64;
    Ok(Summary {
        count: values.len() as u64,
        nan_count: values.iter().filter(|value| value.is_nan()).count() as u64,
        infinite_count: values.iter().filter(|value| value.is_infinite()).count() as u64,
        min: finite.iter().copied().fold(f64::NAN, f64::min),
        max: finite.iter().copied().fold(f64::NAN, f64::max),
        sum,
        mean,
    })
}

pub(crate) fn resize(_: &Tensor, _: ResizeOptions) -> Result<Tensor, TensorError> {
    only_in_the_host("resize")
}

pub(crate) fn concat(_: &[&Tensor], _: i32) -> Result<Tensor, TensorError> {
    only_in_the_host("concat")
}

pub(crate) fn gather(_: &Tensor, _: &Tensor, _: i32) -> Result<Tensor, TensorError> {
    only_in_the_host("gather")
}

pub(crate) fn softmax(_: &Tensor, _: i32) -> Result<Tensor, TensorError> {
    only_in_the_host("softmax")
}

pub(crate) fn sigmoid(_: &Tensor) -> Result<Tensor, TensorError> {
    only_in_the_host("sigmoid")
}

pub(crate) fn argmax(_: &Tensor, _: i32) -> Result<Tensor, TensorError> {
    only_in_the_host("argmax")
}

pub(crate) fn top_k(_: &Tensor, _: u32, _: i32) -> Result<(Tensor, Tensor), TensorError> {
    only_in_the_host("top-k")
}

pub(crate) fn nms(_: &Tensor, _: &Tensor, _: NmsOptions) -> Result<Tensor, TensorError> {
    only_in_the_host("nms")
}

fn only_in_the_host<T>(kernel: &str) -> Result<T, TensorError> {
    Err(TensorError::Other(format!("the kernel `{kernel}` runs only in the host, not in native tests")))
}

fn axis_of(axis: i32, rank: usize) -> Result<usize, TensorError> {
    let place = if axis < 0 { i64::from(axis) + rank as i64 } else { i64::from(axis) };
    let place = usize::try_from(place).ok().filter(|&place| place < rank);
    place.ok_or_else(|| TensorError::InvalidArgument(format!("axis {axis} of {rank}")))
}

fn usize_of(dimension: u64) -> usize {
    usize::try_from(dimension).expect("the tensor is in memory")
}

fn count(shape: &[u64]) -> usize {
    shape.iter().copied().map(usize_of).product()
}

/// A tensor whose element at each place is that of `input` where `source` says, or `value`.
fn rearrange(
    input: &Tensor,
    shape: &[u64],
    source: impl Fn(&[u64]) -> Option<Vec<u64>>,
    value: f64,
) -> Result<Tensor, TensorError> {
    let (values, origin_shape) = (numbers(input)?, input.shape());
    let mut result = Vec::with_capacity(count(shape));
    for index in 0..count(shape) as u64 {
        let mut rest = index;
        let mut place = vec![0; shape.len()];
        for (axis, &dimension) in shape.iter().enumerate().rev() {
            place[axis] = rest % dimension;
            rest /= dimension;
        }
        let origin = source(&place).map(|origin| {
            let flat = origin.iter().zip(&origin_shape).fold(0, |flat, (place, dimension)| flat * dimension + place);
            values[usize_of(flat)]
        });
        result.push(origin.unwrap_or(value));
    }
    from_numbers(input.datatype(), shape, &result)
}

macro_rules! each_number {
    ($datatype:expr, $do:ident) => {
        match $datatype {
            Datatype::Uint8 => $do!(u8),
            Datatype::Uint16 => $do!(u16),
            Datatype::Uint32 => $do!(u32),
            Datatype::Uint64 => $do!(u64),
            Datatype::Int8 => $do!(i8),
            Datatype::Int16 => $do!(i16),
            Datatype::Int32 => $do!(i32),
            Datatype::Int64 => $do!(i64),
            Datatype::Fp32 => $do!(f32),
            Datatype::Fp64 => $do!(f64),
            Datatype::Fp16 => $do!(f16),
            Datatype::Bf16 => $do!(bf16),
            datatype @ (Datatype::Bool | Datatype::Bytes) => Err(TensorError::DatatypeMismatch(datatype)),
        }
    };
}

/// A number type as `f64` and back: saturating for integers, to nearest even for floats.
trait Number: Element {
    fn number(self) -> f64;
    fn from_number(number: f64) -> Self;
}

macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Number for $type {
            fn number(self) -> f64 { self as f64 }
            fn from_number(number: f64) -> Self { number as Self }
        }
    )+};
}

numbers!(u8, u16, u32, u64, i8, i16, i32, i64, f32, f64);

impl Number for f16 {
    fn number(self) -> f64 {
        self.to_f64()
    }
    fn from_number(number: f64) -> Self {
        Self::from_f64(number)
    }
}

impl Number for bf16 {
    fn number(self) -> f64 {
        self.to_f64()
    }
    fn from_number(number: f64) -> Self {
        Self::from_f64(number)
    }
}

fn numbers(input: &Tensor) -> Result<Vec<f64>, TensorError> {
    macro_rules! read {
        ($type:ty) => {
            Ok(input.values::<$type>()?.iter().map(|&value| Number::number(value)).collect())
        };
    }
    each_number!(input.datatype(), read)
}

fn from_numbers(datatype: Datatype, shape: &[u64], values: &[f64]) -> Result<Tensor, TensorError> {
    macro_rules! write {
        ($type:ty) => {
            Tensor::from_slice(shape, &values.iter().map(|&value| <$type>::from_number(value)).collect::<Vec<_>>())
        };
    }
    each_number!(datatype, write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affine_takes_one_pair_for_each_channel() {
        let input = Tensor::from_slice(&[1, 2, 2], &[1_u8, 2, 3, 4]).unwrap();
        let result = input.affine(&[1.0, 10.0], &[0.5, 0.0], 1, Datatype::Fp32).unwrap();
        assert_eq!(result.read_vec::<f32>().unwrap(), [1.5, 2.5, 30.0, 40.0]);
        let result = input.affine(&[100.0], &[0.0], 0, Datatype::Uint8).unwrap();
        assert_eq!(result.read_vec::<u8>().unwrap(), [100, 200, 255, 255]);
    }

    #[test]
    fn axes_are_reordered() {
        let input = Tensor::from_slice(&[1, 2, 3], &[1_i32, 2, 3, 4, 5, 6]).unwrap();
        let result = input.transpose(&[2, 1, 0]).unwrap();
        assert_eq!(result.shape(), [3, 2, 1]);
        assert_eq!(result.read_vec::<i32>().unwrap(), [1, 4, 2, 5, 3, 6]);
        assert!(matches!(input.transpose(&[0, 0, 1]), Err(TensorError::InvalidArgument(_))));
    }

    #[test]
    fn what_is_padded_can_be_cropped() {
        let input = Tensor::from_slice(&[1, 2], &[7_u8, 8]).unwrap();
        let padded = input.pad(&[0, 1], &[1, 0], 9.0).unwrap();
        assert_eq!(padded.shape(), [2, 3]);
        assert_eq!(padded.read_vec::<u8>().unwrap(), [9, 7, 8, 9, 9, 9]);
        assert_eq!(padded.crop(&[0, 1], &[1, 2]).unwrap().read_vec::<u8>().unwrap(), [7, 8]);
        assert_eq!(padded.crop(&[1, 1], &[1, 3]).unwrap_err(), TensorError::OutOfBounds);
    }

    #[test]
    fn a_summary_leaves_out_what_is_not_finite() {
        let summary = Tensor::from_vec(vec![1.0_f32, f32::NAN, 3.0, f32::INFINITY]).unwrap().summarize().unwrap();
        assert_eq!((summary.count, summary.nan_count, summary.infinite_count), (4, 1, 1));
        assert_eq!((summary.min, summary.max, summary.sum, summary.mean), (1.0, 3.0, 4.0, 2.0));
    }

    #[test]
    fn a_kernel_that_only_the_host_has_says_so() {
        let error = Tensor::from_vec(vec![1.0_f32]).unwrap().sigmoid().unwrap_err();
        assert!(matches!(error, TensorError::Other(text) if text.contains("`sigmoid`")));
    }
}
