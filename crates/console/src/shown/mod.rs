//! Answers of the API as the delivery log shows them. What an answer lacks is shown as absent.

mod attempt;
mod client;
mod delivery;
mod destination;
mod label;
mod lead;
mod recovery;

pub(crate) use attempt::{AttemptShown, duration};
pub(crate) use client::ClientHealth;
pub(crate) use delivery::{DeliveryShown, is_test, sentence};
pub(crate) use destination::{Destinations, LEAD_WEBHOOK, shown_name};
pub(crate) use label::Label;
pub(crate) use lead::LeadShown;
pub(crate) use recovery::RecoveryShown;
