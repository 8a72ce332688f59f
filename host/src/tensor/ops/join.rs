//! `concat` and `gather`: tensors put together from parts of others.

use super::super::{Datatype, Tensor};
use super::{Axis, Limits, OpError, elements, empty, tensor_of, with_dimension};

/// The inputs one after the other along `axis`.
///
/// # Errors
/// `InvalidArgument` without an input or for an axis that is not there; `DatatypeMismatch` and `ShapeMismatch` if one
/// differs from the first in more than `axis`.
pub fn concat(inputs: &[&Tensor], axis: i32, limits: &Limits<'_>) -> Result<Tensor, OpError> {
    let Some(&first) = inputs.first() else {
        return Err(OpError::InvalidArgument("nothing to put together".to_owned()));
    };
    let index = Axis::of(first.shape(), axis)?.index;
    let mut length = 0_u64;
    for input in inputs {
        if input.datatype() != first.datatype() {
            return Err(OpError::DatatypeMismatch(input.datatype()));
        }
        let same_rank = input.shape().len() == first.shape().len();
        let (shape, expected) = (input.shape(), first.shape());
        if !same_rank || (0..shape.len()).any(|axis| axis != index && shape[axis] != expected[axis]) {
            return Err(OpError::ShapeMismatch(format!("{shape:?} beside {expected:?} along axis {index}")));
        }
        length = length.checked_add(shape[index]).ok_or_else(|| limits.exhausted(u64::MAX))?;
    }
    let shape = with_dimension(first.shape(), index, &[length]);
    if inputs.len() == 1 {
        return Ok(first.clone());
    }
    let count = limits.claim(first.datatype(), &shape, 0)?;
    if count == 0 {
        return Ok(empty(first.datatype(), &shape));
    }
    let Some(width) = first.datatype().width() else {
        return elements::moved(inputs, limits, |numbers, limits| {
            concat(&numbers.iter().collect::<Vec<_>>(), axis, limits)
        });
    };
    let Axis { outer, inner, .. } = Axis::of(&shape, axis)?;
    let row = |input: &Tensor| input.shape()[index] as usize * inner * width;
    let parts: Vec<(&[u8], usize)> =
        inputs.iter().filter(|input| input.count() > 0).map(|input| (input.bytes(), row(input))).collect();
    let mut result = Vec::with_capacity(count * width);
    for block in 0..outer {
        for &(bytes, row) in &parts {
            result.extend_from_slice(&bytes[block * row..(block + 1) * row]);
        }
    }
    Ok(tensor_of(first.datatype(), &shape, result))
}

/// The entries of `axis` that `indices` names, in its shape; a negative index counts from the end.
///
/// # Errors
/// `InvalidArgument` for an axis that is not there; `DatatypeMismatch` if `indices` are no integers; `OutOfBounds` for an
/// index that is not there.
pub fn gather(input: &Tensor, indices: &Tensor, axis: i32, limits: &Limits<'_>) -> Result<Tensor, OpError> {
    let Axis { index, outer, length, inner } = Axis::of(input.shape(), axis)?;
    let shape = with_dimension(input.shape(), index, indices.shape());
    let list_bytes = (indices.count() as u64).saturating_mul(8);
    let count = limits.claim(input.datatype(), &shape, list_bytes)?;
    let list = index_list(indices, length)?;
    if count == 0 {
        return Ok(empty(input.datatype(), &shape));
    }
    let Some(width) = input.datatype().width() else {
        return elements::moved(&[input], limits, |numbers, limits| gather(&numbers[0], indices, axis, limits));
    };
    let bytes = input.bytes();
    let run = inner * width;
    let rows = |block: usize| list.iter().map(move |&index| (block * length + index) * run);
    let mut result = Vec::with_capacity(count * width);
    for block in 0..outer {
        match run {
            1 => result.extend(rows(block).map(|from| bytes[from])),
            2 => copy_rows::<2>(bytes, rows(block), &mut result),
            4 => copy_rows::<4>(bytes, rows(block), &mut result),
            8 => copy_rows::<8>(bytes, rows(block), &mut result),
            16 => copy_rows::<16>(bytes, rows(block), &mut result),
            _ => rows(block).for_each(|from| result.extend_from_slice(&bytes[from..from + run])),
        }
    }
    Ok(tensor_of(input.datatype(), &shape, result))
}

fn copy_rows<const RUN: usize>(bytes: &[u8], rows: impl Iterator<Item = usize>, result: &mut Vec<u8>) {
    for from in rows {
        let row: &[u8; RUN] = bytes[from..from + RUN].try_into().expect("a slice of that length");
        result.extend_from_slice(row);
    }
}

fn index_list(indices: &Tensor, length: usize) -> Result<Vec<usize>, OpError> {
    macro_rules! list {
        ($($type:ty: $datatype:ident),*) => {
            match indices.datatype() {
                $(Datatype::$datatype => {
                    let indices: &[$type] = bytemuck::cast_slice(indices.bytes());
                    // An index beyond i64 is out of bounds of any tensor, and so is the greatest i64.
                    indices.iter().map(|&index| resolve(i64::try_from(index).unwrap_or(i64::MAX), length)).collect()
                })*
                other => Err(OpError::DatatypeMismatch(other)),
            }
        };
    }
    list!(u8: Uint8, u16: Uint16, u32: Uint32, u64: Uint64, i8: Int8, i16: Int16, i32: Int32, i64: Int64)
}

#[inline(always)]
fn resolve(index: i64, length: usize) -> Result<usize, OpError> {
    let counted = if index < 0 { index.wrapping_add(length as i64) } else { index };
    if (counted as u64) < length as u64 {
        return Ok(counted as usize);
    }
    Err(OpError::OutOfBounds(format!("index {index} of {length} entries")))
}
