//! The host's stand-in for native tests: tensors, requests and log lines in memory. Few kernels, no models, no limits.

use std::cell::RefCell;
use std::rc::Rc;

use crate::bindings::manifest::inferwit::plugin::common::Packed;
use crate::log::Level;
use crate::{Datatype, Parameter, TensorError};

pub(crate) mod models;
pub(crate) mod ops;

/// A tensor: row-major, little-endian, dense. Handles may share memory; a write is seen only through the handle that
/// wrote.
///
/// Inside the server it lies in the host's memory and its bytes are copied when they are read or written; in native
/// tests it lies here.
#[derive(Debug)]
pub struct Tensor {
    datatype: Datatype,
    shape: Vec<u64>,
    bytes: RefCell<Rc<Vec<u8>>>,
}

#[expect(clippy::missing_errors_doc, reason = "as the contract says")]
impl Tensor {
    /// A new tensor, all zero. Not for `BYTES`, except with no element.
    pub fn zeros(datatype: Datatype, shape: &[u64]) -> Result<Self, TensorError> {
        let width = match datatype.width() {
            Some(width) => width,
            None if shape.contains(&0) => 0,
            None => return Err(TensorError::DatatypeMismatch(datatype)),
        };
        Ok(Self::new(datatype, shape, vec![0; element_count(shape)? * width]))
    }

    /// A new tensor with these bytes.
    pub fn from_bytes(datatype: Datatype, shape: &[u64], data: &[u8]) -> Result<Self, TensorError> {
        let count = element_count(shape)?;
        let fits = match datatype.width() {
            Some(width) => data.len() == count * width,
            None => packed_elements(data).is_some_and(|elements| elements.len() == count),
        };
        if !fits {
            return Err(TensorError::ShapeMismatch(format!("{} bytes for shape {shape:?}", data.len())));
        }
        Ok(Self::new(datatype, shape, data.to_vec()))
    }

    /// A new tensor of datatype `BYTES`.
    pub fn from_elements(shape: &[u64], elements: &Packed) -> Result<Self, TensorError> {
        let mut data = Vec::with_capacity(elements.data.len() + 4 * elements.ends.len());
        let mut start = 0_u32;
        for &end in &elements.ends {
            let element = elements.data.get(start as usize..end as usize).ok_or(TensorError::OutOfBounds)?;
            data.extend_from_slice(&(end - start).to_le_bytes());
            data.extend_from_slice(element);
            start = end;
        }
        Self::from_bytes(Datatype::Bytes, shape, &data)
    }

    /// The datatype of the elements.
    pub fn datatype(&self) -> Datatype {
        self.datatype
    }

    /// The dimensions.
    pub fn shape(&self) -> Vec<u64> {
        self.shape.clone()
    }

    /// How many bytes `read` can reach.
    pub fn byte_length(&self) -> u64 {
        self.bytes.borrow().len() as u64
    }

    /// The bytes from `offset`; fails rather than return less than `length`.
    pub fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, TensorError> {
        let bytes = self.bytes.borrow();
        let range = byte_range(offset, length as usize).ok_or(TensorError::OutOfBounds)?;
        bytes.get(range).map(<[u8]>::to_vec).ok_or(TensorError::OutOfBounds)
    }

