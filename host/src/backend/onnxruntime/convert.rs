//! Tensors into ONNX Runtime and out of it, without copies where that is safe. Checks no signatures.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use half::{bf16, f16};
use ort::session::{SessionInputValue, SharedSessionInner};
use ort::value::{DynValue, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType};

use crate::tensor::{Datatype, Element, Tensor};

/// Outputs up to this size are copied: that is faster than keeping the engine's value alive, and frees its memory.
const COPIED_BYTES_MAX: usize = 4096;

/// The datatype of ONNX Runtime's elements, where OIP has it.
pub(super) fn datatype(element: TensorElementType) -> Option<Datatype> {
    Some(match element {
        TensorElementType::Bool => Datatype::Bool,
        TensorElementType::Uint8 => Datatype::Uint8,
        TensorElementType::Uint16 => Datatype::Uint16,
        TensorElementType::Uint32 => Datatype::Uint32,
        TensorElementType::Uint64 => Datatype::Uint64,
        TensorElementType::Int8 => Datatype::Int8,
        TensorElementType::Int16 => Datatype::Int16,
        TensorElementType::Int32 => Datatype::Int32,
        TensorElementType::Int64 => Datatype::Int64,
        TensorElementType::Float16 => Datatype::Fp16,
        TensorElementType::Bfloat16 => Datatype::Bf16,
        TensorElementType::Float32 => Datatype::Fp32,
        TensorElementType::Float64 => Datatype::Fp64,
        TensorElementType::String => Datatype::Bytes,
        _ => return None,
    })
}

/// The tensor as an input, lent to the run. Only strings are copied.
pub(super) fn input(tensor: &Tensor) -> Result<SessionInputValue<'_>, String> {
    match tensor.datatype() {
        Datatype::Bool => {
            let elements = bytemuck::checked::try_cast_slice::<u8, bool>(tensor.bytes())
                .map_err(|_| "a BOOL element is neither 0 nor 1".to_owned())?;
            view(tensor, elements)
        }
        Datatype::Uint8 => numbers::<u8>(tensor),
        Datatype::Uint16 => numbers::<u16>(tensor),
        Datatype::Uint32 => numbers::<u32>(tensor),
        Datatype::Uint64 => numbers::<u64>(tensor),
        Datatype::Int8 => numbers::<i8>(tensor),
        Datatype::Int16 => numbers::<i16>(tensor),
        Datatype::Int32 => numbers::<i32>(tensor),
        Datatype::Int64 => numbers::<i64>(tensor),
        Datatype::Fp16 => numbers::<f16>(tensor),
        Datatype::Bf16 => numbers::<bf16>(tensor),
        Datatype::Fp32 => numbers::<f32>(tensor),
        Datatype::Fp64 => numbers::<f64>(tensor),
        Datatype::Bytes => strings(tensor),
    }
}

fn numbers<T: Element + PrimitiveTensorElementType + Debug>(tensor: &Tensor) -> Result<SessionInputValue<'_>, String> {
    view(tensor, tensor.as_slice::<T>().expect("the caller matched the datatype"))
}

fn view<'a, T: PrimitiveTensorElementType + Debug + Clone + 'static>(
    tensor: &Tensor,
    elements: &'a [T],
) -> Result<SessionInputValue<'a>, String> {
    let view = TensorRef::from_array_view((shape_of(tensor)?, elements)).map_err(|error| error.to_string())?;
    Ok(view.into())
}

fn strings(tensor: &Tensor) -> Result<SessionInputValue<'_>, String> {
    let texts = tensor
        .elements()
        .enumerate()
        .map(|(index, element)| match std::str::from_utf8(element) {
            Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
            Ok(_) => Err(format!("element {index} holds a zero byte, which ONNX strings cannot")),
            Err(_) => Err(format!("element {index} is not UTF-8, which ONNX strings are")),
        })
        .collect::<Result<Vec<String>, String>>()?;
    let value = ort::value::Tensor::from_string_array((shape_of(tensor)?, texts.as_slice()))
        .map_err(|error| error.to_string())?;
    Ok(value.into())
}

