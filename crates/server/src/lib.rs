//! Sensei Webhooks as a library: a configuration becomes a running system with a router to mount.
//!
//! The `sensei` program is a thin wrapper around this. Another program embeds the same server:
//!
//! ```no_run
//! # async fn embed() -> Result<(), Box<dyn std::error::Error>> {
//! use sensei::{Config, Sensei};
//!
//! let sensei = Sensei::start(Config::default()).await?;
//! let app = axum::Router::new().merge(sensei.router());
//! // With the peers' addresses: leads of web pages are limited by them.
//! let service = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, service).await?;
//! sensei.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! Promises that nothing is read from the process (environment, arguments, working directory's file)
//! unless [`Sources::of_process`] is asked to, and that no global state is touched: no logger, no TLS default.

pub mod config;
mod metrics;
pub mod receiver;
mod sensei;

pub use config::{Config, ConfigError, LogFormat, Sources};
pub use sensei::{RotateError, Sensei, StartError, migrate, rotate_secrets};
