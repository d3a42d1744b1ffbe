//! The words of Sensei Webhooks as types and rules: leads, events, deliveries, signatures.
//!
//! Pure: no input or output, no runtime, no database. What exists here is valid by its type, time and chance
//! are passed in, and every decision is a function of its arguments. Internal tools use this crate alone,
//! for example to check and read a webhook that they receive:
//!
//! ```
//! use sensei_domain::{LeadCreated, SignatureHeaders, SigningSecret, Timestamp, verify};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secret: SigningSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
//! # let body = br#"{"event":"lead.created","timestamp":"2024-11-24T10:30:00.000Z","data":{"id":"0193a2b5-0000-7000-8000-000000000001","name":"John Doe","email":"john@example.com","phone":null,"message":"I need a quote","clientId":"d454991a-eddb-4e81-959d-87c868e050ca","clientName":"Acme Corp","sessionId":null}}"#;
//! # let now: Timestamp = "2024-11-24T10:30:01.000Z".parse()?;
//! # let sent = secret.sign("0193a2b5-0000-7000-8000-000000000002", now.as_seconds(), body);
//! # let (id, timestamp, signature) = ("0193a2b5-0000-7000-8000-000000000002", now.as_seconds().to_string(), sent);
//! let headers = SignatureHeaders { id, timestamp: &timestamp, signature: &signature };
//! verify(&[secret], &headers, body, now)?;
//! let event: LeadCreated = serde_json::from_slice(body)?;
//! assert_eq!((&*event.data.name, event.data.phone), ("John Doe", None));
//! # Ok(())
//! # }
//! ```

mod asymmetric;
mod client;
mod delivery;
mod destination;
mod duration;
mod email;
mod event;
mod faults;
mod fields;
mod filter;
mod form;
mod health;
mod ids;
mod judge;
mod lead;
mod named;
mod operational;
mod origin;
mod outcome;
mod rate_limit;
mod recovery;
mod retry;
mod signature;
mod signer;
mod suspicion;
mod text;
mod time;
mod webhook_url;

pub use asymmetric::{SigningKey, VerifyingKey};
pub use client::{ClientName, ClientNameError};
pub use delivery::{DeliveryState, Trigger};
pub use destination::{DestinationName, DestinationNameError, DestinationStatus};
pub use duration::{DurationError, format_duration, parse_duration};
pub use email::{EmailAddress, EmailAddressError};
pub use event::{LeadCreated, LeadData};
pub use faults::{Fault, Faults};
pub use fields::Fields;
pub use filter::{Filter, Mismatch};
pub use form::{FormField, FormFieldKind, FormScheme, FormTexts, FormTheme, LeadForm};
pub use health::{DisableReason, Failing, HealthStep};
pub use ids::{AuditId, ClientId, DeliveryId, DestinationId, EventId, IdError, KeyId, LeadId, RecoveryId};
pub use judge::{FailureReason, Jitter, OURS_GIVEN_UP_AFTER, Standing, Verdict, judge, judge_alone};
pub use lead::NewLead;
pub use named::UnknownName;
pub use operational::{DestinationEvent, DestinationEventData, HealthChange};
pub use origin::{WebOrigin, WebOriginError};
pub use outcome::Outcome;
pub use rate_limit::{RateLimit, RateUnit};
pub use recovery::{RecoveryKind, RecoveryState};
pub use retry::{Delays, DelaysError, RetryPolicy, STANDARD_DELAYS};
pub use signature::{KeyError, SignatureHeaders, SigningSecret, TOLERANCE, VerifyError, verify};
pub use signer::{SignatureVersion, Signer};
pub use suspicion::Suspicion;
pub use text::TextRule;
pub use time::{Clock, ManualClock, SystemClock, Timestamp, TimestampError};
pub use webhook_url::{WebhookUrl, WebhookUrlError};
