//! JSON bodies, bounded. What their fields must be is for the endpoint to say.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::problem::Problem;
use crate::problem_kind::ProblemKind;

const KIB: usize = 1024;
/// The limit of every body but a batch's.
pub(crate) const LIMIT: usize = 256 * KIB;
/// The limit of a batch.
pub(crate) const BATCH_LIMIT: usize = 4 * KIB * KIB;

/// A body of at most so many bytes that is JSON.
pub(crate) struct JsonBody<const MAX: usize = LIMIT> {
    bytes: Bytes,
    pub(crate) value: Value,
}

impl<const MAX: usize> JsonBody<MAX> {
    /// SHA-256 of the bytes as they came.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }
}

impl<const MAX: usize, S: Sync> FromRequest<S> for JsonBody<MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let declared = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|length| length > MAX as u64) {
            return Err(too_large(MAX));
        }
        let bytes = read(request.into_body(), MAX).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Problem::new(
                ProblemKind::NotJson,
                "the body is empty; it must be a JSON object",
            ));
        }
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| Problem::new(ProblemKind::NotJson, format!("the body is not JSON: {error}")))?;
        Ok(Self { bytes, value })
    }
}

/// What stands for the fingerprint of a request that has no body.
pub(crate) fn empty_fingerprint() -> [u8; 32] {
    Sha256::digest([]).into()
}

/// `application/json` or a type that is JSON by its suffix (RFC 6839); parameters say nothing, JSON is UTF-8.
fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let declared = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = declared
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json {
        Ok(())
    } else {
        Err(Problem::new(
            ProblemKind::UnsupportedMediaType,
            "send the body with `content-type: application/json`",
        ))
    }
}

async fn read(body: Body, max: usize) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let mut read = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::new(ProblemKind::NotJson, "the body ended too early"))?;
        if read.len() + chunk.len() > max {
            return Err(too_large(max));
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.freeze())
}

fn too_large(max: usize) -> Problem {
    Problem::new(
        ProblemKind::BodyTooLarge,
        format!("the body may have at most {} KiB ({max} bytes)", max / KIB),
    )
}
