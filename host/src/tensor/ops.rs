//! Kernels on tensors: what the interface `tensor-ops` of the plugin contract offers. Pure functions; no plugins, no WIT, no threads.
//!
//! The same for all of them:
//! - An axis may be negative and then counts from the end. A tensor of rank 0 has no axis.
//! - Nothing is allocated before the size of the result, and of what is needed on the way, was held against [`Limits`].
//! - No input makes a kernel panic. Empty tensors and dimensions of zero give empty results where a result makes sense.
//! - A result that would equal its input shares the input's memory, which is copied when either is written.
//! - `BYTES` elements can be moved (crop, pad, transpose, concat, gather), not computed with.
//!
//! In comparisons a NaN is worse than every other value, and -0 equals 0.

mod activation;
mod affine;
mod cast;
mod elements;
mod join;
mod nms;
mod number;
mod order;
mod resize;
mod strides;
mod summary;
mod transpose;
mod window;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use activation::{sigmoid, softmax};
pub use affine::{AffineOptions, affine};
pub use cast::cast;
pub use join::{concat, gather};
pub use nms::{BoxFormat, NmsOptions, nms};
pub use order::{argmax, top_k};
pub use resize::{Filter, Layout, ResizeOptions, resize};
pub use summary::{Summary, summarize};
pub use transpose::transpose;
pub use window::{crop, pad};

use bytes::Bytes;

use super::{Datatype, Tensor, TensorError, element_count};

/// Why a kernel gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    #[error("{0}")]
    OutOfBounds(String),
    #[error("{0}")]
    ShapeMismatch(String),
    #[error("the operation does not work on {0}")]
    DatatypeMismatch(Datatype),
    #[error("{0}")]
    InvalidArgument(String),
    /// Sizes that overflow need `u64::MAX` bytes.
    #[error("needs {needed_bytes} bytes, {allowed_bytes} are left")]
    Exhausted { needed_bytes: u64, allowed_bytes: u64 },
    #[error("out of time")]
    OutOfTime,
}

/// What a call of a kernel may cost.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// The most bytes that the result and what is needed on the way may take together. A `BYTES` element counts its
    /// bytes and 12 more: its length and where it begins.
    pub bytes: u64,
    /// Asked now and then by kernels whose time is not bounded by a few passes over their bytes (`resize`, `nms`).
    pub is_over: &'a dyn Fn() -> bool,
}

impl Limits<'static> {
    /// As many bytes, and any time.
    pub fn bytes(bytes: u64) -> Self {
        Self { bytes, is_over: &|| false }
    }
}

impl Limits<'_> {
    /// Whether a result of this datatype and shape, and `scratch` bytes, are allowed. Gives the number of elements.
    fn claim(&self, datatype: Datatype, shape: &[u64], scratch: u64) -> Result<usize, OpError> {
        let count = element_count(shape).map_err(|_| self.exhausted(u64::MAX))?;
        let width = datatype.width().unwrap_or(elements::OVERHEAD) as u64;
        self.claim_bytes((count as u64).saturating_mul(width).saturating_add(scratch))?;
        Ok(count)
    }

    fn claim_bytes(&self, needed: u64) -> Result<(), OpError> {
        if needed > self.bytes.min(isize::MAX as u64) { Err(self.exhausted(needed)) } else { Ok(()) }
    }

    fn exhausted(&self, needed_bytes: u64) -> OpError {
        OpError::Exhausted { needed_bytes, allowed_bytes: self.bytes }
    }

    fn check_time(&self) -> Result<(), OpError> {
        if (self.is_over)() { Err(OpError::OutOfTime) } else { Ok(()) }
    }
}

/// A shape seen from one axis: `outer` blocks of `length` steps of `inner` elements.
#[derive(Clone, Copy, Debug)]
struct Axis {
    index: usize,
    outer: usize,
    length: usize,
    inner: usize,
}

impl Axis {
    fn of(shape: &[u64], axis: i32) -> Result<Self, OpError> {
        let index = axis_index(shape.len(), axis)?;
        let size =
            |dimensions: &[u64]| dimensions.iter().fold(1_usize, |size, &next| size.saturating_mul(next as usize));
        // Invariant: the products are exact unless a dimension is zero, and then no kernel gets as far as using them.
        Ok(Self {
            index,
            outer: size(&shape[..index]),
            length: shape[index] as usize,
            inner: size(&shape[index + 1..]),
        })
    }
}

fn axis_index(rank: usize, axis: i32) -> Result<usize, OpError> {
    let from_end = if axis < 0 { rank as i64 } else { 0 };
    usize::try_from(i64::from(axis) + from_end)
        .ok()
        .filter(|&index| index < rank)
        .ok_or_else(|| OpError::InvalidArgument(format!("axis {axis} of a tensor of rank {rank}")))
}

/// `shape` with the dimension at `index` replaced by `by`.
fn with_dimension(shape: &[u64], index: usize, by: &[u64]) -> Vec<u64> {
    [&shape[..index], by, &shape[index + 1..]].concat()
}

/// A tensor of these elements, without a copy. `T` need only be as wide as the datatype.
///
/// # Panics
/// If the shape has another number of elements: kernels size their results by the shape.
fn tensor_of<T: bytemuck::Pod + Send + Sync>(datatype: Datatype, shape: &[u64], elements: Vec<T>) -> Tensor {
    struct Owner<T>(Vec<T>);
    impl<T: bytemuck::Pod> AsRef<[u8]> for Owner<T> {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }
    Tensor::from_shared(datatype, shape, Bytes::from_owner(Owner(elements))).expect("kernels fill what the shape says")
}

/// A tensor without elements.
fn empty(datatype: Datatype, shape: &[u64]) -> Tensor {
    tensor_of::<u8>(datatype, shape, Vec::new())
}

fn reshaped(input: &Tensor, shape: &[u64]) -> Result<Tensor, OpError> {
    input.reshape(shape).map_err(|error: TensorError| OpError::ShapeMismatch(error.to_string()))
}
