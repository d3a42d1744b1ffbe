//! The HTTP API of Sensei Webhooks: an axum router that another axum application can nest.
//!
//! Promises that every answer that isn't a success is a problem document (RFC 9457), that a rejected request
//! changed nothing, that a captured lead is on disk before it is acknowledged, and that a key reaches
//! its own client only. One file an endpoint group, each with its handlers, its bodies and their documentation;
//! the OpenAPI document is made of exactly these handlers.
//! Leaves to others: what a valid lead is (`sensei-domain`), keeping it (`sensei-persistence`), which
//! addresses may be called (`Egress`), listening and TLS (`sensei`, or whoever embeds the router).

mod audit_log;
mod auth;
mod body;
mod client_address;
mod client_health;
mod clients;
mod cors;
mod deliveries;
mod destination_fields;
mod destination_health;
mod destination_kinds;
mod destination_preview;
mod destination_secrets;
mod destination_template;
mod destination_test;
mod destinations;
mod docs_page;
mod dry_run;
mod exchange;
mod filter_schema;
mod form_schema;
mod forms;
mod gate;
mod health;
mod hooks;
mod idempotency;
mod keys;
mod keys_under_way;
mod lead_query;
mod leads;
mod leads_batch;
mod leads_csv;
mod leads_from_pages;
mod leads_release;
mod live;
mod log_query;
mod logged_delivery;
mod openapi;
mod operator;
mod origins;
mod page;
mod path_id;
mod problem;
mod problem_kind;
mod query;
mod recoveries;
mod recovery_views;
mod request_id;
mod router;
mod schema;
mod settings;
mod sign_in_links;
mod state;
mod stats;
mod stats_window;
mod stream;
mod unread_body;
mod webhook;

pub use openapi::openapi;
pub use router::router;
pub use state::ApiState;
