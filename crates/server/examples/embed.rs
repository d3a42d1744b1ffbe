//! A product's own API server that carries Sensei Webhooks inside: `cargo run -p sensei --example embed`.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use sensei::{Config, Sensei, Sources};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The product's router: its own routes, and Sensei's (`/v1`, `/admin`, `/forms` and some more). Below a path of its own (`nest`) the API works, but not
/// the console, whose links begin with `/admin`.
pub(crate) fn product(sensei: &Sensei) -> Router {
    Router::new()
        .route("/", get(|| async { "the product itself" }))
        .merge(sensei.router())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // As the `sensei` program does: from the file, the environment, and no flags.
    let config = Config::load(&Sources::of_process(None, Vec::new()))?;
    let listener = TcpListener::bind(config.listen).await?;
    let sensei = Sensei::start(config).await?;
    if let Some(key) = sensei.first_admin_key() {
        println!("admin key, shown once: {key}");
    }
    println!("listening on http://{}, the console at /admin", listener.local_addr()?);
    // With the peers' addresses: leads of web pages are limited by them.
    let service = product(&sensei).into_make_service_with_connect_info::<SocketAddr>();
    let (stopping, stopped) = oneshot::channel();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async {
        stopped.await.ok();
    });
    let serving = tokio::spawn(serving.into_future());
    tokio::signal::ctrl_c().await?;
    stopping.send(()).ok();
    // They have no other end, and would be waited for.
    sensei.end_streams();
    serving.await??;
    // Ends the attempts in flight and closes the database.
    sensei.shutdown().await;
    Ok(())
}
