//! Where pages of something of a client's stand: read for its name, and that it is there.

use sensei_domain::{ClientId, DestinationId};
use serde_json::Value;

use crate::failure::Failure;
use crate::page::{Frame, text};
use crate::session::Viewer;
use crate::shown::shown_name;

/// A destination, and where it is.
pub(crate) struct Below {
    /// As the API shows it.
    pub(crate) view: Value,
    /// Its path in the API.
    pub(crate) api: String,
    /// Its path in the console.
    pub(crate) page: String,
}

impl Below {
    /// What people call it.
    pub(crate) fn name(&self) -> String {
        shown_name(text(&self.view, "name")).to_owned()
    }
}

impl Frame {
    /// Of a page below one of a client's parts, and the client's id.
    pub(crate) async fn below(
        viewer: &Viewer,
        client: ClientId,
        tab: &'static str,
        title: &str,
    ) -> Result<(Self, String), Failure> {
        let mut frame = Self::of_client(viewer, client, tab).await?;
        let Some(client) = &frame.client else {
            return Err(Failure::NotFound);
        };
        let id = client.id.clone();
        frame.title = format!("{title} · {}", client.name);
        Ok((frame, id))
    }
}

/// A destination of a client, and the frame of a page about it.
pub(crate) async fn destination(
    viewer: &Viewer,
    client: ClientId,
    id: DestinationId,
    title: &str,
) -> Result<(Frame, Below), Failure> {
    let (mut frame, client) = Frame::below(viewer, client, "destinations", title).await?;
    let api = format!("/v1/clients/{client}/destinations/{id}");
    let view = viewer.api.get(&api).await?;
    frame.title = format!("{title} · {} · {}", shown_name(text(&view, "name")), frame.title);
    let page = format!("/admin/clients/{client}/destinations/{id}");
    Ok((frame, Below { view, api, page }))
}
