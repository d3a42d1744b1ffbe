//! Leads of web pages: looked at by the gate, then captured, and marked where they are suspected.

use axum::http::StatusCode;
use axum::response::Response;
use sensei_domain::LeadId;
use sensei_persistence::Captured;
use tracing::Instrument as _;

use crate::cors;
use crate::gate::Page;
use crate::idempotency;
use crate::leads::{LeadView, NewCapture};
use crate::problem::Problem;
use crate::state::ApiState;

/// Captures a lead, and lets the page read what came of it.
pub(crate) async fn capture(
    new: Result<NewCapture, Problem>,
    page: Box<Page>,
    state: ApiState,
) -> Result<Response, Problem> {
    let origin = page.origin.clone();
    let answered = match new {
        // A task of its own, so that a page that is closed meanwhile leaves nothing half done.
        Ok(new) => tokio::spawn(async move { answer(new, &page, &state).await }.in_current_span()).await,
        Err(problem) => Ok(Err(problem)),
    };
    let answered = answered.unwrap_or_else(|_| Err(Problem::internal()));
    let mut response = answered.map_err(|problem| problem.readable_by(origin.as_ref()))?;
    cors::readable(response.headers_mut(), origin.as_ref());
    Ok(response)
}

async fn answer(new: NewCapture, page: &Page, state: &ApiState) -> Result<Response, Problem> {
    let (gate, now) = (state.gate(), state.now());
    let suspicions = page.judge(state, now);
    let turn = gate.turn(page, &new.lead, &suspicions, now).await;
    if let Some(before) = turn.as_ref().and_then(|turn| turn.before(now)) {
        let lead = state.store().lead(page.client, before).await?;
        // One that was erased since stands for nothing.
        if let Some(lead) = lead.filter(|lead| lead.erased_at.is_none()) {
            let answer = idempotency::answer(StatusCode::CREATED, &LeadView::from(lead));
            return Ok(idempotency::respond_before(answer));
        }
    }
    let looked_at = suspicions.len();
    let judged = gate.send(page, suspicions, now);
    let id = LeadId::new(now);
    let (request, answer) = new.request(id, &judged.suspicions, now);
    match state
        .store()
        .capture_suspected(request, judged.suspicions.clone())
        .await
    {
        Ok(captured) => {
            // A form that was sent before is found only now: its lead must not stand for one that is delivered.
            let is_as_looked_at = judged.suspicions.len() == looked_at;
            if let (Captured::Now, Some(turn), true) = (&captured, turn, is_as_looked_at) {
                turn.done(id, now);
            }
            Ok(idempotency::respond_captured(captured, answer))
        }
        Err(error) => {
            gate.unsent(&judged);
            Err(error.into())
        }
    }
}
