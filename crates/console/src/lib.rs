//! The console: the web pages on which people see where leads went, and change where they go.
//!
//! Pages are made on the server and work without script; script only makes them live. The console is a client of the HTTP API, which it calls
//! within the process, as whoever is signed in: it has no rules and no rights of its own, and whatever it can do can be done by the API.
//! Promises that nothing a visitor or a receiver wrote is ever markup here, that nothing changes without a token of the session
//! (CSRF), and that no page loads anything from elsewhere.
//! Leaves to others: what is valid and who may what (`sensei-api`), sessions (`sensei-persistence`), listening and TLS (`sensei`).

mod api;
mod assets;
mod failure;
mod form;
mod headers;
mod lead_form;
mod moment;
mod page;
mod pages;
mod prose;
mod router;
mod session;
mod state;

pub use router::router;
pub use state::ConsoleState;
