//! The router itself, on a real store, without a socket of its own; no mocks.

mod app;
mod attempts;
mod auth;
mod bad_input;
mod batch;
mod destinations;
mod documents;
mod gate;
mod health;
mod hooks;
mod idempotency;
mod journey;
mod keys;
mod lists;
mod nested;
mod operator;
mod outage;
mod recovery;
mod secrets;
mod settings;
mod sign_in_links;
mod stats;
mod stream;
mod suspected;
mod templates;
mod test_send;
