//! `affine`: scale and shift, as normalising a picture needs it. Rules of single numbers are in `number`.

use std::ops::Range;

use super::super::{Datatype, Tensor};
use super::number::{CHUNK, Primitive, narrow, widen};
use super::{Axis, Limits, OpError, tensor_of};

/// What `affine` computes. `scale` and `bias` hold one number for all, or one for each entry of `axis`.
#[derive(Clone, Copy, Debug)]
pub struct AffineOptions<'a> {
    pub scale: &'a [f32],
    pub bias: &'a [f32],
    /// Not looked at where `scale` and `bias` hold one number each.
    pub axis: i32,
    pub to: Datatype,
}

/// `input * scale + bias`, computed in fp32 (two roundings, nothing fused) and then cast as [`super::cast`] does.
///
/// # Errors
/// `DatatypeMismatch` for `BYTES`; `InvalidArgument` for an axis that is not there or an empty list; `ShapeMismatch` if a
/// list has neither one number nor as many as `axis` has entries.
pub fn affine(input: &Tensor, options: &AffineOptions<'_>, limits: &Limits<'_>) -> Result<Tensor, OpError> {
    if input.datatype() == Datatype::Bytes || options.to == Datatype::Bytes {
        return Err(OpError::DatatypeMismatch(Datatype::Bytes));
    }
    let plan = Plan::new(input, options)?;
    let count = limits.claim(options.to, input.shape(), plan.scratch_bytes())?;
    let pieces = Pieces::new(plan, options);
    let (bytes, shape) = (input.bytes(), input.shape());
    Ok(match (input.datatype(), options.to) {
        (Datatype::Uint8, Datatype::Fp32) => tensor_of(options.to, shape, pieces.to_f32::<u8>(bytes)),
        (Datatype::Fp32, Datatype::Fp32) => {
            tensor_of(options.to, shape, pieces.to_f32::<f32>(bytemuck::cast_slice(bytes)))
        }
        (from, to) => {
            let mut result = Vec::with_capacity(count * to.width().expect("BYTES was refused"));
            let mut buffer = vec![0.0; pieces.longest.min(count)];
            pieces.each(count, |range, factors| {
                let buffer = &mut buffer[..range.len()];
                widen(from, bytes, range.start, buffer);
                factors.apply(buffer);
                narrow(buffer, to, &mut result);
            });
            tensor_of(to, shape, result)
        }
    })
}

/// How scale and bias lie over the elements.
#[derive(Clone, Copy)]
enum Plan {
    Uniform,
    /// Each entry of the axis has a run of this many elements, long enough to be worth a loop of its own.
    Runs {
        length: usize,
        inner: usize,
    },
    /// Scale and bias are written out for this many elements, and repeat.
    Pattern {
        length: usize,
        inner: usize,
        repeats: usize,
    },
}

impl Plan {
    fn new(input: &Tensor, options: &AffineOptions<'_>) -> Result<Self, OpError> {
        let (scale, bias) = (options.scale.len(), options.bias.len());
        if scale == 0 || bias == 0 {
            return Err(OpError::InvalidArgument("scale and bias need one number at least".to_owned()));
        }
        if scale == 1 && bias == 1 {
            return Ok(Self::Uniform);
        }
        let Axis { length, inner, .. } = Axis::of(input.shape(), options.axis)?;
        if [scale, bias].into_iter().any(|given| given != 1 && given != length) {
            return Err(OpError::ShapeMismatch(format!(
                "scale of {scale} and bias of {bias} for an axis of {length} entries"
            )));
        }
        if input.count() == 0 {
            return Ok(Self::Uniform);
        }
        Ok(if inner >= 32 {
            Self::Runs { length, inner }
        } else {
            Self::Pattern { length, inner, repeats: (CHUNK / (length * inner)).max(1) }
        })
    }

    fn scratch_bytes(self) -> u64 {
        let floats = match self {
            Self::Uniform | Self::Runs { .. } => CHUNK,
            Self::Pattern { length, inner, repeats } => 3 * length * inner * repeats,
        };
        4 * floats as u64
    }
}

/// Scale and bias of one piece.
#[derive(Clone, Copy)]
enum Factors<'a> {
    Uniform(f32, f32),
    Each(&'a [f32], &'a [f32]),
}

impl Factors<'_> {
    fn apply(self, values: &mut [f32]) {
        match self {
            Self::Uniform(scale, bias) => values.iter_mut().for_each(|value| *value = *value * scale + bias),
            Self::Each(scale, bias) => {
                for ((value, scale), bias) in values.iter_mut().zip(scale).zip(bias) {
                    *value = *value * scale + bias;
                }
            }
        }
    }
}

/// Cuts the elements into pieces that scale and bias fit simply.
struct Pieces {
    plan: Plan,
    scale: Vec<f32>,
    bias: Vec<f32>,
    longest: usize,
}

impl Pieces {
    fn new(plan: Plan, options: &AffineOptions<'_>) -> Self {
        let (repeat_all, repeat_each, entries) = match plan {
            Plan::Uniform => (1, 1, 1),
            Plan::Runs { length, .. } => (1, 1, length),
            Plan::Pattern { length, inner, repeats } => (repeats, inner, length),
        };
        let written_out = |numbers: &[f32]| {
            let mut written = Vec::with_capacity(repeat_all * repeat_each * entries);
            for _ in 0..repeat_all {
                for entry in 0..entries {
                    let number = numbers[if numbers.len() == 1 { 0 } else { entry }];
                    written.extend(std::iter::repeat_n(number, repeat_each));
                }
            }
            written
        };
        let longest = if matches!(plan, Plan::Pattern { .. }) { repeat_all * repeat_each * entries } else { CHUNK };
        // A uniform plan also stands for an empty tensor, whose lists may be longer or, with an empty axis, shorter.
        Self { plan, scale: written_out(options.scale), bias: written_out(options.bias), longest }
    }

    fn each(&self, count: usize, mut with: impl FnMut(Range<usize>, Factors<'_>)) {
        match self.plan {
            Plan::Uniform | Plan::Pattern { .. } => {
                for start in (0..count).step_by(self.longest) {
                    let range = start..count.min(start + self.longest);
                    let factors = match self.plan {
                        Plan::Uniform => Factors::Uniform(self.scale[0], self.bias[0]),
                        _ => Factors::Each(&self.scale[..range.len()], &self.bias[..range.len()]),
                    };
                    with(range, factors);
                }
            }
            Plan::Runs { length, inner } => {
                for (run, start) in (0..count).step_by(inner).enumerate() {
                    let factors = Factors::Uniform(self.scale[run % length], self.bias[run % length]);
                    for piece in (start..start + inner).step_by(self.longest) {
                        with(piece..(start + inner).min(piece + self.longest), factors);
                    }
                }
            }
        }
    }

    /// Reading, computing and writing in one pass.
    fn to_f32<T: Primitive>(&self, input: &[T]) -> Vec<f32> {
        let mut result = Vec::with_capacity(input.len());
        self.each(input.len(), |range, factors| {
            let input = &input[range];
            match factors {
                Factors::Uniform(scale, bias) => result.extend(input.iter().map(|value| value.to_f32() * scale + bias)),
                Factors::Each(scale, bias) => {
                    let factors = input.iter().zip(scale).zip(bias);
                    result.extend(factors.map(|((value, scale), bias)| value.to_f32() * scale + bias));
                }
            }
        });
        result
    }
}
