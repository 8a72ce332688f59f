//! Reads the body of a request into memory, within limits of size and time. Does not look into it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::infer::{ErrorCode, InferError};
use crate::server::Shared;

/// A body that was read whole. Its bytes count against what the server holds until it is dropped.
pub(super) struct Buffered {
    pub(super) bytes: Bytes,
    _claim: Claim,
}

/// A part of the memory that bodies may take together.
struct Claim {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Claim {
    fn grow(&mut self, bytes: usize) -> Result<(), InferError> {
        self.bytes += bytes;
        let held = self.shared.bodies_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if held > self.shared.limits.bodies_bytes {
            let message = "the server holds too many large requests; try again later";
            return Err(InferError::new(ErrorCode::Overloaded, message));
        }
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shared.bodies_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads the body. Where it comes in several pieces, they are joined so that what follows the first `header_length`
/// bytes is aligned for every datatype, so that tensors can lie where they are.
///
/// # Errors
/// `TooLarge`, before it is read where the client says so; `SlowClient`; `Overloaded` where bodies take too much memory.
pub(super) async fn read(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    body: Body,
    header_length: usize,
) -> Result<Buffered, InferError> {
    let claimed = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if claimed.is_some_and(|claimed| claimed > shared.limits.body_bytes as u64) {
        return Err(too_large(shared.limits.body_bytes));
    }
    let claim = Claim { shared: Arc::clone(shared), bytes: 0 };
    timeout(shared.limits.request_timeout, collect(body, claim, header_length))
        .await
        .unwrap_or_else(|_| Err(InferError::new(ErrorCode::SlowClient, "the request's body took too long")))
}

async fn collect(mut body: Body, mut claim: Claim, header_length: usize) -> Result<Buffered, InferError> {
    let body_bytes_max = claim.shared.limits.body_bytes;
    let mut first = Bytes::new();
    let mut joined = Vec::new();
    let padding = header_length.wrapping_neg() % 8;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| InferError::invalid("the request's body broke off").with_source(error))?;
        let Ok(data) = frame.into_data() else { continue };
        if claim.bytes + data.len() > body_bytes_max {
            return Err(too_large(body_bytes_max));
        }
        claim.grow(data.len())?;
        if first.is_empty() && joined.is_empty() {
            first = data;
            continue;
        }
        if joined.is_empty() {
            joined.resize(padding, 0);
            joined.extend_from_slice(&first);
            first = Bytes::new();
        }
        joined.extend_from_slice(&data);
    }
    let bytes = if joined.is_empty() { first } else { Bytes::from(joined).slice(padding..) };
    Ok(Buffered { bytes, _claim: claim })
}

fn too_large(body_bytes_max: usize) -> InferError {
    InferError::new(ErrorCode::TooLarge, format!("the request's body is longer than {body_bytes_max} bytes"))
}
