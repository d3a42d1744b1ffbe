//! Templates that are compiled, and what they make of an event. Runs on the renderer's threads alone.

use std::io;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use sensei_domain::LeadCreated;

use super::allowed;
use super::error::TemplateError;
use super::read::Source;
use super::rendered::Rendered;
use super::slot::{Escape, Form, Slot};
use crate::transports::text::cut;

/// For all templates of a destination and one event: a step costs one, and so do 64 bytes that are made or looked at. Some milliseconds.
const FUEL: u64 = 40_000;
/// Bytes that a template may write.
pub(super) const LONGEST_OUTPUT: usize = 64 << 10;
/// The only template of an environment.
const NAME: &str = "template";

/// What is written for what an event doesn't have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// Nothing; in JSON null.
    AsNothing,
    /// In JSON a text, to find out whether an expression stands within quotes, where null would pass.
    AsText,
}

/// The templates of a destination, compiled.
#[derive(Debug)]
pub(super) struct Program {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: String,
    slot: Slot,
    field: Option<String>,
    environment: Environment<'static>,
}

impl Program {
    pub(super) fn compile(sources: &[Source], absent: Absent) -> Result<Self, TemplateError> {
        let parts = sources.iter().map(|source| Part::compile(source, absent));
        let parts = parts.collect::<Result<_, _>>()?;
        Ok(Self { parts })
    }

    /// Templates are of leads: other events make nothing.
    pub(super) fn render(&mut self, event: &[u8]) -> Result<Rendered, TemplateError> {
        let unreadable =
            |error: serde_json::Error| TemplateError::new("", None, format!("the event can't be read ({error})"));
        let event = serde_json::from_slice::<serde_json::Value>(event).map_err(unreadable)?;
        let mut rendered = Rendered::default();
        if event["event"] != LeadCreated::EVENT {
            return Ok(rendered);
        }
        let event = Value::from(Serde(&event));
        let mut fuel = FUEL;
        for part in &mut self.parts {
            let text = part.render(&event, &mut fuel)?;
            match &part.field {
                Some(field) => rendered.fields.push((field.clone(), text)),
                None if text.is_empty() => {}
                None => drop(rendered.texts.insert(part.slot.name, text)),
            }
        }
        Ok(rendered)
    }
}

impl Part {
    fn compile(source: &Source, absent: Absent) -> Result<Self, TemplateError> {
        let name = source.part();
        allowed::check(&name, &source.text)?;
        let mut environment = Environment::new();
        let globals = environment.globals().map(|(name, _)| name.to_owned());
        for global in globals.collect::<Vec<_>>() {
            environment.remove_global(&global);
        }
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        match source.slot.form {
            Form::Text(escape) => {
                environment
                    .set_formatter(move |out, _: &mut State<'_, '_>, value| write_text(out, value, Some(escape)));
            }
            Form::Fields(_) => {
                environment.set_formatter(|out, _: &mut State<'_, '_>, value| write_text(out, value, None));
            }
            Form::Json => {
                environment.set_formatter(move |out, _: &mut State<'_, '_>, value| write_json(out, value, absent));
            }
        }
        let added = environment.add_template_owned(NAME, source.text.clone());
        added.map_err(|error| TemplateError::of(&name, &error))?;
        Ok(Self {
            name,
            slot: source.slot,
            field: source.field.clone(),
            environment,
        })
    }

    fn render(&mut self, event: &Value, fuel: &mut u64) -> Result<String, TemplateError> {
        self.environment.set_fuel(Some(*fuel));
        let failed = |error: Error| TemplateError::of(&self.name, &error);
        let template = self.environment.get_template(NAME).map_err(failed)?;
        let mut written = Capped(Vec::new());
        let rendered = template
            .render_captured_to(event.clone(), &mut written)
            .map_err(failed)?;
        *fuel = rendered.state().fuel_levels().map_or(0, |(_, left)| left);
        drop(rendered);
        let text =
            String::from_utf8(written.0).map_err(|_| TemplateError::new(&self.name, None, "it writes no text"))?;
        match self.slot.form {
            Form::Text(_) | Form::Fields(_) => {
                let text = cut_between_escapes(&text, self.slot.limit);
                Ok(if text.trim().is_empty() { String::new() } else { text })
            }
            Form::Json => {
                let parsed = serde_json::from_str::<serde_json::Value>(&text);
                let words = |error| format!("what it makes isn't JSON ({error})");
                parsed.map_err(|error| TemplateError::new(&self.name, None, words(error)))?;
                Ok(text)
            }
        }
    }
}

/// As [`cut`], but not through what an escape has made: `&lt;`, or a backslash and what is behind it.
fn cut_between_escapes(text: &str, limit: usize) -> String {
    let short = cut(text, limit);
    let was_cut = short != cut(text, usize::MAX);
    let Some(mut kept) = short.strip_suffix('…').filter(|_| was_cut) else {
        return short;
    };
    if let Some(at) = kept.rfind('&')
        && kept.len() - at < "&quot;".len()
        && !kept[at..].contains(';')
    {
        kept = &kept[..at];
    }
    let backslashes = kept.len() - kept.trim_end_matches('\\').len();
    if backslashes % 2 == 1 {
        kept = &kept[..kept.len() - 1];
    }
    format!("{kept}…")
}

/// A text as it is, escaped if need be; nothing for null; anything else as JSON.
fn write_text(out: &mut Output<'_>, value: &Value, escape: Option<Escape>) -> Result<(), Error> {
    let made;
    let text = match value.as_str() {
        Some(text) => text,
        None if value.is_undefined() || value.is_none() => return Ok(()),
        None => {
            made = json(value)?;
            &made
        }
    };
    match escape {
        Some(escape) => out.write_str(&escape(text, usize::MAX)),
        None => out.write_str(text),
    }
    .map_err(Error::from)
}

/// A value of JSON; what the filter `tojson` has made is one already.
fn write_json(out: &mut Output<'_>, value: &Value, absent: Absent) -> Result<(), Error> {
    if value.is_safe()
        && let Some(text) = value.as_str()
    {
        return out.write_str(text).map_err(Error::from);
    }
    if (value.is_undefined() || value.is_none()) && absent == Absent::AsText {
        return out.write_str("\"\"").map_err(Error::from);
    }
    out.write_str(&json(value)?).map_err(Error::from)
}

fn json(value: &Value) -> Result<String, Error> {
    let mut written = Capped(Vec::new());
    serde_json::to_writer(&mut written, value).map_err(|_| Error::from(ErrorKind::WriteFailure))?;
    String::from_utf8(written.0).map_err(|_| Error::from(ErrorKind::BadSerialization))
}

/// Takes so many bytes and then fails.
struct Capped(Vec<u8>);

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST_OUTPUT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
