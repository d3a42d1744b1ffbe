//! The form of a destination, new or not: shown, checked while it is filled, saved.

mod fields;

use askama::Template;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use sensei_domain::{ClientId, DestinationId};
use serde_json::Value;

use self::fields::Fields;
use super::detail::Preview;
use super::filter::OPERATORS;
use super::kinds::Kind;
use super::schema::Control;
use crate::api::Refused;
use crate::asked::Ids;
use crate::failure::Failure;
use crate::form::Form;
use crate::page::{Frame, show, show_with, text};
use crate::pages::below;
use crate::session::Viewer;
use crate::shown::{LEAD_WEBHOOK, shown_name};
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/clients/{client}/destinations/new/{kind}", get(new).post(create))
        .route("/clients/{client}/destinations/new/{kind}/check", post(check_new))
        .route(
            "/clients/{client}/destinations/{destination}/edit",
            get(edit).post(change),
        )
        .route("/clients/{client}/destinations/{destination}/check", post(check_change))
}

/// Which destination a form is of.
struct Subject {
    frame: Frame,
    kind: Kind,
    /// As it is saved; `None` of a new one.
    saved: Option<Value>,
    /// Where the API has it, or those of its client.
    api: String,
    /// Where the form is sent.
    action: String,
    check: String,
    /// Where one goes instead.
    back: String,
}

#[derive(Template)]
#[template(path = "destination_form.html")]
struct FormPage {
    frame: Frame,
    title: String,
    kind: Kind,
    action: String,
    check: String,
    back: String,
    is_new: bool,
    is_name_fixed: bool,
    fields: Fields,
    refused: Option<Refused>,
    checked: Option<Checked>,
    operators: [(&'static str, &'static str); 11],
}

/// What a check has found.
struct Checked {
    /// Of a form that can be saved.
    preview: Option<Preview>,
    faults: usize,
}

/// What is put into the page that asked for a check.
#[derive(Template)]
#[template(path = "destination_check.html")]
struct CheckPart {
    checked: Option<Checked>,
    /// The field's id, and what is wrong with it, if anything.
    wrong: Vec<(String, Option<String>)>,
}

impl Subject {
    async fn new(viewer: &Viewer, client: ClientId, kind: &str) -> Result<Self, Failure> {
        let kind = Kind::named(viewer, kind).await?;
        let title = format!("New {} destination", kind.name);
        let (frame, client) = Frame::below(viewer, client, "destinations", &title).await?;
        let base = format!("/admin/clients/{client}/destinations/new");
        Ok(Self {
            frame,
            saved: None,
            api: format!("/v1/clients/{client}/destinations"),
            action: format!("{base}/{}", kind.id),
            check: format!("{base}/{}/check", kind.id),
            back: base,
            kind,
        })
    }

    async fn saved(viewer: &Viewer, client: ClientId, destination: DestinationId) -> Result<Self, Failure> {
        let (frame, destination) = below::destination(viewer, client, destination, "Change").await?;
        let kind = Kind::named(viewer, text(&destination.view, "kind")).await?;
        Ok(Self {
            frame,
            kind,
            api: destination.api,
            action: format!("{}/edit", destination.page),
            check: format!("{}/check", destination.page),
            back: destination.page,
            saved: Some(destination.view),
        })
    }

    fn title(&self) -> String {
        match &self.saved {
            Some(saved) => format!("Change {}", shown_name(text(saved, "name"))),
            None => format!("New {} destination", self.kind.name),
        }
    }

    fn show(self, fields: Fields, refused: Option<Refused>, checked: Option<Checked>) -> Response {
        let status = refused.as_ref().map_or(StatusCode::OK, |refused| refused.status);
        let page = FormPage {
            title: self.title(),
            is_new: self.saved.is_none(),
            is_name_fixed: self
                .saved
                .as_ref()
                .is_some_and(|saved| text(saved, "name") == LEAD_WEBHOOK),
            frame: self.frame,
            kind: self.kind,
            action: self.action,
            check: self.check,
            back: self.back,
            fields,
            refused,
            checked,
            operators: OPERATORS,
        };
        show_with(status, &page)
    }

