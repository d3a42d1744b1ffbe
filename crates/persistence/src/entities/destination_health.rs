//! The table `destination_health`: what is wrong with destinations that fail. A healthy one has no row.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "destination_health")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) destination_id: Uuid,
    pub(crate) client_id: Uuid,
    pub(crate) failing_since: i64,
    pub(crate) failed_attempts: i64,
    pub(crate) last_error: Option<String>,
    pub(crate) is_gone: bool,
    /// The version of the destination that this was said of.
    pub(crate) gone_version: Option<i64>,
    pub(crate) warned_at: Option<i64>,
    /// Somebody was told, by a warning or a disabling, and is to hear of the recovery.
    pub(crate) is_announced: bool,
    pub(crate) recovered_at: Option<i64>,
    /// When the next step is to be decided.
    pub(crate) look_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
