//! `transpose`: another order of the dimensions.

use bytemuck::Pod;

use super::super::{Datatype, Tensor};
use super::strides::{Strided, dense};
use super::{Limits, OpError, elements, empty, reshaped, tensor_of};

/// The side of the square that is moved at a time, so that both its rows and its columns stay in the cache.
const TILE: usize = 32;

/// Dimension `n` of the result is dimension `permutation[n]` of the input.
///
/// # Errors
/// `InvalidArgument` unless `permutation` names each dimension once.
pub fn transpose(input: &Tensor, permutation: &[u32], limits: &Limits<'_>) -> Result<Tensor, OpError> {
    let shape = input.shape();
    check_permutation(permutation, shape.len())?;
    let result: Vec<u64> = permutation.iter().map(|&axis| shape[axis as usize]).collect();
    if input.count() == 0 {
        return Ok(empty(input.datatype(), &result));
    }
    let strides = dense(shape);
    let strided = Strided::new(permutation.iter().map(|&axis| (shape[axis as usize] as usize, strides[axis as usize])));
    if matches!(strided.dimensions[..], [] | [(_, 1)]) {
        return reshaped(input, &result);
    }
    limits.claim(input.datatype(), &result, 0)?;
    let (datatype, bytes) = (input.datatype(), input.bytes());
    Ok(match datatype.width() {
        Some(1) => tensor_of(datatype, &result, moved::<u8>(bytes, &strided)),
        Some(2) => tensor_of(datatype, &result, moved::<u16>(bytemuck::cast_slice(bytes), &strided)),
        Some(4) => tensor_of(datatype, &result, moved::<u32>(bytemuck::cast_slice(bytes), &strided)),
        Some(_) => tensor_of(datatype, &result, moved::<u64>(bytemuck::cast_slice(bytes), &strided)),
        None => {
            debug_assert_eq!(datatype, Datatype::Bytes);
            return elements::moved(&[input], limits, |numbers, limits| transpose(&numbers[0], permutation, limits));
        }
    })
}

fn check_permutation(permutation: &[u32], rank: usize) -> Result<(), OpError> {
    let mut seen = vec![false; rank];
    let names_each = permutation.len() == rank
        && permutation
            .iter()
            .all(|&axis| seen.get_mut(axis as usize).is_some_and(|seen| !std::mem::replace(seen, true)));
    if names_each {
        return Ok(());
    }
    Err(OpError::InvalidArgument(format!("permutation {permutation:?} of {rank} dimensions")))
}

/// The elements in the order of the result, which has two dimensions at least after merging.
fn moved<T: Pod>(from: &[T], strided: &Strided) -> Vec<T> {
    let dimensions = &strided.dimensions[..];
    let mut to = Vec::with_capacity(from.len());
    match *dimensions {
        // Rows that stay whole are copied whole.
        [.., (run, 1)] => strided.each_block(1, |offset| to.extend_from_slice(&from[offset..offset + run])),
        // A matrix turned over, perhaps many of them: pictures between planes and pixels.
        [.., (rows, 1), (columns, stride)] if stride == rows => {
            to.resize(from.len(), T::zeroed());
            let mut matrices = to.chunks_exact_mut(rows * columns);
            strided.each_block(2, |offset| {
                let matrix = matrices.next().expect("there are as many matrices as blocks");
                turn(&from[offset..offset + rows * columns], matrix, rows);
            });
        }
        [.., (rows, row_stride), (columns, stride)] => {
            to.resize(from.len(), T::zeroed());
            let mut matrices = to.chunks_exact_mut(rows * columns);
            strided.each_block(2, |offset| {
                let matrix = matrices.next().expect("there are as many matrices as blocks");
                turn_apart(&from[offset..], matrix, [(rows, row_stride), (columns, stride)]);
            });
        }
        // Invariant: one dimension that is not dense does not exist, and none was shared above.
        _ => to.extend_from_slice(from),
    }
    to
}

/// Turns a dense matrix of `width` columns into one of `width` rows.
fn turn<T: Pod>(from: &[T], to: &mut [T], width: usize) {
    let height = from.len() / width;
    match (width, height) {
        (2, _) => split::<T, 2>(from, to),
        (3, _) => split::<T, 3>(from, to),
        (4, _) => split::<T, 4>(from, to),
        (_, 2) => weave::<T, 2>(from, to),
        (_, 3) => weave::<T, 3>(from, to),
        (_, 4) => weave::<T, 4>(from, to),
        _ => turn_apart(from, to, [(width, 1), (height, width)]),
    }
}

/// Pixels of `N` channels into `N` planes.
fn split<T: Pod, const N: usize>(from: &[T], to: &mut [T]) {
    let (pixels, _) = from.as_chunks::<N>();
    for (channel, plane) in to.chunks_exact_mut(pixels.len()).enumerate() {
        for (to, pixel) in plane.iter_mut().zip(pixels) {
            *to = pixel[channel];
        }
    }
}

/// `N` planes into pixels of `N` channels.
fn weave<T: Pod, const N: usize>(from: &[T], to: &mut [T]) {
    let (pixels, _) = to.as_chunks_mut::<N>();
    let length = pixels.len();
    let planes: [&[T]; N] = std::array::from_fn(|channel| &from[channel * length..(channel + 1) * length]);
    for (index, pixel) in pixels.iter_mut().enumerate() {
        *pixel = std::array::from_fn(|channel| planes[channel][index]);
    }
}

/// Any two dimensions, square by square.
fn turn_apart<T: Pod>(from: &[T], to: &mut [T], [(rows, row_stride), (columns, stride)]: [(usize, usize); 2]) {
    for first_row in (0..rows).step_by(TILE) {
        for first_column in (0..columns).step_by(TILE) {
            let end_column = columns.min(first_column + TILE);
            for row in first_row..rows.min(first_row + TILE) {
                let to = &mut to[row * columns..][first_column..end_column];
                let from = from[row * row_stride + first_column * stride..].iter().step_by(stride);
                for (to, from) in to.iter_mut().zip(from) {
                    *to = *from;
                }
            }
        }
    }
}
