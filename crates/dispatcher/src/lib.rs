//! Carries events out: engine, lanes, egress guard, transports.

mod egress;
mod transport;
mod transports;

pub use egress::{
    ATTEMPT_DEADLINE, Answer, Denied, Egress, EgressError, EgressOptions, Failure, Refusal, USER_AGENT, is_public,
};
pub use transport::{Attempted, ConfigError, Descriptor, Kind, Transport};
pub use transports::{Registry, Scripted, ScriptedAttempt, Step, Webhook};
