//! Errors on the wire: which status a code has, what a client reads of an error, and what only the log does.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::infer::{ErrorCode, InferError, RequestId};
use crate::telemetry::{chain, sanitized};

/// An error on its way out. `rendered` gives it its body, once the request's id is at hand.
#[derive(Clone)]
pub(super) struct Failure {
    pub(super) error: Arc<InferError>,
    /// Where it is not the code's usual one.
    pub(super) status: Option<StatusCode>,
    /// Said beside the error, where something asks for readiness.
    pub(super) ready: Option<Readiness>,
    /// Whether it is in the metrics of a model.
    pub(super) is_counted: bool,
}

#[derive(Clone, Serialize)]
pub(super) struct Readiness {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) ready: bool,
}

#[derive(Serialize)]
struct WireError<'a> {
    error: &'a str,
    code: &'a str,
    request_id: String,
    #[serde(flatten)]
    ready: Option<&'a Readiness>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<Box<RawValue>>,
}

/// Clients' names and texts may be part of a message; so much of them is enough to find the mistake.
const MESSAGE_BYTES_MAX: usize = 1024;
/// An overloaded server asks to be left alone for this long.
const RETRY_AFTER_SECONDS: u16 = 1;

impl From<InferError> for Failure {
    fn from(error: InferError) -> Self {
        Self { error: Arc::new(error), status: None, ready: None, is_counted: false }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status.unwrap_or_else(|| status(self.error.code));
        response.extensions_mut().insert(self);
        response
    }
}

fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidInput | ErrorCode::NotReady => StatusCode::BAD_REQUEST,
        ErrorCode::Unprocessable | ErrorCode::Rejected => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::Method => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::SlowClient => StatusCode::REQUEST_TIMEOUT,
        ErrorCode::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Deadline => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::PluginFailed | ErrorCode::PluginLimit | ErrorCode::BackendFailed | ErrorCode::Internal => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// What a client reads where the message is for the log alone.
fn short_text(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::PluginFailed => "a plugin failed; the server's log has more under this request id",
        ErrorCode::PluginLimit => "a plugin reached a limit; the server's log has more under this request id",
        ErrorCode::BackendFailed => "the model could not be run; the server's log has more under this request id",
        _ => "internal error; the server's log has more under this request id",
    }
}

/// The response with its error, if it is one, as JSON, and the error in the log.
pub(super) fn rendered(mut response: Response, request_id: RequestId) -> Response {
    let Some(failure) = response.extensions_mut().remove::<Failure>() else { return response };
    log(&failure.error, request_id);
    let body = failure.json(request_id);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if failure.error.code == ErrorCode::Overloaded {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
    }
    *response.body_mut() = Body::from(body);
    response
}

impl Failure {
    fn json(&self, request_id: RequestId) -> Vec<u8> {
        let error = &self.error;
        let message = if error.code.is_clients_fault() {
            sanitized(&error.message, MESSAGE_BYTES_MAX)
        } else {
            short_text(error.code).to_owned()
        };
        let findings = error.findings.as_ref().and_then(|findings| RawValue::from_string(findings.clone()).ok());
        let wire = WireError {
            error: &message,
            code: error.code.as_str(),
            request_id: request_id.to_string(),
            ready: self.ready.as_ref(),
            findings,
        };
        serde_json::to_vec(&wire).expect("text, a flag and checked JSON are JSON")
    }
}

/// Server faults with their whole chain; client faults only where somebody looks for them.
fn log(error: &InferError, request_id: RequestId) {
    let code = error.code.as_str();
    let chain = sanitized(&chain(error), 4 * MESSAGE_BYTES_MAX);
    if error.code.is_clients_fault() {
        tracing::debug!(%request_id, code, error = chain, "request refused");
    } else {
        tracing::error!(%request_id, code, error = chain, "request failed");
    }
}

/// A whole HTTP response, for a connection that no request was read from.
pub(in crate::server) fn refusal(code: ErrorCode, message: &str, request_id: RequestId) -> String {
    let failure = Failure::from(InferError::new(code, message));
    let body = String::from_utf8(failure.json(request_id)).expect("JSON is UTF-8");
    let retry =
        if code == ErrorCode::Overloaded { format!("retry-after: {RETRY_AFTER_SECONDS}\r\n") } else { String::new() };
    format!(
        "HTTP/1.1 {}\r\ncontent-type: application/json\r\nx-request-id: {request_id}\r\n{retry}content-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        status(code),
        body.len(),
    )
}
