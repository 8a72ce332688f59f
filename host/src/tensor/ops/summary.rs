//! `summarize`: what the numbers of a tensor are like.

use super::super::{Datatype, Tensor};
use super::OpError;
use super::number::{CHUNK, Half, Primitive, with_primitive};

/// Over the finite values; `min`, `max` and `mean` are NaN, and `sum` is 0, where there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub count: u64,
    pub nan_count: u64,
    pub infinite_count: u64,
    pub min: f64,
    pub max: f64,
    pub sum: f64,
    pub mean: f64,
}

/// Adds up in fp64, in parts that are added at the end; integers beyond 2^53 are rounded. Truth is 1.
///
/// # Errors
/// `DatatypeMismatch` for `BYTES`.
pub fn summarize(input: &Tensor) -> Result<Summary, OpError> {
    let bytes = input.bytes();
    let mut parts = Parts::default();
    with_primitive!(input.datatype(),
        T => {
            for chunk in bytemuck::cast_slice::<u8, T>(bytes).chunks(CHUNK) {
                parts.add(chunk);
            }
        },
        half H => {
            let mut buffer = [0.0_f32; CHUNK];
            for chunk in bytemuck::cast_slice::<u8, H>(bytes).chunks(CHUNK) {
                H::widen(chunk, &mut buffer[..chunk.len()]);
                parts.add(&buffer[..chunk.len()]);
            }
        },
        none => return Err(OpError::DatatypeMismatch(Datatype::Bytes)));
    Ok(parts.summary(input.count() as u64))
}

/// Lanes that do not wait for each other.
const LANES: usize = 8;

struct Parts {
    nans: u64,
    finite: u64,
    min: [f64; LANES],
    max: [f64; LANES],
    sum: f64,
}

impl Default for Parts {
    fn default() -> Self {
        Self { nans: 0, finite: 0, min: [f64::INFINITY; LANES], max: [f64::NEG_INFINITY; LANES], sum: 0.0 }
    }
}

impl Parts {
    /// Sums of chunks are added to the whole, which keeps the error small.
    fn add<T: Primitive>(&mut self, values: &[T]) {
        let mut sum = [0.0; LANES];
        let (mut nans, mut finite) = ([0_u64; LANES], [0_u64; LANES]);
        let mut one = |lane: usize, value: f64| {
            let is_finite = value.abs() < f64::INFINITY;
            nans[lane] += u64::from(value.is_nan());
            finite[lane] += u64::from(is_finite);
            sum[lane] += if is_finite { value } else { 0.0 };
            let (low, high) = if is_finite { (value, value) } else { (f64::INFINITY, f64::NEG_INFINITY) };
            self.min[lane] = if low < self.min[lane] { low } else { self.min[lane] };
            self.max[lane] = if high > self.max[lane] { high } else { self.max[lane] };
        };
        let (groups, rest) = values.as_chunks::<LANES>();
        for group in groups {
            for (lane, value) in group.iter().enumerate() {
                one(lane, value.to_f64());
            }
        }
        for (lane, value) in rest.iter().enumerate() {
            one(lane, value.to_f64());
        }
        self.nans += nans.iter().sum::<u64>();
        self.finite += finite.iter().sum::<u64>();
        self.sum += sum.iter().sum::<f64>();
    }

    fn summary(&self, count: u64) -> Summary {
        let has_any = self.finite > 0;
        let or_nan = |value: f64| if has_any { value } else { f64::NAN };
        Summary {
            count,
            nan_count: self.nans,
            infinite_count: count - self.nans - self.finite,
            min: or_nan(self.min.into_iter().fold(f64::INFINITY, f64::min)),
            max: or_nan(self.max.into_iter().fold(f64::NEG_INFINITY, f64::max)),
            sum: self.sum,
            mean: or_nan(self.sum / self.finite as f64),
        }
    }
}
