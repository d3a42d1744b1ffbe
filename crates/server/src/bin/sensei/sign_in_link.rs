//! `sensei sign-in-link`: asks a running server for a link that signs in to its console, and prints it.

use std::io::{Write as _, stdout};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use url::{Host, Url};

use crate::cli::SignInLinkArguments;
use crate::client::ApiClient;

/// Where the key is unless it is in a file.
const KEY: &str = "SENSEI_ADMIN_KEY";

/// Prints the link, and nothing else, so that it can be opened or piped.
pub(crate) async fn run(arguments: SignInLinkArguments) -> Result<()> {
    let SignInLinkArguments {
        client,
        url,
        expires_in,
        key_file,
    } = arguments;
    let key = match key_file {
        Some(file) => std::fs::read_to_string(&file).with_context(|| format!("{} can't be read", file.display()))?,
        None => {
            std::env::var(KEY).with_context(|| format!("set {KEY} to a secret key, or name a file by --key-file"))?
        }
    };
    ensure!(
        url.scheme() == "https" || is_here(&url),
        "--url must begin with https:// (http:// only for this machine): the key would be readable on its way"
    );
    let base = url.as_str().trim_end_matches('/').to_owned();
    let api = ApiClient::new(base.clone(), key.trim().to_owned())?;
    let path = client.map_or_else(
        || "/v1/sign-in-links".to_owned(),
        |client| format!("/v1/clients/{client}/sign-in-links"),
    );
    let link = api.post(&path, &json!({"expiresIn": expires_in})).await?;
    let path = link["path"].as_str().context("the server's answer has no path")?;
    writeln!(stdout(), "{base}{path}")?;
    Ok(())
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
