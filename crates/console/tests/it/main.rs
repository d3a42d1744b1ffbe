//! The console's router on a real store and the real API, without a socket or a browser.

mod app;
mod assets;
mod clients;
mod destinations;
mod embedding;
mod lead_form;
mod session;
mod settings;
