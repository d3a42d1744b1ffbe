//! The table `clients`: customers of Sensei.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "clients")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) include_custom_fields: bool,
    pub(crate) operational_events: bool,
    /// A JSON array of origins.
    pub(crate) allowed_origins: String,
    /// The lead form as JSON; `None`: the default one.
    pub(crate) form: Option<String>,
    /// Origins separated by spaces.
    pub(crate) frame_ancestors: String,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
