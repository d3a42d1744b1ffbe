//! The gate of web pages: what a lead must pass that comes with a publishable key, which stands in a page where anybody can read it.
//!
//! Promises that what is refused costs no transaction, that a lead which is taken is kept, and that one which may be no person's is marked
//! and not delivered. Secret keys pass by. What is counted and remembered is so in this process, in bounded memory.

mod limits;
mod seen;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, header};
use ipnet::IpNet;
use sensei_domain::{ClientId, LeadForm, NewLead, Suspicion, Timestamp};
use sensei_persistence::PublicForm;

use self::limits::Limits;
use self::seen::{RecentLeads, SentForms, Turn};
use crate::client_address::{client_address, unnamed_proxy};
use crate::problem::Problem;
use crate::problem_kind::ProblemKind;
use crate::state::ApiState;

/// The form's token.
pub(crate) const TOKEN: HeaderName = HeaderName::from_static("sensei-form-token");
/// What was filled into the field that people don't see.
pub(crate) const TRAP: HeaderName = HeaderName::from_static("sensei-form-trap");
/// Browsers say here whether a request is from a page of the same origin; no script can.
const FETCH_SITE: &str = "sec-fetch-site";

/// People take longer to read a form and fill it in.
const SHORTEST_FILL: Duration = Duration::from_secs(2);
/// How long a form may stay open.
const FORM_VALID: Duration = Duration::from_hours(12);

/// What the gate remembers. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    seen: Arc<Seen>,
    /// Proxies whose word is taken for where a request came from.
    trusted_proxies: Vec<IpNet>,
}

#[derive(Debug, Default)]
struct Seen {
    limits: Limits,
    forms: SentForms,
    leads: RecentLeads,
    /// Whether the operator was told of a proxy that he hasn't named.
    has_warned: AtomicBool,
}

/// A request that came from a web page, as far as can be told.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) client: ClientId,
    /// To let the page read the answer.
    pub(crate) origin: Option<HeaderValue>,
    /// Whether the client has named the page's origin.
    is_named: bool,
    token: Option<String>,
    is_trap_filled: bool,
}

/// A form that is being sent, to be given back if that comes to nothing.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) suspicions: Vec<Suspicion>,
    noted: Option<String>,
}

impl Page {
    /// What speaks against a lead, but for whether its form was sent before.
    pub(crate) fn judge(&self, state: &ApiState, now: Timestamp) -> Vec<Suspicion> {
        let mut suspicions = Vec::new();
        if self.is_trap_filled {
            suspicions.push(Suspicion::HiddenFieldFilled);
        }
        match self.token.as_deref() {
            // A page of the client's own, with a form of its own.
            None if self.is_named => {}
            None => suspicions.push(Suspicion::NoForm),
            Some(token) => match state.store().form_opened_at(self.client, token) {
                None => suspicions.push(Suspicion::ForeignForm),
                Some(opened_at) if now.since(opened_at) < SHORTEST_FILL => suspicions.push(Suspicion::TooFast),
                Some(opened_at) if now.since(opened_at) > FORM_VALID => suspicions.push(Suspicion::FormExpired),
                Some(_) => {}
            },
        }
        suspicions
    }
}

impl Gate {
    /// Takes these proxies' word for where requests come from.
    pub(crate) fn trust(&mut self, proxies: Vec<IpNet>) {
        self.trusted_proxies = proxies;
    }

