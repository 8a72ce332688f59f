//! One request for inference, from its head to its answer: the body is read here, all else happens on a worker thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;

use super::body::{self, Buffered};
use super::failure::Failure;
use super::models::Model;
use super::request::{self, Parsed};
use super::response::{self, Encoded};
use crate::infer::{Deadline, ErrorCode, InferError, InferRequest, RequestId};
use crate::server::{Served, Shared, out_of_time};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::ModelLabels;

/// How long the JSON part of a body with binary data is; 0: the body is one tensor and nothing else.
pub(super) const HEADER_LENGTH: &str = "inference-header-content-length";

pub(super) async fn infer(
    State(shared): State<Arc<Shared>>,
    Extension(request_id): Extension<RequestId>,
    Model(served): Model,
    request: Request,
) -> Result<Response, Failure> {
    let metadata = served.metadata();
    let labels = ModelLabels::new(&metadata.name, &metadata.version);
    let meter = shared.metrics.begin(labels.clone());
    match answer(&shared, request_id, served, (labels.clone(), request)).await {
        Ok(encoded) => {
            shared.metrics.response_body(&labels, encoded.length());
            meter.finish(None);
            Ok(encoded.into_response())
        }
        Err(error) => {
            meter.finish(Some(error.code));
            Err(Failure { is_counted: true, ..error.into() })
        }
    }
}

async fn answer(
    shared: &Arc<Shared>,
    request_id: RequestId,
    served: Arc<dyn Served>,
    (labels, request): (ModelLabels, Request),
) -> Result<Encoded, InferError> {
    let (parts, body) = request.into_parts();
    refuse_encoded(&parts.headers)?;
    let header_length = header_length(&parts.headers)?;
    let body = body::read(shared, &parts.headers, body, header_length.unwrap_or(0)).await?;
    shared.metrics.request_body(&labels, body.bytes.len());
    // The time of the request begins here: a slow line costs the client, not the pipeline.
    let deadline = Deadline::after(served.timeout().min(shared.limits.request_timeout));
    let work = Work {
        request_id,
        served,
        labels,
        metrics: Arc::clone(&shared.metrics),
        headers: text_headers(&parts.headers),
        header_length,
        body,
        deadline: deadline.clone(),
        begun: Instant::now(),
    };
    let span = tracing::Span::current();
    shared.on_worker(&deadline, move |queued| span.in_scope(|| work.run(queued))).await
}

/// What a worker thread needs to answer a request.
struct Work {
    request_id: RequestId,
    served: Arc<dyn Served>,
    labels: ModelLabels,
    metrics: Arc<Metrics>,
    headers: Vec<(String, String)>,
    header_length: Option<usize>,
    body: Buffered,
    deadline: Deadline,
    begun: Instant,
}

impl Work {
    /// Parse, check, infer, encode.
    fn run(self, queued: Duration) -> Result<Encoded, InferError> {
        self.metrics.queued(&self.labels, queued);
        let signature = &self.served.metadata().signature;
        let Parsed { id, parameters, inputs, wanted, forms, timeout } =
            request::parse(&self.body.bytes, self.header_length, signature)?;
        let deadline = match timeout.and_then(|timeout| self.begun.checked_add(timeout)) {
            Some(due) => self.deadline.tightened(due),
            None => self.deadline,
        };
        if deadline.is_over(Instant::now()) {
            return Err(out_of_time());
        }
        let request = InferRequest {
            request_id: self.request_id,
            id,
            parameters,
            inputs,
            wanted,
            headers: self.headers,
            deadline,
        };
        request.check(signature)?;
        forms.check(&request.wanted, signature)?;
        let id = request.id.clone();
        let (outcome, trace) = self.served.infer(request);
        self.metrics.steps(&self.labels, &trace);
        if let Err(error) = &outcome
            && let Some(failure) = &error.failure
        {
            self.metrics.plugin_failed(failure);
        }
        let mut response = outcome?;
        response.id = id;
        response::encode(&response, &forms)
    }
}

/// Compressed bodies are refused rather than misread.
fn refuse_encoded(headers: &HeaderMap) -> Result<(), InferError> {
    let is_plain = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|value| value.as_bytes().is_empty() || value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if is_plain {
        return Ok(());
    }
    Err(InferError::new(ErrorCode::MediaType, "a request's body must come without Content-Encoding"))
}

fn header_length(headers: &HeaderMap) -> Result<Option<usize>, InferError> {
    let Some(value) = headers.get(HEADER_LENGTH) else { return Ok(None) };
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match value.to_str().ok().filter(is_number).and_then(|text| text.parse().ok()) {
        Some(length) => Ok(Some(length)),
        None => Err(InferError::invalid("Inference-Header-Content-Length is not a number of bytes")),
    }
}

/// Headers whose values are text; they are bounded together by the limit on a request's head.
fn text_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    text.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
