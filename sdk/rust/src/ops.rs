//! The kernels that the host runs natively, as methods of a tensor: bytes don't cross into the plugin.
//!
//! Operands are lent, results are new. A negative axis counts from the end.

#[cfg(target_family = "wasm")]
use crate::bindings::manifest::inferwit::plugin::tensor_ops as host;
#[cfg(not(target_family = "wasm"))]
use crate::memory::ops as host;

use crate::{Datatype, NmsOptions, ResizeOptions, Summary, Tensor, TensorError};

/// Kernels that the host runs natively. Each fails for operands that don't suit it, and when tensor memory is spent.
#[expect(clippy::missing_errors_doc, reason = "all fail for the same causes, which the block names")]
impl Tensor {
    /// Converts: saturating for integers, to nearest even for floats.
    pub fn cast(&self, to: Datatype) -> Result<Self, TensorError> {
        host::cast(self, to)
    }

    /// `self * scale + bias`, one pair for all or one for each entry of `axis`, computed in fp32.
    pub fn affine(&self, scale: &[f32], bias: &[f32], axis: i32, to: Datatype) -> Result<Self, TensorError> {
        host::affine(self, scale, bias, axis, to)
    }

    /// Resizes pictures.
    pub fn resize(&self, options: ResizeOptions) -> Result<Self, TensorError> {
        host::resize(self, options)
    }

    /// The block of this size that begins at `start`.
    pub fn crop(&self, start: &[u64], size: &[u64]) -> Result<Self, TensorError> {
        host::crop(self, start, size)
    }

    /// Adds `value` around the tensor: so many entries before and after, for each axis.
    pub fn pad(&self, before: &[u64], after: &[u64], value: f64) -> Result<Self, TensorError> {
        host::pad(self, before, after, value)
    }

    /// Reorders axes: axis `i` of the result is axis `permutation[i]` of this.
    pub fn transpose(&self, permutation: &[u32]) -> Result<Self, TensorError> {
        host::transpose(self, permutation)
    }

    /// Joins tensors along an axis.
    pub fn concat(inputs: &[&Self], axis: i32) -> Result<Self, TensorError> {
        host::concat(inputs, axis)
    }

    /// The entries of `axis` at these indices.
    pub fn gather(&self, indices: &Self, axis: i32) -> Result<Self, TensorError> {
        host::gather(self, indices, axis)
    }

    /// Softmax along an axis.
    pub fn softmax(&self, axis: i32) -> Result<Self, TensorError> {
        host::softmax(self, axis)
    }

    /// The logistic function of each element.
    pub fn sigmoid(&self) -> Result<Self, TensorError> {
        host::sigmoid(self)
    }

    /// The place of the largest entry along an axis, which is removed; int64.
    pub fn argmax(&self, axis: i32) -> Result<Self, TensorError> {
        host::argmax(self, axis)
    }

    /// The `k` largest values along an axis and their int64 indices, best first; equal values in the order of indices.
    pub fn top_k(&self, k: u32, axis: i32) -> Result<(Self, Self), TensorError> {
        host::top_k(self, k, axis)
    }

    /// As ONNX NonMaxSuppression: boxes [batch, n, 4] and scores [batch, classes, n] give int64 [kept, 3].
    pub fn nms(boxes: &Self, scores: &Self, options: NmsOptions) -> Result<Self, TensorError> {
        host::nms(boxes, scores, options)
    }

    /// Counts, smallest, largest, sum and mean over the finite values.
    pub fn summarize(&self) -> Result<Summary, TensorError> {
        host::summarize(self)
    }
}
