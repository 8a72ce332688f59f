//! How numbers become other numbers. The rules of `cast` live here; no tensors made.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::super::{Datatype, Element};

/// Elements that are converted at a time, in a buffer that stays in the first-level cache.
pub(super) const CHUNK: usize = 1024;

/// A number that the processor computes with: all but the two half types.
pub(super) trait Primitive: Element + PartialOrd + Default + Send + Sync {
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
    /// Rounded to the neighbour with an odd last bit where it is not exact, so that rounding again, to a half type, gives
    /// what rounding once would have given.
    fn to_f32_odd(self) -> f32;
}

/// Saturating for integers (a fraction is cut off, NaN is 0), to nearest even for floats.
pub(super) trait CastTo<B> {
    fn cast_to(self) -> B;
}

fn odd_f32(value: f64) -> f32 {
    let nearest = value as f32;
    let (back, bits) = (f64::from(nearest), nearest.to_bits());
    if back == value || value.is_nan() || bits & 1 == 1 {
        nearest
    } else if back.abs() > value.abs() {
        f32::from_bits(bits - 1)
    } else {
        f32::from_bits(bits + 1)
    }
}

/// Exact up to 2^40, beyond that with all that was cut off folded into the last bit.
fn odd_f64(magnitude: u64) -> f64 {
    if magnitude < 1 << 40 {
        magnitude as f64
    } else {
        let sticky = u64::from(magnitude & 0xff_ffff != 0);
        ((magnitude >> 24) | sticky) as f64 * f64::from(1 << 24)
    }
}

macro_rules! primitives {
    ($($type:ty: |$value:ident| $odd:expr;)*) => {
        $(impl Primitive for $type {
            #[inline(always)]
            fn to_f32(self) -> f32 {
                self.cast_to()
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.cast_to()
            }
            #[inline(always)]
            fn to_f32_odd(self) -> f32 {
                let $value = self;
                $odd
            }
        })*
    };
}
primitives! {
    u8: |value| f32::from(value);
    i8: |value| f32::from(value);
    u16: |value| f32::from(value);
    i16: |value| f32::from(value);
    u32: |value| odd_f32(f64::from(value));
    i32: |value| odd_f32(f64::from(value));
    u64: |value| odd_f32(odd_f64(value));
    i64: |value| odd_f32(odd_f64(value.unsigned_abs()).copysign(value as f64));
    f32: |value| value;
    f64: |value| odd_f32(value);
}

macro_rules! casts {
    (as $from:ty => $($to:ty),*) => {
        $(impl CastTo<$to> for $from {
            #[inline(always)]
            fn cast_to(self) -> $to {
                self as $to
            }
        })*
    };
    (clamp $from:ty => $($to:ty),*) => {
        $(impl CastTo<$to> for $from {
            #[inline(always)]
            fn cast_to(self) -> $to {
                <$to>::try_from(self).unwrap_or(if self > 0 { <$to>::MAX } else { <$to>::MIN })
            }
        })*
        casts!(as $from => f32, f64);
    };
    ($($from:ty)*) => {
        $(casts!(clamp $from => u8, u16, u32, u64, i8, i16, i32, i64);)*
        casts!(as f32 => u8, u16, u32, u64, i8, i16, i32, i64, f32, f64);
        casts!(as f64 => u8, u16, u32, u64, i8, i16, i32, i64, f32, f64);
    };
}
casts!(u8 u16 u32 u64 i8 i16 i32 i64);

/// Runs an expression with `$T` as the primitive type of a datatype (`BOOL` is read as `u8`).
macro_rules! with_primitive {
    ($datatype:expr, $T:ident => $body:expr, half $H:ident => $half:expr, none => $none:expr) => {
        match $datatype {
            Datatype::Bool | Datatype::Uint8 => {
                type $T = u8;
                $body
            }
            Datatype::Uint16 => {
                type $T = u16;
                $body
            }
            Datatype::Uint32 => {
                type $T = u32;
                $body
            }
            Datatype::Uint64 => {
                type $T = u64;
                $body
            }
            Datatype::Int8 => {
                type $T = i8;
                $body
            }
            Datatype::Int16 => {
                type $T = i16;
                $body
            }
            Datatype::Int32 => {
                type $T = i32;
                $body
            }
            Datatype::Int64 => {
                type $T = i64;
                $body
            }
            Datatype::Fp32 => {
                type $T = f32;
                $body
            }
            Datatype::Fp64 => {
                type $T = f64;
                $body
            }
            Datatype::Fp16 => {
                type $H = half::f16;
                $half
            }
            Datatype::Bf16 => {
                type $H = half::bf16;
                $half
            }
            Datatype::Bytes => $none,
        }
    };
}
pub(super) use with_primitive;

/// A half type, which is converted in slices because one at a time is slow.
pub(super) trait Half: Element + Default {
    fn widen(from: &[Self], to: &mut [f32]);
    fn narrow(from: &[f32], to: &mut [Self]);
}

macro_rules! halves {
    ($($type:ty)*) => {
        $(impl Half for $type {
            fn widen(from: &[Self], to: &mut [f32]) {
                from.convert_to_f32_slice(to);
            }
            fn narrow(from: &[f32], to: &mut [Self]) {
                to.convert_from_f32_slice(from);
            }
        })*
    };
}
halves!(f16 bf16);

/// Elements `first..first + to.len()` of numbers of this datatype, as fp32.
pub(super) fn widen(datatype: Datatype, bytes: &[u8], first: usize, to: &mut [f32]) {
    let range = first..first + to.len();
    with_primitive!(datatype,
        T => {
            let from = &bytemuck::cast_slice::<u8, T>(bytes)[range];
            for (to, &from) in to.iter_mut().zip(from) {
                *to = from.to_f32();
            }
        },
        half H => H::widen(&bytemuck::cast_slice::<u8, H>(bytes)[range], to),
        none => unreachable!("kernels refuse BYTES before they convert"));
}

/// Appends these numbers as elements of this datatype.
pub(super) fn narrow(from: &[f32], datatype: Datatype, to: &mut Vec<u8>) {
    for from in from.chunks(CHUNK) {
        if datatype == Datatype::Bool {
            to.extend(from.iter().map(|&value| u8::from(value != 0.0)));
            continue;
        }
        with_primitive!(datatype,
            T => {
                let mut buffer = [T::default(); CHUNK];
                for (to, &from) in buffer.iter_mut().zip(from) {
                    *to = from.cast_to();
                }
                to.extend_from_slice(bytemuck::cast_slice(&buffer[..from.len()]));
            },
            half H => {
                let mut buffer = [H::default(); CHUNK];
                H::narrow(from, &mut buffer[..from.len()]);
                to.extend_from_slice(bytemuck::cast_slice(&buffer[..from.len()]));
            },
            none => unreachable!("kernels refuse BYTES before they convert"));
    }
}
