//! What stands in an address where an id is meant reaches nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use axum::http::Method;

use crate::acme::Acme;
use crate::app::{ADMIN, TestConsole};

/// The routes below a client, as the sources name them.
fn routes() -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = fs::read_to_string(&path).expect("a source");
            let literals = source.split('"').filter(|text| text.starts_with("/clients/{client}"));
            routes.extend(literals.map(str::to_owned));
        }
    }
    routes
}

/// The route's addresses with one of its parts hostile and the others in order.
fn hostile(route: &str, acme: &Acme) -> Vec<String> {
    let (client, destination) = (acme.id.as_str(), acme.destination.as_str());
    let good = |name: &str| match name {
        "client" => client.to_owned(),
        "kind" => "webhook".to_owned(),
        // Of anything else it could be the id.
        _ => destination.to_owned(),
    };
    let parts = route.split('/').collect::<Vec<_>>();
    let name = |part: &str| {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        name.map(str::to_owned)
    };
    let mut addresses = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        let Some(named) = name(part) else { continue };
        let right = good(&named);
        for wrong in [
            "..".to_owned(),
            "%2e%2e".to_owned(),
            "..%2F..%2Fkeys".to_owned(),
            "%3Flimit=1".to_owned(),
            "%ff".to_owned(),
            "0".to_owned(),
            format!("{right}%3Fdry=1"),
            format!("{right}%23"),
            format!("{right}%2F"),
            format!("{right}%2Fsecret"),
            format!("{right}%2Fsettings"),
            format!("x%2F..%2F{right}"),
        ] {
            let address = parts.iter().enumerate().map(|(at, part)| match name(part) {
                _ if at == place => wrong.clone(),
                Some(name) => good(&name),
                None => (*part).to_owned(),
            });
            addresses.push(format!("/admin{}", address.collect::<Vec<_>>().join("/")));
        }
    }
    addresses
}

#[tokio::test]
async fn what_isnt_an_id_is_nothing_on_every_route() {
    let console = TestConsole::new().await;
    let acme = Acme::new(&console).await;
    let browser = console.signed_in(ADMIN).await;
    let csrf = browser.get("/admin/clients/new").await.csrf();
    let routes = routes();
    assert!(routes.len() > 25, "{routes:?}");
    for route in &routes {
        for address in hostile(route, &acme) {
            let read = browser.get(&address).await.status;
            let fields = [("csrf", csrf.as_str()), ("sure", "yes"), ("name", "Acme")];
            let sent = browser.send(Method::POST, &address, &fields).await.status;
            // A route may not be for both.
            assert!(
                matches!((read, sent), (404, 404 | 405) | (405, 404)),
                "{address}: {read}, {sent}"
            );
        }
    }
    let form = browser.get(&format!("/forms/{}%2F", acme.id)).await;
    form.expect(404);
    // Nothing of all this has changed anything.
    let client = console.api(Method::GET, &acme.api(""), None).await;
    assert_eq!(client["name"], "Acme");
    let destination = acme.api(&format!("/destinations/{}", acme.destination));
    let destination = console.api(Method::GET, &destination, None).await;
    assert_eq!(
        (&destination["status"], &destination["version"]),
        (&"active".into(), &1.into())
    );
}
