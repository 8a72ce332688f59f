//! `cast`: the same numbers in another datatype. Rules of single numbers are in `number`.

use super::super::{Datatype, Tensor};
use super::number::{CHUNK, CastTo, Half, Primitive, with_primitive};
use super::{Limits, OpError, tensor_of};

/// The same numbers as `to`.
///
/// Integers saturate; a float's fraction is cut off, as NumPy and ONNX do, and NaN becomes 0. Floats are rounded once, to
/// nearest even, and overflow to infinity. `BOOL` is 0 or 1, and anything but zero, NaN too, becomes true.
///
/// # Errors
/// `DatatypeMismatch` if either side is `BYTES` and the other is not.
pub fn cast(input: &Tensor, to: Datatype, limits: &Limits<'_>) -> Result<Tensor, OpError> {
    let from = input.datatype();
    if from == to {
        return Ok(input.clone());
    }
    if from == Datatype::Bytes || to == Datatype::Bytes {
        return Err(OpError::DatatypeMismatch(Datatype::Bytes));
    }
    limits.claim(to, input.shape(), 0)?;
    let bytes = input.bytes();
    Ok(with_primitive!(from,
        T => from_primitives::<T>(bytemuck::cast_slice(bytes), to, input.shape()),
        half H => from_halves::<H>(bytemuck::cast_slice(bytes), to, input.shape()),
        none => unreachable!("refused above")))
}

trait Castable: Primitive + CastAll {}
impl<T: Primitive + CastAll> Castable for T {}

/// A number that can be cast to every primitive.
trait CastAll:
    CastTo<u8>
    + CastTo<u16>
    + CastTo<u32>
    + CastTo<u64>
    + CastTo<i8>
    + CastTo<i16>
    + CastTo<i32>
    + CastTo<i64>
    + CastTo<f32>
    + CastTo<f64>
{
}
impl<T> CastAll for T where
    T: CastTo<u8>
        + CastTo<u16>
        + CastTo<u32>
        + CastTo<u64>
        + CastTo<i8>
        + CastTo<i16>
        + CastTo<i32>
        + CastTo<i64>
        + CastTo<f32>
        + CastTo<f64>
{
}

fn from_primitives<A: Castable>(from: &[A], to: Datatype, shape: &[u64]) -> Tensor {
    if to == Datatype::Bool {
        let truths = from.iter().map(|&value| u8::from(value != A::default())).collect::<Vec<u8>>();
        return tensor_of(to, shape, truths);
    }
    with_primitive!(to,
        T => tensor_of(to, shape, from.iter().map(|&value| CastTo::<T>::cast_to(value)).collect::<Vec<T>>()),
        half H => tensor_of(to, shape, narrowed::<H>(from.len(), |first, buffer| {
            for (to, &from) in buffer.iter_mut().zip(&from[first..]) {
                *to = from.to_f32_odd();
            }
        })),
        none => unreachable!("refused by `cast`"))
}

fn from_halves<A: Half>(from: &[A], to: Datatype, shape: &[u64]) -> Tensor {
    if to == Datatype::Bool {
        return tensor_of(to, shape, widened(from, |value| u8::from(value != 0.0)));
    }
    with_primitive!(to,
        T => tensor_of(to, shape, widened(from, CastTo::<T>::cast_to)),
        half H => tensor_of(to, shape, narrowed::<H>(from.len(), |first, buffer| {
            A::widen(&from[first..first + buffer.len()], buffer);
        })),
        none => unreachable!("refused by `cast`"))
}

fn widened<A: Half, B>(from: &[A], convert: impl Fn(f32) -> B) -> Vec<B> {
    let mut buffer = [0.0; CHUNK];
    let mut to = Vec::with_capacity(from.len());
    for chunk in from.chunks(CHUNK) {
        let buffer = &mut buffer[..chunk.len()];
        A::widen(chunk, buffer);
        to.extend(buffer.iter().map(|&value| convert(value)));
    }
    to
}

fn narrowed<B: Half>(count: usize, fill: impl Fn(usize, &mut [f32])) -> Vec<B> {
    let (mut wide, mut narrow) = ([0.0; CHUNK], [B::default(); CHUNK]);
    let mut to = Vec::with_capacity(count);
    for first in (0..count).step_by(CHUNK) {
        let length = CHUNK.min(count - first);
        fill(first, &mut wide[..length]);
        B::narrow(&wide[..length], &mut narrow[..length]);
        to.extend_from_slice(&narrow[..length]);
    }
    to
}
