//! Golden tests of a pipeline: what goes in, and whether what came out is what was expected. Reads no file, runs nothing.
//!
//! A file of a test is named relative to the pipeline's file, or as `${fixtures}/NAME` where it was fetched from elsewhere:
//! who runs the test says which folder that is.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use super::parameters;
use super::spec::{DatatypeName, Nested, ParameterSpec, Scalar};
use super::values::{self, ValuesError};
use crate::infer::{ErrorCode, Parameter, Parameters};
use crate::tensor::{Datatype, Tensor, TensorError, TensorSpec};

/// What `${fixtures}` is written as.
const FIXTURES_PREFIX: &str = "${fixtures}/";
/// How many differing elements a mismatch shows.
const DIFFERENCES_SHOWN_MAX: usize = 5;

/// One request and what must come of it. Without `expect`, `findings` and `error`, an answer is all that is asked for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GoldenTest {
    pub name: String,
    #[serde(default)]
    pub inputs: BTreeMap<String, TestInput>,
    #[serde(default)]
    pub parameters: BTreeMap<String, Scalar>,
    /// By output; outputs that are not named may be anything.
    #[serde(default)]
    pub expect: BTreeMap<String, ExpectedTensor>,
    /// The codes of all findings, in any order; left out: any.
    pub findings: Option<Vec<String>>,
    /// The code of the error with which the request must fail: `rejected` where a finding blocks it.
    pub error: Option<ExpectedError>,
}

/// A tensor to send: values as they stand, or one of `file`, `data` and `zeros`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TestInput {
    Made(MadeInput),
    Values(Nested),
}

/// A tensor to send. Datatype and shape are the input's own where they are left out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MadeInput {
    /// The file's bytes: the one element of a BYTES tensor, or the raw little-endian elements of another.
    pub file: Option<String>,
    pub data: Option<Nested>,
    /// The shape of a tensor of zeros.
    pub zeros: Option<Vec<u64>>,
    pub datatype: Option<DatatypeName>,
    pub shape: Option<Vec<u64>>,
}

/// What an output must be: values that it equals, or some of `values`, `near`, `shape` and `datatype`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ExpectedTensor {
    Parts(ExpectedParts),
    Values(Nested),
}

/// What an output must be; all that is written must hold.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedParts {
    /// Equal to these, after rounding to the datatype.
    pub values: Option<Nested>,
    /// Within `tol` of these.
    pub near: Option<Nested>,
    /// 0.000001 where it is left out.
    #[schemars(range(min = 0.0))]
    pub tol: Option<f64>,
    /// -1 is any.
    pub shape: Option<Vec<i64>>,
    pub datatype: Option<DatatypeName>,
}

/// An error's code as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ExpectedError(pub ErrorCode);

/// The codes with which a pipeline can fail.
const CODES: [ErrorCode; 10] = [
    ErrorCode::InvalidInput,
    ErrorCode::Unprocessable,
    ErrorCode::Rejected,
    ErrorCode::TooLarge,
    ErrorCode::Overloaded,
    ErrorCode::Deadline,
    ErrorCode::PluginFailed,
    ErrorCode::PluginLimit,
    ErrorCode::BackendFailed,
    ErrorCode::Internal,
];

impl TryFrom<String> for ExpectedError {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let code = CODES.into_iter().find(|code| code.as_str() == text);
        code.map(Self).ok_or_else(|| format!("`{text}` is no error code"))
    }
}

impl JsonSchema for ExpectedError {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ErrorCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": CODES.map(ErrorCode::as_str)})
    }
}

