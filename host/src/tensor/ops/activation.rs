//! `softmax` and `sigmoid`, for floats.

use super::super::{Datatype, Tensor};
use super::number::{CHUNK, narrow, widen};
use super::{Axis, Limits, OpError, tensor_of};

/// A float that activations are computed in.
trait Float:
    bytemuck::Pod + PartialOrd + Send + Sync + std::ops::Sub<Output = Self> + std::ops::Div<Output = Self>
{
    const LOWEST: Self;
    const ZERO: Self;
    const ONE: Self;
    /// The exponential of a number that is not above 0; NaN for NaN.
    fn exp(self) -> Self;
    fn plus(self, other: Self) -> Self;
    fn negative_abs(self) -> Self;
}

impl Float for f32 {
    const LOWEST: Self = Self::NEG_INFINITY;
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    /// Cephes' polynomial, within two units in the last place. Without a branch or a call, so that it is vectorised; what
    /// would be below the least normal number is 0.
    #[inline(always)]
    fn exp(self) -> Self {
        const LOWEST_NORMAL: f32 = -87.336_54;
        /// Adding this leaves the nearest whole number in the last bits.
        const WHOLE: f32 = 12_582_912.0;
        let x = if self < LOWEST_NORMAL { LOWEST_NORMAL } else { self };
        let shifted = x * std::f32::consts::LOG2_E + WHOLE;
        let power = shifted - WHOLE;
        let rest = x - power * 0.693_359_4 + power * 2.121_944_4e-4;
        let polynomial = ((((1.987_569_1e-4 * rest + 1.398_199_9e-3) * rest + 8.333_452e-3) * rest + 4.166_579_6e-2)
            * rest
            + 0.166_666_65)
            * rest
            + 0.5;
        let mantissa = polynomial * rest * rest + rest + 1.0;
        let scale = Self::from_bits(shifted.to_bits().wrapping_add(127) << 23);
        if self < LOWEST_NORMAL { 0.0 } else { mantissa * scale }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn negative_abs(self) -> Self {
        -self.abs()
    }
}

impl Float for f64 {
    const LOWEST: Self = Self::NEG_INFINITY;
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn exp(self) -> Self {
        Self::exp(self)
    }

    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn negative_abs(self) -> Self {
        -self.abs()
    }
}

/// Exponentials that add up to 1 along `axis`; half types are computed in fp32. NaN where a sum meets NaN or infinity, as
/// in ONNX.
///
/// # Errors
/// `DatatypeMismatch` unless for floats; `InvalidArgument` for an axis that is not there.
pub fn softmax(input: &Tensor, axis: i32, limits: &Limits<'_>) -> Result<Tensor, OpError> {
    check_float(input.datatype())?;
    let axis = Axis::of(input.shape(), axis)?;
    // Invariant: at most two rows of fp64 and the numbers once more in fp32.
    let scratch = 16 * if input.count() == 0 { 0 } else { axis.inner as u64 };
    let wide = if input.datatype().width() == Some(2) { 4 * input.count() as u64 } else { 0 };
    limits.claim(input.datatype(), input.shape(), scratch.saturating_add(wide))?;
    if input.count() == 0 {
        return Ok(input.clone());
    }
    if input.datatype() == Datatype::Fp64 {
        let mut values: Vec<f64> = bytemuck::cast_slice(input.bytes()).to_vec();
        softmax_blocks(&mut values, axis);
        return Ok(tensor_of(Datatype::Fp64, input.shape(), values));
    }
    let mut values = match input.as_slice::<f32>() {
        Some(values) => values.to_vec(),
        None => {
            let mut values = vec![0.0; input.count()];
            widen(input.datatype(), input.bytes(), 0, &mut values);
            values
        }
    };
    softmax_blocks(&mut values, axis);
    Ok(from_f32(input, values))
}

fn from_f32(input: &Tensor, values: Vec<f32>) -> Tensor {
    if input.datatype() == Datatype::Fp32 {
        return tensor_of(Datatype::Fp32, input.shape(), values);
    }
    let mut result = Vec::with_capacity(input.bytes().len());
    narrow(&values, input.datatype(), &mut result);
    tensor_of(input.datatype(), input.shape(), result)
}

fn check_float(datatype: Datatype) -> Result<(), OpError> {
    match datatype {
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => Ok(()),
        other => Err(OpError::DatatypeMismatch(other)),
    }
}

fn softmax_blocks<T: Float>(values: &mut [T], axis: Axis) {
    let Axis { length, inner, .. } = axis;
    if inner == 1 {
        values.chunks_exact_mut(length).for_each(softmax_row);
        return;
    }
    let (mut top, mut sum) = (vec![T::LOWEST; inner], vec![T::ZERO; inner]);
    for block in values.chunks_exact_mut(length * inner) {
        top.fill(T::LOWEST);
        sum.fill(T::ZERO);
        for row in block.chunks_exact(inner) {
            for (top, &value) in top.iter_mut().zip(row) {
                *top = if value > *top { value } else { *top };
            }
        }
        for row in block.chunks_exact_mut(inner) {
            for ((value, &top), sum) in row.iter_mut().zip(&top).zip(&mut sum) {
                *value = (*value - top).exp();
                *sum = sum.plus(*value);
            }
        }
        for row in block.chunks_exact_mut(inner) {
            for (value, &sum) in row.iter_mut().zip(&sum) {
                *value = *value / sum;
            }
        }
    }
}

fn softmax_row<T: Float>(row: &mut [T]) {
    let top = row.iter().fold(T::LOWEST, |top, &value| if value > top { value } else { top });
    for value in row.iter_mut() {
        *value = (*value - top).exp();
    }
    let mut sums = [T::ZERO; 8];
    let (groups, rest) = row.as_chunks::<8>();
    for group in groups {
        for (sum, &value) in sums.iter_mut().zip(group) {
            *sum = sum.plus(value);
        }
    }
    let sum = sums.iter().chain(rest).fold(T::ZERO, |sum, &value| sum.plus(value));
    for value in row {
        *value = *value / sum;
    }
}

/// `1 / (1 + exp(-x))`; half types are computed in fp32.
///
/// # Errors
/// `DatatypeMismatch` unless for floats.
pub fn sigmoid(input: &Tensor, limits: &Limits<'_>) -> Result<Tensor, OpError> {
    check_float(input.datatype())?;
    limits.claim(input.datatype(), input.shape(), 0)?;
    let (datatype, shape) = (input.datatype(), input.shape());
    if let Some(values) = input.as_slice::<f32>() {
        return Ok(tensor_of(datatype, shape, values.iter().map(|&value| sigmoid_of(value)).collect::<Vec<f32>>()));
    }
    if let Some(values) = input.as_slice::<f64>() {
        return Ok(tensor_of(datatype, shape, values.iter().map(|&value| sigmoid_of(value)).collect::<Vec<f64>>()));
    }
    let mut result = Vec::with_capacity(input.bytes().len());
    let mut buffer = [0.0; CHUNK];
    for first in (0..input.count()).step_by(CHUNK) {
        let buffer = &mut buffer[..CHUNK.min(input.count() - first)];
        widen(datatype, input.bytes(), first, buffer);
        buffer.iter_mut().for_each(|value| *value = sigmoid_of(*value));
        narrow(buffer, datatype, &mut result);
    }
    Ok(tensor_of(datatype, shape, result))
}

/// The exponent is never above 0, so nothing overflows.
#[inline(always)]
fn sigmoid_of<T: Float>(value: T) -> T {
    let small = value.negative_abs().exp();
    let numerator = if value < T::ZERO { small } else { T::ONE };
    numerator / T::ONE.plus(small)
}
