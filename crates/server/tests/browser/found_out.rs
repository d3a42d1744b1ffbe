//! The looks at pages see what they look for: a page with every fault is found out for each of them.

use anyhow::Result;
use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use sensei_test_support::Browser;

use crate::audit::View;

const POLICY: &str = "default-src 'self' http://localhost:*; script-src 'self' 'unsafe-inline'; style-src 'self'";

async fn faulty() -> impl IntoResponse {
    let mut page = "<!doctype html><html><head><title>Faulty</title><link rel=icon href=data:,>
        <meta name=viewport content='width=device-width'></head><body>
        <img src=http://localhost:9/elsewhere.png><script>undefined_name()</script>
        <p style='width: 2000px'>forbidden by its policy</p>
        <table width=900><tr><td>wider than a phone</table><input>"
        .to_owned();
    for number in 0..4 {
        use std::fmt::Write as _;
        write!(page, "<script src=/heavy/{number}.js></script>").expect("writing to a text can't fail");
    }
    let headers = [
        (header::CONTENT_TYPE, "text/html"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, page)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_every_fault_is_found_out() -> Result<()> {
    let Some(browser) = Browser::start().await else {
        return Ok(());
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let heavy = async || ([(header::CONTENT_TYPE, "text/javascript")], " ".repeat(40_000));
    let app = Router::new().route("/", get(faulty)).route("/heavy/{name}", get(heavy));
    tokio::spawn(async move { axum::serve(listener, app).await });

    let view = View {
        width: 360,
        is_dark: false,
    };
    view.begin(&browser).await?;
    browser.open(&origin).await?;
    let faults = view.faults(&browser, &origin, 200, &browser.seen().await?).await?;
    for expected in [
        "undefined_name is not defined",
        "asks another origin: http://localhost:9/elsewhere.png",
        "Content Security Policy",
        "px wide on 360 px",
        "6 requests",
        " bytes: ",
        "image-alt: ",
        "label: ",
        "html-has-lang: ",
    ] {
        assert!(
            faults.iter().any(|fault| fault.contains(expected)),
            "{expected:?} isn't in {faults:#?}"
        );
    }
    Ok(())
}
