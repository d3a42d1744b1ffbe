//! The console's router on a real store and the real API, without a socket or a browser.

mod acme;
mod app;
mod assets;
mod clients;
mod hostile;
mod live;
mod log;
mod operator;
mod overview;
mod session;
