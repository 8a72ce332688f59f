//! The `data` of a tensor in a JSON request: an array, flat or nested, read straight into the tensor's memory. Every
//! element must be what the datatype says; nothing is converted.

use std::borrow::Cow;
use std::str::FromStr;

use crate::infer::InferError;
use crate::tensor::{Datatype, Element, Tensor, element_count};

/// Makes a tensor of `json`, which is the text of one valid JSON value.
///
/// # Errors
/// `InvalidInput` if it is no array, has other elements than the datatype, or others than the shape says.
pub(super) fn parse(json: &str, datatype: Datatype, shape: &[u64]) -> Result<Tensor, InferError> {
    let elements = Elements::new(json, shape)?;
    match datatype {
        Datatype::Bool => bools(elements),
        Datatype::Uint8 => numbers::<u8>(elements),
        Datatype::Uint16 => numbers::<u16>(elements),
        Datatype::Uint32 => numbers::<u32>(elements),
        Datatype::Uint64 => numbers::<u64>(elements),
        Datatype::Int8 => numbers::<i8>(elements),
        Datatype::Int16 => numbers::<i16>(elements),
        Datatype::Int32 => numbers::<i32>(elements),
        Datatype::Int64 => numbers::<i64>(elements),
        Datatype::Fp32 => numbers::<f32>(elements),
        Datatype::Fp64 => numbers::<f64>(elements),
        Datatype::Bytes => strings(elements),
        Datatype::Fp16 | Datatype::Bf16 => {
            Err(InferError::invalid(format!("{datatype} has no JSON form and must be sent as binary data")))
        }
    }
}

/// A number that is read from JSON text exactly, or not at all.
trait Number: Element + Send + Sync + FromStr {
    fn is_representable(&self) -> bool {
        true
    }
}

impl Number for u8 {}
impl Number for u16 {}
impl Number for u32 {}
impl Number for u64 {}
impl Number for i8 {}
impl Number for i16 {}
impl Number for i32 {}
impl Number for i64 {}

impl Number for f32 {
    /// A number too large becomes infinite when it is read.
    fn is_representable(&self) -> bool {
        self.is_finite()
    }
}

impl Number for f64 {
    fn is_representable(&self) -> bool {
        self.is_finite()
    }
}

fn numbers<T: Number>(mut elements: Elements<'_>) -> Result<Tensor, InferError> {
    let mut values = Vec::<T>::with_capacity(elements.count_at_most());
    while let Some(token) = elements.next()? {
        // Only numbers begin like this; Rust would read `inf` and `nan`, too.
        let is_number = token.as_bytes().first().is_some_and(|&byte| byte == b'-' || byte.is_ascii_digit());
        match token.parse::<T>() {
            Ok(value) if is_number && value.is_representable() => values.push(value),
            _ => return Err(elements.mismatch(values.len(), token, T::DATATYPE)),
        }
    }
    Ok(Tensor::from_vec(elements.shape, values)?)
}

fn bools(mut elements: Elements<'_>) -> Result<Tensor, InferError> {
    let mut values = Vec::with_capacity(elements.count_at_most());
    while let Some(token) = elements.next()? {
        values.push(match token {
            "true" => 1,
            "false" => 0,
            _ => return Err(elements.mismatch(values.len(), token, Datatype::Bool)),
        });
    }
    Ok(Tensor::from_shared(Datatype::Bool, elements.shape, values.into())?)
}

fn strings(mut elements: Elements<'_>) -> Result<Tensor, InferError> {
    let mut values = Vec::new();
    while let Some(token) = elements.next()? {
        let value = match token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
            Some(_) => serde_json::from_str::<String>(token)
                .map(Cow::Owned)
                .map_err(|error| InferError::invalid(format!("element {} is no text: {error}", values.len())))?,
            None => return Err(elements.mismatch(values.len(), token, Datatype::Bytes)),
        };
        values.push(value);
    }
    let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
    Ok(Tensor::from_elements(elements.shape, &values)?)
}

/// The scalars of an array, which is flat or nested exactly as the shape says.
///
/// Invariant: `rest` is the end of a valid JSON value, so brackets and commas need not be checked.
struct Elements<'a> {
    rest: &'a str,
    shape: &'a [u64],
    count: usize,
    given: usize,
    nesting: Nesting,
}

/// How the array is nested; an array that is flat may be so for a shape of any rank.
enum Nesting {
    /// The first bracket is open, nothing was read.
    Unknown,
    Flat,
    /// How many values each open array has so far.
    Nested(Vec<u64>),
}

