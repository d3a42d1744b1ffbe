//! `/admin/clients/{id}/settings`: the Lead Webhook URL and what else is set of a client.

mod danger;
mod kept;
mod keys;
mod lead_form;

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use sensei_domain::{ClientId, ClientName, Faults, WebhookUrl};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::kept::Kept;
use self::keys::KeyRow;
use crate::api::Refused;
use crate::asked::Ids;
use crate::failure::Failure;
use crate::form::Form;
use crate::page::{Frame, show, show_with, text};
use crate::pages::retry::RetryFields;
use crate::session::Viewer;
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new()
        .route("/clients/{client}/settings", get(page).post(save))
        .merge(keys::routes())
        .merge(danger::routes())
        .merge(lead_form::routes())
}

const CONTESTED: &str = "Somebody has changed the same since you opened it. What you typed is below, with what else is set now: saved again, it takes \
                         the place of what is there.";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Done {
    done: Option<String>,
}

/// What the form holds: as it is set, or as it was typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Filled {
    name: String,
    url: String,
    retry: RetryFields,
    include_custom_fields: bool,
    operational_events: bool,
    /// One a line.
    frame_ancestors: String,
}

/// The settings as they are now.
struct Current {
    frame: Frame,
    settings: Value,
    /// Of the Lead Webhook URL.
    destination: Option<Value>,
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    client: String,
    /// Of the Lead Webhook URL.
    destination: Option<String>,
    /// Why it isn't active.
    trouble: Option<String>,
    fields: Filled,
    /// As it is set, for the form to say what whoever fills it in has seen.
    seen: String,
    /// Where the server tells.
    kept: Option<Kept>,
    keys: Vec<KeyRow>,
    refused: Option<Refused>,
}

#[derive(Template)]
#[template(path = "settings_emptied.html")]
struct EmptiedPage {
    frame: Frame,
    client: String,
    url: String,
    waiting: u64,
    fields: Filled,
    seen: String,
}

impl Filled {
    fn of(current: &Current) -> Self {
        let flag = |name: &str| current.settings[name].as_bool().unwrap_or_default();
        let client = current.frame.client.as_ref();
        Self {
            name: client.map_or_else(String::new, |client| client.name.clone()),
            url: text(&current.settings, "leadWebhookUrl").to_owned(),
            retry: current.retry(),
            include_custom_fields: flag("includeCustomFields"),
            operational_events: flag("operationalEvents"),
            frame_ancestors: current.settings["frameAncestors"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join("\n"),
        }
    }

    fn typed(form: &Form) -> Self {
        Self {
            name: form.text("name").to_owned(),
            url: form.text("leadWebhookUrl").to_owned(),
            retry: RetryFields::typed(form),
            include_custom_fields: form.is_ticked("includeCustomFields"),
            operational_events: form.is_ticked("operationalEvents"),
            frame_ancestors: form.text("frameAncestors").replace("\r\n", "\n"),
        }
    }

    /// As a hidden field of the form has it.
    fn seen(&self) -> String {
        serde_json::to_string(self).expect("texts become JSON")
    }

    /// What was typed, and of what wasn't touched what is set now: somebody may have changed it since the form was opened. Whether both have
    /// changed the same.
    fn merged(mut self, seen: &Self, now: &Self, viewer: &Viewer) -> (Self, bool) {
        if !viewer.is_admin() {
            // Not in the form.
            (self.operational_events, self.frame_ancestors) = (now.operational_events, now.frame_ancestors.clone());
        }
        let is_contested = [
            merge(&mut self.name, &seen.name, &now.name),
            merge(&mut self.url, &seen.url, &now.url),
            merge(&mut self.retry, &seen.retry, &now.retry),
            merge(
                &mut self.include_custom_fields,
                &seen.include_custom_fields,
                &now.include_custom_fields,
            ),
            merge(
                &mut self.operational_events,
                &seen.operational_events,
                &now.operational_events,
            ),
            merge(&mut self.frame_ancestors, &seen.frame_ancestors, &now.frame_ancestors),
        ]
        .contains(&true);
        (self, is_contested)
    }

    /// What is wrong with it, all at once: what is saved in three steps is to be right before the first.
    fn refused(&self) -> Option<Refused> {
        let mut faults = Vec::new();
        if let Err(error) = self.name.parse::<ClientName>() {
            faults.extend(Faults::one("/name", error.to_string()).into_vec());
        }
        if !self.url.is_empty()
            && let Err(error) = self.url.parse::<WebhookUrl>()
        {
            faults.extend(Faults::one("/leadWebhookUrl", error.to_string()).into_vec());
        }
        if let Some(wrong) = self.retry.faults("/retry") {
            faults.extend(wrong.into_vec());
        }
        Faults::of(faults).as_ref().map(Refused::of)
    }

    fn settings(&self, viewer: &Viewer) -> Value {
        let mut settings = json!({"leadWebhookUrl": self.url, "includeCustomFields": self.include_custom_fields});
        if viewer.is_admin() {
            settings["operationalEvents"] = self.operational_events.into();
            let ancestors = self.frame_ancestors.lines().map(str::trim);
            settings["frameAncestors"] = ancestors.filter(|origin| !origin.is_empty()).collect();
        }
        settings
    }

    /// Of a URL that was refused because it isn't encrypted: one that is.
    fn mended_url(&self, refused: &Refused) -> Option<String> {
        refused.at("/leadWebhookUrl").filter(|why| why.contains("https://"))?;
        let rest = self.url.strip_prefix("http://")?;
        Some(format!("https://{rest}"))
    }
}

fn merge<T: PartialEq + Clone>(typed: &mut T, seen: &T, now: &T) -> bool {
    if typed == seen {
        typed.clone_from(now);
    }
    now != seen && now != typed
}

impl Current {
    async fn read(viewer: &Viewer, client: ClientId) -> Result<Self, Failure> {
        let frame = Frame::of_client(viewer, client, "settings").await?;
        let client = frame.client.as_ref().map_or("", |client| &client.id);
        let settings = viewer.api.get(&format!("/v1/clients/{client}/settings")).await?;
        let destination = match settings["destinationId"].as_str() {
            Some(id) => Some(
                viewer
                    .api
                    .get(&format!("/v1/clients/{client}/destinations/{id}"))
                    .await?,
            ),
            None => None,
        };
        Ok(Self {
            frame,
            settings,
            destination,
        })
    }

