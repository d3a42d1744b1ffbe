//! Carries events out: takes deliveries from the store, attempts them, and gives the outcomes back.
//!
//! Promises that each delivery is attempted while this process holds it, that an attempt ends within its deadline, and
//! that nothing is reached but public addresses and those that the operator allows. What must survive a crash
//! is in the store (`sensei-persistence`); what is here can be lost at any moment.

mod attempt;
mod behind;
mod bound;
mod breaker;
mod breakers;
mod egress;
mod engine;
mod lane;
mod lanes;
mod limits;
mod meters;
mod pace;
mod place;
mod preview;
mod rate_timer;
mod reread;
mod sweeper;
mod template;
mod tester;
mod tidy;
mod transport;
mod transports;

pub use breakers::{BreakerState, Breakers};
pub use egress::{
    ATTEMPT_DEADLINE, Answer, Call, Denied, Egress, EgressError, EgressOptions, Failure, Refusal, USER_AGENT, is_public,
};
pub use engine::{Dispatcher, LeaseTooShort};
pub use limits::Limits;
pub use meters::{AttemptCount, DispatcherCounts, Watch};
pub use preview::{Preview, PreviewedRequest};
pub use template::{FILTERS, Form, LONGEST_SOURCE, MOST_FIELDS, Slot, TemplateError, Templates};
pub use tester::{Sample, TestTurn, Tester, TooManyTests};
pub use transport::{Attempted, ConfigError, Descriptor, Kind, Strain, Transport};
pub use transports::{Registry, Scripted, ScriptedAttempt, Step, Webhook};
