//! `sensei sign-in-link`, asking the real program.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result};
use sensei_test_support::{Api, Binary};
use serde_json::json;

use crate::faults::LIMIT;

const KEY: &str = "sk_chosen_by_the_operator";

fn ask(arguments: &[&str], key: Option<&str>) -> Result<(Option<i32>, String, String)> {
    let binary = Binary::new(env!("CARGO_BIN_EXE_sensei")).arg("sign-in-link");
    let mut binary = arguments.iter().fold(binary, |binary, argument| binary.arg(*argument));
    if let Some(key) = key {
        binary.set_env("SENSEI_ADMIN_KEY", key);
    }
    let output = binary.command().output()?;
    let (stdout, stderr) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    Ok((output.status.code(), stdout, stderr))
}

#[tokio::test]
async fn the_program_prints_a_link_that_signs_in() -> Result<()> {
    let binary = Binary::new(env!("CARGO_BIN_EXE_sensei")).env("SENSEI_ADMIN_KEY", KEY);
    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let (url, api) = (format!("http://{address}"), Api::new(address, KEY));
    let client = api.post("/v1/clients", &json!({"name": "Acme"})).await?.json;
    let client = client["id"].as_str().context("an id")?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), format!("{KEY}\n"))?;
    let file = file.path().to_str().context("a path")?;
    for (arguments, key) in [
        (&["--url", &url][..], Some(KEY)),
        (
            &["--url", &format!("{url}/"), "--client", client, "--key-file", file],
            None,
        ),
    ] {
        let (code, link, stderr) = ask(arguments, key)?;
        assert_eq!(code, Some(0), "{stderr}");
        let link = link.trim_end();
        assert!(link.starts_with(&format!("{url}/admin/sign-in/")), "{link}");
        let path = link.strip_prefix(&url).context("a path")?;
        let mut connection = TcpStream::connect(address)?;
        write!(
            connection,
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
        assert!(answer.contains("set-cookie: sensei="), "{answer}");
    }
    for (arguments, key, words) in [
        (&["--url", &url][..], None, "set SENSEI_ADMIN_KEY"),
        (&["--url", &url], Some("sk_another_key_of_somebody"), "401"),
        (
            &["--url", "http://sensei.example"],
            Some(KEY),
            "must begin with https://",
        ),
        (
            &["--url", &url, "--expires-in", "2h"],
            Some(KEY),
            "must be from 1s to 1h",
        ),
    ] {
        let (code, stdout, stderr) = ask(arguments, key)?;
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains(words) && !stderr.contains(KEY), "{stderr}");
    }
    Ok(())
}
