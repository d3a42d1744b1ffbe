//! The program's commands and exit codes.

use std::process::Output;

use anyhow::Result;
use sensei_test_support::{Binary, PostgresServer};

use crate::faults::LIMIT;

fn run(binary: &Binary) -> Result<(Option<i32>, String, String)> {
    let Output { status, stdout, stderr } = binary.command().output()?;
    Ok((status.code(), String::from_utf8(stdout)?, String::from_utf8(stderr)?))
}

fn sensei(arguments: &[&str]) -> Binary {
    arguments
        .iter()
        .fold(Binary::new(env!("CARGO_BIN_EXE_sensei")), |binary, argument| {
            binary.arg(*argument)
        })
}

#[test]
fn wrong_configuration_ends_with_code_2_and_says_where_it_is() -> Result<()> {
    for arguments in [&["serve"][..], &["migrate"], &["config"], &[]] {
        let (code, _, stderr) = run(&sensei(arguments).env("SENSEI_LISTN", "x").env("SENSEI_LEASE", "1s"))?;
        assert_eq!(code, Some(2), "{stderr}");
        assert!(
            stderr.contains("SENSEI_LISTN, set by the environment, is no setting: did you mean SENSEI_LISTEN?"),
            "{stderr}"
        );
        assert!(
            stderr.contains("lease, set by the environment variable SENSEI_LEASE, must be at least 25 s"),
            "{stderr}"
        );
    }
    Ok(())
}

#[test]
fn wrong_arguments_end_with_code_2() -> Result<()> {
    for arguments in [
        &["--lisen", "x"][..],
        &["dance"],
        &["secrets"],
        &["receiver"],
        &["receiver", "--port", "0", "--status", "99"],
    ] {
        let (code, _, stderr) = run(&sensei(arguments))?;
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
    }
    Ok(())
}

#[test]
fn what_config_prints_is_a_file_with_the_same_configuration() -> Result<()> {
    let key = "sk_0123456789abcdef";
    let first = sensei(&["config", "--egress-allow", "127.0.0.0/8"]).env("SENSEI_ADMIN_KEY", key);
    let (code, printed, _) = run(&first)?;
    assert_eq!(code, Some(0));
    assert!(
        printed.contains("egress_allow = \"127.0.0.0/8\"  # the flag --egress-allow\n"),
        "{printed}"
    );
    assert!(
        printed.contains("# admin_key = (hidden)  # the environment variable SENSEI_ADMIN_KEY\n"),
        "{printed}"
    );
    assert!(
        printed.contains("listen = \"127.0.0.1:0\"  # the environment variable SENSEI_LISTEN\n"),
        "{printed}"
    );
    assert!(printed.contains("# master_key is not set\n"), "{printed}");
    assert!(!printed.contains(key), "{printed}");

    // As `sensei.toml` in the working directory, it is found and gives the same.
    let second = sensei(&["config"]);
    std::fs::write(second.directory().join("sensei.toml"), &printed)?;
    let (code, again, stderr) = run(&second)?;
    assert_eq!(code, Some(0), "{stderr}");
    let values = |text: &str| {
        text.lines()
            .filter_map(|line| Some(line.split_once("  #")?.0.to_owned()))
            .collect::<Vec<_>>()
    };
    let mut expected = values(&printed);
    expected.retain(|line| !line.starts_with('#'));
    assert_eq!(values(&again), expected);
    assert!(
        again.contains("egress_allow = \"127.0.0.0/8\"  # sensei.toml\n"),
        "{again}"
    );
    Ok(())
}

#[test]
fn migrate_makes_the_schema_on_both_databases() -> Result<()> {
    let sqlite = sensei(&["migrate"]);
    for _ in 0..2 {
        let (code, stdout, stderr) = run(&sqlite)?;
        assert_eq!(
            (code, stdout.as_str()),
            (Some(0), "the schema of sqlite://data/sensei.db is up to date\n"),
            "{stderr}"
        );
    }
    assert!(sqlite.directory().join("data/sensei.db").exists());
    if let Some(server) = PostgresServer::shared() {
        let database = server.database();
        let (code, _, stderr) = run(&sensei(&["migrate"]).env("DATABASE_URL", database.url()))?;
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(database.psql("SELECT count(*) FROM clients")?, "0");
    }
    Ok(())
}

#[test]
fn openapi_prints_the_description() -> Result<()> {
    let (code, stdout, _) = run(&sensei(&["openapi"]))?;
    assert_eq!(code, Some(0));
    let description: serde_json::Value = serde_json::from_str(&stdout)?;
    assert_eq!(description["openapi"], "3.1.0");
    Ok(())
}

#[test]
fn database_that_cannot_be_reached_ends_with_code_1() -> Result<()> {
    let port = sensei_test_support::free_port()?;
    let (code, _, stderr) = run(&sensei(&[]).env(
        "DATABASE_URL",
        format!("postgres://sensei:hunter2@127.0.0.1:{port}/leads"),
    ))?;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("error: the database can't be opened"), "{stderr}");
    assert!(!stderr.contains("hunter2"), "{stderr}");
    Ok(())
}

#[tokio::test]
async fn address_in_use_is_said_with_the_setting_that_changes_it() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let (code, _, stderr) = run(&sensei(&["--listen", &address.to_string()]))?;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains(&format!("can't listen on {address}")) && stderr.contains("SENSEI_LISTEN"),
        "{stderr}"
    );
    Ok(())
}

#[tokio::test]
async fn second_process_on_the_same_file_is_refused_in_words() -> Result<()> {
    let binary = sensei(&[]);
    let mut first = binary.start()?;
    first.wait_ready(LIMIT).await?;
    let (code, _, stderr) = run(&binary)?;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("data/sensei.db is in use by another process"),
        "{stderr}"
    );
    assert!(stderr.contains("DATABASE_URL"), "{stderr}");
    Ok(())
}
