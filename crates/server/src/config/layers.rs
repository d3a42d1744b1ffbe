//! The layers of a configuration on top of each other, each value with its origin.

use std::path::Path;

use config::{FileFormat, Map, Source, Value, ValueKind};

use super::error::{ConfigError, ConfigFault};
use super::settings::{SETTINGS, Setting};
use super::{Config, Effective, Sources, parse};

const PREFIX: &str = "SENSEI_";
/// Belongs to our tests, which pass it to the programs they start.
const TEST_PREFIX: &str = "SENSEI_TEST_";

/// Where a value comes from that nobody set.
pub(super) const DEFAULT_ORIGIN: &str = "default";

/// All settings that have a value, and what was wrong with where they were looked for.
pub(super) struct Layers {
    values: Vec<Given>,
    faults: Vec<ConfigFault>,
}

/// A setting's value and where it was set.
pub(super) struct Given {
    pub(super) setting: &'static Setting,
    pub(super) text: String,
    pub(super) origin: String,
}

impl Layers {
    /// Puts the layers on top of each other. What is no setting in any of them is a fault.
    pub(super) fn gather(sources: &Sources) -> Self {
        let mut faults = Vec::new();
        let mut builder = config::Config::builder().add_source(defaults());
        if let Some(file) = &sources.file {
            match read_file(file) {
                Ok(values) => builder = builder.add_source(file_layer(file, values, &mut faults)),
                Err(fault) => faults.push(fault),
            }
        }
        let builder = builder
            .add_source(environment(&sources.env, &mut faults))
            .add_source(flags(&sources.flags));
        let merged = builder.build().and_then(|merged| merged.cache.into_table());
        let mut merged = merged.expect("every layer is a table of plain values: faults were put aside");

        let mut values = Vec::new();
        for setting in SETTINGS {
            let Some(value) = merged.remove(setting.name) else {
                continue;
            };
            let origin = value.origin().unwrap_or("nobody").to_owned();
            match as_text(setting, value) {
                Ok(text) => values.push(Given { setting, text, origin }),
                Err(detail) => faults.push(ConfigFault::Invalid {
                    name: setting.name,
                    origin,
                    detail,
                }),
            }
        }
        Self { values, faults }
    }

    /// Turns the texts into types; all faults at once.
    pub(super) fn parse(self) -> Result<(Config, Vec<Given>), ConfigError> {
        let Self { values, mut faults } = self;
        match parse::config(&values, &mut faults) {
            Some(config) if faults.is_empty() => Ok((config, values)),
            _ => Err(ConfigError(faults)),
        }
    }
}

/// The settings for a person to read.
pub(super) fn effective(values: &[Given]) -> Vec<Effective> {
    let shown = |given: &Given| match given.setting.name {
        _ if given.setting.is_secret => None,
        "database_url" => Some(parse::without_credentials(&given.text)),
        _ => Some(given.text.clone()),
    };
    let effective = |setting| {
        let given = values.iter().find(|given| given.setting == setting);
        Effective {
            setting,
            value: given.and_then(shown),
            origin: given.map(|given| given.origin.clone()),
        }
    };
    SETTINGS.iter().map(effective).collect()
}

/// One layer, already known to hold nothing but settings.
#[derive(Debug, Clone)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

fn defaults() -> Layer {
    let origin = DEFAULT_ORIGIN.to_owned();
    let value = |setting: &Setting| {
        setting
            .default()
            .map(|text| (setting.name.to_owned(), Value::new(Some(&origin), text)))
    };
    Layer(SETTINGS.iter().filter_map(value).collect())
}

fn read_file(file: &Path) -> Result<Map<String, Value>, ConfigFault> {
    let text = std::fs::read_to_string(file).map_err(|error| ConfigFault::File {
        file: file.to_owned(),
        reason: error.to_string(),
    })?;
    config::File::from_str(&text, FileFormat::Toml)
        .collect()
        .map_err(|error| ConfigFault::Syntax {
            file: file.to_owned(),
            reason: without_source(&error.to_string()),
        })
}

/// The parser's message without the line of the file that it shows: that may hold a secret.
fn without_source(message: &str) -> String {
    let lines = message.lines().filter(|line| !line.contains('|'));
    lines
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(": ")
}

fn file_layer(file: &Path, values: Map<String, Value>, faults: &mut Vec<ConfigFault>) -> Layer {
    let origin = file.display().to_string();
    let mut layer = Map::new();
    for (name, value) in values {
        if Setting::named(&name).is_some() {
            layer.insert(name, Value::new(Some(&origin), value.kind));
        } else {
            let nearest = nearest(&name, |setting| setting.name);
            faults.push(ConfigFault::Unknown {
                name,
                origin: origin.clone(),
                nearest,
            });
        }
    }
    Layer(layer)
}

fn environment(variables: &[(String, String)], faults: &mut Vec<ConfigFault>) -> Layer {
    let mut layer = Map::new();
    for (variable, text) in variables {
        let setting = SETTINGS.iter().find(|setting| setting.variable == variable);
        match setting {
            // `NAME=` is how many tools say "not set".
            Some(_) if text.is_empty() => {}
            Some(setting) => {
                let origin = format!("the environment variable {variable}");
                layer.insert(setting.name.to_owned(), Value::new(Some(&origin), text.clone()));
            }
            None if variable.starts_with(PREFIX) && !is_somebody_elses(variable) => {
                let nearest = nearest(variable, |setting| setting.variable);
                let origin = "the environment".to_owned();
                faults.push(ConfigFault::Unknown {
                    name: variable.clone(),
                    origin,
                    nearest,
                });
            }
            None => {}
        }
    }
    Layer(layer)
}

/// Variables of our tests, and those that Kubernetes sets in every container for a service whose name begins with `sensei`.
fn is_somebody_elses(variable: &str) -> bool {
    variable.starts_with(TEST_PREFIX)
        || variable.ends_with("_PORT")
        || ["_PORT_", "_SERVICE_HOST", "_SERVICE_PORT"]
            .iter()
            .any(|part| variable.contains(part))
}

fn flags(flags: &[(&'static str, String)]) -> Layer {
    let value = |(name, text): &(&'static str, String)| {
        let origin = format!("the flag --{}", name.replace('_', "-"));
        ((*name).to_owned(), Value::new(Some(&origin), text.clone()))
    };
    Layer(flags.iter().map(value).collect())
}

fn as_text(setting: &Setting, value: Value) -> Result<String, String> {
    match value.kind {
        ValueKind::Array(items) if setting.is_list => {
            let texts: Result<Vec<_>, _> = items.into_iter().map(Value::into_string).collect();
            texts
                .map(|texts| texts.join(","))
                .map_err(|_| "must be a list of texts".to_owned())
        }
        ValueKind::Array(_) | ValueKind::Table(_) | ValueKind::Nil => Err("must be one value".to_owned()),
        _ => value.into_string().map_err(|_| "must be a text".to_owned()),
    }
}

/// The known name that takes the fewest changes. The prefix doesn't count, so that `SENSEI_DATABASE_URL`
/// is nearest to `DATABASE_URL`.
fn nearest(name: &str, known: impl Fn(&Setting) -> &'static str) -> &'static str {
    let bare = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
    let name = bare(name);
    SETTINGS
        .iter()
        .map(known)
        .min_by_key(|known| strsim::damerau_levenshtein(&name, &bare(known)))
        .expect("there are settings")
}
