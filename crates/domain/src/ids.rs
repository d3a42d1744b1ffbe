//! Ids: a type each, so that a lead's id can't stand where a client's is meant.
//!
//! UUID version 7: they begin with their time, so that inserts append and a page is `id < cursor`.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use uuid::{ContextV7, Uuid};

use crate::time::Timestamp;

/// Counts within a millisecond: ids of one process are in the order of their making, whatever its threads.
static CONTEXT: Mutex<ContextV7> = Mutex::new(ContextV7::new());

fn new_v7(at: Timestamp) -> Uuid {
    let seconds = u64::try_from(at.as_seconds()).unwrap_or(0);
    let nanos = u32::try_from(at.as_millis().rem_euclid(1_000)).unwrap_or(0) * 1_000_000;
    let context = CONTEXT.lock().unwrap_or_else(PoisonError::into_inner);
    Uuid::new_v7(uuid::Timestamp::from_unix(&*context, seconds, nanos))
}

/// A text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID, e.g. 0193a2b5-3c1f-7a2e-8f00-5d9c1b2a3e4f")]
pub struct IdError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new id of an instant.
            pub fn new(at: Timestamp) -> Self {
                Self(new_v7(at))
            }

            /// Takes a UUID that is known to be such an id.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The id without its type.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                // The hyphenated form only: one id, one spelling.
                if text.len() != 36 {
                    return Err(IdError);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| IdError)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

id! {
    /// Names a client (a tenant).
    ClientId
}
id! {
    /// Names a lead.
    LeadId
}
id! {
    /// Names an event; the receiver sees it as `webhook-id`.
    EventId
}
id! {
    /// Names a destination.
    DestinationId
}
id! {
    /// Names a delivery.
    DeliveryId
}
id! {
    /// Names a recovery.
    RecoveryId
}
id! {
    /// Names an API key.
    KeyId
}
id! {
    /// Names an entry of the audit log.
    AuditId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_instant_are_in_the_order_of_their_making() {
        let at = Timestamp::from_millis(1_732_444_200_123);
        let ids = (0..10_000).map(|_| LeadId::new(at)).collect::<Vec<_>>();
        assert!(ids.is_sorted_by(|earlier, later| earlier < later));
        let on_a_thread = || std::thread::spawn(move || LeadId::new(at)).join().expect("an id");
        let ids_of_threads = (0..50).map(|_| on_a_thread()).collect::<Vec<_>>();
        assert!(ids_of_threads.is_sorted() && ids_of_threads[0] > ids[9_999]);
        assert_eq!(ids[0].as_uuid().get_version_num(), 7);
        let (seconds, nanos) = ids[0]
            .as_uuid()
            .get_timestamp()
            .expect("version 7 has a time")
            .to_unix();
        assert_eq!((seconds, nanos / 1_000_000), (1_732_444_200, 123));
    }

    #[test]
    fn an_id_has_one_spelling() {
        let text = "0193a2b5-3c1f-7a2e-8f00-5d9c1b2a3e4f";
        assert_eq!(text.parse::<LeadId>().expect("an id").to_string(), text);
        for wrong in [
            "",
            "x",
            "0193a2b53c1f7a2e8f005d9c1b2a3e4f",
            "{0193a2b5-3c1f-7a2e-8f00-5d9c1b2a3e4f}",
        ] {
            assert_eq!(wrong.parse::<LeadId>(), Err(IdError), "{wrong}");
        }
    }
}