fn shape_of(tensor: &Tensor) -> Result<Vec<i64>, String> {
    let dimension = |&dimension| i64::try_from(dimension).map_err(|_| format!("dimension {dimension} is too large"));
    tensor.shape().iter().map(dimension).collect()
}

/// An output as a tensor. It keeps the engine's memory where that is worth it and the memory is not an input's.
pub(super) fn output(
    value: DynValue,
    session: &Arc<SharedSessionInner>,
    inputs: &[(&str, &Tensor)],
) -> Result<Tensor, String> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(format!("it is {}, and only tensors can be served", value.dtype()));
    };
    let Some(datatype) = datatype(*ty) else { return Err(format!("its elements are {ty}, which clients cannot take")) };
    let shape = shape
        .iter()
        .map(|&dimension| u64::try_from(dimension).map_err(|_| format!("it has a dimension of {dimension}")))
        .collect::<Result<Vec<u64>, String>>()?;
    let output = Output { value, session: Arc::clone(session), datatype, shape };
    match datatype {
        Datatype::Bool => output.tensor::<bool>(inputs),
        Datatype::Uint8 => output.tensor::<u8>(inputs),
        Datatype::Uint16 => output.tensor::<u16>(inputs),
        Datatype::Uint32 => output.tensor::<u32>(inputs),
        Datatype::Uint64 => output.tensor::<u64>(inputs),
        Datatype::Int8 => output.tensor::<i8>(inputs),
        Datatype::Int16 => output.tensor::<i16>(inputs),
        Datatype::Int32 => output.tensor::<i32>(inputs),
        Datatype::Int64 => output.tensor::<i64>(inputs),
        Datatype::Fp16 => output.tensor::<f16>(inputs),
        Datatype::Bf16 => output.tensor::<bf16>(inputs),
        Datatype::Fp32 => output.tensor::<f32>(inputs),
        Datatype::Fp64 => output.tensor::<f64>(inputs),
        Datatype::Bytes => output.strings(),
    }
}

struct Output {
    value: DynValue,
    session: Arc<SharedSessionInner>,
    datatype: Datatype,
    shape: Vec<u64>,
}

/// Keeps what an output's memory belongs to: the value, and the session, since the value may be one of its constants.
struct Kept<T> {
    value: DynValue,
    _session: Arc<SharedSessionInner>,
    element: std::marker::PhantomData<fn() -> T>,
}

impl<T: PrimitiveTensorElementType + bytemuck::NoUninit> AsRef<[u8]> for Kept<T> {
    fn as_ref(&self) -> &[u8] {
        let (_, elements) = self.value.try_extract_tensor::<T>().expect("its elements were read before it was kept");
        bytemuck::cast_slice(elements)
    }
}

impl Output {
    fn tensor<T: PrimitiveTensorElementType + bytemuck::NoUninit>(
        self,
        inputs: &[(&str, &Tensor)],
    ) -> Result<Tensor, String> {
        let (_, elements) = self.value.try_extract_tensor::<T>().map_err(|error| error.to_string())?;
        let bytes: &[u8] = bytemuck::cast_slice(elements);
        // A graph may pass an input through as it is: then the value points into memory that was only lent to the run.
        let is_lent = inputs.iter().any(|(_, tensor)| overlap(tensor.bytes(), bytes));
        let tensor = if is_lent || bytes.len() <= COPIED_BYTES_MAX {
            Tensor::from_bytes(self.datatype, &self.shape, bytes)
        } else {
            let kept = Kept::<T> { value: self.value, _session: self.session, element: std::marker::PhantomData };
            Tensor::from_shared(self.datatype, &self.shape, Bytes::from_owner(kept))
        };
        tensor.map_err(|error| error.to_string())
    }

    fn strings(self) -> Result<Tensor, String> {
        let (_, elements) = self.value.try_extract_strings().map_err(|error| error.to_string())?;
        Tensor::from_elements(&self.shape, &elements).map_err(|error| error.to_string())
    }
}

fn overlap(one: &[u8], other: &[u8]) -> bool {
    let Range { start: one_start, end: one_end } = one.as_ptr_range();
    let Range { start: other_start, end: other_end } = other.as_ptr_range();
    one_start < other_end && other_start < one_end
}