    /// Says once that all who come by a proxy count as one, which is hard to see otherwise.
    fn warn_of_unnamed_proxy(&self, parts: &Parts) {
        if let Some(peer) = unnamed_proxy(parts, &self.trusted_proxies)
            && !self.seen.has_warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                %peer,
                "the x-forwarded-for of a peer isn't believed, so whoever comes by it shares one limit of leads; \
                 if it is your proxy, name it in trusted_proxies (SENSEI_TRUSTED_PROXIES)"
            );
        }
    }

    /// Waits until nobody is capturing the same lead.
    pub(crate) async fn turn(
        &self,
        page: &Page,
        lead: &NewLead,
        suspicions: &[Suspicion],
        now: Timestamp,
    ) -> Option<Turn> {
        let is_suspected = !suspicions.is_empty();
        self.seen.leads.turn(page.client, lead, is_suspected, now).await
    }

    /// Notes that a form is being sent: a form is for one lead.
    pub(crate) fn send(&self, page: &Page, mut suspicions: Vec<Suspicion>, now: Timestamp) -> Judged {
        let Some(token) = page
            .token
            .as_ref()
            .filter(|_| !suspicions.contains(&Suspicion::ForeignForm))
        else {
            return Judged {
                suspicions,
                noted: None,
            };
        };
        let is_first = self.seen.forms.note(token, now.after(FORM_VALID), now);
        if !is_first {
            suspicions.push(Suspicion::FormReused);
        }
        let noted = is_first.then(|| token.clone());
        Judged { suspicions, noted }
    }

    /// The lead wasn't captured: its form can be sent again.
    pub(crate) fn unsent(&self, judged: &Judged) {
        if let Some(token) = &judged.noted {
            self.seen.forms.forget(token);
        }
    }
}

/// Lets a request of a web page in, or says why not.
pub(crate) async fn admit(parts: &Parts, state: &ApiState, client: ClientId) -> Result<Page, Problem> {
    let gate = state.gate();
    let address = client_address(parts, &gate.trusted_proxies);
    gate.warn_of_unnamed_proxy(parts);
    let origin = origin_of(parts);
    let text = |name: &HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let token = text(&TOKEN).filter(|token| !token.is_empty());
    let now = state.now();
    let has_form = token.is_some_and(|token| {
        let opened_at = state.store().form_opened_at(client, token);
        opened_at.is_some_and(|opened_at| now.since(opened_at) <= FORM_VALID) && !gate.seen.forms.is_noted(token)
    });
    if let Err(wait) = gate.seen.limits.take(address, (client, has_form), now) {
        let seconds = u16::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u16::MAX);
        let detail = format!("too many leads came from this web page or address; try again in {seconds} s");
        return Err(Problem::too_many(detail, seconds).readable_by(origin));
    }
    let (_, is_named) = allowed(parts, state, client).await?;
    Ok(Page {
        client,
        origin: origin.cloned(),
        is_named,
        token: token.map(str::to_owned),
        is_trap_filled: parts.headers.get(&TRAP).is_some_and(|trap| !trap.is_empty()),
    })
}

/// Refuses pages of origins that the client hasn't named, if it has named any; gives the client's form, and says whether it has named this
/// page's origin.
pub(crate) async fn allowed(parts: &Parts, state: &ApiState, client: ClientId) -> Result<(LeadForm, bool), Problem> {
    let public = state.store().public_form(client).await?;
    let PublicForm { allowed_origins, form } = public.ok_or_else(Problem::unknown_client)?;
    let Some(origin) = origin_of(parts) else {
        return Ok((form, false));
    };
    let is_named = allowed_origins
        .iter()
        .any(|allowed| allowed.as_str().as_bytes() == origin.as_bytes());
    if is_named || allowed_origins.is_empty() || is_our_own(parts, origin) {
        return Ok((form, is_named));
    }
    let origin = String::from_utf8_lossy(origin.as_bytes());
    let origin = origin.chars().take(200).collect::<String>();
    let detail = format!("this client takes no leads from pages of {origin}: its setting allowedOrigins names others");
    Err(Problem::new(ProblemKind::Forbidden, detail))
}

/// Where the page is from that makes a request, if it is one.
pub(crate) fn origin_of(parts: &Parts) -> Option<&HeaderValue> {
    parts.headers.get(header::ORIGIN)
}

/// Whether the page is one of ours: the hosted form.
fn is_our_own(parts: &Parts, origin: &HeaderValue) -> bool {
    let is_same = parts.headers.get(FETCH_SITE).is_some_and(|site| site == "same-origin");
    let host = parts.headers.get(header::HOST).map(HeaderValue::as_bytes);
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    is_same || authority.is_some_and(|(_, authority)| host == Some(authority.as_bytes()))
}
