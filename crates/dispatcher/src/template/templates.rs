//! The templates of one destination, as of one version of it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sensei_domain::Faults;
use serde_json::Value;

use super::error::TemplateError;
use super::program::{Absent, Program};
use super::read::{self, Source};
use super::rendered::Rendered;
use super::renderer;
use super::slot::Slot;

/// How long an attempt waits for its turn, and then for its templates. Together less than what an attempt may take beyond its deadline.
const TURN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_millis(2_500);

/// What a client wants filled in, or nothing. Cheap to clone; compiled once, when first used.
#[derive(Debug, Clone, Default)]
pub struct Templates(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    sources: Vec<Source>,
    program: OnceLock<Result<Mutex<Program>, TemplateError>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Templates {
    /// Reads a destination's field `template`: null is none. Finds what isn't of these slots, and templates that are too long; the rest is for
    /// [`Templates::check`].
    pub fn read(slots: &[Slot], template: &Value) -> Result<Self, Faults> {
        if template.is_null() {
            return Ok(Self::default());
        }
        let sources = read::read(slots, template)?;
        Ok(Self((!sources.is_empty()).then(|| {
            Arc::new(Shared {
                sources,
                program: OnceLock::new(),
                turn: Arc::default(),
            })
        })))
    }

    /// Whether nothing is to be filled in.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Compiles each template and tries it with a sample: what is wrong can be told to whoever saves it.
    pub async fn check(&self, sample: Bytes) -> Result<(), Faults> {
        let Some(shared) = self.0.clone() else { return Ok(()) };
        let checked = renderer::run(move || {
            for absent in [Absent::AsNothing, Absent::AsText] {
                Program::compile(&shared.sources, absent)?.render(&sample)?;
            }
            Ok(())
        });
        let checked = checked.await.unwrap_or_else(|| Err(TemplateError::ours()));
        checked.map_err(|error: TemplateError| {
            let pointer = format!("/template/{}", error.part);
            Faults::one(pointer.trim_end_matches('/'), error.words())
        })
    }

    /// What they make of an event, the same however often.
    pub(crate) async fn render(&self, event: &Bytes) -> Result<Rendered, TemplateError> {
        let Some(shared) = self.0.clone() else {
            return Ok(Rendered::default());
        };
        // One at a time of a destination: it can't take all threads.
        let Ok(_turn) = tokio::time::timeout(TURN, shared.turn.clone().lock_owned()).await else {
            return Err(TemplateError::ours());
        };
        let event = event.clone();
        let rendered = renderer::run(move || {
            let program = shared
                .program
                .get_or_init(|| Program::compile(&shared.sources, Absent::AsNothing).map(Mutex::new));
            let program = program.as_ref().map_err(Clone::clone)?;
            let mut program = program.lock().unwrap_or_else(PoisonError::into_inner);
            program.render(&event)
        });
        let rendered = tokio::time::timeout(PATIENCE, rendered).await;
        rendered.ok().flatten().unwrap_or_else(|| Err(TemplateError::ours()))
    }
}
