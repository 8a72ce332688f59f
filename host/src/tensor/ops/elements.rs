//! Moving elements of `BYTES` by moving their numbers. The moving itself is in the other files.

use super::super::{Datatype, Tensor};
use super::{Limits, OpError};

/// What an element takes beside its bytes: its length (4) and where it begins (8).
pub(super) const OVERHEAD: usize = 12;

/// Stands for an element that comes from nowhere, and is empty.
pub(super) const NOWHERE: u64 = u64::MAX;

/// Runs a kernel on the numbers of the elements instead of the elements, then fetches those that it moved where.
///
/// `inputs` are numbered through in their order.
pub(super) fn moved(
    inputs: &[&Tensor],
    limits: &Limits<'_>,
    kernel: impl FnOnce(&[Tensor], &Limits<'_>) -> Result<Tensor, OpError>,
) -> Result<Tensor, OpError> {
    let count = inputs.iter().map(|input| input.count() as u64).fold(0, u64::saturating_add);
    let numbers_bytes = count.saturating_mul(8);
    limits.claim_bytes(numbers_bytes)?;
    let mut next = 0;
    let mut numbers = Vec::with_capacity(inputs.len());
    let mut firsts = Vec::with_capacity(inputs.len());
    for input in inputs {
        firsts.push(next);
        let end = next + input.count() as u64;
        numbers.push(super::tensor_of(Datatype::Uint64, input.shape(), (next..end).collect::<Vec<u64>>()));
        next = end;
    }
    let result = kernel(&numbers, &Limits { bytes: limits.bytes - numbers_bytes, is_over: limits.is_over })?;
    let order: &[u64] = bytemuck::cast_slice(result.bytes());

    // Invariant: the numbers of the result take 8 bytes each and live beside the elements while those are fetched, as does
    // a reference of 16 bytes to each.
    let per_element = OVERHEAD as u64 + 8 + 16;
    let mut needed = numbers_bytes.saturating_add((order.len() as u64).saturating_mul(per_element));
    limits.claim_bytes(needed)?;
    let mut elements: Vec<&[u8]> = Vec::with_capacity(order.len());
    for &number in order {
        let element = fetch(inputs, &firsts, number);
        needed = needed.saturating_add(element.len() as u64);
        elements.push(element);
    }
    limits.claim_bytes(needed)?;
    Tensor::from_elements(result.shape(), &elements).map_err(|error| OpError::ShapeMismatch(error.to_string()))
}

/// `firsts` are the numbers of the inputs' first elements.
fn fetch<'a>(inputs: &[&'a Tensor], firsts: &[u64], number: u64) -> &'a [u8] {
    if number == NOWHERE {
        return &[];
    }
    // Invariant: kernels only move the numbers that they were given, so an input holds it: the last that begins there or
    // before, since one without elements shares its first number with the next.
    let input = firsts.partition_point(|&first| first <= number) - 1;
    inputs[input].element((number - firsts[input]) as usize).expect("the number is one of this input's")
}
