//! What survives: the real binary killed, cut off from its database, left by its callers.

mod backed_up;
mod database_away;
mod hang_up;
mod killed;
mod load;
mod new_master_key;
mod repeated;
mod rotated;
mod synced;

pub(crate) use load::{ADMIN_KEY, LIMIT, all_delivered, binary, create_client, text, until};
