//! The elements of a tensor as the values of a field, with one copy where the datatypes are alike. Knows no template.

use crate::plugin::{Column, Field, Kind, Lists, PoolBuilder, Values};
use crate::tensor::{Datatype, Element, Tensor};

/// Beyond this, a double does not hold every whole number.
const EXACT_MAX: i64 = 1 << 53;

/// The datatypes that can fill a field.
pub(super) fn datatypes(kind: Kind) -> &'static [Datatype] {
    use Datatype::{Bf16, Bool, Bytes, Fp16, Fp32, Fp64, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64};
    match kind {
        Kind::Boolean => &[Bool],
        Kind::Integer => &[Int64, Int32, Int16, Int8, Uint64, Uint32, Uint16, Uint8],
        Kind::Double => &[Fp64, Fp32, Fp16, Bf16, Int64, Int32, Int16, Int8, Uint64, Uint32, Uint16, Uint8],
        Kind::Text | Kind::Blob | Kind::Symbol => &[Bytes],
        Kind::Timestamp | Kind::Duration => &[Int64],
    }
}

/// 0, 1, 2, ...
pub(super) fn row_numbers(rows: u32) -> Column {
    Column::new(Values::Integers((0..rows).map(i64::from).collect()))
}

/// The column that a tensor is; its datatype and shape were found to fit.
///
/// # Errors
/// An element that the field cannot hold, as what follows the tensor's name.
pub(super) fn column(field: &Field, tensor: &Tensor, rows: u32, pool: &mut PoolBuilder) -> Result<Column, String> {
    let count = u32::try_from(tensor.count()).map_err(|_| "has too many elements".to_owned())?;
    let elements = match field.kind {
        Kind::Boolean => Elements::Bytes(tensor.bytes().to_vec()),
        Kind::Integer | Kind::Timestamp | Kind::Duration => Elements::Integers(integers(tensor)?),
        Kind::Double => Elements::Doubles(doubles(tensor)?),
        Kind::Text | Kind::Blob | Kind::Symbol => Elements::Places(places(tensor, pool)?),
    };
    let length = field.repeated.then(|| count.checked_div(rows).unwrap_or(0));
    Ok(Column::new(elements.shaped(length, rows)))
}

enum Elements {
    Bytes(Vec<u8>),
    Integers(Vec<i64>),
    Doubles(Vec<f64>),
    Places(Vec<u32>),
}

impl Elements {
    /// One a row, or lists of `length`.
    fn shaped(self, length: Option<u32>, rows: u32) -> Values {
        match (self, length) {
            (Self::Bytes(elements), None) => Values::Booleans(elements),
            (Self::Integers(elements), None) => Values::Integers(elements),
            (Self::Doubles(elements), None) => Values::Doubles(elements),
            (Self::Places(elements), None) => Values::Pooled(elements),
            (Self::Bytes(elements), Some(length)) => Values::BooleanLists(lists(elements, length, rows)),
            (Self::Integers(elements), Some(length)) => Values::IntegerLists(lists(elements, length, rows)),
            (Self::Doubles(elements), Some(length)) => Values::DoubleLists(lists(elements, length, rows)),
            (Self::Places(elements), Some(length)) => Values::PooledLists(lists(elements, length, rows)),
        }
    }
}

/// Invariant: `rows * length` is the number of elements, which a u32 holds.
fn lists<T>(elements: Vec<T>, length: u32, rows: u32) -> Lists<T> {
    Lists { ends: (1..=rows).map(|row| row * length).collect(), elements }
}

fn all<T: Element, U>(tensor: &Tensor, convert: impl Fn(T) -> U) -> Vec<U> {
    tensor.as_slice::<T>().unwrap_or_default().iter().map(|&element| convert(element)).collect()
}

fn integers(tensor: &Tensor) -> Result<Vec<i64>, String> {
    Ok(match tensor.datatype() {
        Datatype::Int64 => tensor.as_slice::<i64>().unwrap_or_default().to_vec(),
        Datatype::Int32 => all::<i32, _>(tensor, i64::from),
        Datatype::Int16 => all::<i16, _>(tensor, i64::from),
        Datatype::Int8 => all::<i8, _>(tensor, i64::from),
        Datatype::Uint32 => all::<u32, _>(tensor, i64::from),
        Datatype::Uint16 => all::<u16, _>(tensor, i64::from),
        Datatype::Uint8 => all::<u8, _>(tensor, i64::from),
        Datatype::Uint64 => {
            let elements = tensor.as_slice::<u64>().unwrap_or_default();
            let held: Option<Vec<i64>> = elements.iter().map(|&element| i64::try_from(element).ok()).collect();
            held.ok_or_else(|| "has a number that no int holds, which cannot serve".to_owned())?
        }
        other => return Err(format!("is {other}, which cannot serve")),
    })
}

fn doubles(tensor: &Tensor) -> Result<Vec<f64>, String> {
    Ok(match tensor.datatype() {
        Datatype::Fp64 => tensor.as_slice::<f64>().unwrap_or_default().to_vec(),
        Datatype::Fp32 => all::<f32, _>(tensor, f64::from),
        Datatype::Fp16 => all::<half::f16, _>(tensor, f64::from),
        Datatype::Bf16 => all::<half::bf16, _>(tensor, f64::from),
        _ => integers(tensor)?
            .into_iter()
            .map(exact)
            .collect::<Option<_>>()
            .ok_or_else(|| "has a whole number that no double holds exactly, which cannot serve".to_owned())?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "larger numbers are refused")]
fn exact(number: i64) -> Option<f64> {
    (number.unsigned_abs() <= EXACT_MAX.unsigned_abs()).then_some(number as f64)
}

fn places(tensor: &Tensor, pool: &mut PoolBuilder) -> Result<Vec<u32>, String> {
    let places: Option<Vec<u32>> = tensor.elements().map(|element| pool.intern(element)).collect();
    places.ok_or_else(|| "has too much text, which cannot serve".to_owned())
}
