//! An `InferResponse` as the body of an answer: JSON, followed by the outputs that go as binary data. Their bytes are
//! sent from where they lie.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::str;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::infer::HEADER_LENGTH;
use super::request::{OutputForms, no_json_form};
use crate::infer::{ErrorCode, InferError, InferResponse, Parameter, Parameters};
use crate::tensor::{Datatype, Element, Tensor};

/// A body ready to be sent.
#[derive(Debug)]
pub(super) struct Encoded {
    /// Where binary data follows.
    json_length: Option<usize>,
    pieces: VecDeque<Bytes>,
}

#[derive(Serialize)]
struct WireResponse<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "WireParameters::is_empty")]
    parameters: WireParameters<'a>,
    outputs: Vec<WireOutput<'a>>,
}

#[derive(Serialize)]
struct WireOutput<'a> {
    name: &'a str,
    shape: &'a [u64],
    datatype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinarySize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

#[derive(Serialize)]
struct BinarySize {
    binary_data_size: usize,
}

struct WireParameters<'a>(&'a Parameters);

/// A tensor's elements as a flat JSON array.
struct Data<'a>(&'a Tensor);

/// Writes a response, with each output in the form that was asked for.
///
/// # Errors
/// `InvalidInput` where an output has no JSON form and was not asked for as binary data.
pub(super) fn encode(response: &InferResponse, forms: &OutputForms) -> Result<Encoded, InferError> {
    let mut pieces = VecDeque::new();
    let mut outputs = Vec::with_capacity(response.outputs.len());
    for (name, tensor) in &response.outputs {
        let is_binary = forms.is_binary(name);
        if is_binary {
            pieces.push_back(tensor.to_shared());
        } else if let Some(reason) = why_not_json(tensor) {
            return Err(no_json_form(name, reason));
        }
        outputs.push(WireOutput {
            name,
            shape: tensor.shape(),
            datatype: tensor.datatype().name(),
            parameters: is_binary.then(|| BinarySize { binary_data_size: tensor.bytes().len() }),
            data: (!is_binary).then_some(Data(tensor)),
        });
    }
    let wire = WireResponse {
        model_name: &response.model_name,
        model_version: &response.model_version,
        id: response.id.as_deref(),
        parameters: WireParameters(&response.parameters),
        outputs,
    };
    let json = serde_json::to_vec(&wire)
        .map_err(|error| InferError::new(ErrorCode::Internal, "write the answer").with_source(error))?;
    let json_length = (!pieces.is_empty()).then_some(json.len());
    pieces.push_front(json.into());
    Ok(Encoded { json_length, pieces })
}

/// Writes a response with every output as JSON.
///
/// # Errors
/// `InvalidInput` where an output has no JSON form.
pub(in crate::server) fn json(response: &InferResponse) -> Result<Vec<u8>, InferError> {
    let encoded = encode(response, &OutputForms::all_json())?;
    Ok(encoded.pieces.front().map(|json| json.to_vec()).unwrap_or_default())
}

/// Why a tensor cannot be JSON, if it cannot.
fn why_not_json(tensor: &Tensor) -> Option<&'static str> {
    const NOT_FINITE: &str = "it holds a number that is infinite or none, which JSON cannot say";
    match tensor.datatype() {
        Datatype::Fp16 | Datatype::Bf16 => Some("its datatype has no JSON form"),
        Datatype::Fp32 if !slice::<f32>(tensor).iter().all(|value| value.is_finite()) => Some(NOT_FINITE),
        Datatype::Fp64 if !slice::<f64>(tensor).iter().all(|value| value.is_finite()) => Some(NOT_FINITE),
        Datatype::Bytes if !tensor.elements().all(|element| str::from_utf8(element).is_ok()) => {
            Some("it holds bytes that are not UTF-8")
        }
        _ => None,
    }
}

fn slice<T: Element>(tensor: &Tensor) -> &[T] {
    tensor.as_slice().expect("the datatype was matched")
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tensor = self.0;
        match tensor.datatype() {
            Datatype::Bool => serializer.collect_seq(tensor.bytes().iter().map(|&byte| byte != 0)),
            Datatype::Uint8 => slice::<u8>(tensor).serialize(serializer),
            Datatype::Uint16 => slice::<u16>(tensor).serialize(serializer),
            Datatype::Uint32 => slice::<u32>(tensor).serialize(serializer),
            Datatype::Uint64 => slice::<u64>(tensor).serialize(serializer),
            Datatype::Int8 => slice::<i8>(tensor).serialize(serializer),
            Datatype::Int16 => slice::<i16>(tensor).serialize(serializer),
            Datatype::Int32 => slice::<i32>(tensor).serialize(serializer),
            Datatype::Int64 => slice::<i64>(tensor).serialize(serializer),
            Datatype::Fp32 => slice::<f32>(tensor).serialize(serializer),
            Datatype::Fp64 => slice::<f64>(tensor).serialize(serializer),
            Datatype::Bytes => {
                let mut sequence = serializer.serialize_seq(Some(tensor.count()))?;
                for element in tensor.elements() {
                    sequence.serialize_element(str::from_utf8(element).map_err(S::Error::custom)?)?;
                }
                sequence.end()
            }
            Datatype::Fp16 | Datatype::Bf16 => Err(S::Error::custom("the datatype has no JSON form")),
        }
    }
}

impl WireParameters<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for WireParameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            match value {
                Parameter::Bool(value) => map.serialize_entry(name, value)?,
                Parameter::Int64(value) => map.serialize_entry(name, value)?,
                Parameter::Uint64(value) => map.serialize_entry(name, value)?,
                Parameter::Double(value) => map.serialize_entry(name, value)?,
                Parameter::String(value) => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

impl Encoded {
    pub(super) fn length(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// The JSON, then the binary data.
    #[cfg(test)]
    pub(super) fn into_pieces(self) -> VecDeque<Bytes> {
        self.pieces
    }

    pub(super) fn into_response(self) -> Response {
        let json_length = self.json_length;
        let mut response = Response::new(Body::new(Pieces(self.pieces)));
        let headers = response.headers_mut();
        match json_length {
            None => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            Some(length) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
                headers.insert(HeaderName::from_static(HEADER_LENGTH), length.into());
            }
        }
        response
    }
}

/// A body of pieces in memory, sent one after the other without being joined.
struct Pieces(VecDeque<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}
