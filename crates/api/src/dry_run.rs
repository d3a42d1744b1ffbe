//! `?dryRun=true`: a destination is checked as if it were saved, and shown as it would be, and nothing is.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sensei_domain::{ClientId, DestinationId, DestinationStatus, SignatureVersion, Signer};
use sensei_persistence::{Destination, DestinationChange, NewDestination};
use utoipa::IntoParams;

use crate::destination_preview::{self, PreviewView};
use crate::problem::Problem;
use crate::query::Parameters;
use crate::state::ApiState;

/// Whether nothing is to be saved.
#[derive(Debug, Clone, Copy, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DryRun {
    /// `true` checks everything but whether the name is free, saves nothing, and answers 200 with the request that a sample lead would be.
    #[param(rename = "dryRun", value_type = Option<bool>, default = false)]
    pub(crate) is_dry: bool,
}

impl<S: Sync> FromRequestParts<S> for DryRun {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut parameters = Parameters::of(&parts.uri)?;
        let is_dry = parameters.parsed("dryRun").unwrap_or_default();
        parameters.finish()?;
        Ok(Self { is_dry })
    }
}

/// What a destination would send that isn't made.
pub(crate) async fn of_new(state: &ApiState, client: ClientId, new: NewDestination) -> Result<PreviewView, Problem> {
    let client = state.client(client).await?;
    let now = state.now();
    let NewDestination {
        kind,
        name,
        config,
        template,
        retry,
        rate_limit,
        ordered,
        filter,
    } = new;
    let destination = Destination {
        id: DestinationId::new(now),
        client_id: client.id,
        kind,
        name: name.as_str().to_owned(),
        status: DestinationStatus::Active,
        status_reason: None,
        status_since: now,
        version: 1,
        config,
        template,
        retry,
        rate_limit,
        ordered,
        filter,
        secret: Signer::generate(SignatureVersion::V1),
        previous_secret: None,
        created_at: now,
        updated_at: now,
    };
    Ok(destination_preview::of(state, &client, destination).await)
}

/// What a destination would send with this change.
pub(crate) async fn of_change(
    state: &ApiState,
    before: &Destination,
    change: DestinationChange,
) -> Result<PreviewView, Problem> {
    let client = state.client(before.client_id).await?;
    let mut destination = before.clone();
    if let Some(config) = change.config {
        destination.config = config;
    }
    if let Some(template) = change.template {
        destination.template = template;
    }
    Ok(destination_preview::of(state, &client, destination).await)
}
