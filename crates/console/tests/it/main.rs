//! The console's router on a real store and the real API, without a socket or a browser.

mod acme;
mod app;
mod assets;
mod clients;
mod destinations;
mod embedding;
mod hostile;
mod ids;
mod lead_form;
mod live;
mod log;
mod meanwhile;
mod operator;
mod overview;
mod session;
mod settings;
