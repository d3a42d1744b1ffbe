//! `/admin/clients/{id}/settings/form`: the lead form's fields, words and looks, where it may stand, and how to put it into a page.

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sensei_domain::ClientId;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::api::Refused;
use crate::asked::Ids;
use crate::failure::Failure;
use crate::form::Form;
use crate::page::{Frame, show_with, text};
use crate::session::{Viewer, is_https};
use crate::state::ConsoleState;

/// Blank rows besides the fields that there are.
const BLANK_ROWS: usize = 2;
/// As many as are read; the API says how many there may be.
const MOST_ROWS: usize = 40;
/// What a form says, and when.
const TEXTS: [(&str, &str); 12] = [
    ("title", "Title"),
    ("intro", "Introduction"),
    ("submit", "Button"),
    ("sending", "While it is sent"),
    ("sent", "When it was sent"),
    ("failed", "When it couldn't be sent"),
    ("retry", "Button that tries again"),
    ("offline", "Without a network"),
    ("wrong", "When fields are wrong"),
    ("required", "By a field that is missing"),
    ("invalid", "By a field that is wrong"),
    ("optional", "By a field that may be left out"),
];
const TYPES: [(&str, &str); 6] = [
    ("text", "a line"),
    ("email", "an email address"),
    ("tel", "a phone number"),
    ("textarea", "several lines"),
    ("select", "one of the choices"),
    ("checkbox", "a box to tick"),
];

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new().route("/clients/{client}/settings/form", get(page).post(save))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Done {
    done: Option<String>,
}

/// A field as a row.
#[derive(Clone, Default)]
struct Row {
    name: String,
    label: String,
    kind: String,
    is_required: bool,
    /// One a line.
    options: String,
    wrong: Option<String>,
}

/// One of what a form says.
struct Words {
    name: &'static str,
    when: &'static str,
    text: String,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "settings_form.html")]
struct FormPage {
    frame: Frame,
    client: String,
    host: String,
    origins: String,
    is_enabled: bool,
    lang: String,
    rows: Vec<Row>,
    texts: Vec<Words>,
    accent: String,
    radius: String,
    scheme: String,
    types: [(&'static str, &'static str); 6],
    /// Stands for what is set, for the form to say what whoever fills it in has seen.
    seen: String,
    refused: Option<Refused>,
}

impl Row {
    fn of(field: &Value) -> Self {
        let options = field["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        let options = options.iter().filter_map(Value::as_str).collect::<Vec<_>>();
        Self {
            name: text(field, "name").to_owned(),
            label: text(field, "label").to_owned(),
            kind: text(field, "type").to_owned(),
            is_required: field["required"].as_bool().unwrap_or_default(),
            options: options.join("\n"),
            wrong: None,
        }
    }

    /// The fields that a form holds, in their order; rows without name and label are none.
    fn typed(form: &Form) -> Vec<Value> {
        let rows = (0..MOST_ROWS).filter_map(|row| {
            let text = |part: &str| form.text(&format!("field.{part}.{row}"));
            if text("name").is_empty() && text("label").is_empty() {
                return None;
            }
            let mut field = json!({"name": text("name"), "label": text("label"), "type": text("type"),
                "required": form.is_ticked(&format!("field.required.{row}"))});
            let options = text("options")
                .lines()
                .map(str::trim)
                .filter(|option| !option.is_empty());
            let options = options.collect::<Vec<_>>();
            // Of other types there are none; what was typed for a select that isn't one any more is dropped.
            if text("type") == "select" {
                field["options"] = options.into();
            }
            Some(field)
        });
        rows.collect()
    }

    /// Whether it is of this type.
    fn asks(&self, kind: &str) -> bool {
        self.kind == kind
    }
}

/// The settings that a form holds.
fn typed(form: &Form) -> Value {
    let texts = TEXTS.iter().map(|(name, _)| {
        let text = form.text(&format!("text.{name}")).replace("\r\n", "\n");
        ((*name).to_owned(), Value::String(text))
    });
    let radius = form.text("radius");
    let origins = form.text("allowedOrigins").lines().map(str::trim);
    json!({
        "allowedOrigins": origins.filter(|origin| !origin.is_empty()).collect::<Vec<_>>(),
        "form": {
            "enabled": form.is_ticked("enabled"),
            "lang": form.text("lang"),
            "fields": Row::typed(form),
            "texts": texts.collect::<serde_json::Map<_, _>>(),
            "theme": {
                "accent": form.text("accent"),
                "radius": radius.parse::<u64>().map_or_else(|_| radius.into(), Value::from),
                "scheme": form.text("scheme"),
            },
        },
    })
}

/// Where this console is, as the browser has reached it.
pub(super) fn host(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let scheme = if is_https(headers) { "https" } else { "http" };
    format!("{scheme}://{}", host.unwrap_or("sensei.example"))
}

impl FormPage {
    fn of(frame: Frame, client: String, host: String, settings: &Value, refused: Option<Refused>) -> Self {
        let wrong = |pointer: &str| {
            refused
                .as_ref()
                .and_then(|refused| refused.at(pointer))
                .map(str::to_owned)
        };
        let form = &settings["form"];
        let list = |list: &Value| list.as_array().cloned().unwrap_or_default();
        let mut rows = list(&form["fields"]).iter().map(Row::of).collect::<Vec<_>>();
        for (index, row) in rows.iter_mut().enumerate() {
            row.wrong = wrong(&format!("/form/fields/{index}"));
        }
        rows.resize(rows.len() + BLANK_ROWS, Row::default());
        let texts = TEXTS.iter().map(|(name, when)| Words {
            name,
            when,
            text: text(&form["texts"], name).to_owned(),
            wrong: wrong(&format!("/form/texts/{name}")),
        });
        let origins = list(&settings["allowedOrigins"]);
        let origins = origins.iter().filter_map(Value::as_str).collect::<Vec<_>>();
        let theme = &form["theme"];
        Self {
            frame,
            client,
            host,
            origins: origins.join("\n"),
            is_enabled: form["enabled"].as_bool().unwrap_or_default(),
            lang: text(form, "lang").to_owned(),
            texts: texts.collect(),
            accent: text(theme, "accent").to_owned(),
            radius: match &theme["radius"] {
                Value::String(typed) => typed.clone(),
                radius => radius.to_string(),
            },
            scheme: text(theme, "scheme").to_owned(),
            types: TYPES,
            seen: String::new(),
            rows,
            refused,
        }
    }

