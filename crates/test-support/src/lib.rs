//! What tests need around the product: a private PostgreSQL, receivers that behave and misbehave, the real binary,
//! a real browser.
//!
//! Development only; no crate of the product depends on it. Waiting is always for a condition, up to
//! a limit that fails the test with what was seen.

mod api;
mod binary;
mod browser;
mod certificates;
mod chromium;
mod fault_server;
mod free_port;
mod mail_server;
mod open_connections;
mod postgres;
mod postgres_programs;
mod receiver;
mod traffic;

pub use api::{Api, ApiAnswer, http_client};
pub use binary::{Binary, Process};
pub use browser::{Browser, By, keys};
pub use certificates::{Certificate, TestRoot};
pub use fault_server::{Fault, FaultServer};
pub use free_port::free_port;
pub use mail_server::{Encryption, Mail, MailServer};
pub use postgres::{Database, PostgresOptions, PostgresServer, SERVER_VARIABLE};
pub use receiver::{Received, Receiver};
pub use traffic::{Request, Seen};
