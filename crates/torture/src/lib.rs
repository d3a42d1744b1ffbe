//! The published fault test: the real binary on real files, hurt in every way that we know, under load, to receivers
//! of every bad kind; then every acknowledged lead is looked for, and every request is explained.
//!
//! A run is a number of lives of the process, each with a fault of its own and an end: killed, or asked to stop.
//! What happens when is drawn from a seed that is printed, so that a run can be made again. The binary has no
//! hook for this: the faults come from outside. `cargo xtask torture` makes a long run of the release binary, a test
//! of the server's crate a short one of the debug binary.

mod callers;
mod database;
mod explain;
mod fault;
mod life;
mod manner;
mod reconcile;
mod report;
mod run;
mod seen;
mod shim;
mod volume;
mod world;

pub use database::DatabaseKind;
pub use fault::Fault;
pub use report::page;
pub use run::{Options, Run, run};
