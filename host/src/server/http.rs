//! The REST door: the Open Inference Protocol v2 with its binary extension. Routes and what holds for every answer;
//! what an answer says is in the modules below.

mod body;
mod data;
mod failure;
mod infer;
mod models;
mod request;
mod response;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tracing::Instrument;

use super::Shared;
use crate::infer::{ErrorCode, InferError, RequestId};
use crate::telemetry::Metrics;
use failure::Failure;
pub(super) use failure::refusal;
pub(super) use response::json as response_json;

/// Every route of the inference door.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let model = Router::new()
        .route("/", get(models::metadata))
        .route("/ready", get(models::ready))
        .route("/infer", post(infer::infer))
        .method_not_allowed_fallback(method_not_allowed);
    Router::new()
        .route("/v2", get(models::server))
        .route("/v2/", get(models::server))
        .route("/v2/health/live", get(models::live))
        .route("/v2/health/ready", get(models::server_ready))
        .nest("/v2/models/{model}", model.clone())
        .nest("/v2/models/{model}/versions/{version}", model)
        .fallback(unknown_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), every_request))
        .with_state(shared)
}

/// The page for Prometheus, on a port of its own.
pub(super) fn metrics_router(metrics: Arc<Metrics>) -> Router {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let page = |State(metrics): State<Arc<Metrics>>| async move {
        ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.to_text())
    };
    Router::new()
        .route("/metrics", get(page))
        .fallback(unknown_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(|request: Request, next: Next| async move {
            failure::rendered(next.run(request).await, RequestId::next())
        }))
        .with_state(metrics)
}

async fn unknown_path() -> Failure {
    Failure::from(InferError::new(ErrorCode::NotFound, "nothing has this path"))
}

/// The router adds the `Allow` header.
async fn method_not_allowed() -> Failure {
    Failure::from(InferError::new(ErrorCode::Method, "this path has other methods"))
}

/// What holds for every request: an id of its own, a limit on its head, and errors that look the same.
async fn every_request(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let request_id = RequestId::next();
    let span = tracing::info_span!("request", %request_id, method = %request.method());
    let response = if head_bytes(request.uri(), request.headers()) > shared.limits.header_bytes {
        let message = format!("path and headers are longer than {} bytes", shared.limits.header_bytes);
        let error = InferError::new(ErrorCode::TooLarge, message);
        Failure { status: Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE), ..error.into() }.into_response()
    } else {
        request.extensions_mut().insert(request_id);
        next.run(request).instrument(span.clone()).await
    };
    let _entered = span.enter();
    if let Some(failure) = response.extensions().get::<Failure>()
        && !failure.is_counted
    {
        shared.metrics.refused(failure.error.code);
    }
    let mut response = failure::rendered(response, request_id);
    tracing::debug!(status = response.status().as_u16(), "answered");
    let value = HeaderValue::try_from(request_id.to_string()).expect("hexadecimal digits and a dash");
    response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    response
}

fn head_bytes(uri: &Uri, headers: &HeaderMap) -> usize {
    /// Colon, blank and line end.
    const BETWEEN: usize = 4;
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    path + headers.iter().map(|(name, value)| name.as_str().len() + value.len() + BETWEEN).sum::<usize>()
}

#[cfg(test)]
mod tests;