    /// Checks what a form holds, or shows another row of it; within the page that asked, or as a page.
    async fn check(self, form: &Form, is_part: bool) -> Result<Response, Failure> {
        let body = Fields::body(&self.kind, form, self.saved.as_ref());
        if let Some(list) = form.more() {
            let fields = Fields::typed(&self.kind, &body, form, None).with_more(list, form);
            return Ok(self.show(fields, None, None));
        }
        let api = &form.viewer.api;
        let path = format!("{}?dryRun=true", self.api);
        let answer = match &self.saved {
            Some(_) => api.patch(&path, &body).await,
            None => api.post(&path, &body).await,
        };
        let (checked, refused) = match answer {
            Ok(preview) => {
                let preview = Some(Preview::of(&preview));
                (Checked { preview, faults: 0 }, None)
            }
            Err(refused) if is_of_the_form(&refused) => {
                let faults = refused.faults();
                (Checked { preview: None, faults }, Some(refused))
            }
            Err(refused) => return Err(refused.into()),
        };
        let fields = Fields::typed(&self.kind, &body, form, refused.as_ref());
        if !is_part {
            return Ok(self.show(fields, refused, Some(checked)));
        }
        Ok(show(&CheckPart {
            wrong: fields.wrong(refused.as_ref()),
            checked: Some(checked),
        }))
    }
}

/// Whether a form can be sent again, mended.
fn is_of_the_form(refused: &Refused) -> bool {
    matches!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT | StatusCode::PAYLOAD_TOO_LARGE
    )
}

async fn new(viewer: Viewer, Ids((client, kind)): Ids<(ClientId, String)>) -> Result<Response, Failure> {
    let subject = Subject::new(&viewer, client, &kind).await?;
    let fields = Fields::new(&subject.kind);
    Ok(subject.show(fields, None, None))
}

async fn edit(viewer: Viewer, Ids((client, destination)): Ids<(ClientId, DestinationId)>) -> Result<Response, Failure> {
    let subject = Subject::saved(&viewer, client, destination).await?;
    let fields = subject.saved.as_ref().map(|saved| Fields::saved(&subject.kind, saved));
    let fields = fields.ok_or(Failure::NotFound)?;
    Ok(subject.show(fields, None, None))
}

async fn create(Ids((client, kind)): Ids<(ClientId, String)>, form: Form) -> Result<Response, Failure> {
    let subject = Subject::new(&form.viewer, client, &kind).await?;
    let body = Fields::body(&subject.kind, &form, None);
    match form.viewer.api.post(&subject.api, &body).await {
        Ok(made) => {
            let list = subject.back.trim_end_matches("/new");
            Ok(Redirect::to(&format!("{list}/{}?done=created", text(&made, "id"))).into_response())
        }
        Err(refused) if is_of_the_form(&refused) => {
            let fields = Fields::typed(&subject.kind, &body, &form, Some(&refused));
            Ok(subject.show(fields, Some(refused), None))
        }
        Err(refused) => Err(refused.into()),
    }
}

async fn change(Ids((client, destination)): Ids<(ClientId, DestinationId)>, form: Form) -> Result<Response, Failure> {
    let subject = Subject::saved(&form.viewer, client, destination).await?;
    let body = Fields::body(&subject.kind, &form, subject.saved.as_ref());
    let version = subject.saved.as_ref().map(|saved| saved["version"].to_string());
    let changed = if version.as_deref() == Some(form.text("version")) {
        form.viewer.api.patch(&subject.api, &body).await
    } else {
        Err(Refused::conflict(
            "Somebody has changed this destination since you opened it. What you typed is below: saved again, it takes the place of what is there now.",
        ))
    };
    match changed {
        Ok(_) => Ok(Redirect::to(&format!("{}?done=saved", subject.back)).into_response()),
        Err(refused) if is_of_the_form(&refused) => {
            let mut fields = Fields::typed(&subject.kind, &body, &form, Some(&refused));
            fields.version = version.unwrap_or_default();
            Ok(subject.show(fields, Some(refused), None))
        }
        Err(refused) => Err(refused.into()),
    }
}

async fn check_new(
    Ids((client, kind)): Ids<(ClientId, String)>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    let subject = Subject::new(&form.viewer, client, &kind).await?;
    subject.check(&form, headers.contains_key("hx-request")).await
}

async fn check_change(
    Ids((client, destination)): Ids<(ClientId, DestinationId)>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    let subject = Subject::saved(&form.viewer, client, destination).await?;
    subject.check(&form, headers.contains_key("hx-request")).await
}
