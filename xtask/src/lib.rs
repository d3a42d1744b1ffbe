//! What `cargo xtask bench`, `profile` and `instructions` make of what they have measured: figures, bars, pages, tables. Pure, so that
//! it is tested with everything else, while what is measured with is only built for that.

pub mod figures;
pub mod instructions;
pub mod page;
pub mod ratio;
pub mod samples;
pub mod stage_table;
pub mod stages;
