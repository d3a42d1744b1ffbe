//! The only way out: every request of ours to an address that a client chose leaves through [`Egress`].
//!
//! Promises that nothing reaches an address that is neither public nor allowed by the operator, however it is
//! spelled, resolved, redirected or proxied; that nothing takes longer than the deadline or fills memory; and
//! that what is said of it names no address that a name resolved to. Leaves to others: what an answer means
//! (the transports), and what follows (`judge`). The rules are enforced where the connection is made; the check
//! at save is for a good message only.

mod address;
mod answer;
mod client;
mod connection;
mod dial;
mod failure;
mod idle;
mod own_address;
mod policy;
mod recorder;
mod resolver;
mod tls;

pub use address::{Denied, is_public};
pub use answer::Answer;
pub use client::{ATTEMPT_DEADLINE, Call, Egress, EgressError, EgressOptions, USER_AGENT};
pub use failure::Failure;
pub use policy::Refusal;
pub(crate) use recorder::Recorded;
