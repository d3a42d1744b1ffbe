//! A destination's field `template`: read, and tried with a sample before it is kept.

use bytes::Bytes;
use sensei_domain::{ClientId, Faults, Fields, LeadCreated, LeadId, NewLead};
use serde_json::Value;

use crate::state::ApiState;

/// The client of the sample.
const CLIENT: &str = "Acme Corp";

/// Reads the field, if it is there: null if there shall be no templates.
pub(crate) fn read(fields: &mut Fields<'_>, kind: &str, state: &ApiState) -> Option<Value> {
    let template = fields.value("template")?;
    let templates = fields.nested(state.registry().templates(kind, template))?;
    Some(if templates.is_empty() {
        Value::Null
    } else {
        template.clone()
    })
}

/// Tries what was read with a sample lead: what is wrong with it then is told now, not with each lead.
pub(crate) async fn check(kind: &str, template: Option<&Value>, state: &ApiState) -> Result<(), Faults> {
    let Some(template) = template else { return Ok(()) };
    let templates = state.registry().templates(kind, template)?;
    let (now, lead) = (state.now(), NewLead::sample());
    let sample = LeadCreated::new(LeadId::new(now), now, &lead, ClientId::new(now), CLIENT, true);
    templates.check(Bytes::from(sample.to_bytes())).await
}
