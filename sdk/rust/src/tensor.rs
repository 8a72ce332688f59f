//! Tensors as a plugin sees them: handles to host memory, with typed views of their bytes. Kernels are in `ops`.

use std::marker::PhantomData;
use std::ops::Deref;

use bytemuck::Pod;
use half::{bf16, f16};

#[cfg(target_family = "wasm")]
pub use crate::bindings::manifest::inferwit::plugin::tensors::Tensor;
#[cfg(not(target_family = "wasm"))]
pub use crate::memory::Tensor;

use crate::bindings::manifest::inferwit::plugin::common::Packed;
use crate::{Datatype, TensorError};

mod sealed {
    pub trait Sealed {}
}

/// The Rust types that the elements of a tensor can be read and written as. `BOOL` is read as bytes by `read_bools`,
/// `BYTES` by `read_elements`.
pub trait Element: Pod + sealed::Sealed {
    /// The datatype whose elements are of this type.
    const DATATYPE: Datatype;
}

macro_rules! elements {
    ($($type:ty => $datatype:ident),+) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DATATYPE: Datatype = Datatype::$datatype;
        }
    )+};
}

elements!(
    u8 => Uint8, u16 => Uint16, u32 => Uint32, u64 => Uint64, i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64,
    f16 => Fp16, bf16 => Bf16, f32 => Fp32, f64 => Fp64
);

/// Elements that were read: a slice over the bytes as they came, or over a copy if those lie at an odd address.
#[derive(Debug)]
pub struct Values<T> {
    bytes: Bytes<T>,
}

#[derive(Debug)]
enum Bytes<T> {
    AsTheyCame(Vec<u8>, PhantomData<T>),
    Copied(Vec<T>),
}

impl<T: Element> Values<T> {
    fn new(bytes: Vec<u8>) -> Self {
        match bytemuck::try_cast_slice::<u8, T>(&bytes) {
            Ok(_) => Self { bytes: Bytes::AsTheyCame(bytes, PhantomData) },
            Err(_) => Self { bytes: Bytes::Copied(bytemuck::pod_collect_to_vec(&bytes)) },
        }
    }
}

impl<T: Element> Deref for Values<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.bytes {
            Bytes::AsTheyCame(bytes, _) => bytemuck::cast_slice(bytes),
            Bytes::Copied(values) => values,
        }
    }
}

/// Elements of a `BYTES` tensor that were read: byte strings in one block of memory.
#[derive(Debug)]
pub struct Elements(Packed);

impl Elements {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.ends.is_empty()
    }

    /// The byte strings in their order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.0.ends.iter().copied());
        starts.zip(&self.0.ends).map(|(start, &end)| &self.0.data[start as usize..end as usize])
    }
}

/// Typed views. Each fails for another datatype than the tensor's, and for a window that lies outside.
#[expect(clippy::missing_errors_doc, reason = "all fail for the same causes, which the block names")]
impl Tensor {
    /// A new tensor with these elements.
    ///
    /// ```
    /// use inferwit_plugin::Tensor;
    /// let tensor = Tensor::from_slice(&[1, 3], &[0.5_f32, 1.0, 1.5])?;
    /// assert_eq!(tensor.read_vec::<f32>()?, [0.5, 1.0, 1.5]);
    /// # Ok::<(), inferwit_plugin::TensorError>(())
    /// ```
    pub fn from_slice<T: Element>(shape: &[u64], elements: &[T]) -> Result<Self, TensorError> {
        Self::from_bytes(T::DATATYPE, shape, bytemuck::cast_slice(elements))
    }

    /// A new tensor of one axis with these elements.
    #[expect(clippy::needless_pass_by_value, reason = "the elements are the tensor's from here on")]
    pub fn from_vec<T: Element>(elements: Vec<T>) -> Result<Self, TensorError> {
        Self::from_slice(&[elements.len() as u64], &elements)
    }