/// Which file a test names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestFile<'a> {
    /// Relative to the pipeline's file.
    Beside(&'a str),
    /// Relative to the folder of fetched fixtures.
    Fixture(&'a str),
}

/// Why a test cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TestInputError {
    #[error("the pipeline has no input `{0}`")]
    Unknown(String),
    #[error("the datatype of input `{0}` is not known; write `datatype:`")]
    NoDatatype(String),
    #[error("input `{0}` takes exactly one of `file`, `data` and `zeros`")]
    Form(String),
    #[error("file `{0}` is outside: name it relative to the pipeline's file, or as ${{fixtures}}/NAME")]
    Outside(String),
    #[error("input `{name}` of the test")]
    Values { name: String, source: ValuesError },
    #[error("input `{name}` of the test")]
    Tensor { name: String, source: TensorError },
    #[error("read `{file}`")]
    Read { file: String, source: std::io::Error },
}

/// Names the file that `text` means.
///
/// # Errors
/// `Outside` for an absolute path or one that climbs: a bundle from elsewhere must not read what it likes.
pub fn test_file(text: &str) -> Result<TestFile<'_>, TestInputError> {
    let (path, is_fixture) = text.strip_prefix(FIXTURES_PREFIX).map_or((text, false), |path| (path, true));
    let inside =
        |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir);
    if path.is_empty() || path.contains(['$', '\\', '\0']) || !std::path::Path::new(path).components().all(inside) {
        return Err(TestInputError::Outside(text.to_owned()));
    }
    Ok(if is_fixture { TestFile::Fixture(path) } else { TestFile::Beside(path) })
}

