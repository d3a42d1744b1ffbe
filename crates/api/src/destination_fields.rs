//! Reads what somebody wants of a destination, and names all that is wrong with it.

use sensei_domain::{DestinationName, DestinationStatus, Faults, Fields, Filter, RateLimit, RetryPolicy, TextRule};
use sensei_persistence::{Destination, DestinationChange, NewDestination};
use serde_json::Value;

use crate::destination_template;
use crate::state::ApiState;

/// Reads a destination to make.
pub(crate) fn new_destination(body: &Value, state: &ApiState) -> Result<NewDestination, Faults> {
    let mut fields = Fields::new(body)?;
    let kind = fields.required_text("kind", TextRule::line(usize::MAX));
    let name = name(&mut fields);
    if name
        .as_ref()
        .is_some_and(|name| DestinationName::is_hooks(name.as_str()))
    {
        fields.fault(
            "name",
            "has the form of a hook's name, which are given by subscribing alone",
        );
    }
    let config = fields.value("config");
    if config.is_none() {
        fields.fault("config", "is required");
    }
    let config = kind
        .zip(config)
        .and_then(|(kind, config)| fields.nested(state.config(kind, config, None)));
    let template = destination_template::read(&mut fields, kind.unwrap_or_default(), state);
    let retry = retry(&mut fields);
    let is_rate_limited = fields.is_present("rateLimit");
    let rate_limit = rate_limit(&mut fields);
    let ordered = fields.optional_bool("ordered");
    let filter = filter(&mut fields);
    fields.finish()?;

    let (kind, (name, (config, _))) = kind
        .zip(name.zip(config))
        .expect("a body without faults has its required fields");
    let rate_limit = if is_rate_limited {
        rate_limit
    } else {
        state.descriptor(kind).and_then(|descriptor| descriptor.rate_limit)
    };
    Ok(NewDestination {
        kind: kind.to_owned(),
        name,
        config,
        template: template.filter(|template| !template.is_null()),
        retry: retry.unwrap_or(RetryPolicy::Standard),
        rate_limit,
        ordered: ordered.unwrap_or_default(),
        filter,
    })
}

/// Reads a change of a destination. Its kind, which says what a config must be, never changes.
pub(crate) fn destination_change(
    body: &Value,
    before: &Destination,
    state: &ApiState,
) -> Result<DestinationChange, Faults> {
    let mut fields = Fields::new(body)?;
    let is_renamed = fields.is_present("name");
    let name = is_renamed.then(|| name(&mut fields)).flatten();
    // Known even when it is absent.
    fields.value("name");
    let config = fields.value("config");
    let config = config.and_then(|config| fields.nested(state.config(&before.kind, config, Some(&before.config))));
    let template = destination_template::read(&mut fields, &before.kind, state);
    let retry = retry(&mut fields);
    let is_rate_limit_changed = fields.is_present("rateLimit");
    let rate_limit = rate_limit(&mut fields);
    let ordered = fields.optional_bool("ordered");
    let is_filter_changed = fields.is_present("filter");
    let filter = filter(&mut fields);
    let is_paused = is_paused(&mut fields);
    fields.finish()?;
    let (config, kept_secrets) = config.unzip();
    Ok(DestinationChange {
        name,
        config,
        kept_secrets: kept_secrets.unwrap_or_default(),
        judged: Some(before.version),
        template: template.map(|template| (!template.is_null()).then_some(template)),
        retry,
        rate_limit: is_rate_limit_changed.then_some(rate_limit),
        ordered,
        filter: is_filter_changed.then_some(filter),
        is_paused,
    })
}

fn name(fields: &mut Fields<'_>) -> Option<DestinationName> {
    let text = fields.required_text("name", TextRule::as_typed(usize::MAX))?;
    fields.parse("name", text)
}

fn retry(fields: &mut Fields<'_>) -> Option<RetryPolicy> {
    let policy = fields.value("retry")?;
    fields.nested(RetryPolicy::from_json(policy, "/retry"))
}

/// Null is no limit.
fn rate_limit(fields: &mut Fields<'_>) -> Option<RateLimit> {
    match fields.value("rateLimit")? {
        Value::Null => None,
        limit => fields.nested(RateLimit::from_json(limit, "/rateLimit")),
    }
}

/// Null is no filter: all leads.
fn filter(fields: &mut Fields<'_>) -> Option<Filter> {
    match fields.value("filter")? {
        Value::Null => None,
        filter => fields.nested(Filter::from_json(filter, "/filter")),
    }
}

fn is_paused(fields: &mut Fields<'_>) -> Option<bool> {
    let status = fields.value("status")?;
    match status.as_str().map(str::parse) {
        Some(Ok(DestinationStatus::Active)) => Some(false),
        Some(Ok(DestinationStatus::Paused)) => Some(true),
        Some(Ok(DestinationStatus::Disabled)) => {
            fields.fault("status", "can't be set to disabled, which only we do: pause it instead");
            None
        }
        Some(Err(_)) | None => {
            fields.fault("status", "must be active or paused");
            None
        }
    }
}
