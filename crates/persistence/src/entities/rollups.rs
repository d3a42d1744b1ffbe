//! The table `rollups`: what happened, added up by client and five minutes.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "rollups")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) client_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) at: i64,
    pub(crate) leads: i64,
    pub(crate) succeeded: i64,
    pub(crate) failed: i64,
    pub(crate) attempts: i64,
    pub(crate) took_0: i64,
    pub(crate) took_1: i64,
    pub(crate) took_2: i64,
    pub(crate) took_3: i64,
    pub(crate) took_4: i64,
    pub(crate) took_5: i64,
    pub(crate) took_6: i64,
    pub(crate) took_7: i64,
    pub(crate) took_8: i64,
    pub(crate) took_9: i64,
    pub(crate) took_10: i64,
    pub(crate) took_11: i64,
    pub(crate) took_12: i64,
    pub(crate) took_13: i64,
    pub(crate) took_14: i64,
    pub(crate) took_15: i64,
    pub(crate) took_16: i64,
    pub(crate) took_17: i64,
    pub(crate) took_18: i64,
    pub(crate) took_19: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
