//! Ids in paths.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use sensei_domain::{ClientId, DeliveryId, DestinationId, KeyId, LeadId, RecoveryId};

use crate::problem::{Problem, ProblemError};
use crate::problem_kind::ProblemKind;

/// An id that stands in a path under a fixed name.
pub(crate) trait InPath: FromStr<Err: Display> {
    const PARAMETER: &'static str;
}

impl InPath for ClientId {
    const PARAMETER: &'static str = "clientId";
}

impl InPath for LeadId {
    const PARAMETER: &'static str = "leadId";
}

impl InPath for DestinationId {
    const PARAMETER: &'static str = "destinationId";
}

impl InPath for DeliveryId {
    const PARAMETER: &'static str = "deliveryId";
}

impl InPath for RecoveryId {
    const PARAMETER: &'static str = "recoveryId";
}

impl InPath for KeyId {
    const PARAMETER: &'static str = "keyId";
}

/// The id that a path names.
pub(crate) struct PathId<Id>(pub(crate) Id);

impl<Id: InPath, S: Send + Sync> FromRequestParts<S> for PathId<Id> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let parameters = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|rejection| {
                // Text that isn't UTF-8; its words name the parameter.
                Problem::new(ProblemKind::InvalidRequest, rejection.body_text())
            })?;
        let text = parameters
            .iter()
            .find(|(name, _)| *name == Id::PARAMETER)
            .map(|(_, text)| text);
        text.unwrap_or_default().parse().map(Self).map_err(|error: Id::Err| {
            Problem::invalid_request(vec![ProblemError::of_parameter(Id::PARAMETER, error.to_string())])
        })
    }
}
