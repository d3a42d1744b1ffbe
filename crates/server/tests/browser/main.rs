//! The console and the form in a real browser, on the real program. `cargo xtask e2e` runs these alone.

mod audit;
mod found_out;
mod journeys;
mod pages;
mod vendored;
mod world;