    fn seen(mut self, seen: String) -> Self {
        self.seen = seen;
        self
    }

    fn show(&self) -> Response {
        let status = self.refused.as_ref().map_or(StatusCode::OK, |refused| refused.status);
        show_with(status, self)
    }
}

const CONTESTED: &str = "Somebody has changed this form or its origins since you opened it. What you typed is below: saved again, it takes the place of \
                         what is there now.";

/// Stands for what is set of all that this page shows.
fn mark(settings: &Value) -> String {
    let shown = json!([settings["allowedOrigins"], settings["form"]]).to_string();
    URL_SAFE_NO_PAD.encode(Sha256::digest(shown))
}

async fn page(
    viewer: Viewer,
    Ids(client): Ids<ClientId>,
    Query(Done { done }): Query<Done>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let (frame, client) = Frame::below(&viewer, client, "settings", "Lead form").await?;
    let settings = viewer.api.get(&format!("/v1/clients/{client}/settings")).await?;
    let (frame, seen) = (frame.done(done.as_deref()), mark(&settings));
    Ok(FormPage::of(frame, client, host(&headers), &settings, None)
        .seen(seen)
        .show())
}

async fn save(Ids(client): Ids<ClientId>, headers: HeaderMap, form: Form) -> Result<Response, Failure> {
    let viewer = &form.viewer;
    let (frame, client) = Frame::below(viewer, client, "settings", "Lead form").await?;
    let settings = typed(&form);
    let path = format!("/v1/clients/{client}/settings");
    let now = mark(&viewer.api.get(&path).await?);
    let seen = form.given("seen").unwrap_or(&now);
    if form.more().is_some() {
        let mut page = FormPage::of(frame, client, host(&headers), &settings, None).seen(seen.to_owned());
        let wanted = form.rows_and_one("field.name.").min(MOST_ROWS);
        if page.rows.len() < wanted {
            page.rows.resize(wanted, Row::default());
        }
        return Ok(page.show());
    }
    let saved = if seen == now {
        viewer.api.patch(&path, &settings).await
    } else {
        Err(Refused::conflict(CONTESTED))
    };
    match saved {
        Ok(_) => Ok(Redirect::to(&format!("/admin/clients/{client}/settings/form?done=saved")).into_response()),
        Err(refused) if matches!(refused.status, StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT) => {
            let page = FormPage::of(frame, client, host(&headers), &settings, Some(refused));
            Ok(page.seen(now).show())
        }
        Err(refused) => Err(refused.into()),
    }
}
