//! Tensors in host memory: datatype, shape and bytes, which always fit together. No kernels (see `ops`), no wire formats.

pub mod ops;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use half::{bf16, f16};

/// The datatype of a tensor's elements, as in the Open Inference Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

impl Datatype {
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The name on the wire and in pipeline files: `FP32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// The bytes of one element; `None` for `BYTES`, whose elements vary.
    pub fn width(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => Some(1),
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Fp32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Datatype {
    type Err = TensorError;

    fn from_str(text: &str) -> Result<Self, TensorError> {
        Self::ALL
            .into_iter()
            .find(|datatype| datatype.name() == text)
            .ok_or_else(|| TensorError::UnknownDatatype(text.to_owned()))
    }
}

/// What a step or a model takes or gives. A dimension of -1 is variable, as in OIP metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    pub name: String,
    /// `None`: any.
    pub datatype: Option<Datatype>,
    /// `None`: any rank.
    pub shape: Option<Vec<i64>>,
    /// What each dimension must be a multiple of; empty where nothing is asked.
    pub multiple_of: Vec<u64>,
    pub optional: bool,
}

impl TensorSpec {
    /// A required tensor of this datatype and shape.
    pub fn new(name: impl Into<String>, datatype: Datatype, shape: &[i64]) -> Self {
        Self {
            name: name.into(),
            datatype: Some(datatype),
            shape: Some(shape.to_vec()),
            multiple_of: Vec::new(),
            optional: false,
        }
    }

    /// Whether `tensor` is what this asks for.
    ///
    /// # Errors
    /// Says what differs: datatype, rank, or the first dimension.
    pub fn check(&self, tensor: &Tensor) -> Result<(), TensorError> {
        if let Some(expected) = self.datatype
            && expected != tensor.datatype()
        {
            return Err(TensorError::WrongDatatype { name: self.name.clone(), expected, got: tensor.datatype() });
        }
        let Some(shape) = &self.shape else { return Ok(()) };
        let fits = shape.len() == tensor.shape().len()
            && shape.iter().zip(tensor.shape()).all(|(&expected, &got)| expected < 0 || expected.unsigned_abs() == got);
        if !fits {
            return Err(TensorError::WrongShape {
                name: self.name.clone(),
                expected: shape.clone(),
                got: tensor.shape().to_vec(),
            });
        }
        for (axis, (&multiple, &got)) in self.multiple_of.iter().zip(tensor.shape()).enumerate() {
            if multiple > 1 && got % multiple != 0 {
                return Err(TensorError::NotMultiple { name: self.name.clone(), axis, multiple, got });
            }
        }
        Ok(())
    }
}

/// What a model or a step takes and gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    pub inputs: Vec<TensorSpec>,
    pub outputs: Vec<TensorSpec>,
}

/// Why bytes, shape and datatype do not make a tensor, or not the one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    #[error("unknown datatype `{0}`; known are BOOL, UINT8..UINT64, INT8..INT64, FP16, BF16, FP32, FP64 and BYTES")]
    UnknownDatatype(String),
    #[error("shape {shape:?} of {datatype} needs {expected} bytes, got {got}")]
    WrongLength { datatype: Datatype, shape: Vec<u64>, expected: usize, got: usize },
    #[error("{0} dimensions are more than {RANK_MAX}")]
    TooManyDimensions(usize),
    #[error("shape {0:?} has more elements than can be addressed")]
    TooLarge(Vec<u64>),
    #[error("shape {shape:?} has {expected} elements, got {got}")]
    WrongCount { shape: Vec<u64>, expected: usize, got: usize },
    #[error("element {index} of BYTES runs past the end of the data")]
    TruncatedElement { index: usize },
    #[error("BOOL element {index} is {value}, must be 0 or 1")]
    BadBool { index: usize, value: u8 },
    #[error("tensor `{name}` is {got}, must be {expected}")]
    WrongDatatype { name: String, expected: Datatype, got: Datatype },
    #[error("tensor `{name}` has shape {got:?}, must be {expected:?} (-1 is any)")]
    WrongShape { name: String, expected: Vec<i64>, got: Vec<u64> },
    #[error("dimension {axis} of tensor `{name}` is {got}, must be a multiple of {multiple}")]
    NotMultiple { name: String, axis: usize, multiple: u64, got: u64 },
}

/// The most dimensions of a tensor: a shape must not take more memory than its elements do.
pub const RANK_MAX: usize = 64;

/// The number of elements of a shape, or `TooLarge` where it overflows, or `TooManyDimensions`.
pub fn element_count(shape: &[u64]) -> Result<usize, TensorError> {
    if shape.len() > RANK_MAX {
        return Err(TensorError::TooManyDimensions(shape.len()));
    }
    shape
        .iter()
        .try_fold(1_usize, |count, &dimension| count.checked_mul(usize::try_from(dimension).ok()?))
        .filter(|&count| count <= isize::MAX as usize)
        .ok_or_else(|| TensorError::TooLarge(shape.to_vec()))
}

/// A Rust type that is stored as one element of a datatype.
pub trait Element: bytemuck::Pod {
    const DATATYPE: Datatype;
}

macro_rules! elements {
    ($($type:ty => $datatype:ident),* $(,)?) => {
        $(impl Element for $type { const DATATYPE: Datatype = Datatype::$datatype; })*
    };
}
elements!(u8 => Uint8, u16 => Uint16, u32 => Uint32, u64 => Uint64, i8 => Int8, i16 => Int16, i32 => Int32,
    i64 => Int64, f16 => Fp16, bf16 => Bf16, f32 => Fp32, f64 => Fp64);

/// Row-major, little-endian, dense elements in host memory. Cloning shares the memory; a write copies it where it is shared.
///
/// Its bytes are those that the OIP binary extension sends: one byte for an element of `BOOL`, and for `BYTES` each
/// element as its length (u32, little-endian) followed by its bytes.
///
/// Invariant: `data.len()` is the number of elements times the width; `BYTES` data parses into as many elements as the
/// shape has, and `starts` holds where each of them begins; numbers are aligned to their width.
#[derive(Clone)]
pub struct Tensor {
    datatype: Datatype,
    shape: Arc<[u64]>,
    data: Data,
    starts: Option<Arc<[usize]>>,
}

#[derive(Clone)]
enum Data {
    /// Memory of our own, which can be written while no other tensor shares it.
    Owned(Arc<Words>),
    /// Memory that something else made: a request body, an output of a backend. Never written.
    Foreign(Bytes),
}

/// Bytes that begin at a multiple of 8, so that every datatype can be read in place.
struct Words {
    words: Vec<u64>,
    length: usize,
}

impl Words {
    fn zeros(length: usize) -> Self {
        Self { words: vec![0; length.div_ceil(8)], length }
    }

    /// One pass over the bytes, without zeroing first.
    fn copy_of(bytes: &[u8]) -> Self {
        let mut chunks = bytes.chunks_exact(8);
        let mut words = Vec::with_capacity(bytes.len().div_ceil(8));
        words.extend(chunks.by_ref().map(|chunk| u64::from_ne_bytes(chunk.try_into().expect("chunks of 8"))));
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            words.push(u64::from_ne_bytes(word));
        }
        Self { words, length: bytes.len() }
    }

    fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.length]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.length]
    }
}

/// Lends the memory of a tensor to `Bytes`.
struct Lent(Arc<Words>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl Tensor {
    /// All elements zero. `BYTES` elements are empty.
    ///
    /// # Errors
    /// `TooLarge` if the shape overflows.
    pub fn zeros(datatype: Datatype, shape: &[u64]) -> Result<Self, TensorError> {
        let count = element_count(shape)?;
        let length = byte_length(datatype.width().unwrap_or(4), count, shape)?;
        let data = Data::Owned(Arc::new(Words::zeros(length)));
        let starts = (datatype == Datatype::Bytes).then(|| (0..count).map(|index| index * 4).collect());
        Ok(Self { datatype, shape: shape.into(), data, starts })
    }

    /// A copy of these bytes.
    ///
    /// # Errors
    /// If the bytes do not fit the datatype and shape.
    pub fn from_bytes(datatype: Datatype, shape: &[u64], bytes: &[u8]) -> Result<Self, TensorError> {
        let starts = check_bytes(datatype, shape, bytes)?;
        Ok(Self { datatype, shape: shape.into(), data: Data::Owned(Arc::new(Words::copy_of(bytes))), starts })
    }

    /// These bytes themselves where their alignment allows, else a copy.
    ///
    /// # Errors
    /// If the bytes do not fit the datatype and shape.
    pub fn from_shared(datatype: Datatype, shape: &[u64], bytes: Bytes) -> Result<Self, TensorError> {
        let width = datatype.width().unwrap_or(1);
        if bytes.as_ptr().align_offset(width) != 0 {
            return Self::from_bytes(datatype, shape, &bytes);
        }
        let starts = check_bytes(datatype, shape, &bytes)?;
        Ok(Self { datatype, shape: shape.into(), data: Data::Foreign(bytes), starts })
    }

    /// A copy of these numbers.
    ///
    /// # Errors
    /// If there are more or fewer than the shape says.
    pub fn from_slice<T: Element>(shape: &[u64], elements: &[T]) -> Result<Self, TensorError> {
        Self::from_bytes(T::DATATYPE, shape, bytemuck::cast_slice(elements))
    }

    /// These numbers, without a copy.
    ///
    /// # Errors
    /// If there are more or fewer than the shape says.
    pub fn from_vec<T: Element + Send + Sync>(shape: &[u64], elements: Vec<T>) -> Result<Self, TensorError> {
        struct Owner<T>(Vec<T>);
        impl<T: Element> AsRef<[u8]> for Owner<T> {
            fn as_ref(&self) -> &[u8] {
                bytemuck::cast_slice(&self.0)
            }
        }
        Self::from_shared(T::DATATYPE, shape, Bytes::from_owner(Owner(elements)))
    }

    /// A `BYTES` tensor of these elements.
    ///
    /// # Errors
    /// If there are more or fewer than the shape says, or one is longer than a u32 can say.
    pub fn from_elements<E: AsRef<[u8]>>(shape: &[u64], elements: &[E]) -> Result<Self, TensorError> {
        let expected = element_count(shape)?;
        if elements.len() != expected {
            return Err(TensorError::WrongCount { shape: shape.to_vec(), expected, got: elements.len() });
        }
        let length = elements.iter().map(|element| element.as_ref().len() + 4).sum();
        let mut data = Vec::with_capacity(length);
        let mut starts = Vec::with_capacity(elements.len());
        for element in elements {
            let element = element.as_ref();
            let length = u32::try_from(element.len()).map_err(|_| TensorError::TooLarge(shape.to_vec()))?;
            starts.push(data.len());
            data.extend_from_slice(&length.to_le_bytes());
            data.extend_from_slice(element);
        }
        Ok(Self {
            datatype: Datatype::Bytes,
            shape: shape.into(),
            data: Data::Foreign(data.into()),
            starts: Some(starts.into()),
        })
    }

    pub fn datatype(&self) -> Datatype {
        self.datatype
    }

    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// The number of elements.
    pub fn count(&self) -> usize {
        match (&self.starts, self.datatype.width()) {
            (Some(starts), _) => starts.len(),
            (None, Some(width)) => self.bytes().len() / width,
            (None, None) => unreachable!("BYTES tensors know where their elements start"),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::Owned(words) => words.bytes(),
            Data::Foreign(bytes) => bytes,
        }
    }

    /// What it takes in memory: its bytes and, of `BYTES`, where each element begins.
    pub fn memory_bytes(&self) -> u64 {
        let starts = self.starts.as_deref().map_or(0, size_of_val);
        (self.bytes().len() + starts) as u64
    }

    /// The memory itself, kept alive by what is returned. No copy.
    pub fn to_shared(&self) -> Bytes {
        match &self.data {
            Data::Owned(words) => Bytes::from_owner(Lent(Arc::clone(words))),
            Data::Foreign(bytes) => bytes.clone(),
        }
    }

    /// The bytes for writing; copied first if any other tensor shares them. `None` for `BYTES`, whose elements never change.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        if self.datatype == Datatype::Bytes {
            return None;
        }
        if !self.is_writable_in_place() {
            self.data = Data::Owned(Arc::new(Words::copy_of(self.bytes())));
        }
        match &mut self.data {
            Data::Owned(words) => Some(Arc::get_mut(words).expect("copied above if it was shared").bytes_mut()),
            Data::Foreign(_) => unreachable!("copied above"),
        }
    }

    /// Whether a write needs no copy.
    pub fn is_writable_in_place(&self) -> bool {
        matches!(&self.data, Data::Owned(words) if Arc::strong_count(words) == 1)
    }

    /// The elements in place; `None` if the tensor has another datatype.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        // Invariant: numbers are aligned, so the cast only fails for another datatype's length, which was ruled out.
        (T::DATATYPE == self.datatype).then(|| bytemuck::cast_slice(self.bytes()))
    }

    /// One element of a `BYTES` tensor.
    pub fn element(&self, index: usize) -> Option<&[u8]> {
        let start = *self.starts.as_deref()?.get(index)?;
        let bytes = self.bytes();
        let length = u32::from_le_bytes(bytes[start..start + 4].try_into().expect("four bytes")) as usize;
        Some(&bytes[start + 4..start + 4 + length])
    }

    /// The elements of a `BYTES` tensor in order; none for another datatype.
    pub fn elements(&self) -> impl Iterator<Item = &[u8]> {
        let count = self.starts.as_deref().map_or(0, <[usize]>::len);
        (0..count).map(|index| self.element(index).expect("index is below the count"))
    }

    /// The elements of a `BYTES` tensor as text, with what is not UTF-8 replaced.
    pub fn texts(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.elements().map(String::from_utf8_lossy)
    }

    /// The same memory under another shape with as many elements.
    ///
    /// # Errors
    /// If the other shape has more or fewer elements.
    pub fn reshape(&self, shape: &[u64]) -> Result<Self, TensorError> {
        let expected = element_count(shape)?;
        if expected != self.count() {
            return Err(TensorError::WrongCount { shape: shape.to_vec(), expected, got: self.count() });
        }
        Ok(Self { shape: shape.into(), ..self.clone() })
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{:?}", self.datatype, self.shape)
    }
}

/// Equal datatype, shape and bytes.
impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        self.datatype == other.datatype && self.shape == other.shape && self.bytes() == other.bytes()
    }
}

fn byte_length(width: usize, count: usize, shape: &[u64]) -> Result<usize, TensorError> {
    count
        .checked_mul(width)
        .filter(|&length| length <= isize::MAX as usize)
        .ok_or_else(|| TensorError::TooLarge(shape.to_vec()))
}

/// Checks bytes against datatype and shape; gives where the elements of `BYTES` start.
fn check_bytes(datatype: Datatype, shape: &[u64], bytes: &[u8]) -> Result<Option<Arc<[usize]>>, TensorError> {
    let count = element_count(shape)?;
    let Some(width) = datatype.width() else {
        return element_starts(shape, count, bytes).map(Some);
    };
    let expected = byte_length(width, count, shape)?;
    if bytes.len() != expected {
        return Err(TensorError::WrongLength { datatype, shape: shape.to_vec(), expected, got: bytes.len() });
    }
    if datatype == Datatype::Bool
        && let Some(index) = bytes.iter().position(|&value| value > 1)
    {
        return Err(TensorError::BadBool { index, value: bytes[index] });
    }
    Ok(None)
}

fn element_starts(shape: &[u64], count: usize, bytes: &[u8]) -> Result<Arc<[usize]>, TensorError> {
    // Nothing is allocated by a size that is only claimed: each element takes four bytes at least.
    if count > bytes.len() / 4 {
        let got = bytes.len() / 4;
        return Err(TensorError::WrongCount { shape: shape.to_vec(), expected: count, got });
    }
    let mut starts = Vec::with_capacity(count);
    let mut rest = 0;
    while rest < bytes.len() {
        let index = starts.len();
        let end = bytes
            .get(rest..rest + 4)
            .map(|length| u32::from_le_bytes(length.try_into().expect("four bytes")) as usize)
            .and_then(|length| (rest + 4).checked_add(length))
            .filter(|&end| end <= bytes.len())
            .ok_or(TensorError::TruncatedElement { index })?;
        if index == count {
            return Err(TensorError::WrongCount { shape: shape.to_vec(), expected: count, got: count + 1 });
        }
        starts.push(rest);
        rest = end;
    }
    if starts.len() != count {
        return Err(TensorError::WrongCount { shape: shape.to_vec(), expected: count, got: starts.len() });
    }
    Ok(starts.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_must_fit_the_shape() {
        let error = Tensor::from_bytes(Datatype::Fp32, &[2, 2], &[0; 15]).unwrap_err();
        assert_eq!(
            error,
            TensorError::WrongLength { datatype: Datatype::Fp32, shape: vec![2, 2], expected: 16, got: 15 }
        );
        assert!(Tensor::from_bytes(Datatype::Fp32, &[0, 7], &[]).is_ok());
        assert!(Tensor::from_bytes(Datatype::Fp32, &[], &[0; 4]).is_ok());
    }

    #[test]
    fn a_shape_that_overflows_is_refused() {
        let shape = [u64::MAX, 2];
        for datatype in Datatype::ALL {
            assert_eq!(Tensor::zeros(datatype, &shape).unwrap_err(), TensorError::TooLarge(shape.to_vec()));
        }
        assert!(Tensor::zeros(Datatype::Fp64, &[1 << 61]).is_err());
        assert!(Tensor::from_bytes(Datatype::Bytes, &[1 << 40], &[0; 4]).is_err());
    }

    #[test]
    fn a_shape_of_very_many_dimensions_is_refused() {
        let shape = [1; RANK_MAX + 1];
        assert!(Tensor::zeros(Datatype::Uint8, &shape[1..]).is_ok());
        let refused = TensorError::TooManyDimensions(RANK_MAX + 1);
        assert_eq!(Tensor::zeros(Datatype::Uint8, &shape).unwrap_err(), refused);
        assert_eq!(Tensor::zeros(Datatype::Uint8, &[1]).unwrap().reshape(&shape).unwrap_err(), refused);
    }

    #[test]
    fn bool_is_zero_or_one() {
        assert!(Tensor::from_bytes(Datatype::Bool, &[2], &[0, 1]).is_ok());
        let error = Tensor::from_bytes(Datatype::Bool, &[2], &[0, 2]).unwrap_err();
        assert_eq!(error, TensorError::BadBool { index: 1, value: 2 });
    }

    #[test]
    fn elements_of_bytes_are_found_again() {
        let tensor = Tensor::from_elements(&[3], &["a", "", "long"]).unwrap();
        assert_eq!(tensor.element(2), Some(b"long".as_slice()));
        assert_eq!(tensor.element(3), None);
        let again = Tensor::from_bytes(Datatype::Bytes, &[3, 1], tensor.bytes()).unwrap();
        assert_eq!(again.texts().collect::<Vec<_>>(), ["a", "", "long"]);
        assert_eq!(
            Tensor::from_bytes(Datatype::Bytes, &[1], &[9, 0, 0, 0, 1]).unwrap_err(),
            TensorError::TruncatedElement { index: 0 }
        );
        assert!(Tensor::from_bytes(Datatype::Bytes, &[2], tensor.bytes()).is_err());
        assert!(Tensor::from_bytes(Datatype::Bytes, &[4], tensor.bytes()).is_err());
    }

    #[test]
    fn a_write_is_seen_only_through_the_tensor_that_wrote() {
        let first = Tensor::from_slice(&[2], &[1.0_f32, 2.0]).unwrap();
        let mut second = first.clone();
        second.bytes_mut().unwrap()[..4].copy_from_slice(&9.0_f32.to_le_bytes());
        assert_eq!(first.as_slice::<f32>().unwrap(), [1.0, 2.0]);
        assert_eq!(second.as_slice::<f32>().unwrap(), [9.0, 2.0]);
        assert!(second.is_writable_in_place());
    }

    #[test]
    fn a_misaligned_body_is_copied_and_an_aligned_one_is_not() {
        let body = Bytes::from_owner(Lent(Arc::new(Words::zeros(16))));
        let aligned = Tensor::from_shared(Datatype::Fp32, &[2], body.slice(4..12)).unwrap();
        assert_eq!(aligned.bytes().as_ptr(), body.slice(4..12).as_ptr());
        let misaligned = Tensor::from_shared(Datatype::Fp32, &[2], body.slice(1..9)).unwrap();
        assert_eq!(misaligned.as_slice::<f32>().unwrap(), [0.0, 0.0]);
    }

    #[test]
    fn a_spec_names_what_differs() {
        let spec = TensorSpec { multiple_of: vec![1, 32], ..TensorSpec::new("x", Datatype::Fp32, &[1, -1]) };
        assert!(spec.check(&Tensor::zeros(Datatype::Fp32, &[1, 64]).unwrap()).is_ok());
        let check = |datatype, shape: &[u64]| spec.check(&Tensor::zeros(datatype, shape).unwrap()).unwrap_err();
        assert!(matches!(check(Datatype::Fp64, &[1, 64]), TensorError::WrongDatatype { .. }));
        assert!(matches!(check(Datatype::Fp32, &[64]), TensorError::WrongShape { .. }));
        assert!(matches!(check(Datatype::Fp32, &[1, 65]), TensorError::NotMultiple { axis: 1, .. }));
    }
}