impl<'a> Elements<'a> {
    fn new(json: &'a str, shape: &'a [u64]) -> Result<Self, InferError> {
        let count = element_count(shape)?;
        match json.trim_start().strip_prefix('[') {
            Some(rest) => Ok(Self { rest, shape, count, given: 0, nesting: Nesting::Unknown }),
            None => Err(InferError::invalid("`data` must be an array")),
        }
    }

    /// What the shape says, but no more than there can be in so much text: nothing is allocated on a client's word.
    fn count_at_most(&self) -> usize {
        self.count.min(self.rest.len() / 2 + 1)
    }

    /// The text of the next scalar, or `None` at the end of an array that has all of them.
    fn next(&mut self) -> Result<Option<&'a str>, InferError> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', ',']);
            match self.rest.as_bytes().first() {
                None => return self.end(),
                Some(b'[') => self.open()?,
                Some(b']') => self.close()?,
                Some(b'{') => return Err(InferError::invalid("`data` holds an object")),
                Some(_) => return self.scalar().map(Some),
            }
        }
    }

    fn open(&mut self) -> Result<(), InferError> {
        self.rest = &self.rest[1..];
        if matches!(self.nesting, Nesting::Unknown) {
            self.nesting = Nesting::Nested(vec![0]);
        }
        match &mut self.nesting {
            Nesting::Nested(counts) if counts.len() < self.shape.len() => {
                *counts.last_mut().expect("the outermost array is open") += 1;
                counts.push(0);
                Ok(())
            }
            _ => Err(self.wrong_nesting()),
        }
    }

    fn close(&mut self) -> Result<(), InferError> {
        self.rest = &self.rest[1..];
        let Nesting::Nested(counts) = &mut self.nesting else { return Ok(()) };
        let depth = counts.len();
        let count = counts.pop();
        if count == self.shape.get(depth - 1).copied() { Ok(()) } else { Err(self.wrong_nesting()) }
    }

    fn scalar(&mut self) -> Result<&'a str, InferError> {
        match &mut self.nesting {
            Nesting::Unknown => self.nesting = Nesting::Flat,
            Nesting::Flat => {}
            Nesting::Nested(counts) if counts.len() == self.shape.len() => {
                *counts.last_mut().expect("as many as dimensions, of which there is one") += 1;
            }
            Nesting::Nested(_) => return Err(self.wrong_nesting()),
        }
        self.given += 1;
        if self.given > self.count {
            return Err(InferError::invalid(format!(
                "shape {:?} has {} elements, `data` has more",
                self.shape, self.count
            )));
        }
        let bytes = self.rest.as_bytes();
        let length = if bytes[0] == b'"' {
            string_length(bytes)
        } else {
            bytes
                .iter()
                .position(|byte| matches!(byte, b',' | b']' | b' ' | b'\t' | b'\n' | b'\r'))
                .unwrap_or(bytes.len())
        };
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(token)
    }

    fn end(&self) -> Result<Option<&'a str>, InferError> {
        if self.given == self.count {
            return Ok(None);
        }
        let Self { shape, count, given, .. } = self;
        Err(InferError::invalid(format!("shape {shape:?} has {count} elements, `data` has {given}")))
    }

    fn wrong_nesting(&self) -> InferError {
        InferError::invalid(format!("`data` is neither flat nor nested like shape {:?}", self.shape))
    }

    fn mismatch(&self, index: usize, token: &str, datatype: Datatype) -> InferError {
        let end = token.char_indices().nth(40).map_or(token.len(), |(end, _)| end);
        let mark = if end < token.len() { ".." } else { "" };
        InferError::invalid(format!("element {index} of `data` is {}{mark}, not {datatype}", &token[..end]))
    }
}