    fn client(&self) -> String {
        self.frame
            .client
            .as_ref()
            .map_or_else(String::new, |client| client.id.clone())
    }

    fn retry(&self) -> RetryFields {
        let retry = self.destination.as_ref().map(|destination| &destination["retry"]);
        retry.map_or_else(|| RetryFields::new("none"), RetryFields::of)
    }

    async fn show(
        self,
        viewer: &Viewer,
        state: &ConsoleState,
        fields: Filled,
        refused: Option<Refused>,
    ) -> Result<Response, Failure> {
        let client = self.client();
        let keys = keys::of_client(viewer, &client, state.now()).await?;
        let destination = self.destination.as_ref();
        let trouble = destination.filter(|destination| text(destination, "status") != "active");
        let status = refused.as_ref().map_or(StatusCode::OK, |refused| refused.status);
        let seen = Filled::of(&self).seen();
        let page = SettingsPage {
            trouble: trouble.map(|trouble| format!("{}: {}", text(trouble, "status"), text(trouble, "statusReason"))),
            destination: destination.map(|destination| text(destination, "id").to_owned()),
            frame: self.frame,
            client,
            fields,
            seen,
            kept: state.retention().map(Kept::of),
            keys,
            refused,
        };
        Ok(show_with(status, &page))
    }
}

async fn page(
    viewer: Viewer,
    Ids(client): Ids<ClientId>,
    Query(Done { done }): Query<Done>,
    State(state): State<ConsoleState>,
) -> Result<Response, Failure> {
    let mut current = Current::read(&viewer, client).await?;
    current.frame = current.frame.done(done.as_deref());
    let fields = Filled::of(&current);
    current.show(&viewer, &state, fields, None).await
}

async fn save(Ids(client): Ids<ClientId>, State(state): State<ConsoleState>, form: Form) -> Result<Response, Failure> {
    let viewer = &form.viewer;
    let current = Current::read(viewer, client).await?;
    let client = current.client();
    let (mut fields, now) = (Filled::typed(&form), Filled::of(&current));
    if let Ok(seen) = serde_json::from_str(form.text("seen")) {
        let (merged, is_contested) = fields.merged(&seen, &now, viewer);
        fields = merged;
        if is_contested {
            return current
                .show(viewer, &state, fields, Some(Refused::conflict(CONTESTED)))
                .await;
        }
    }
    if let Some(refused) = fields.refused() {
        return current.show(viewer, &state, fields, Some(refused)).await;
    }
    let url = text(&current.settings, "leadWebhookUrl").to_owned();
    if fields.url.is_empty() && !url.is_empty() && !form.is_ticked("confirmed") {
        let waiting = waiting(viewer, &client).await?;
        if waiting > 0 {
            let frame = current.frame;
            return Ok(show(&EmptiedPage {
                frame,
                client,
                url,
                waiting,
                fields,
                seen: now.seen(),
            }));
        }
    }
    let path = format!("/v1/clients/{client}/settings");
    let saved = match viewer.api.patch(&path, &fields.settings(viewer)).await {
        Ok(saved) => saved,
        Err(refused) if refused.status == StatusCode::UNPROCESSABLE_ENTITY => {
            return current.show(viewer, &state, fields, Some(refused)).await;
        }
        Err(refused) => return Err(refused.into()),
    };
    let name = json!({"name": fields.name});
    viewer.api.patch(&format!("/v1/clients/{client}"), &name).await?;
    if let Some(destination) = saved["destinationId"].as_str() {
        let path = format!("/v1/clients/{client}/destinations/{destination}");
        let retry = json!({"retry": fields.retry.to_json()});
        viewer.api.patch(&path, &retry).await?;
    }
    Ok(Redirect::to(&format!("/admin/clients/{client}/settings?done=saved")).into_response())
}

/// How many deliveries of the client are pending or held, to whatever destination.
async fn waiting(viewer: &Viewer, client: &str) -> Result<u64, Failure> {
    let stats = viewer.api.get(&format!("/v1/clients/{client}/stats")).await?;
    let count = |state: &str| stats["deliveries"][state].as_u64().unwrap_or_default();
    Ok(count("pending") + count("held"))
}
