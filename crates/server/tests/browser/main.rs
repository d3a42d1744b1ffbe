//! The console and the form in a real browser, on the real program. `cargo xtask e2e` runs these alone.

mod audit;
mod demo;
mod form;
mod found_out;
mod journeys;
mod pages;
mod pictures;
mod vendored;
mod world;
