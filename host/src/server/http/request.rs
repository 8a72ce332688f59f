//! The body of an inference request, JSON with or without binary data, as parts of an `InferRequest`. Knows no model but
//! for the raw form, whose tensor the signature has to name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::data;
use crate::infer::{InferError, Parameter, Parameters};
use crate::tensor::{Datatype, Signature, Tensor, TensorSpec};

/// What a body says.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) id: Option<String>,
    /// Without those that are the door's own.
    pub(super) parameters: Parameters,
    pub(super) inputs: Vec<(String, Tensor)>,
    pub(super) wanted: Vec<String>,
    pub(super) forms: OutputForms,
    /// The client's own limit.
    pub(super) timeout: Option<Duration>,
}

/// Which outputs are sent as binary data.
#[derive(Debug)]
pub(super) struct OutputForms {
    binary_by_default: bool,
    by_name: Vec<(String, bool)>,
}

impl OutputForms {
    pub(super) fn all_json() -> Self {
        Self { binary_by_default: false, by_name: Vec::new() }
    }

    pub(super) fn all_binary() -> Self {
        Self { binary_by_default: true, by_name: Vec::new() }
    }

    pub(super) fn is_binary(&self, name: &str) -> bool {
        let named = self.by_name.iter().find(|(named, _)| named == name);
        named.map_or(self.binary_by_default, |(_, is_binary)| *is_binary)
    }

    /// Whether every wanted output can be sent in its form, as far as the signature tells.
    pub(super) fn check(&self, wanted: &[String], signature: &Signature) -> Result<(), InferError> {
        let is_wanted = |spec: &&TensorSpec| wanted.is_empty() || wanted.contains(&spec.name);
        for spec in signature.outputs.iter().filter(is_wanted) {
            if matches!(spec.datatype, Some(Datatype::Fp16 | Datatype::Bf16)) && !self.is_binary(&spec.name) {
                return Err(no_json_form(&spec.name, "its datatype has no JSON form"));
            }
        }
        Ok(())
    }
}

pub(super) fn no_json_form(output: &str, reason: &str) -> InferError {
    InferError::invalid(format!("output `{output}` must be asked for with `binary_data: true`: {reason}"))
}

/// A `T` that is written as an object. What derives `Deserialize` would take an array of its fields, too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMap<T> {
            type Value = T;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(OnlyMap(PhantomData)).map(Object)
    }
}

#[derive(Deserialize)]
struct WireRequest<'a> {
    id: Option<String>,
    #[serde(borrow)]
    parameters: Option<WireParameters<'a>>,
    #[serde(borrow)]
    inputs: Vec<Object<WireInput<'a>>>,
    #[serde(borrow)]
    outputs: Option<Vec<Object<WireOutput<'a>>>>,
}

#[derive(Deserialize)]
struct WireInput<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: Vec<u64>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    #[serde(borrow)]
    parameters: Option<WireParameters<'a>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireOutput<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    parameters: Option<WireParameters<'a>>,
}

type WireParameters<'a> = BTreeMap<Cow<'a, str>, WireParameter>;

struct WireParameter(Parameter);

