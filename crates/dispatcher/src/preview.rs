//! Previews: the request that would be sent of a sample, to look at before leads come.
//!
//! Promises that nothing leaves and no name is looked up, and that nothing secret is shown. It is what the transport itself makes. Of an
//! attempt of several requests the first is shown: the others hang on its answer.

use std::sync::Arc;

use sensei_persistence::Destination;

use crate::template::TemplateError;
use crate::tester::{Sample, Tester};
use crate::transport::ConfigError;

/// What is shown of a header's secret value.
const MASK: &str = "********";

/// What would be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The request, if there would be one.
    pub request: Option<PreviewedRequest>,
    /// What the destination's templates make of the sample, each with its slot: `title`, or `fields/company_size`.
    pub rendered: Vec<(String, String)>,
    /// Why there would be no request.
    pub error: Option<String>,
}

/// A request that wasn't sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewedRequest {
    /// An HTTP method, or `SMTP`.
    pub method: String,
    /// Where to, as the log shows it: without what may be secret.
    pub url: String,
    /// Names and values, secret ones masked.
    pub headers: Vec<(String, String)>,
    /// What is sent, as text.
    pub body: String,
}

impl Tester {
    /// The request that would be sent of a sample.
    pub async fn preview(&self, sample: Sample) -> Result<Preview, ConfigError> {
        let rendered = match self.rendered(&sample).await? {
            Ok(rendered) => rendered,
            Err(error) => {
                return Ok(Preview {
                    request: None,
                    rendered: Vec::new(),
                    error: Some(error.to_string()),
                });
            }
        };
        let destination = Arc::clone(&sample.destination);
        let (kind, config, template) = parts(&destination);
        // Bound for this alone: nothing is kept of it.
        let transport = self.registry().bind_with(kind, config, &template)?;
        let (egress, recorder) = self.egress().recording();
        let attempted = transport.deliver(&sample.into_job(), self.now(), &egress).await;
        let request = recorder.take().map(|recorded| {
            let headers = recorded.headers.iter().map(|(name, value)| {
                let value = match value.to_str() {
                    Ok(text) if !value.is_sensitive() => text,
                    _ => MASK,
                };
                (name.to_string(), value.to_owned())
            });
            PreviewedRequest {
                method: recorded.method,
                url: attempted.request_url.unwrap_or_default(),
                headers: headers.collect(),
                body: String::from_utf8_lossy(&recorded.body).into_owned(),
            }
        });
        Ok(Preview {
            error: attempted.error.filter(|_| request.is_none()),
            request,
            rendered,
        })
    }

    async fn rendered(&self, sample: &Sample) -> Result<Result<Vec<(String, String)>, TemplateError>, ConfigError> {
        let (kind, _, template) = parts(&sample.destination);
        let unknown = || ConfigError::UnknownKind { kind: kind.to_owned() };
        let known = self.registry().kind(kind).ok_or_else(unknown)?.descriptor().kind;
        let templates = self.registry().templates(kind, &template);
        let templates = templates.map_err(|faults| ConfigError::Invalid { kind: known, faults })?;
        let rendered = templates.render(&sample.body).await;
        Ok(rendered.map(crate::template::Rendered::into_parts))
    }
}

/// Of what a transport is bound.
fn parts(destination: &Destination) -> (&str, &serde_json::Value, serde_json::Value) {
    let template = destination.template.clone().unwrap_or_default();
    (&destination.kind, destination.config.expose(), template)
}
