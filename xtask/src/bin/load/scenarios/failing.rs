//! A receiver that fails now and then: everything comes in the end, and every failure is in the log.

use anyhow::Result;
use serde_json::json;
use xtask::figures::Figure;

use super::ratio::{Times, between_bare_limits};
use crate::loaded::{log_of, whole};
use crate::percentiles::count;
use crate::receiver::{Manner, Receiver};
use crate::scenario::Setup;
use crate::system::System;

pub(crate) const ABOUT: (&str, &str) = (
    "One answer in ten is an error",
    "The same load to one client, whose receiver answers each tenth request with 500. The destination's retry policy is a second, ten times. Each lead must \
     arrive, and each failed answer must be an attempt in the log. *End to end* counts what arrived until the last lead was acknowledged: the last \
     retries come seconds later.",
);

const FAILS_EACH: usize = 10;

pub(crate) async fn measure(setup: &Setup<'_>) -> Result<Vec<Figure>> {
    let system = System::start(setup).await?;
    let receiver = Receiver::answering(Manner::FailsEach(FAILS_EACH)).await?;
    let client = system.client_without_webhook("Acme Corp").await?;
    let retry = json!({ "policy": "custom", "delays": vec!["1s"; 10] });
    client.add_destination("CRM", &receiver.url(0), &retry).await?;
    let clients = [client];
    let measured = between_bare_limits(
        setup,
        &system,
        &clients,
        &receiver,
        Times::of(setup.arguments.time()),
        |loaded| loaded.rate_while_posted,
    )
    .await?;
    let mut figures = measured.figures;
    figures.extend(whole(&clients, &receiver, &[&measured.loaded.posted], 1).await?);
    let logged = log_of(&clients).await?;
    let failed_in_log: usize = logged.iter().map(|delivery| delivery.attempts.saturating_sub(1)).sum();
    figures.push(count("failed answers", receiver.refused()));
    figures.push(
        count(
            "failed answers, but not in the log",
            receiver.refused().abs_diff(failed_in_log),
        )
        .at_most(0.0),
    );
    Ok(figures)
}
