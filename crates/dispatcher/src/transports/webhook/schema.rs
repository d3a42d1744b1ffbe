//! The schema of a webhook's config, for people and for forms.

use serde_json::{Value, json};

use super::auth::{BASIC, BEARER, OAUTH2};
use super::fixed::{MAX_BYTES, MAX_HEADERS};

/// The fields that are never shown again.
pub(super) const SECRETS: [&str; 4] = ["auth/password", "auth/token", "auth/clientSecret", "secretHeaders/*"];

pub(super) fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "url": url("Where events are sent: https, without credentials and fragment."),
            "method": {
                "type": ["string", "null"],
                "enum": ["POST", "PUT", "PATCH", null],
                "description": "How they are sent. `POST` if absent."
            },
            "body": {
                "type": ["string", "null"],
                "enum": ["json", "form", "cloudEventsStructured", "cloudEventsBinary", null],
                "description": "What is sent: the event as JSON, as the fields of a form, or in an envelope of CloudEvents 1.0. \
                    `json` if absent. The signature is always of the bytes that are sent."
            },
            "headers": headers("Headers that are sent besides, anybody may see them."),
            "secretHeaders": {
                "type": ["object", "null"],
                "additionalProperties": {"type": "string", "minLength": 1, "writeOnly": true},
                "description": format!("Headers whose values are secret. With `headers` at most {MAX_HEADERS}, of {MAX_BYTES} bytes in all.")
            },
            "auth": {
                "type": ["object", "null"],
                "description": "How the receiver knows who sends.",
                "oneOf": [{"type": "null"}, basic(), bearer(), oauth2()]
            }
        },
        "required": ["url"],
        "additionalProperties": false
    })
}

fn basic() -> Value {
    json!({
        "title": "Basic",
        "type": "object",
        "properties": {
            "type": {"const": BASIC},
            "username": {"type": "string", "minLength": 1, "description": "Without a colon."},
            "password": {"type": ["string", "null"], "writeOnly": true, "description": "Empty if absent."}
        },
        "required": ["type", "username"],
        "additionalProperties": false
    })
}

fn bearer() -> Value {
    json!({
        "title": "Bearer",
        "type": "object",
        "properties": {
            "type": {"const": BEARER},
            "token": {"type": "string", "minLength": 1, "writeOnly": true, "description": "What follows `Bearer`."}
        },
        "required": ["type", "token"],
        "additionalProperties": false
    })
}

fn oauth2() -> Value {
    json!({
        "title": "OAuth 2 client credentials",
        "type": "object",
        "properties": {
            "type": {"const": OAUTH2},
            "tokenUrl": url("The token endpoint; the same rules hold as for the URL."),
            "clientId": {"type": "string", "minLength": 1, "description": "Who asks for a token."},
            "clientSecret": {"type": "string", "minLength": 1, "writeOnly": true, "description": "What shows it."},
            "scope": {"type": ["string", "null"], "description": "What the token shall be good for, separated by spaces."},
            "credentialsIn": {
                "type": ["string", "null"],
                "enum": ["header", "body", null],
                "description": "Where the token endpoint wants id and secret: a header of the scheme Basic, or its form. \
                    `header` if absent."
            }
        },
        "required": ["type", "tokenUrl", "clientId", "clientSecret"],
        "additionalProperties": false
    })
}

fn url(description: &str) -> Value {
    json!({"type": "string", "format": "uri", "maxLength": 2048, "description": description})
}

fn headers(description: &str) -> Value {
    json!({
        "type": ["object", "null"],
        "additionalProperties": {"type": "string", "minLength": 1},
        "description": description
    })
}
