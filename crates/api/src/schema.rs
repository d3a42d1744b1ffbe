//! Pieces of schemas whose truth is a type of the domain, so that they can't drift from it.

use sensei_domain::{DeliveryState, DestinationStatus, Trigger};
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, Type};

pub(crate) fn delivery_state() -> Object {
    names(DeliveryState::ALL.iter().map(|state| state.name()))
}

pub(crate) fn destination_status() -> Object {
    names(DestinationStatus::ALL.iter().map(|status| status.name()))
}

pub(crate) fn trigger() -> Object {
    names(Trigger::ALL.iter().map(|trigger| trigger.name()))
}

pub(crate) fn retry_policy() -> Object {
    let delay = ObjectBuilder::new().schema_type(Type::String).examples(["5m"]);
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("policy", names(["none", "standard", "custom"].into_iter()))
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

fn names(names: impl Iterator<Item = &'static str>) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .build()
}