impl<'de> Deserialize<'de> for WireParameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = Parameter;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string, a number or a boolean")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Parameter, E> {
                Ok(Parameter::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Parameter, E> {
                Ok(Parameter::Int64(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Parameter, E> {
                Ok(i64::try_from(value).map_or(Parameter::Uint64(value), Parameter::Int64))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Parameter, E> {
                Ok(Parameter::Double(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Parameter, E> {
                Ok(Parameter::String(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Scalar).map(WireParameter)
    }
}

/// Reads a body whose first `header_length` bytes are JSON; without one, all of it is.
///
/// # Errors
/// `InvalidInput`, always: a body is its client's.
pub(super) fn parse(body: &Bytes, header_length: Option<usize>, signature: &Signature) -> Result<Parsed, InferError> {
    match header_length {
        Some(0) => parse_raw(body, signature),
        None => parse_json(body, None),
        Some(length) if length > body.len() => {
            let got = body.len();
            Err(InferError::invalid(format!(
                "Inference-Header-Content-Length is {length}, but the body has {got} bytes"
            )))
        }
        Some(length) => parse_json(&body[..length], Some(body.slice(length..))),
    }
}

fn parse_json(json: &[u8], binary: Option<Bytes>) -> Result<Parsed, InferError> {
    let Object(wire): Object<WireRequest<'_>> =
        serde_json::from_slice(json).map_err(|error| InferError::invalid(format!("not a valid request: {error}")))?;
    let mut binary = Binary { rest: binary.unwrap_or_default() };
    let mut inputs = Vec::with_capacity(wire.inputs.len());
    for Object(input) in wire.inputs {
        let tensor = tensor(&input, &mut binary)
            .map_err(|error| InferError::invalid(format!("input `{}`: {}", input.name, error.message)))?;
        inputs.push((input.name.into_owned(), tensor));
    }
    if !binary.rest.is_empty() {
        let rest = binary.rest.len();
        return Err(InferError::invalid(format!("{rest} bytes of binary data belong to no input")));
    }
    let mut parameters: Parameters = owned(wire.parameters);
    let binary_by_default = take_flag(&mut parameters, "binary_data_output")?.unwrap_or(false);
    let timeout = take_timeout(&mut parameters)?;
    let mut forms = if binary_by_default { OutputForms::all_binary() } else { OutputForms::all_json() };
    let mut wanted = Vec::new();
    for Object(output) in wire.outputs.unwrap_or_default() {
        let name = output.name.into_owned();
        let mut parameters = owned(output.parameters);
        if let Some(is_binary) = take_flag(&mut parameters, "binary_data")? {
            forms.by_name.push((name.clone(), is_binary));
        }
        refuse_unsupported(&name, &parameters)?;
        wanted.push(name);
    }
    Ok(Parsed { id: wire.id, parameters, inputs, wanted, forms, timeout })
}

/// The binary data that no input has taken yet.
struct Binary {
    rest: Bytes,
}

impl Binary {
    fn take(&mut self, size: u64) -> Result<Bytes, InferError> {
        let rest = self.rest.len();
        match usize::try_from(size) {
            Ok(size) if size <= rest => Ok(self.rest.split_to(size)),
            _ => Err(InferError::invalid(format!(
                "binary_data_size is {size}, but {rest} bytes of binary data are left"
            ))),
        }
    }
}

/// Tensors of more dimensions are a mistake, and nested data is read no deeper than this.
const RANK_MAX: usize = 32;

fn tensor(input: &WireInput<'_>, binary: &mut Binary) -> Result<Tensor, InferError> {
    let datatype: Datatype = input.datatype.parse()?;
    if input.shape.len() > RANK_MAX {
        return Err(InferError::invalid(format!("the shape has more than {RANK_MAX} dimensions")));
    }
    let parameter = |name: &str| input.parameters.as_ref().and_then(|parameters| parameters.get(name));
    if parameter("shared_memory_region").is_some() {
        return Err(InferError::invalid("shared memory is not offered"));
    }
    match (parameter("binary_data_size"), input.data) {
        (Some(_), Some(_)) => Err(InferError::invalid("has both `data` and `binary_data_size`")),
        (None, None) => Err(InferError::invalid("has neither `data` nor `binary_data_size`")),
        (None, Some(data)) => data::parse(data.get(), datatype, &input.shape),
        (Some(WireParameter(size)), None) => {
            let size = match *size {
                Parameter::Int64(size) => u64::try_from(size).ok(),
                Parameter::Uint64(size) => Some(size),
                _ => None,
            };
            let size = size.ok_or_else(|| InferError::invalid("binary_data_size is not a number of bytes"))?;
            Ok(Tensor::from_shared(datatype, &input.shape, binary.take(size)?)?)
        }
    }
}

fn owned(parameters: Option<WireParameters<'_>>) -> Parameters {
    let parameters = parameters.unwrap_or_default();
    parameters.into_iter().map(|(name, WireParameter(value))| (name.into_owned(), value)).collect()
}

fn take_flag(parameters: &mut Parameters, name: &str) -> Result<Option<bool>, InferError> {
    match parameters.remove(name) {
        None => Ok(None),
        Some(Parameter::Bool(flag)) => Ok(Some(flag)),
        Some(_) => Err(InferError::invalid(format!("parameter `{name}` must be true or false"))),
    }
}

/// Microseconds; 0 asks for nothing.
fn take_timeout(parameters: &mut Parameters) -> Result<Option<Duration>, InferError> {
    let microseconds = match parameters.remove("timeout") {
        None => return Ok(None),
        Some(Parameter::Int64(value)) => u64::try_from(value).ok(),
        Some(Parameter::Uint64(value)) => Some(value),
        Some(_) => None,
    };
    match microseconds {
        None => Err(InferError::invalid("parameter `timeout` must be a whole number of microseconds")),
        Some(0) => Ok(None),
        Some(microseconds) => Ok(Some(Duration::from_micros(microseconds))),
    }
}

/// An extension that is not offered must not be taken for one that was heeded.
fn refuse_unsupported(output: &str, parameters: &Parameters) -> Result<(), InferError> {
    let is_unsupported = |name: &&String| *name == "classification" || name.starts_with("shared_memory");
    match parameters.keys().find(is_unsupported) {
        None => Ok(()),
        Some(name) => Err(InferError::invalid(format!("output `{output}`: `{name}` is not offered"))),
    }
}

/// The body is the only input's data, and nothing else.
fn parse_raw(body: &Bytes, signature: &Signature) -> Result<Parsed, InferError> {
    let [spec] = &signature.inputs[..] else {
        let count = signature.inputs.len();
        return Err(InferError::invalid(format!(
            "a body of one tensor needs a model with one input; this has {count}"
        )));
    };
    let datatype = spec.datatype.ok_or_else(|| raw_unfit(spec, "its datatype is not fixed"))?;
    let declared = spec.shape.as_deref().ok_or_else(|| raw_unfit(spec, "its shape is not fixed"))?;
    let shape = raw_shape(declared, datatype, body.len()).map_err(|reason| raw_unfit(spec, reason))?;
    let tensor = if datatype == Datatype::Bytes {
        Tensor::from_elements(&shape, &[body])?
    } else {
        Tensor::from_shared(datatype, &shape, body.clone())?
    };
    Ok(Parsed {
        id: None,
        parameters: Parameters::new(),
        inputs: vec![(spec.name.clone(), tensor)],
        wanted: Vec::new(),
        forms: OutputForms::all_binary(),
        timeout: None,
    })
}

fn raw_unfit(spec: &TensorSpec, reason: &str) -> InferError {
    InferError::invalid(format!("a body of one tensor does not fit input `{}`: {reason}", spec.name))
}

/// The shape with its variable dimension found from the length. Of two, the first is taken for the batch's, and is 1.
/// `BYTES` is one element: the body itself, without a length before it.
fn raw_shape(declared: &[i64], datatype: Datatype, length: usize) -> Result<Vec<u64>, &'static str> {
    const OTHER_COUNT: &str = "the body has another number of elements than its shape";
    let count = match datatype.width() {
        None => 1,
        Some(width) if length.is_multiple_of(width) => (length / width) as u64,
        Some(_) => return Err("the body is no whole number of elements"),
    };
    let mut dimensions = declared.to_vec();
    if dimensions.iter().filter(|&&dimension| dimension < 0).count() == 2 && dimensions[0] < 0 {
        dimensions[0] = 1;
    }
    let mut known = dimensions.iter().filter_map(|&dimension| u64::try_from(dimension).ok());
    let known = known.try_fold(1_u64, u64::checked_mul).ok_or(OTHER_COUNT)?;
    let is_whole = known > 0 && count.is_multiple_of(known);
    match dimensions.iter().filter(|&&dimension| dimension < 0).count() {
        0 if known == count => {}
        1 if is_whole => {}
        0 | 1 => return Err(OTHER_COUNT),
        _ => return Err("more than one of its dimensions is variable"),
    }
    Ok(dimensions.into_iter().map(|dimension| u64::try_from(dimension).unwrap_or(count / known.max(1))).collect())
}
