//! `/v1/clients`: the customers of Sensei.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use sensei_domain::{ClientId, ClientName, Fields, TextRule, Timestamp};
use sensei_persistence::{Client, CreatedClient, NewClient};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{AdminAccess, ClientAccess};
use crate::body::JsonBody;
use crate::client_health::{self, ClientHealthView, ClientsParameters, ClientsQuery};
use crate::idempotency::{self, IdempotencyKey};
use crate::page::{List, Paging};
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::query::NoQuery;
use crate::settings::SettingsView;
use crate::state::ApiState;

/// Named, because the documentation refers to it by a plain name.
type ClientList = List<ListedClientView>;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(read, change, delete))
}

/// A client to create.
#[derive(ToSchema)]
#[schema(as = NewClient)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "documents what `create` reads field by field")]
struct NewClientBody {
    /// Sent as `data.clientName` in every webhook.
    #[schema(min_length = 1, max_length = 200, example = "Acme Corp")]
    name: String,
    /// Where the client's leads are sent; can be set later.
    #[schema(example = "https://hooks.acme.example/leads")]
    lead_webhook_url: Option<String>,
}

/// What may change of a client; what is absent stays.
#[derive(ToSchema)]
#[schema(as = ClientChange)]
#[expect(dead_code, reason = "documents what `change` reads field by field")]
struct ClientChangeBody {
    /// Sent in the webhooks of leads captured from now on.
    #[schema(nullable = false, min_length = 1, max_length = 200, example = "Acme Corporation")]
    name: Option<String>,
}

/// A customer of Sensei.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Client)]
pub(crate) struct ClientView {
    #[schema(value_type = String, format = Uuid)]
    id: ClientId,
    #[schema(example = "Acme Corp")]
    name: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// A client in a list.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedClient)]
struct ListedClientView {
    #[serde(flatten)]
    client: ClientView,
    /// How it is doing, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<ClientHealthView>,
}

impl From<Client> for ListedClientView {
    fn from(client: Client) -> Self {
        Self {
            client: client.into(),
            health: None,
        }
    }
}

/// A client just created.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CreatedClient)]
struct CreatedClientView {
    #[serde(flatten)]
    client: ClientView,
    /// For the client's web pages: may capture its leads and nothing else. Shown only now.
    #[schema(example = "pk_…")]
    publishable_key: String,
    settings: SettingsView,
}

impl From<CreatedClient> for CreatedClientView {
    fn from(created: CreatedClient) -> Self {
        let CreatedClient {
            client,
            settings,
            publishable_key,
        } = created;
        Self {
            client: client.into(),
            publishable_key: publishable_key.text,
            settings: settings.into(),
        }
    }
}

impl From<Client> for ClientView {
    fn from(client: Client) -> Self {
        let Client {
            id,
            name,
            created_at,
            updated_at,
            ..
        } = client;
        Self {
            id,
            name,
            created_at,
            updated_at,
        }
    }
}

/// Create a client
///
/// Answers with its publishable key, which is shown only now. Takes an admin's key.
#[utoipa::path(post, path = "/v1/clients", tag = "clients", operation_id = "createClient",
    request_body = NewClientBody,
    responses((status = CREATED, description = "The client, its settings and its key", body = CreatedClientView)))]
async fn create(
    access: AdminAccess,
    _: NoQuery,
    key: IdempotencyKey,
    State(state): State<ApiState>,
    body: JsonBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::new(&body.value)?;
    let name = client_name(&mut fields);
    let lead_webhook_url = state.webhook_url(&mut fields, "leadWebhookUrl");
    fields.finish()?;
    let name = name.expect("a body without faults has its required fields");

    let request = key.request("/v1/clients".to_owned(), || body.fingerprint());
    let new = NewClient { name, lead_webhook_url };
    let answer = |created: &CreatedClient| {
        let view = CreatedClientView::from(created.clone());
        idempotency::secret_answer(StatusCode::CREATED, &view)
    };
    let created = state
        .store()
        .create_client_once(new, request.as_ref(), answer, &access.actor())
        .await?;
    Ok(idempotency::respond(created))
}

/// List clients
///
/// Newest first. Takes an admin's key.
#[utoipa::path(get, path = "/v1/clients", tag = "clients", operation_id = "listClients",
    params(ClientsParameters, Paging),
    responses((status = OK, description = "A page of clients", body = ClientList)))]
async fn list(_: AdminAccess, query: ClientsQuery, State(state): State<ApiState>) -> Result<Json<ClientList>, Problem> {
    let ClientsQuery {
        text,
        with_health,
        paging,
    } = query;
    let mut page: ClientList = match text {
        None => paging.list(state.store().clients(paging.page()).await?, |client| {
            client.id.as_uuid()
        }),
        Some(text) => {
            let (clients, next) = state.store().clients_named(&text, paging.shown()).await?;
            List::new(clients, next)
        }
    };
    if with_health {
        let ids = page.items().iter().map(|client| client.client.id).collect::<Vec<_>>();
        let mut health = client_health::of_clients(&state, &ids).await?;
        for item in page.items_mut() {
            item.health = health.remove(&item.client.id);
        }
    }
    Ok(Json(page))
}

/// Read a client
#[utoipa::path(get, path = "/v1/clients/{clientId}", tag = "clients", operation_id = "readClient",
    params(("clientId" = Uuid, Path, description = "The client")),
    responses((status = OK, description = "The client", body = ClientView)))]
async fn read(access: ClientAccess, _: NoQuery, State(state): State<ApiState>) -> Result<Json<ClientView>, Problem> {
    Ok(Json(state.client(access.client_id).await?.into()))
}

/// Rename a client
#[utoipa::path(patch, path = "/v1/clients/{clientId}", tag = "clients", operation_id = "changeClient",
    params(("clientId" = Uuid, Path, description = "The client")),
    request_body = ClientChangeBody,
    responses((status = OK, description = "The client as it is now", body = ClientView)))]
async fn change(
    access: ClientAccess,
    _: NoQuery,
    State(state): State<ApiState>,
    body: JsonBody,
) -> Result<Json<ClientView>, Problem> {
    let mut fields = Fields::new(&body.value)?;
    let is_renamed = fields.is_present("name");
    let name = is_renamed.then(|| client_name(&mut fields)).flatten();
    // Known even when it is absent.
    fields.value("name");
    fields.finish()?;

    let Some(name) = name else {
        return Ok(Json(state.client(access.client_id).await?.into()));
    };
    let renamed = state
        .store()
        .rename_client(access.client_id, name, &access.actor())
        .await?;
    renamed
        .map(|client| Json(client.into()))
        .ok_or_else(Problem::unknown_client)
}

/// Delete a client
///
/// With all it has: leads, deliveries, destinations and keys. Takes an admin's key. Of very many leads it takes longer than a request may, and goes
/// on by itself: call again to see whether the client is gone (`404`).
#[utoipa::path(delete, path = "/v1/clients/{clientId}", tag = "clients", operation_id = "deleteClient",
    params(("clientId" = Uuid, Path, description = "The client")),
    responses((status = NO_CONTENT, description = "The client is gone")))]
async fn delete(
    access: AdminAccess,
    PathId(client_id): PathId<ClientId>,
    _: NoQuery,
    State(state): State<ApiState>,
) -> Result<StatusCode, Problem> {
    let is_deleted = state.store().delete_client(client_id, &access.actor()).await?;
    if is_deleted {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::unknown_client())
    }
}

fn client_name(fields: &mut Fields<'_>) -> Option<ClientName> {
    let text = fields.required_text("name", TextRule::as_typed(usize::MAX))?;
    fields.parse("name", text)
}
