//! `argmax` and `top_k`: the best along an axis.

use std::cmp::Ordering;

use super::super::{Datatype, Tensor};
use super::number::{Half, Primitive, with_primitive};
use super::{Axis, Limits, OpError, empty, tensor_of, with_dimension};

/// The int64 index of the greatest along `axis`, which is removed; of equal ones the first, of NaN only the first.
///
/// # Errors
/// `DatatypeMismatch` for `BYTES`; `InvalidArgument` for an axis that is not there; `ShapeMismatch` if it has no entries.
pub fn argmax(input: &Tensor, axis: i32, limits: &Limits<'_>) -> Result<Tensor, OpError> {
    if input.datatype() == Datatype::Bytes {
        return Err(OpError::DatatypeMismatch(Datatype::Bytes));
    }
    let axis = Axis::of(input.shape(), axis)?;
    if axis.length == 0 {
        return Err(OpError::ShapeMismatch(format!(
            "nothing is the greatest along axis {} of {:?}",
            axis.index,
            input.shape()
        )));
    }
    let shape = with_dimension(input.shape(), axis.index, &[]);
    if input.count() == 0 {
        return Ok(empty(Datatype::Int64, &shape));
    }
    let wide = widened_bytes(input);
    limits.claim(Datatype::Int64, &shape, (axis.inner as u64).saturating_mul(8).saturating_add(wide))?;
    let indices = with_primitive!(input.datatype(),
        T => argmax_of::<T>(bytemuck::cast_slice(input.bytes()), axis),
        half H => argmax_of::<f32>(&widened::<H>(input), axis),
        none => unreachable!("refused above"));
    Ok(tensor_of(Datatype::Int64, &shape, indices))
}

fn widened_bytes(input: &Tensor) -> u64 {
    if matches!(input.datatype(), Datatype::Fp16 | Datatype::Bf16) { 4 * input.count() as u64 } else { 0 }
}

/// Half types are compared as fp32, which holds them exactly.
fn widened<H: Half>(input: &Tensor) -> Vec<f32> {
    let mut values = vec![0.0; input.count()];
    H::widen(bytemuck::cast_slice(input.bytes()), &mut values);
    values
}

/// Whether the first is better than the second: greater, or a number where the other is NaN.
#[expect(clippy::eq_op, reason = "only NaN differs from itself, and the type may be an integer")]
#[inline(always)]
fn is_better<T: Primitive>(one: T, other: T) -> bool {
    one > other || (other != other && one == one)
}

fn argmax_of<T: Primitive>(values: &[T], axis: Axis) -> Vec<i64> {
    let Axis { outer, length, inner, .. } = axis;
    let mut result = Vec::with_capacity(outer * inner);
    if inner == 1 {
        result.extend(values.chunks_exact(length).map(|row| {
            let mut best = 0;
            for (index, &value) in row.iter().enumerate() {
                if is_better(value, row[best]) {
                    best = index;
                }
            }
            best as i64
        }));
        return result;
    }
    for block in values.chunks_exact(length * inner) {
        let mut best = block[..inner].to_vec();
        let start = result.len();
        result.resize(start + inner, 0);
        for (index, row) in block.chunks_exact(inner).enumerate().skip(1) {
            for ((&value, best), at) in row.iter().zip(&mut best).zip(&mut result[start..]) {
                let better = is_better(value, *best);
                *best = if better { value } else { *best };
                *at = if better { index as i64 } else { *at };
            }
        }
    }
    result
}

