//! Who calls, and what he may do: an extractor a right, so that a handler can't forget to ask.
//!
//! Another client's things answer like things that don't exist. A publishable key stands in web pages, so
//! it may capture its own client's leads and nothing else.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use sensei_domain::{ClientId, DestinationId, KeyId};
use sensei_persistence::{Access, Actor, KeyKind, Scope};

use crate::gate::{self, Page};
use crate::path_id::PathId;
use crate::problem::Problem;
use crate::problem_kind::ProblemKind;
use crate::state::ApiState;

/// The right to everything: a secret key that isn't one client's.
pub(crate) struct AdminAccess {
    pub(crate) key_id: KeyId,
}

/// The right to what is nobody's in particular: any secret key.
pub(crate) struct SecretAccess;

/// The right to one client's things, the client of the path: an admin's key or the client's own secret key.
pub(crate) struct ClientAccess {
    pub(crate) client_id: ClientId,
    key_id: KeyId,
    is_admin: bool,
}

/// The right to capture a lead of the client of the path: any key that reaches it. What comes with a publishable one has passed the gate.
pub(crate) struct CaptureAccess {
    pub(crate) client_id: ClientId,
    /// With a publishable key: the web page that the request seems to come from.
    pub(crate) page: Option<Box<Page>>,
}

impl AdminAccess {
    /// Who is noted down as having changed something.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Key(self.key_id)
    }
}

impl ClientAccess {
    /// For the part of a request that only an admin may ask for.
    pub(crate) fn require_admin(&self) -> Result<(), Problem> {
        if self.is_admin { Ok(()) } else { Err(admins_only()) }
    }

    /// Who is noted down as having changed something.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Key(self.key_id)
    }

    /// The key that gives this right.
    pub(crate) const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The path that idempotency keys of an action on a destination are kept under, wherever the API is nested.
    pub(crate) fn destination_path(&self, id: DestinationId, action: &str) -> String {
        format!("/v1/clients/{}/destinations/{id}/{action}", self.client_id)
    }
}

impl FromRequestParts<ApiState> for AdminAccess {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let access = secret_access(parts, state).await?;
        match access.scope {
            Scope::Admin => Ok(Self { key_id: access.key_id }),
            Scope::Client(_) => Err(admins_only()),
        }
    }
}

impl FromRequestParts<ApiState> for SecretAccess {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        secret_access(parts, state).await.map(|_| Self)
    }
}

impl FromRequestParts<ApiState> for ClientAccess {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let access = secret_access(parts, state).await?;
        let client_id = client_within(&access, parts, state).await?;
        Ok(Self {
            client_id,
            key_id: access.key_id,
            is_admin: access.scope == Scope::Admin,
        })
    }
}

impl FromRequestParts<ApiState> for CaptureAccess {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let authenticated = authenticate(parts, state).await;
        let access = authenticated.map_err(|problem| problem.readable_by(gate::origin_of(parts)))?;
        let client_id = client_within(&access, parts, state).await?;
        let page = match access.kind {
            KeyKind::Secret => None,
            KeyKind::Publishable => Some(Box::new(gate::admit(parts, state, client_id).await?)),
        };
        Ok(Self { client_id, page })
    }
}

fn admins_only() -> Problem {
    Problem::new(
        ProblemKind::Forbidden,
        "this key reaches one client only; this takes an admin's key",
    )
}

/// By the key of the request; or whoever passes requests on within this process has seen who calls, and says so by an [`Access`] among their
/// extensions, which no request from outside can have.
async fn authenticate(parts: &Parts, state: &ApiState) -> Result<Access, Problem> {
    if let Some(access) = parts.extensions.get::<Access>() {
        return Ok(*access);
    }
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    // Two of them are ambiguous: a proxy might have read the other one.
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return Err(Problem::unauthorized(false));
    };
    let key = header
        .to_str()
        .ok()
        .and_then(bearer)
        .ok_or_else(|| Problem::unauthorized(false))?;
    state
        .store()
        .authenticate(key)
        .await?
        .ok_or_else(|| Problem::unauthorized(true))
}

/// The token of `Bearer …`; the scheme's case doesn't matter (RFC 9110, section 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    Some(token.trim_matches(' ')).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

async fn secret_access(parts: &Parts, state: &ApiState) -> Result<Access, Problem> {
    let access = authenticate(parts, state).await?;
    match access.kind {
        KeyKind::Secret => Ok(access),
        KeyKind::Publishable => Err(Problem::new(
            ProblemKind::Forbidden,
            "a publishable key may only capture leads, one at a time; this takes a secret key",
        )),
    }
}

async fn client_within(access: &Access, parts: &mut Parts, state: &ApiState) -> Result<ClientId, Problem> {
    let PathId(client_id) = PathId::<ClientId>::from_request_parts(parts, state).await?;
    match access.scope {
        Scope::Admin => Ok(client_id),
        Scope::Client(own) if own == client_id => Ok(client_id),
        Scope::Client(_) => Err(Problem::unknown_client()),
    }
}

#[cfg(test)]
mod tests {
    use super::bearer;

    #[test]
    fn a_bearer_token_is_found_whatever_the_schemes_case() {
        for (header, token) in [
            ("Bearer sk_1", Some("sk_1")),
            ("bearer  sk_1 ", Some("sk_1")),
            ("Bearer", None),
            ("Bearer ", None),
            ("Basic c2s6", None),
            ("sk_1", None),
        ] {
            assert_eq!(bearer(header), token, "{header}");
        }
    }
}
