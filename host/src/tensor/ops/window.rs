//! `crop` and `pad`: a smaller and a larger window on a tensor.

use super::super::{Datatype, Tensor};
use super::number::{CastTo, Half, with_primitive};
use super::strides::{Strided, dense};
use super::{Limits, OpError, elements, empty, reshaped, tensor_of};

/// The elements from `start`, `size` of them along each dimension.
///
/// # Errors
/// `ShapeMismatch` unless there is a number for each dimension; `OutOfBounds` if the window reaches outside.
pub fn crop(input: &Tensor, start: &[u64], size: &[u64], limits: &Limits<'_>) -> Result<Tensor, OpError> {
    let shape = input.shape();
    check_rank(shape, start, size)?;
    for (axis, (&start, &size)) in start.iter().zip(size).enumerate() {
        if start.checked_add(size).is_none_or(|end| end > shape[axis]) {
            return Err(OpError::OutOfBounds(format!("{size} entries from {start} of dimension {axis} of {shape:?}")));
        }
    }
    if size == shape {
        return Ok(input.clone());
    }
    let count = limits.claim(input.datatype(), size, 0)?;
    if count == 0 {
        return Ok(empty(input.datatype(), size));
    }
    let Some(width) = input.datatype().width() else {
        return elements::moved(&[input], limits, |numbers, limits| crop(&numbers[0], start, size, limits));
    };
    let strides = dense(shape);
    let first = start.iter().zip(&strides).map(|(&start, stride)| start as usize * stride).sum::<usize>() * width;
    let mut strided = Strided::new(size.iter().zip(&strides).map(|(&size, &stride)| (size as usize, stride)));
    let run = match strided.dimensions.last() {
        Some(&(size, 1)) => {
            strided.dimensions.pop();
            size * width
        }
        _ => width,
    };
    let mut result = Vec::with_capacity(count * width);
    strided.each_block(0, |offset| {
        let from = first + offset * width;
        result.extend_from_slice(&input.bytes()[from..from + run]);
    });
    Ok(tensor_of(input.datatype(), size, result))
}

/// `before` and `after` as many more entries along each dimension, all of them `value`, cast as [`super::cast`] does.
///
/// `BYTES` grow by empty elements, and `value` must be 0.
///
/// # Errors
/// `ShapeMismatch` unless there is a number for each dimension; `InvalidArgument` for `BYTES` with a value.
pub fn pad(input: &Tensor, before: &[u64], after: &[u64], value: f64, limits: &Limits<'_>) -> Result<Tensor, OpError> {
    let shape = input.shape();
    check_rank(shape, before, after)?;
    if input.datatype() == Datatype::Bytes && value != 0.0 {
        return Err(OpError::InvalidArgument(format!("BYTES are padded with empty elements, not with {value}")));
    }
    let mut padded = Vec::with_capacity(shape.len());
    for ((&before, &dimension), &after) in before.iter().zip(shape).zip(after) {
        let sum = before.checked_add(dimension).and_then(|sum| sum.checked_add(after));
        padded.push(sum.ok_or_else(|| limits.exhausted(u64::MAX))?);
    }
    if padded == shape {
        return Ok(input.clone());
    }
    let count = limits.claim(input.datatype(), &padded, 0)?;
    let Some(width) = input.datatype().width() else {
        return elements::moved(&[input], limits, |numbers, limits| {
            place(&numbers[0], before, &padded, &elements::NOWHERE.to_le_bytes(), limits)
        });
    };
    if input.count() == count {
        return reshaped(input, &padded);
    }
    place(input, before, &padded, &one(input.datatype(), value)[..width], limits)
}

fn check_rank(shape: &[u64], first: &[u64], second: &[u64]) -> Result<(), OpError> {
    if first.len() == shape.len() && second.len() == shape.len() {
        return Ok(());
    }
    Err(OpError::ShapeMismatch(format!(
        "lists of {} and {} numbers for {} dimensions",
        first.len(),
        second.len(),
        shape.len()
    )))
}

/// The bytes of one element.
fn one(datatype: Datatype, value: f64) -> [u8; 8] {
    let mut bytes = [0; 8];
    if datatype == Datatype::Bool {
        bytes[0] = u8::from(value != 0.0);
        return bytes;
    }
    with_primitive!(datatype,
        T => {
            let number: T = value.cast_to();
            bytes[..size_of::<T>()].copy_from_slice(&number.to_le_bytes());
        },
        half H => {
            let mut number = [H::default()];
            H::narrow(&[super::number::Primitive::to_f32_odd(value)], &mut number);
            bytes[..2].copy_from_slice(&number[0].to_le_bytes());
        },
        none => {});
    bytes
}

/// A tensor full of `fill` with `input` in it at `at`.
fn place(input: &Tensor, at: &[u64], shape: &[u64], fill: &[u8], limits: &Limits<'_>) -> Result<Tensor, OpError> {
    let count = limits.claim(input.datatype(), shape, 0)?;
    let width = fill.len();
    let length = count * width;
    let mut result = if fill.iter().all(|&byte| byte == fill[0]) { vec![fill[0]; length] } else { fill.repeat(count) };
    if input.count() > 0 {
        let strides = dense(shape);
        let first = at.iter().zip(&strides).map(|(&at, stride)| at as usize * stride).sum::<usize>() * width;
        // Seen from the input the roles are swapped: its rows are dense and lie apart in the result.
        let inner = input.shape().iter().zip(&strides).map(|(&size, &stride)| (size as usize, stride));
        let mut strided = Strided::new(inner);
        let run = match strided.dimensions.last() {
            Some(&(size, 1)) => {
                strided.dimensions.pop();
                size * width
            }
            _ => width,
        };
        let mut rows = input.bytes().chunks_exact(run);
        strided.each_block(0, |offset| {
            let to = first + offset * width;
            result[to..to + run].copy_from_slice(rows.next().expect("there are as many rows as blocks"));
        });
    }
    Ok(tensor_of(input.datatype(), shape, result))
}
