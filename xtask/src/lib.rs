//! What `cargo xtask bench` makes of what it has measured: figures, bars, the page. Pure, so that it is tested with everything
//! else, while the load generator is only built for a benchmark.

pub mod figures;
pub mod page;
pub mod ratio;
