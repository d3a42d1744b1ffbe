//! The master key is changed while leads are delivered: nothing is lost, every secret goes on, and the old key isn't needed after.

use std::process::Output;

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sensei_test_support::{Api, Binary, PostgresServer, Receiver};
use serde_json::json;

use super::load::{ADMIN_KEY, LIMIT, Load, all_delivered, binary, create_client, text};

const TOKEN: &str = "t0ken-0123456789";
const DESTINATIONS: usize = 60;
const DONE: &str = "everything is sealed under the master key in use";

fn key(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

/// Keeps the key in use, or both, for the next starts.
fn give(binary: &mut Binary, current: &str, previous: &str) {
    binary.set_env("SENSEI_MASTER_KEY", current);
    binary.set_env("SENSEI_PREVIOUS_MASTER_KEY", previous);
}

/// Exit code, standard output and standard error of `sensei secrets rotate`.
fn rotate(binary: &Binary) -> Result<(Option<i32>, String, String)> {
    let mut command = binary.command();
    let Output { status, stdout, stderr } = command.args(["secrets", "rotate"]).output()?;
    Ok((status.code(), String::from_utf8(stdout)?, String::from_utf8(stderr)?))
}

/// A client with a Lead Webhook and a destination with a token, and another client with many of those that gets no leads.
struct World {
    client: String,
    secret_path: String,
    secret: String,
}

impl World {
    async fn make(api: &Api, receiver: &Receiver) -> Result<Self> {
        let client = create_client(api, Some(&receiver.url())).await?;
        let settings = api.get(&format!("/v1/clients/{client}/settings")).await?.json;
        let destination = text(&settings["destinationId"]);
        let other = create_client(api, None).await?;
        for number in 0..=DESTINATIONS {
            let of = if number == 0 { &client } else { &other };
            let config =
                json!({"url": receiver.url(), "auth": {"type": "bearer", "token": format!("{TOKEN}-{number}")}});
            let body = json!({"kind": "webhook", "name": format!("d{number}"), "config": config, "rateLimit": null});
            let made = api.post(&format!("/v1/clients/{of}/destinations"), &body).await?;
            ensure!(made.status == 201, "{made:?}");
        }
        let secret_path = format!("/v1/clients/{client}/destinations/{destination}/secret");
        let secret = text(&api.get(&secret_path).await?.json["secret"]);
        Ok(Self {
            client,
            secret_path,
            secret,
        })
    }

    /// Everything that came was sent with the secret or the token that it ought to be, and the API still shows the secret.
    async fn check(&self, api: &Api, receiver: &Receiver) -> Result<()> {
        ensure!(text(&api.get(&self.secret_path).await?.json["secret"]) == self.secret);
        let (mut signed, mut with_token) = (0, 0);
        let reference = standardwebhooks::Webhook::new(&self.secret).expect("a secret");
        for request in receiver.received() {
            if let Some(token) = request.headers.get("authorization") {
                ensure!(token.to_str()? == format!("Bearer {TOKEN}-0"));
                with_token += 1;
            } else {
                reference.verify(&request.body, &request.headers)?;
                signed += 1;
            }
        }
        ensure!(signed > 0 && with_token > 0, "{signed} and {with_token}");
        Ok(())
    }
}

fn says_no_secret(binary: &Binary, output: &str) {
    let file = std::fs::read_to_string(binary.directory().join("data/master.key")).unwrap_or_default();
    for secret in [
        key(1),
        key(2),
        file.trim().to_owned(),
        TOKEN.to_owned(),
        "whsec_".to_owned(),
    ] {
        assert!(secret.is_empty() || !output.contains(&secret), "{output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn master_key_is_changed_under_load_through_kills_and_the_old_one_is_not_needed_after() -> Result<()> {
    let (mut binary, receiver) = (binary().env("SENSEI_LOG", "debug,sqlx=info"), Receiver::start());
    give(&mut binary, &key(1), "");
    let mut process = binary.start()?;
    let world = World::make(&Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY), &receiver).await?;
    process.kill();

    // Each life is a little longer than the one before, until one is long enough.
    give(&mut binary, &key(2), &key(1));
    let (mut acknowledged, mut cut_off, mut output) = (std::collections::BTreeSet::new(), 0, String::new());
    for life in 0.. {
        let mut process = binary.start()?;
        let address = process.wait_ready(LIMIT).await?;
        let load = Load::start(address, &world.client, 4, true);
        load.wait_acknowledged(1 + 10 * life).await?;
        let is_done = process.output().contains(DONE);
        process.kill();
        acknowledged.extend(load.stop().await.acknowledged);
        output.push_str(&process.output());
        if is_done {
            break;
        }
        cut_off += 1;
        ensure!(life < 50, "it is never done:\n{output}");
    }
    ensure!(cut_off > 0, "it was done before it could be killed");
    says_no_secret(&binary, &output);

    for (current, refused) in [(1, true), (2, false)] {
        give(&mut binary, &key(current), "");
        let mut process = binary.start()?;
        if refused {
            ensure!(process.wait_exit(LIMIT).await?.code() == Some(1));
            process.wait_output("set SENSEI_MASTER_KEY", LIMIT).await?;
            says_no_secret(&binary, &process.output());
            continue;
        }
        let address = process.wait_ready(LIMIT).await?;
        let load = Load::start(address, &world.client, 4, false);
        load.wait_acknowledged(50).await?;
        acknowledged.extend(load.stop().await.acknowledged);
        all_delivered(&receiver, &acknowledged).await?;
        world.check(&Api::new(address, ADMIN_KEY), &receiver).await?;
    }
    println!("{} leads, {cut_off} kills", acknowledged.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn key_that_is_kept_in_a_file_is_changed_by_moving_it() -> Result<()> {
    let (binary, receiver) = (binary(), Receiver::start());
    let mut process = binary.start()?;
    let world = World::make(&Api::new(process.wait_ready(LIMIT).await?, ADMIN_KEY), &receiver).await?;
    let (code, _, stderr) = rotate(&binary)?;
    ensure!(
        code == Some(1) && stderr.contains("is in use by another process"),
        "{stderr}"
    );
    ensure!(
        stderr.contains("by itself when it is started with both keys"),
        "{stderr}"
    );
    process.terminate()?;
    process.wait_exit(LIMIT).await?;
    let (code, _, stderr) = rotate(&binary)?;
    ensure!(code == Some(1), "{stderr}");
    ensure!(
        stderr.contains("there is no previous master key") && stderr.contains("data/master.key.previous"),
        "{stderr}"
    );

    let [file, previous] = ["master.key", "master.key.previous"].map(|name| binary.directory().join("data").join(name));
    std::fs::rename(&file, &previous)?;
    let old = std::fs::read_to_string(&previous)?;
    let (code, stdout, stderr) = rotate(&binary)?;
    // Two secrets each and the Lead Webhook's; no request had a key.
    let expected = format!(
        "{} secrets encrypted anew\nnothing is left: the previous master key isn't needed any more\n",
        2 * (DESTINATIONS + 1) + 1
    );
    ensure!(
        (code, stdout.as_str()) == (Some(0), expected.as_str()),
        "{stdout}{stderr}"
    );
    says_no_secret(&binary, &stderr);
    ensure!(!stderr.contains(old.trim()));
    let (code, stdout, _) = rotate(&binary)?;
    ensure!(code == Some(0) && stdout.starts_with("0 secrets"), "{stdout}");
    std::fs::remove_file(&previous)?;
    ensure!(std::fs::read_to_string(&file)? != old);

    let mut process = binary.start()?;
    let address = process.wait_ready(LIMIT).await?;
    let load = Load::start(address, &world.client, 2, false);
    load.wait_acknowledged(5).await?;
    all_delivered(&receiver, &load.stop().await.acknowledged).await?;
    world.check(&Api::new(address, ADMIN_KEY), &receiver).await
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_it_is_changed_beside_servers_that_go_on() -> Result<()> {
    let Some(server) = PostgresServer::shared() else {
        return Ok(());
    };
    let database = server.database();
    let (mut binary, receiver) = (binary().env("DATABASE_URL", database.url()), Receiver::start());
    give(&mut binary, &key(1), "");
    let mut first = binary.start()?;
    let world = World::make(&Api::new(first.wait_ready(LIMIT).await?, ADMIN_KEY), &receiver).await?;

    // Every server learns the new key before any uses it.
    give(&mut binary, &key(1), &key(2));
    let mut second = binary.start()?;
    let address = second.wait_ready(LIMIT).await?;
    first.terminate()?;
    first.wait_exit(LIMIT).await?;
    let load = Load::start(address, &world.client, 4, false);
    give(&mut binary, &key(2), &key(1));
    let mut third = binary.start()?;
    third.wait_ready(LIMIT).await?;
    third.wait_output(DONE, LIMIT).await?;
    load.wait_acknowledged(50).await?;
    // The second still seals under the first key; once it is gone, the command says when nothing is left.
    let third_api = Api::new(third.wait_ready(LIMIT).await?, ADMIN_KEY);
    let second_api = Api::new(address, ADMIN_KEY);
    let rotated = second_api
        .post(&format!("{}/rotate", world.secret_path), &json!({"overlap": "24h"}))
        .await?;
    ensure!(rotated.status == 200, "{rotated:?}");
    let shown = text(&third_api.get(&world.secret_path).await?.json["secret"]);
    ensure!(
        shown == text(&rotated.json["secret"]),
        "each reads what the other seals"
    );
    let told = load.stop().await;
    ensure!(told.refused.is_empty() && told.cut == 0, "{told:?}");
    second.terminate()?;
    second.wait_exit(LIMIT).await?;
    let (code, stdout, stderr) = rotate(&binary)?;
    ensure!(
        code == Some(0) && stdout.starts_with("2 secrets encrypted anew\n"),
        "{stdout}{stderr}"
    );
    ensure!(stdout.contains("nothing is left"), "{stdout}");
    all_delivered(&receiver, &told.acknowledged).await?;

    give(&mut binary, &key(2), "");
    let mut last = binary.start()?;
    let api = Api::new(last.wait_ready(LIMIT).await?, ADMIN_KEY);
    ensure!(text(&api.get(&world.secret_path).await?.json["secret"]) == shown);
    for process in [&second, &third, &last] {
        says_no_secret(&binary, &process.output());
    }
    Ok(())
}
