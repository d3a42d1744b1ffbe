//! `/admin/clients/{id}/settings/delete`: a client's end, once its name was typed. For admins.

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use sensei_domain::ClientId;

use crate::asked::Ids;
use crate::failure::Failure;
use crate::form::Form;
use crate::page::{Frame, show, show_with};
use crate::session::Viewer;
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new().route("/clients/{client}/settings/delete", get(ask).post(delete))
}

#[derive(Template)]
#[template(path = "settings_delete.html")]
struct DeletePage {
    frame: Frame,
    client: String,
    name: String,
    typed: String,
    is_wrong: bool,
}

impl DeletePage {
    async fn of(viewer: &Viewer, client: ClientId) -> Result<Self, Failure> {
        if !viewer.is_admin() {
            let words = "Only an admin can delete a client.";
            return Err(Failure::Forbidden(words.to_owned()));
        }
        let (frame, client) = Frame::below(viewer, client, "settings", "Delete this client").await?;
        let name = frame
            .client
            .as_ref()
            .map_or_else(String::new, |client| client.name.clone());
        Ok(Self {
            frame,
            client,
            name,
            typed: String::new(),
            is_wrong: false,
        })
    }
}

async fn ask(viewer: Viewer, Ids(client): Ids<ClientId>) -> Result<Response, Failure> {
    Ok(show(&DeletePage::of(&viewer, client).await?))
}

async fn delete(Ids(client): Ids<ClientId>, form: Form) -> Result<Response, Failure> {
    let mut page = DeletePage::of(&form.viewer, client).await?;
    let typed = form.text("name");
    // A form is sent with its line breaks and outer spaces changed; a name has none of the first.
    if typed != page.name.trim() {
        typed.clone_into(&mut page.typed);
        page.is_wrong = true;
        return Ok(show_with(StatusCode::UNPROCESSABLE_ENTITY, &page));
    }
    form.viewer.api.delete(&format!("/v1/clients/{}", page.client)).await?;
    Ok(Redirect::to("/admin/clients?done=deleted").into_response())
}