impl GoldenTest {
    /// The files that it reads, as they are written.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.inputs.values().filter_map(|input| match input {
            TestInput::Made(made) => made.file.as_deref(),
            TestInput::Values(_) => None,
        })
    }

    /// The tensors to send. `declared` are the pipeline's inputs, `read` gives the bytes of a file.
    ///
    /// # Errors
    /// If an input does not exist, its file cannot be read, or its values make no tensor.
    pub fn tensors(
        &self,
        declared: &[TensorSpec],
        mut read: impl FnMut(TestFile<'_>) -> std::io::Result<Bytes>,
    ) -> Result<Vec<(String, Tensor)>, TestInputError> {
        let mut tensors = Vec::with_capacity(self.inputs.len());
        for (name, input) in &self.inputs {
            let declared = declared
                .iter()
                .find(|declared| declared.name == *name)
                .ok_or_else(|| TestInputError::Unknown(name.clone()))?;
            tensors.push((name.clone(), input.tensor(declared, &mut read)?));
        }
        Ok(tensors)
    }

    /// The parameters to send, in the types that are declared; others as they are written.
    pub fn request_parameters(&self, declared: &BTreeMap<String, ParameterSpec>) -> Parameters {
        let convert = |name: &str, value: &Value| {
            let declared = declared.get(name).and_then(|declared| parameters::from_json(declared.r#type, value));
            declared.unwrap_or_else(|| as_written(value))
        };
        self.parameters.iter().map(|(name, value)| (name.clone(), convert(name, &value.0))).collect()
    }

    /// Compares what came of the request with what was expected.
    ///
    /// # Errors
    /// Everything that differs.
    pub fn check(&self, outcome: &Outcome<'_>) -> Result<(), Vec<Mismatch>> {
        let mut found = Vec::new();
        let mut differs = |what: &str, expected: String, got: String| {
            found.push(Mismatch { what: what.to_owned(), expected, got });
        };
        match (&self.error, &outcome.answer) {
            (Some(expected), Ok(_)) => differs("error", expected.0.as_str().to_owned(), "an answer".to_owned()),
            (Some(expected), Err(failure)) if failure.code != expected.0 => {
                differs("error", expected.0.as_str().to_owned(), failure.to_string());
            }
            (Some(_), Err(_)) => {}
            (None, Err(failure)) => differs("error", "an answer".to_owned(), failure.to_string()),
            (None, Ok(outputs)) => {
                for (name, expected) in &self.expect {
                    let Some((_, tensor)) = outputs.iter().find(|(output, _)| output == name) else {
                        differs(name, "an output".to_owned(), "none of this name".to_owned());
                        continue;
                    };
                    for mismatch in expected.check(tensor) {
                        differs(name, mismatch.0, mismatch.1);
                    }
                }
            }
        }
        if let Some(expected) = &self.findings {
            let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            let mut got = outcome.findings.to_vec();
            expected.sort_unstable();
            got.sort_unstable();
            if expected != got {
                differs("findings", format!("[{}]", expected.join(", ")), format!("[{}]", got.join(", ")));
            }
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}

fn as_written(value: &Value) -> Parameter {
    match value {
        Value::Bool(value) => Parameter::Bool(*value),
        Value::String(text) => Parameter::String(text.clone()),
        value => match (value.as_i64(), value.as_u64()) {
            (Some(number), _) => Parameter::Int64(number),
            (None, Some(number)) => Parameter::Uint64(number),
            (None, None) => Parameter::Double(value.as_f64().unwrap_or(f64::NAN)),
        },
    }
}

impl TestInput {
    fn tensor(
        &self,
        declared: &TensorSpec,
        read: &mut impl FnMut(TestFile<'_>) -> std::io::Result<Bytes>,
    ) -> Result<Tensor, TestInputError> {
        let name = &declared.name;
        let of_values = |datatype: Option<Datatype>, shape: Option<&Vec<u64>>, data: &Value| {
            let datatype = datatype.or(declared.datatype).ok_or_else(|| TestInputError::NoDatatype(name.clone()))?;
            let shape = match shape {
                Some(shape) => Ok(shape.clone()),
                None => values::nested_shape(data),
            };
            shape
                .and_then(|shape| values::tensor(datatype, &shape, data))
                .map_err(|source| TestInputError::Values { name: name.clone(), source })
        };
        let made = match self {
            Self::Values(Nested(data)) => return of_values(None, None, data),
            Self::Made(made) => made,
        };
        let datatype = made.datatype.map(|datatype| datatype.0);
        let wrong = |source| TestInputError::Tensor { name: name.clone(), source };
        match (&made.file, &made.data, &made.zeros) {
            (None, Some(Nested(data)), None) => of_values(datatype, made.shape.as_ref(), data),
            (None, None, Some(shape)) => {
                let datatype =
                    datatype.or(declared.datatype).ok_or_else(|| TestInputError::NoDatatype(name.clone()))?;
                Tensor::zeros(datatype, shape).map_err(wrong)
            }
            (Some(file), None, None) => {
                let datatype = datatype.or(declared.datatype).unwrap_or(Datatype::Bytes);
                let bytes =
                    read(test_file(file)?).map_err(|source| TestInputError::Read { file: file.clone(), source })?;
                let rank = declared.shape.as_ref().map_or(1, Vec::len);
                let shape = made.shape.clone().unwrap_or_else(|| match datatype {
                    Datatype::Bytes => vec![1; rank],
                    _ => declared
                        .shape
                        .iter()
                        .flatten()
                        .map(|&dimension| u64::try_from(dimension).unwrap_or(1))
                        .collect(),
                });
                match datatype {
                    Datatype::Bytes => Tensor::from_elements(&shape, &[bytes]).map_err(wrong),
                    _ => Tensor::from_shared(datatype, &shape, bytes).map_err(wrong),
                }
            }
            _ => Err(TestInputError::Form(name.clone())),
        }
    }
}

impl ExpectedTensor {
    /// What is expected and what is there instead, for each part that differs.
    fn check(&self, tensor: &Tensor) -> Vec<(String, String)> {
        let parts = match self {
            Self::Values(Nested(values)) => return exactly(values, tensor).into_iter().collect(),
            Self::Parts(parts) => parts,
        };
        let mut found = Vec::new();
        if let Some(DatatypeName(datatype)) = parts.datatype
            && datatype != tensor.datatype()
        {
            found.push((datatype.to_string(), tensor.datatype().to_string()));
        }
        if let Some(shape) = &parts.shape {
            let fits = shape.len() == tensor.shape().len()
                && shape
                    .iter()
                    .zip(tensor.shape())
                    .all(|(&expected, &got)| u64::try_from(expected).is_err() || expected.unsigned_abs() == got);
            if !fits {
                found.push((format!("shape {shape:?}"), format!("shape {:?}", tensor.shape())));
            }
        }
        if let Some(Nested(values)) = &parts.values {
            found.extend(exactly(values, tensor));
        }
        if let Some(Nested(values)) = &parts.near {
            found.extend(near(values, parts.tol.unwrap_or(1e-6), tensor));
        }
        found
    }
}

/// A list without lists in it is compared with the elements in order; nested ones say the shape as well.
fn exactly(expected: &Value, got: &Tensor) -> Option<(String, String)> {
    let elements = values::flat(expected);
    if let Some(mismatch) = other_form(expected, elements.len(), got) {
        return Some(mismatch);
    }
    match values::tensor(got.datatype(), &[elements.len() as u64], expected) {
        Ok(wanted) => {
            let is_equal = |index: &usize| values::element_text(&wanted, *index) == values::element_text(got, *index);
            let same = wanted.bytes() == got.bytes();
            let wrong = (0..if same { 0 } else { elements.len() }).filter(|index| !is_equal(index)).collect();
            differences(wrong, |index| values::element_text(&wanted, index), got)
        }
        Err(error) => Some((error.to_string(), format!("{got:?}"))),
    }
}

fn near(expected: &Value, tolerance: f64, got: &Tensor) -> Option<(String, String)> {
    let elements = values::flat(expected);
    if let Some(mismatch) = other_form(expected, elements.len(), got) {
        return Some(mismatch);
    }
    let wanted: Option<Vec<f64>> = elements.iter().map(|element| values::number(element)).collect();
    let (Some(wanted), Some(numbers)) = (wanted, values::numbers(got)) else {
        return Some(("numbers".to_owned(), format!("{got:?}")));
    };
    let is_near =
        |one: f64, other: f64| one == other || (one.is_nan() && other.is_nan()) || (one - other).abs() <= tolerance;
    let wrong = (0..wanted.len()).filter(|&index| !is_near(wanted[index], numbers[index])).collect();
    differences(wrong, |index| format!("{} ± {tolerance}", wanted[index]), got)
}

fn other_form(expected: &Value, count: usize, got: &Tensor) -> Option<(String, String)> {
    let shape = match values::nested_shape(expected) {
        Ok(shape) => shape,
        Err(error) => return Some((error.to_string(), format!("{got:?}"))),
    };
    let is_flat = shape.len() <= 1;
    if count != got.count() || (!is_flat && shape != got.shape()) {
        let expected = if is_flat { format!("{count} elements") } else { format!("shape {shape:?}") };
        return Some((expected, format!("{} elements of shape {:?}", got.count(), got.shape())));
    }
    None
}

fn differences(wrong: Vec<usize>, expected: impl Fn(usize) -> String, got: &Tensor) -> Option<(String, String)> {
    if wrong.is_empty() {
        return None;
    }
    let rest = wrong.len().saturating_sub(DIFFERENCES_SHOWN_MAX);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let list = |text: &dyn Fn(usize) -> String| {
        let shown: Vec<_> =
            wrong.iter().take(DIFFERENCES_SHOWN_MAX).map(|&index| format!("[{index}] {}", text(index))).collect();
        format!("{}{more}", shown.join(", "))
    };
    Some((list(&expected), list(&|index| values::element_text(got, index))))
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Outcome<'a> {
    pub answer: Result<&'a [(String, Tensor)], Failure<'a>>,
    /// The codes of its findings, of an answer as of a rejection.
    pub findings: &'a [&'a str],
}

/// How a request failed.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    pub code: ErrorCode,
    pub message: &'a str,
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.code.as_str(), self.message)
    }
}

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The output's name, `findings` or `error`.
    pub what: String,
    pub expected: String,
    pub got: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: expected {}, got {}", self.what, self.expected, self.got)
    }
}

#[cfg(test)]
mod tests;
