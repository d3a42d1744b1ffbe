//! `sensei config`: the configuration in force, as a file that could be used, each value with its source.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use sensei::config::{Config, Effective, Sources};

/// Prints the configuration that these sources give.
pub(crate) fn run(sources: &Sources) -> Result<()> {
    let mut text = String::new();
    for effective in Config::effective(sources)? {
        writeln!(text, "{}", line(&effective))?;
    }
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn line(effective: &Effective) -> String {
    let name = effective.setting.name;
    match (&effective.value, &effective.origin) {
        (Some(value), Some(origin)) => format!("{name} = {}  # {origin}", toml_text(value)),
        (None, Some(origin)) => format!("# {name} = (hidden)  # {origin}"),
        (_, None) => format!("# {name} is not set"),
    }
}

/// A TOML basic string. JSON's escapes are among TOML's.
fn toml_text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}
