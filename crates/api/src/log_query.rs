//! Which deliveries of the log are asked for: the parameters of its list.

use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use sensei_domain::{DeliveryState, DestinationId, LeadId, Timestamp};
use sensei_persistence::{DeliveryFilter, LogFilter};
use utoipa::IntoParams;

use crate::page::Paging;
use crate::problem::Problem;
use crate::query::{Parameters, SearchText};
use crate::schema;

/// Which deliveries are asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents what `LogQuery` reads")]
pub(crate) struct FilterParameters {
    /// Only those in this state.
    #[param(schema_with = schema::delivery_state, required = false)]
    state: Option<DeliveryState>,
    /// Only those to this destination.
    #[param(rename = "destinationId", value_type = Option<String>, format = Uuid)]
    destination_id: Option<DestinationId>,
    /// Only those of this lead.
    #[param(rename = "leadId", value_type = Option<String>, format = Uuid)]
    lead_id: Option<LeadId>,
    /// Only those created at this time or later (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only those created before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Only those to destinations of this kind.
    #[param(value_type = Option<String>, example = "webhook")]
    kind: Option<String>,
    /// Only those whose last attempt was answered with this status: a number, or `2xx` to `5xx`.
    #[param(rename = "statusCode", value_type = Option<String>, example = "5xx")]
    status_code: Option<StatusCodes>,
    /// Only those with this id, or of an event or a lead with this id; or of leads that are found by this text, as in the list of leads.
    #[param(value_type = Option<String>, max_length = 200)]
    q: Option<SearchText>,
}

/// The list that is asked for.
pub(crate) struct LogQuery {
    pub(crate) filter: LogFilter,
    pub(crate) paging: Paging,
}

impl<S: Sync> FromRequestParts<S> for LogQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut parameters = Parameters::of(&parts.uri)?;
        let delivery = DeliveryFilter {
            state: parameters.parsed("state"),
            destination_id: parameters.parsed("destinationId"),
            lead_id: parameters.parsed("leadId"),
            since: parameters.parsed("since"),
            until: parameters.parsed("until"),
        };
        let filter = LogFilter {
            delivery,
            kind: parameters.parsed("kind"),
            status_code: parameters.parsed("statusCode").map(|StatusCodes(codes)| codes),
            text: parameters.parsed("q").map(|SearchText(text)| text),
        };
        let paging = Paging::read(&mut parameters);
        parameters.finish()?;
        Ok(Self { filter, paging })
    }
}

/// One status, or all of a class.
struct StatusCodes(RangeInclusive<u16>);

impl FromStr for StatusCodes {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let class = ["2xx", "3xx", "4xx", "5xx"].iter().position(|class| *class == text);
        if let Some(class) = class.and_then(|place| u16::try_from(place + 2).ok()) {
            return Ok(Self(class * 100..=class * 100 + 99));
        }
        let code = text.parse::<u16>().ok().filter(|code| (100..=599).contains(code));
        code.map(|code| Self(code..=code))
            .ok_or("must be a number from 100 to 599, or one of 2xx, 3xx, 4xx, 5xx")
    }
}
