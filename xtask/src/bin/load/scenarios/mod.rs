//! One file a scenario: the text that explains it on the page, and its measurement.

pub(crate) mod backlog;
mod beside;
pub(crate) mod console;
pub(crate) mod failing;
pub(crate) mod fan_out;
pub(crate) mod filters;
pub(crate) mod history;
mod history_rows;
pub(crate) mod idle;
pub(crate) mod isolation;
pub(crate) mod lane_limits;
pub(crate) mod latency;
mod limits;
pub(crate) mod many_clients;
mod never_met;
pub(crate) mod one_client;
mod ratio;
pub(crate) mod slow;
pub(crate) mod thousand_clients;
