//! Which leads are asked for: the parameters of their list and of their export.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sensei_domain::Timestamp;
use sensei_persistence::LeadFilter;
use utoipa::IntoParams;

use crate::page::Paging;
use crate::problem::Problem;
use crate::query::{Parameters, SearchText};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents what `read` reads")]
pub(crate) struct LeadParameters {
    /// Only those with words that begin so in name, email, phone or message, each of them; an address counts as the email's beginning.
    #[param(value_type = Option<String>, max_length = 200)]
    q: Option<SearchText>,
    /// Only those captured at this time or later (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only those captured before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// A page of leads that is asked for.
pub(crate) struct LeadsQuery {
    pub(crate) filter: LeadFilter,
    pub(crate) paging: Paging,
}

/// All leads that are asked for.
pub(crate) struct AllLeadsQuery(pub(crate) LeadFilter);

impl<S: Sync> FromRequestParts<S> for LeadsQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut parameters = Parameters::of(&parts.uri)?;
        let filter = read(&mut parameters);
        let paging = Paging::read(&mut parameters);
        parameters.finish()?;
        Ok(Self { filter, paging })
    }
}

impl<S: Sync> FromRequestParts<S> for AllLeadsQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut parameters = Parameters::of(&parts.uri)?;
        let filter = read(&mut parameters);
        parameters.finish()?;
        Ok(Self(filter))
    }
}

fn read(parameters: &mut Parameters) -> LeadFilter {
    LeadFilter {
        text: parameters.parsed("q").map(|SearchText(text)| text),
        since: parameters.parsed("since"),
        until: parameters.parsed("until"),
    }
}