    /// Replaces the bytes from `offset`. Not for `BYTES`, whose elements never change.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<(), TensorError> {
        if self.datatype == Datatype::Bytes {
            return Err(TensorError::DatatypeMismatch(self.datatype));
        }
        let mut bytes = self.bytes.borrow_mut();
        let range = byte_range(offset, data.len()).ok_or(TensorError::OutOfBounds)?;
        let window = Rc::make_mut(&mut bytes).get_mut(range).ok_or(TensorError::OutOfBounds)?;
        window.copy_from_slice(data);
        Ok(())
    }

    /// One element of a `BYTES` tensor.
    pub fn element(&self, index: u64) -> Result<Vec<u8>, TensorError> {
        self.elements(index, 1).map(|packed| packed.data)
    }

    /// `count` elements of a `BYTES` tensor.
    pub fn elements(&self, first: u64, count: u32) -> Result<Packed, TensorError> {
        if self.datatype != Datatype::Bytes {
            return Err(TensorError::DatatypeMismatch(self.datatype));
        }
        let bytes = self.bytes.borrow();
        let elements = packed_elements(&bytes).expect("the bytes were checked when the tensor was made");
        let range = byte_range(first, count as usize).ok_or(TensorError::OutOfBounds)?;
        let mut packed = Packed { ends: Vec::new(), data: Vec::new() };
        for element in elements.get(range).ok_or(TensorError::OutOfBounds)? {
            packed.data.extend_from_slice(element);
            packed.ends.push(u32::try_from(packed.data.len()).map_err(|_| TensorError::Exhausted)?);
        }
        Ok(packed)
    }

    /// A second handle to the same memory, which is copied when either is written to.
    #[must_use]
    pub fn share(&self) -> Self {
        Self { datatype: self.datatype, shape: self.shape.clone(), bytes: self.bytes.clone() }
    }

    /// The same memory under another shape with as many elements.
    pub fn reshape(&self, shape: &[u64]) -> Result<Self, TensorError> {
        if element_count(shape)? != element_count(&self.shape)? {
            return Err(TensorError::ShapeMismatch(format!("{:?} as {shape:?}", self.shape)));
        }
        Ok(Self { shape: shape.to_vec(), ..self.share() })
    }

    fn new(datatype: Datatype, shape: &[u64], bytes: Vec<u8>) -> Self {
        Self { datatype, shape: shape.to_vec(), bytes: RefCell::new(Rc::new(bytes)) }
    }
}

fn element_count(shape: &[u64]) -> Result<usize, TensorError> {
    let count = shape.iter().try_fold(1_u64, |count, &dimension| count.checked_mul(dimension));
    let count = count.and_then(|count| usize::try_from(count).ok()).filter(|&count| count < usize::MAX / 8);
    count.ok_or_else(|| TensorError::ShapeMismatch(format!("{shape:?} is too large")))
}

fn byte_range(offset: u64, length: usize) -> Option<std::ops::Range<usize>> {
    let offset = usize::try_from(offset).ok()?;
    Some(offset..offset.checked_add(length)?)
}

fn packed_elements(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (element, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        elements.push(element);
        bytes = rest;
    }
    Some(elements)
}

/// The request that is being answered. In native tests it is whatever the test makes it.
///
/// ```
/// use inferwit_plugin::{Parameter, Request};
/// let request = Request::default().with_parameter("min_score", Parameter::Fp64(0.9));
/// assert_eq!(request.number("min_score"), Ok(Some(0.9)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Request {
    id: Option<String>,
    remaining_ms: Option<u32>,
    parameters: Vec<(String, Parameter)>,
    headers: Vec<(String, String)>,
    wanted: Vec<String>,
}

impl Request {
    /// As given by the client, else none.
    pub fn id(&self) -> Option<String> {
        self.id.clone()
    }

    /// Milliseconds left; 0 once the time is up or the client has gone. None: no deadline.
    pub fn remaining_ms(&self) -> Option<u32> {
        self.remaining_ms
    }

    /// A parameter of the request.
    pub fn parameter(&self, name: &str) -> Option<Parameter> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    /// All parameters of the request.
    pub fn parameters(&self) -> Vec<(String, Parameter)> {
        self.parameters.clone()
    }

    /// The values of a header (gRPC: of a metadata key), lower-case. Only headers that the operator granted.
    pub fn header(&self, name: &str) -> Vec<String> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    }

    /// The outputs that the client asked for; none: all.
    pub fn wanted(&self) -> Vec<String> {
        self.wanted.clone()
    }

    /// For native tests: this request with an id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// For native tests: this request with so much time left.
    #[must_use]
    pub fn with_remaining_ms(mut self, remaining_ms: u32) -> Self {
        self.remaining_ms = Some(remaining_ms);
        self
    }

    /// For native tests: this request with one more parameter.
    #[must_use]
    pub fn with_parameter(mut self, name: impl Into<String>, value: Parameter) -> Self {
        self.parameters.push((name.into(), value));
        self
    }

    /// For native tests: this request with one more granted header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// For native tests: this request for certain outputs.
    #[must_use]
    pub fn with_wanted(mut self, wanted: &[&str]) -> Self {
        self.wanted = wanted.iter().map(|name| (*name).to_owned()).collect();
        self
    }
}

#[expect(clippy::print_stderr, reason = "this is the log of a native test")]
pub(crate) fn write_log(level: Level, message: &str, fields: &[(String, String)]) {
    let fields: String = fields.iter().map(|(key, value)| format!(" {key}={value}")).collect();
    eprintln!("{level:?}: {message}{fields}");
}
