//! A product's own API server that carries Sensei Webhooks inside: `cargo run -p sensei --example embed`.

use axum::Router;
use axum::routing::get;
use sensei::{Config, Sensei, Sources};
use tokio::net::TcpListener;

/// The product's router: its own routes, and Sensei's API under `/webhooks`.
pub(crate) fn product(sensei: &Sensei) -> Router {
    Router::new()
        .route("/", get(|| async { "the product itself" }))
        .nest("/webhooks", sensei.router())
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
    println!("listening on http://{}, Sensei under /webhooks", listener.local_addr()?);
    axum::serve(listener, product(&sensei))
        .with_graceful_shutdown(async {
            tokio::signal::ctrl_c().await.ok();
        })
        .await?;
    // Ends the attempts in flight and closes the database.
    sensei.shutdown().await;
    Ok(())
}
