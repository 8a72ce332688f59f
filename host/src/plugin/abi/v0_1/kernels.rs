//! `tensor-ops`: the host's kernels on the handles of a guest. Only the tying of types is here, no arithmetic.

use std::time::Instant;

use wasmtime::component::Resource;

use super::bindings::inferwit::plugin::tensor_ops::{
    self, BoxFormat, Filter, Layout, NmsOptions, ResizeOptions, Summary,
};
use super::bindings::inferwit::plugin::tensors::{self as guest, TensorError as GuestError};
use super::{GuestState, HeldTensor, guest_datatype, host_datatype};
use crate::tensor::Tensor;
use crate::tensor::ops::{self, AffineOptions, OpError};

type Handle = Resource<HeldTensor>;
type Made = wasmtime::Result<Result<Handle, GuestError>>;

impl GuestState {
    fn operand(&self, handle: &Handle) -> wasmtime::Result<&Tensor> {
        Ok(&self.table.get(handle)?.tensor)
    }

    /// Runs a kernel within what the guest may still allocate, and until its time is over.
    fn compute<T>(&self, kernel: impl FnOnce(&ops::Limits<'_>) -> Result<T, OpError>) -> Result<T, GuestError> {
        let is_over = || self.deadline.is_over(Instant::now());
        kernel(&ops::Limits { bytes: self.tensors.left(), is_over: &is_over }).map_err(guest_error)
    }

    fn unary(
        &mut self,
        input: &Handle,
        kernel: impl FnOnce(&Tensor, &ops::Limits<'_>) -> Result<Tensor, OpError>,
    ) -> Made {
        let input = self.operand(input)?;
        match self.compute(|limits| kernel(input, limits)) {
            Ok(tensor) => self.hold_new(tensor),
            Err(error) => Ok(Err(error)),
        }
    }
}

fn guest_error(error: OpError) -> GuestError {
    match error {
        OpError::OutOfBounds(_) => GuestError::OutOfBounds,
        OpError::ShapeMismatch(reason) => GuestError::ShapeMismatch(reason),
        OpError::DatatypeMismatch(datatype) => GuestError::DatatypeMismatch(guest_datatype(datatype)),
        OpError::InvalidArgument(reason) => GuestError::InvalidArgument(reason),
        OpError::Exhausted { .. } => GuestError::Exhausted,
        OpError::OutOfTime => GuestError::Other(error.to_string()),
    }
}

impl tensor_ops::Host for GuestState {
    fn cast(&mut self, input: Handle, to: guest::Datatype) -> Made {
        self.unary(&input, |input, limits| ops::cast(input, host_datatype(to), limits))
    }

    fn affine(&mut self, input: Handle, scale: Vec<f32>, bias: Vec<f32>, axis: i32, to: guest::Datatype) -> Made {
        let options = AffineOptions { scale: &scale, bias: &bias, axis, to: host_datatype(to) };
        self.unary(&input, |input, limits| ops::affine(input, &options, limits))
    }

    fn resize(&mut self, input: Handle, options: ResizeOptions) -> Made {
        let options = ops::ResizeOptions {
            width: options.width,
            height: options.height,
            layout: match options.layout {
                Layout::Nchw => ops::Layout::Nchw,
                Layout::Nhwc => ops::Layout::Nhwc,
                Layout::Chw => ops::Layout::Chw,
                Layout::Hwc => ops::Layout::Hwc,
            },
            filter: match options.filter {
                Filter::Nearest => ops::Filter::Nearest,
                Filter::Bilinear => ops::Filter::Bilinear,
                Filter::Bicubic => ops::Filter::Bicubic,
                Filter::Area => ops::Filter::Area,
                Filter::Lanczos3 => ops::Filter::Lanczos3,
            },
            antialias: options.antialias,
        };
        self.unary(&input, |input, limits| ops::resize(input, &options, limits))
    }

    fn crop(&mut self, input: Handle, start: Vec<u64>, size: Vec<u64>) -> Made {
        self.unary(&input, |input, limits| ops::crop(input, &start, &size, limits))
    }

    fn pad(&mut self, input: Handle, before: Vec<u64>, after: Vec<u64>, value: f64) -> Made {
        self.unary(&input, |input, limits| ops::pad(input, &before, &after, value, limits))
    }

    fn transpose(&mut self, input: Handle, permutation: Vec<u32>) -> Made {
        self.unary(&input, |input, limits| ops::transpose(input, &permutation, limits))
    }

    fn concat(&mut self, inputs: Vec<Handle>, axis: i32) -> Made {
        let operands = inputs.iter().map(|input| self.operand(input)).collect::<wasmtime::Result<Vec<_>>>()?;
        match self.compute(|limits| ops::concat(&operands, axis, limits)) {
            Ok(tensor) => self.hold_new(tensor),
            Err(error) => Ok(Err(error)),
        }
    }

    fn gather(&mut self, input: Handle, indices: Handle, axis: i32) -> Made {
        let (input, indices) = (self.operand(&input)?, self.operand(&indices)?);
        match self.compute(|limits| ops::gather(input, indices, axis, limits)) {
            Ok(tensor) => self.hold_new(tensor),
            Err(error) => Ok(Err(error)),
        }
    }

    fn softmax(&mut self, input: Handle, axis: i32) -> Made {
        self.unary(&input, |input, limits| ops::softmax(input, axis, limits))
    }

    fn sigmoid(&mut self, input: Handle) -> Made {
        self.unary(&input, ops::sigmoid)
    }

    fn argmax(&mut self, input: Handle, axis: i32) -> Made {
        self.unary(&input, |input, limits| ops::argmax(input, axis, limits))
    }

    fn top_k(&mut self, input: Handle, k: u32, axis: i32) -> wasmtime::Result<Result<(Handle, Handle), GuestError>> {
        let input = self.operand(&input)?;
        let (values, indices) = match self.compute(|limits| ops::top_k(input, k, axis, limits)) {
            Ok(results) => results,
            Err(error) => return Ok(Err(error)),
        };
        let values = match self.hold_new(values)? {
            Ok(handle) => handle,
            Err(error) => return Ok(Err(error)),
        };
        match self.hold_new(indices)? {
            Ok(indices) => Ok(Ok((values, indices))),
            Err(error) => {
                self.release(values)?;
                Ok(Err(error))
            }
        }
    }

    fn nms(&mut self, boxes: Handle, scores: Handle, options: NmsOptions) -> Made {
        let options = ops::NmsOptions {
            format: match options.format {
                BoxFormat::Corners => ops::BoxFormat::Corners,
                BoxFormat::CenterSize => ops::BoxFormat::CenterSize,
            },
            iou_threshold: options.iou_threshold,
            score_threshold: options.score_threshold,
            max_per_class: options.max_per_class,
        };
        let (boxes, scores) = (self.operand(&boxes)?, self.operand(&scores)?);
        match self.compute(|limits| ops::nms(boxes, scores, &options, limits)) {
            Ok(tensor) => self.hold_new(tensor),
            Err(error) => Ok(Err(error)),
        }
    }

    fn summarize(&mut self, input: Handle) -> wasmtime::Result<Result<Summary, GuestError>> {
        let summary = ops::summarize(self.operand(&input)?);
        Ok(summary.map_err(guest_error).map(|summary| Summary {
            count: summary.count,
            nan_count: summary.nan_count,
            infinite_count: summary.infinite_count,
            min: summary.min,
            max: summary.max,
            sum: summary.sum,
            mean: summary.mean,
        }))
    }
}