/// The `k` best along `axis` and their int64 indices, best first; equal ones in the order of their indices, NaN last.
///
/// # Errors
/// `DatatypeMismatch` for `BYTES`; `InvalidArgument` for an axis that is not there or fewer than `k` entries.
pub fn top_k(input: &Tensor, k: u32, axis: i32, limits: &Limits<'_>) -> Result<(Tensor, Tensor), OpError> {
    if input.datatype() == Datatype::Bytes {
        return Err(OpError::DatatypeMismatch(Datatype::Bytes));
    }
    let axis = Axis::of(input.shape(), axis)?;
    let k = k as usize;
    if k > axis.length {
        return Err(OpError::InvalidArgument(format!("the best {k} of {} entries", axis.length)));
    }
    let shape = with_dimension(input.shape(), axis.index, &[k as u64]);
    if input.count() == 0 || k == 0 {
        return Ok((empty(input.datatype(), &shape), empty(Datatype::Int64, &shape)));
    }
    // Invariant: a candidate takes 16 bytes at most, and 2k and 64 more are kept at most.
    let candidates = 16 * (2 * k as u64 + 64);
    let values_bytes = bytes_of(&shape, input.datatype());
    limits.claim(
        Datatype::Int64,
        &shape,
        candidates.saturating_add(values_bytes).saturating_add(widened_bytes(input)),
    )?;
    let (positions, indices) = with_primitive!(input.datatype(),
        T => top_k_of::<T>(bytemuck::cast_slice(input.bytes()), k, axis),
        half H => top_k_of::<f32>(&widened::<H>(input), k, axis),
        none => unreachable!("refused above"));
    let indices = tensor_of(Datatype::Int64, &shape, indices);
    let bytes = input.bytes();
    let width = input.datatype().width().expect("BYTES was refused");
    let mut values = Vec::with_capacity(positions.len() * width);
    for position in positions {
        values.extend_from_slice(&bytes[position * width..(position + 1) * width]);
    }
    Ok((tensor_of(input.datatype(), &shape, values), indices))
}

/// Of the values and of where they stood, which is kept until they are fetched.
fn bytes_of(shape: &[u64], datatype: Datatype) -> u64 {
    let count = shape.iter().fold(1_u64, |count, &dimension| count.saturating_mul(dimension));
    count.saturating_mul(8 + datatype.width().unwrap_or(0) as u64)
}

/// Where the best stand in `values`, and their indices along the axis.
fn top_k_of<T: Primitive>(values: &[T], k: usize, axis: Axis) -> (Vec<usize>, Vec<i64>) {
    let Axis { outer, length, inner, .. } = axis;
    let mut positions = vec![0; outer * k * inner];
    let mut indices = vec![0; outer * k * inner];
    let mut best = Vec::with_capacity(2 * k + 64);
    for block in 0..outer {
        for column in 0..inner {
            let from = block * length * inner + column;
            best_of_row(&values[from..], inner, length, k, &mut best);
            for (rank, &(_, index)) in best.iter().enumerate() {
                let to = (block * k + rank) * inner + column;
                positions[to] = from + index * inner;
                indices[to] = index as i64;
            }
        }
    }
    (positions, indices)
}

/// Best first, then by index: a strict order, as no index comes twice.
fn compare<T: Primitive>(one: &(T, usize), other: &(T, usize)) -> Ordering {
    if is_better(one.0, other.0) {
        Ordering::Less
    } else if is_better(other.0, one.0) {
        Ordering::Greater
    } else {
        one.1.cmp(&other.1)
    }
}

/// Collects candidates and, whenever there are twice as many as asked for, drops the worse half: each value costs a
/// comparison, and few cost more.
fn best_of_row<T: Primitive>(row: &[T], stride: usize, length: usize, k: usize, best: &mut Vec<(T, usize)>) {
    best.clear();
    let full = 2 * k + 64;
    let mut bar: Option<T> = None;
    for (index, &value) in row.iter().step_by(stride).take(length).enumerate() {
        // A later equal value loses against the earlier ones that are kept.
        if bar.is_some_and(|bar| !is_better(value, bar)) {
            continue;
        }
        best.push((value, index));
        if best.len() == full {
            best.select_nth_unstable_by(k - 1, compare);
            best.truncate(k);
            bar = Some(best[k - 1].0);
        }
    }
    best.sort_unstable_by(compare);
    best.truncate(k);
}
