//! Templates of clients: which of a lead's data goes where in a request, written in Jinja's language (minijinja).
//!
//! Promises that a template, whatever it says, ends soon and fills no memory: [`allowed`] lets through only what can't grow
//! without being counted, [`program`] counts steps and bytes, and [`renderer`] keeps it off the threads of others and gives it stack.
//! Text that a visitor typed is escaped where it is put in. Leaves to the kinds which slots they have, and what is sent without a template.

mod allowed;
mod error;
mod program;
mod read;
mod rendered;
mod renderer;
mod slot;
mod templates;
#[cfg(test)]
mod tests;

pub use allowed::FILTERS;
pub use error::TemplateError;
pub use read::{LONGEST_SOURCE, MOST_FIELDS};
pub(crate) use rendered::Rendered;
pub(crate) use slot::Escape;
pub use slot::{Form, Slot};
pub use templates::Templates;