    /// A new tensor of datatype `BOOL`.
    pub fn from_bools(shape: &[u64], elements: &[bool]) -> Result<Self, TensorError> {
        Self::from_bytes(Datatype::Bool, shape, bytemuck::cast_slice(elements))
    }

    /// A new tensor of datatype `BYTES`.
    pub fn from_byte_strings<B: AsRef<[u8]>>(shape: &[u64], elements: &[B]) -> Result<Self, TensorError> {
        let mut packed = Packed { ends: Vec::with_capacity(elements.len()), data: Vec::new() };
        for element in elements {
            packed.data.extend_from_slice(element.as_ref());
            packed.ends.push(u32::try_from(packed.data.len()).map_err(|_| TensorError::Exhausted)?);
        }
        Self::from_elements(shape, &packed)
    }

    /// How many elements there are.
    pub fn count(&self) -> u64 {
        self.shape().iter().product()
    }

    /// All elements, without a second copy where their address allows it.
    pub fn values<T: Element>(&self) -> Result<Values<T>, TensorError> {
        self.window(0, self.count())
    }

    /// All elements as a vector.
    pub fn read_vec<T: Element>(&self) -> Result<Vec<T>, TensorError> {
        Ok(match self.values::<T>()?.bytes {
            Bytes::AsTheyCame(bytes, _) => bytemuck::pod_collect_to_vec(&bytes),
            Bytes::Copied(values) => values,
        })
    }

    /// `count` elements from the one at `first`, in row-major order: a part of a tensor that is large.
    pub fn window<T: Element>(&self, first: u64, count: u64) -> Result<Values<T>, TensorError> {
        self.expect_datatype(T::DATATYPE)?;
        let width = size_of::<T>() as u64;
        let offset = first.checked_mul(width).ok_or(TensorError::OutOfBounds)?;
        let length = count.checked_mul(width).and_then(|length| u32::try_from(length).ok());
        Ok(Values::new(self.read(offset, length.ok_or(TensorError::OutOfBounds)?)?))
    }

    /// The tensor in windows of at most `count` elements, each with the place of its first.
    pub fn windows<T: Element>(&self, count: u64) -> impl Iterator<Item = Result<(u64, Values<T>), TensorError>> {
        let (step, total) = (count.max(1), self.count());
        let starts = (0..total.div_ceil(step)).map(move |index| index * step);
        starts.map(move |first| Ok((first, self.window(first, step.min(total - first))?)))
    }

    /// Replaces the elements from the one at `first`. Seen through this handle only.
    pub fn write_window<T: Element>(&self, first: u64, elements: &[T]) -> Result<(), TensorError> {
        self.expect_datatype(T::DATATYPE)?;
        let offset = first.checked_mul(size_of::<T>() as u64).ok_or(TensorError::OutOfBounds)?;
        self.write(offset, bytemuck::cast_slice(elements))
    }

    /// All elements of a `BOOL` tensor.
    pub fn read_bools(&self) -> Result<Vec<bool>, TensorError> {
        self.expect_datatype(Datatype::Bool)?;
        let length = u32::try_from(self.byte_length()).map_err(|_| TensorError::OutOfBounds)?;
        Ok(self.read(0, length)?.into_iter().map(|byte| byte != 0).collect())
    }

    /// All elements of a `BYTES` tensor.
    pub fn read_elements(&self) -> Result<Elements, TensorError> {
        self.expect_datatype(Datatype::Bytes)?;
        let count = u32::try_from(self.count()).map_err(|_| TensorError::OutOfBounds)?;
        self.elements(0, count).map(Elements)
    }

    fn expect_datatype(&self, expected: Datatype) -> Result<(), TensorError> {
        let datatype = self.datatype();
        if datatype == expected { Ok(()) } else { Err(TensorError::DatatypeMismatch(datatype)) }
    }
}

#[cfg(test)]
mod tests;
