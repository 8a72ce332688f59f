//! What clients may ask beside inference: liveness, readiness, and what is served.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::failure::{Failure, Readiness};
use crate::infer::{ErrorCode, InferError};
use crate::server::{FindError, Served, Shared};
use crate::tensor::TensorSpec;

#[derive(Serialize)]
pub(super) struct WireLive {
    live: bool,
}

#[derive(Serialize)]
pub(super) struct WireServer {
    name: &'static str,
    version: &'static str,
    extensions: &'static [&'static str],
}

#[derive(Serialize)]
struct WireModel<'a> {
    name: &'a str,
    versions: &'a [String],
    platform: &'a str,
    inputs: Vec<WireTensor<'a>>,
    outputs: Vec<WireTensor<'a>>,
}

/// A tensor whose datatype or shape is anything says so by leaving it out.
#[derive(Serialize)]
struct WireTensor<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    datatype: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<&'a [i64]>,
}

impl<'a> From<&'a TensorSpec> for WireTensor<'a> {
    fn from(spec: &'a TensorSpec) -> Self {
        let datatype = spec.datatype.map(|datatype| datatype.name());
        Self { name: &spec.name, datatype, shape: spec.shape.as_deref() }
    }
}

/// The served model that the path names.
pub(super) struct Model(pub(super) Arc<dyn Served>);

#[derive(Deserialize)]
struct ModelPath {
    model: String,
    version: Option<String>,
}

impl FromRequestParts<Arc<Shared>> for Model {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Failure> {
        let Path(path) = Path::<ModelPath>::from_request_parts(parts, shared)
            .await
            .map_err(|_| InferError::invalid("the path is not text"))?;
        let found = shared.catalog.find(&path.model, path.version.as_deref());
        found.map(Self).map_err(|error| not_found(error, &path).into())
    }
}

fn not_found(error: FindError, path: &ModelPath) -> InferError {
    let version = path.version.as_deref().unwrap_or_default();
    match error {
        FindError::UnknownModel => InferError::new(ErrorCode::NotFound, format!("{error} `{}`", path.model)),
        FindError::UnknownVersion => {
            InferError::new(ErrorCode::NotFound, format!("{error}: `{}` version `{version}`", path.model))
        }
        FindError::MalformedVersion => InferError::invalid(format!("{error}: `{version}`")),
    }
}

pub(super) async fn server() -> Json<WireServer> {
    Json(WireServer { name: "inferwit", version: env!("CARGO_PKG_VERSION"), extensions: &["binary_tensor_data"] })
}

pub(super) async fn live() -> Json<WireLive> {
    Json(WireLive { live: true })
}

pub(super) async fn server_ready(State(shared): State<Arc<Shared>>) -> Response {
    let not_ready = if shared.is_draining() {
        Some("the server is stopping")
    } else if shared.catalog.is_ready() {
        None
    } else {
        Some("the server is not ready")
    };
    readiness(None, not_ready)
}

pub(super) async fn ready(State(shared): State<Arc<Shared>>, Model(served): Model) -> Response {
    let is_ready = served.is_ready() && !shared.is_draining();
    readiness(Some(served.metadata().name.clone()), (!is_ready).then_some("the model is not ready"))
}

fn readiness(name: Option<String>, not_ready: Option<&str>) -> Response {
    let ready = Readiness { name, ready: not_ready.is_none() };
    match not_ready {
        None => Json(ready).into_response(),
        Some(reason) => {
            let error = InferError::new(ErrorCode::NotReady, reason);
            Failure { ready: Some(ready), is_counted: true, ..error.into() }.into_response()
        }
    }
}

pub(super) async fn metadata(Model(served): Model) -> Response {
    let metadata = served.metadata();
    Json(WireModel {
        name: &metadata.name,
        versions: &metadata.versions,
        platform: &metadata.platform,
        inputs: metadata.signature.inputs.iter().map(WireTensor::from).collect(),
        outputs: metadata.signature.outputs.iter().map(WireTensor::from).collect(),
    })
    .into_response()
}
