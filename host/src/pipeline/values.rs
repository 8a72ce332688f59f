//! Nested values of a file as tensors, and back as short text. Knows no step.

use serde_json::Value;

use crate::tensor::{Datatype, Tensor, TensorError, element_count};

/// Why values of a file do not make a tensor.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ValuesError {
    #[error("the lists are not as long as their neighbours")]
    Ragged,
    #[error("{value} is no {datatype}")]
    Element { value: Value, datatype: Datatype },
    #[error("the shape cannot be seen from text; say the datatype and the shape")]
    Empty,
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// The shape that the nesting of lists says: `[[1, 2], [3, 4]]` is `[2, 2]`, a bare value `[]`.
pub fn nested_shape(value: &Value) -> Result<Vec<u64>, ValuesError> {
    let mut shape = Vec::new();
    let mut first = value;
    while let Value::Array(items) = first {
        shape.push(items.len() as u64);
        let Some(next) = items.first() else { break };
        first = next;
    }
    let fits = fits(value, &shape);
    if fits { Ok(shape) } else { Err(ValuesError::Ragged) }
}

fn fits(value: &Value, shape: &[u64]) -> bool {
    match (value, shape) {
        (Value::Array(items), [length, rest @ ..]) => {
            items.len() as u64 == *length && items.iter().all(|item| fits(item, rest))
        }
        (Value::Array(_), []) | (_, [_, ..]) => false,
        (_, []) => true,
    }
}

/// The elements in order, whatever the nesting.
pub fn flat(value: &Value) -> Vec<&Value> {
    let mut elements = Vec::new();
    let mut stack = vec![value];
    while let Some(value) = stack.pop() {
        match value {
            Value::Array(items) => stack.extend(items.iter().rev()),
            element => elements.push(element),
        }
    }
    elements
}

/// A number of a file; what is not finite goes by its name.
pub fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        _ => value.as_f64(),
    }
}

/// Makes a tensor of these values.
///
/// # Errors
/// If a value is not of the datatype, or there are more or fewer than the shape says.
pub fn tensor(datatype: Datatype, shape: &[u64], values: &Value) -> Result<Tensor, ValuesError> {
    let elements = flat(values);
    let expected = element_count(shape)?;
    if elements.len() != expected {
        return Err(TensorError::WrongCount { shape: shape.to_vec(), expected, got: elements.len() }.into());
    }
    if datatype == Datatype::Bytes {
        let texts: Option<Vec<&str>> = elements.iter().map(|element| element.as_str()).collect();
        let wrong = || elements.iter().find(|element| !element.is_string()).map(|&element| element.clone());
        let texts = texts.ok_or_else(|| ValuesError::Element { value: wrong().unwrap_or_default(), datatype })?;
        return Ok(Tensor::from_elements(shape, &texts)?);
    }
    let mut bytes = Vec::new();
    for element in elements {
        push(datatype, element, &mut bytes).ok_or_else(|| ValuesError::Element { value: element.clone(), datatype })?;
    }
    Ok(Tensor::from_bytes(datatype, shape, &bytes)?)
}

#[expect(clippy::cast_possible_truncation, reason = "a decimal number is rounded to the datatype")]
fn push(datatype: Datatype, value: &Value, bytes: &mut Vec<u8>) -> Option<()> {
    match datatype {
        Datatype::Bool => bytes.push(u8::from(value.as_bool()?)),
        Datatype::Uint8 => bytes.push(u8::try_from(value.as_u64()?).ok()?),
        Datatype::Uint16 => bytes.extend(u16::try_from(value.as_u64()?).ok()?.to_le_bytes()),
        Datatype::Uint32 => bytes.extend(u32::try_from(value.as_u64()?).ok()?.to_le_bytes()),
        Datatype::Uint64 => bytes.extend(value.as_u64()?.to_le_bytes()),
        Datatype::Int8 => bytes.extend(i8::try_from(value.as_i64()?).ok()?.to_le_bytes()),
        Datatype::Int16 => bytes.extend(i16::try_from(value.as_i64()?).ok()?.to_le_bytes()),
        Datatype::Int32 => bytes.extend(i32::try_from(value.as_i64()?).ok()?.to_le_bytes()),
        Datatype::Int64 => bytes.extend(value.as_i64()?.to_le_bytes()),
        Datatype::Fp16 => bytes.extend(half::f16::from_f64(number(value)?).to_le_bytes()),
        Datatype::Bf16 => bytes.extend(half::bf16::from_f64(number(value)?).to_le_bytes()),
        Datatype::Fp32 => bytes.extend((number(value)? as f32).to_le_bytes()),
        Datatype::Fp64 => bytes.extend(number(value)?.to_le_bytes()),
        Datatype::Bytes => return None,
    }
    Some(())
}

/// The numbers of a tensor as doubles; `None` for `BYTES` and `BOOL`.
#[expect(clippy::cast_precision_loss, reason = "for comparisons with a tolerance")]
pub fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    fn all<T: crate::tensor::Element>(tensor: &Tensor, convert: impl Fn(T) -> f64) -> Vec<f64> {
        tensor.as_slice::<T>().unwrap_or_default().iter().map(|&element| convert(element)).collect()
    }
    Some(match tensor.datatype() {
        Datatype::Uint8 => all::<u8>(tensor, f64::from),
        Datatype::Uint16 => all::<u16>(tensor, f64::from),
        Datatype::Uint32 => all::<u32>(tensor, f64::from),
        Datatype::Uint64 => all::<u64>(tensor, |element| element as f64),
        Datatype::Int8 => all::<i8>(tensor, f64::from),
        Datatype::Int16 => all::<i16>(tensor, f64::from),
        Datatype::Int32 => all::<i32>(tensor, f64::from),
        Datatype::Int64 => all::<i64>(tensor, |element| element as f64),
        Datatype::Fp16 => all::<half::f16>(tensor, f64::from),
        Datatype::Bf16 => all::<half::bf16>(tensor, f64::from),
        Datatype::Fp32 => all::<f32>(tensor, f64::from),
        Datatype::Fp64 => all::<f64>(tensor, f64::from),
        Datatype::Bool | Datatype::Bytes => return None,
    })
}

/// One element for people.
pub fn element_text(tensor: &Tensor, index: usize) -> String {
    match tensor.datatype() {
        Datatype::Bytes => {
            let element = tensor.element(index).unwrap_or_default();
            let text: String =
                String::from_utf8_lossy(&element[..element.len().min(TEXT_SHOWN_MAX)]).escape_default().collect();
            format!("\"{text}\"")
        }
        Datatype::Bool => tensor.bytes().get(index).map_or_else(String::new, |&byte| (byte == 1).to_string()),
        Datatype::Uint64 => {
            tensor.as_slice::<u64>().and_then(|all| all.get(index)).map_or_else(String::new, u64::to_string)
        }
        Datatype::Int64 => {
            tensor.as_slice::<i64>().and_then(|all| all.get(index)).map_or_else(String::new, i64::to_string)
        }
        // As short as the datatype allows: 0.1 rather than the double next to it.
        Datatype::Fp32 => {
            tensor.as_slice::<f32>().and_then(|all| all.get(index)).map_or_else(String::new, f32::to_string)
        }
        _ => numbers(tensor).and_then(|all| all.get(index).map(f64::to_string)).unwrap_or_default(),
    }
}

const TEXT_SHOWN_MAX: usize = 60;
