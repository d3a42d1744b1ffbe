//! Pieces of schemas whose truth is a type of the domain, so that they can't drift from it.

use sensei_domain::{
    DeliveryState, DestinationStatus, RateUnit, RecoveryKind, RecoveryState, SignatureVersion, Trigger,
};
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, SchemaType, Type};

pub(crate) fn delivery_state() -> Object {
    let names = DeliveryState::ALL.iter().map(|state| state.name());
    one_of(names).description(Some("Where a delivery stands.")).build()
}

pub(crate) fn destination_status() -> Object {
    let names = DestinationStatus::ALL.iter().map(|status| status.name());
    one_of(names)
        .description(Some("Whether events are sent to it now."))
        .build()
}

pub(crate) fn recovery_kind() -> Object {
    let names = RecoveryKind::ALL.iter().map(|kind| kind.name());
    one_of(names)
        .description(Some(
            "What it does: sends deliveries again, sends a destination the leads from before it existed, or cancels what is held.",
        ))
        .build()
}

pub(crate) fn recovery_state() -> Object {
    let names = RecoveryState::ALL.iter().map(|state| state.name());
    one_of(names).description(Some("How far it is.")).build()
}

/// The states that deliveries are redelivered from in numbers.
pub(crate) fn redelivered_state() -> Object {
    let names = [DeliveryState::Failed, DeliveryState::Succeeded].map(DeliveryState::name);
    one_of(names.into_iter())
        .description(Some("Which deliveries are sent again."))
        .build()
}

pub(crate) fn trigger() -> Object {
    let names = Trigger::ALL.iter().map(|trigger| trigger.name());
    one_of(names).description(Some("Why the attempt was made.")).build()
}

pub(crate) fn rate_limit() -> Object {
    let number = || {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(10_000))
    };
    let units = RateUnit::ALL.iter().map(|unit| unit.name());
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .property("requests", number())
        .property("per", one_of(units))
        .property(
            "burst",
            number().description(Some("How many may start at once after a rest; `requests` if absent.")),
        )
        .required("requests")
        .required("per")
        .description(Some(
            "How fast attempts may follow each other; null: as fast as they come.",
        ))
        .build()
}

pub(crate) fn signature_version() -> Object {
    let names = SignatureVersion::ALL.iter().map(|version| version.name());
    one_of(names)
        .description(Some(
            "`v1`: a secret that both sides know (HMAC-SHA256). `v1a`: a key pair (Ed25519).",
        ))
        .build()
}

pub(crate) fn retry_policy() -> Object {
    let delay = ObjectBuilder::new().schema_type(Type::String).examples(["5m"]);
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("policy", one_of(["none", "standard", "custom"].into_iter()))
        .property(
            "delays",
            ArrayBuilder::new()
                .items(delay)
                .description(Some("Of the policy `custom` only.")),
        )
        .required("policy")
        .description(Some("What follows a failed attempt."))
        .build()
}

fn one_of(names: impl Iterator<Item = &'static str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names))
}
