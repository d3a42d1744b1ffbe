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
use serde::Deserialize;
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

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Done {
    done: Option<String>,
}

/// What the form holds: as it is set, or as it was typed.
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
        let status = if refused.is_some() {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::OK
        };
        let page = SettingsPage {
            trouble: trouble.map(|trouble| format!("{}: {}", text(trouble, "status"), text(trouble, "statusReason"))),
            destination: destination.map(|destination| text(destination, "id").to_owned()),
            frame: self.frame,
            client,
            fields,
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
    let fields = Filled::typed(&form);
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
