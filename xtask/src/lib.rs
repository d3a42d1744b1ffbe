//! What `cargo xtask bench` and `cargo xtask instructions` make of what they have measured: figures, bars, the page. Pure, so that it
//! is tested with everything else, while what is measured with is only built for that.

pub mod figures;
pub mod instructions;
pub mod page;
pub mod ratio;
