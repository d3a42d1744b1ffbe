//! What the task boards have in common: a title and a text, which templates may fill.

use sensei_persistence::Job;

use super::text::cut;
use super::told::Summary;
use super::vendor;
use crate::template::{Escape, Slot, Templates};
use crate::transport::Attempted;

/// What is sent as a title without a template.
const TITLE: &str = "New lead: {{ data.name }}";

/// A board's limits, in characters, and its markup.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sheet {
    pub(super) title: usize,
    pub(super) text: usize,
    pub(super) escape: Escape,
}

impl Sheet {
    pub(super) const fn slots(self) -> [Slot; 2] {
        [
            Slot::text("title", "The title, in one line.", self.title, cut).or(TITLE),
            Slot::text(
                "text",
                "What stands below the title: without a template all that is known of the lead.",
                self.text,
                self.escape,
            ),
        ]
    }

    /// The title and the text of a job's event.
    pub(super) async fn task(self, templates: &Templates, job: &Job) -> Result<Task, Attempted> {
        let mut rendered = vendor::rendered(templates, job).await?;
        let (title, text) = (rendered.take("title"), rendered.take("text"));
        let summary = Summary::read(&job.body).map_err(|failure| Attempted::unanswered(&failure))?;
        Ok(Task {
            title: title.map_or_else(|| cut(&summary.task(), self.title), |title| line(&title)),
            text: text.unwrap_or_else(|| summary.text(self.text, self.escape)),
        })
    }
}

/// What is known of an event, fit for a board.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) title: String,
    pub(super) text: String,
}

/// In one line.
pub(super) fn line(text: &str) -> String {
    text.trim().replace(['\n', '\t'], " ")
}