/// The length of a JSON string with its quotes, which `bytes` begins with.
fn string_length(bytes: &[u8]) -> usize {
    let mut index = 1;
    while index < bytes.len() {
        match bytes[index] {
            b'"' => return index + 1,
            b'\\' => index += 2,
            _ => index += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, datatype: Datatype, shape: &[u64], expected: Tensor) {
        serde_json::from_str::<serde::de::IgnoredAny>(json).expect("cases are valid JSON");
        assert_eq!(parse(json, datatype, shape).unwrap(), expected, "{json}");
    }

    fn refused(json: &str, datatype: Datatype, shape: &[u64]) -> String {
        serde_json::from_str::<serde::de::IgnoredAny>(json).expect("cases are valid JSON");
        parse(json, datatype, shape).expect_err(json).message
    }

    #[test]
    fn data_may_be_flat_or_nested() {
        let expected = || Tensor::from_slice(&[2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.5]).unwrap();
        check("[1,2,3,4,5,6.5]", Datatype::Fp32, &[2, 3], expected());
        check(" [ [1, 2,\n3] , [4,5,6.5] ] ", Datatype::Fp32, &[2, 3], expected());
        check("[7]", Datatype::Int8, &[], Tensor::from_slice(&[], &[7_i8]).unwrap());
        check("[]", Datatype::Int8, &[0, 4], Tensor::zeros(Datatype::Int8, &[0, 4]).unwrap());
        check("[[],[]]", Datatype::Int8, &[2, 0], Tensor::zeros(Datatype::Int8, &[2, 0]).unwrap());
    }

    #[test]
    fn other_nestings_are_refused() {
        for json in ["[[1,2],[3,4],[5,6]]", "[[1,2,3],4,5,6]", "[1,2,3,[4,5,6]]", "[[[1,2,3],[4,5,6]]]", "[[1,2,3]]"] {
            assert_eq!(refused(json, Datatype::Int32, &[2, 3]), "`data` is neither flat nor nested like shape [2, 3]");
        }
        assert_eq!(refused("[[1]]", Datatype::Int32, &[]), "`data` is neither flat nor nested like shape []");
        assert_eq!(refused("5", Datatype::Int32, &[1]), "`data` must be an array");
        assert_eq!(refused("[{}]", Datatype::Int32, &[1]), "`data` holds an object");
    }

    #[test]
    fn the_count_must_be_that_of_the_shape() {
        assert_eq!(refused("[1,2]", Datatype::Fp32, &[3]), "shape [3] has 3 elements, `data` has 2");
        assert_eq!(refused("[1,2,3,4]", Datatype::Fp32, &[3]), "shape [3] has 3 elements, `data` has more");
        assert!(refused("[1]", Datatype::Fp32, &[u64::MAX, 9]).contains("can be addressed"));
        assert_eq!(
            refused("[1]", Datatype::Fp64, &[1 << 59]),
            format!("shape [{0}] has {0} elements, `data` has 1", 1_u64 << 59)
        );
    }

    #[test]
    fn elements_must_be_of_the_datatype() {
        for (json, datatype, message) in [
            ("[true]", Datatype::Fp32, "element 0 of `data` is true, not FP32"),
            ("[1]", Datatype::Bool, "element 0 of `data` is 1, not BOOL"),
            ("[null]", Datatype::Fp32, "element 0 of `data` is null, not FP32"),
            ("[\"1\"]", Datatype::Int32, "element 0 of `data` is \"1\", not INT32"),
            ("[1]", Datatype::Bytes, "element 0 of `data` is 1, not BYTES"),
            ("[1.0]", Datatype::Int32, "element 0 of `data` is 1.0, not INT32"),
            ("[1e2]", Datatype::Int32, "element 0 of `data` is 1e2, not INT32"),
            ("[256]", Datatype::Uint8, "element 0 of `data` is 256, not UINT8"),
            ("[-1]", Datatype::Uint64, "element 0 of `data` is -1, not UINT64"),
            ("[128]", Datatype::Int8, "element 0 of `data` is 128, not INT8"),
            ("[9223372036854775808]", Datatype::Int64, "element 0 of `data` is 9223372036854775808, not INT64"),
            ("[1e39]", Datatype::Fp32, "element 0 of `data` is 1e39, not FP32"),
            ("[1e309]", Datatype::Fp64, "element 0 of `data` is 1e309, not FP64"),
            ("[1]", Datatype::Fp16, "FP16 has no JSON form and must be sent as binary data"),
        ] {
            assert_eq!(refused(json, datatype, &[1]), message);
        }
    }

    #[test]
    fn extreme_numbers_are_read_exactly() {
        check("[18446744073709551615]", Datatype::Uint64, &[1], Tensor::from_slice(&[1], &[u64::MAX]).unwrap());
        check("[-9223372036854775808]", Datatype::Int64, &[1], Tensor::from_slice(&[1], &[i64::MIN]).unwrap());
        check("[-0.0]", Datatype::Fp32, &[1], Tensor::from_slice(&[1], &[-0.0_f32]).unwrap());
        check("[5e-324]", Datatype::Fp64, &[1], Tensor::from_slice(&[1], &[5e-324_f64]).unwrap());
        let seventeen = "[0.30000000000000004]";
        check(seventeen, Datatype::Fp64, &[1], Tensor::from_slice(&[1], &[0.1_f64 + 0.2]).unwrap());
    }

    #[test]
    fn text_is_unescaped() {
        let expected = Tensor::from_elements(&[4], &["a,]b", "q\"\\", "ü\u{1f600}", ""]).unwrap();
        check(r#"["a,]b","q\"\\","ü\ud83d\ude00",""]"#, Datatype::Bytes, &[4], expected);
        assert!(parse(r#"["\ud800"]"#, Datatype::Bytes, &[1]).is_err());
    }
}
