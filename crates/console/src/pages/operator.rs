//! `/admin/operator`: how this server does, for who runs it.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use sensei_domain::Timestamp;
use serde_json::Value;

use crate::asked::Asked;
use crate::failure::Failure;
use crate::moment::{Moment, span};
use crate::page::{Frame, show, text};
use crate::session::Viewer;
use crate::shown::{Label, duration, sentence, shown_name};
use crate::state::ConsoleState;

pub(crate) fn routes() -> Router<ConsoleState> {
    Router::new().route("/operator", get(read))
}

#[derive(Template)]
#[template(path = "operator.html", blocks = ["live"])]
struct OperatorPage {
    frame: Frame,
    version: String,
    database: &'static str,
    started: Option<Moment>,
    figures: Vec<Figure>,
    breakers: Vec<Place>,
    troubled: Vec<Place>,
    recoveries: Vec<Place>,
    jobs: Vec<Job>,
}

/// A number, what it is, and what it means.
#[derive(Debug)]
struct Figure {
    name: &'static str,
    value: String,
    words: &'static str,
}

/// A destination or a recovery of some client.
#[derive(Debug)]
struct Place {
    client: String,
    client_path: String,
    name: String,
    path: String,
    kind: String,
    label: Label,
    why: String,
    since: Option<Moment>,
    done: u64,
    skipped: u64,
}

/// What runs by itself.
#[derive(Debug)]
struct Job {
    name: String,
    last: Option<Moment>,
    took: String,
}

async fn read(viewer: Viewer, asked: Asked, State(state): State<ConsoleState>) -> Result<Response, Failure> {
    let answer = viewer.api.get("/v1/operator").await?;
    let now = state.now();
    let list = |name: &str| answer[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let page = OperatorPage {
        frame: Frame::new(&viewer, "Operator"),
        version: text(&answer, "version").to_owned(),
        database: match text(&answer, "database") {
            "sqlite" => "SQLite",
            "postgres" => "PostgreSQL",
            _ => "",
        },
        started: Moment::of(&answer["startedAt"], now),
        figures: figures(&answer),
        breakers: list("openBreakers")
            .iter()
            .map(|it| destination(it, "since", now))
            .collect(),
        troubled: list("troubled")
            .iter()
            .map(|it| destination(it, "statusSince", now))
            .collect(),
        recoveries: list("recoveries").iter().map(|it| recovery(it, now)).collect(),
        jobs: list("jobs").iter().map(|it| job(it, now)).collect(),
    };
    Ok(match asked.text("part") {
        "live" => show(&page.as_live()),
        _ => show(&page),
    })
}

/// What the answer has; a figure that it lacks isn't shown.
fn figures(answer: &Value) -> Vec<Figure> {
    let count = |name: &str| answer[name].as_u64().map(|count| count.to_string());
    let lanes = count("lanes").map(|lanes| match count("lanePlaces") {
        Some(places) => format!("{lanes} / {places}"),
        None => lanes,
    });
    let oldest = answer["oldestDueSeconds"].as_f64().map_or_else(
        || answer.get("oldestDueSeconds").map(|_| "–".to_owned()),
        |seconds| Some(span(whole(seconds))),
    );
    let figures = [
        ("Pending", count("pending"), "deliveries that are due at some time"),
        ("Oldest due", oldest, "since when the one is due that is due longest"),
        ("In flight", count("inFlight"), "being attempted, or next in memory"),
        ("Held", count("held"), "until their destination is active again"),
        (
            "Lanes / places",
            lanes,
            "destinations with work, and what waits in them",
        ),
        (
            "Refused egress",
            count("egressRefused"),
            "requests to addresses that aren't allowed",
        ),
        ("Leads waiting", count("leadsWaiting"), "for their commit"),
        ("Outcomes waiting", count("outcomesWaiting"), "for their commit"),
    ];
    figures
        .into_iter()
        .filter_map(|(name, value, words)| {
            Some(Figure {
                name,
                value: value?,
                words,
            })
        })
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an age in seconds; what is out of range becomes the nearest"
)]
fn whole(seconds: f64) -> u64 {
    seconds as u64
}

fn place(value: &Value, name: String, path: &str, since: Option<Moment>) -> Place {
    let count = |name: &str| value[name].as_u64().unwrap_or_default();
    let client_path = format!("/admin/clients/{}", text(value, "clientId"));
    Place {
        client: text(value, "clientName").to_owned(),
        path: format!("{client_path}/{path}"),
        client_path,
        name,
        kind: text(value, "kind").to_owned(),
        label: match text(value, "status") {
            "disabled" => Label::bad("Disabled"),
            "paused" => Label::new("warn", "❚❚", "Paused"),
            _ => Label::warn("Warned of"),
        },
        why: sentence(text(value, "statusReason")),
        since,
        done: count("done"),
        skipped: count("skipped"),
    }
}

fn destination(value: &Value, since: &str, now: Timestamp) -> Place {
    let name = shown_name(text(value, "destinationName")).to_owned();
    let path = format!("destinations/{}", text(value, "destinationId"));
    place(value, name, &path, Moment::of(&value[since], now))
}

fn recovery(value: &Value, now: Timestamp) -> Place {
    let name = match text(value, "kind") {
        "replay" => "Replay of earlier leads",
        "discard" => "Discarding of what is held",
        _ => "Redelivery of many",
    };
    let path = format!("recoveries/{}", text(value, "id"));
    place(value, name.to_owned(), &path, Moment::of(&value["createdAt"], now))
}

fn job(value: &Value, now: Timestamp) -> Job {
    Job {
        name: text(value, "name").to_owned(),
        last: Moment::of(&value["lastRunAt"], now),
        took: value["tookMs"].as_u64().map_or_else(|| "–".to_owned(), duration),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_that_are_unknown_are_left_out_and_nothing_due_is_a_dash() {
        assert!(figures(&json!({})).is_empty());
        let told = figures(&json!({"pending": 3, "oldestDueSeconds": null, "lanes": 2, "lanePlaces": 40}));
        let told = told.iter().map(|it| (it.name, it.value.as_str())).collect::<Vec<_>>();
        assert_eq!(
            told,
            [("Pending", "3"), ("Oldest due", "–"), ("Lanes / places", "2 / 40")]
        );
        let old = figures(&json!({"oldestDueSeconds": 125.9}));
        assert_eq!(old[0].value, "2 minutes");
    }
}
