//! The table `user_settings`: one row per user who has set something.

use diesel::prelude::*;
use diesel::query_dsl::methods::FilterDsl;

use crate::store::sql::connect::connection::{AnyConnection, run_on};
use crate::store::sql::row::StoredText;
use crate::store::sql::schema::user_settings;
use crate::store::{SettingsChange, UserId, UserSettings};

#[derive(Queryable, Selectable)]
#[diesel(table_name = user_settings)]
pub(super) struct SettingsRow {
    display_name: Option<StoredText>,
    theme: Option<StoredText>,
}

impl From<SettingsRow> for UserSettings {
    fn from(row: SettingsRow) -> Self {
        Self {
            display_name: row.display_name.map(|name| name.shown()),
            theme: row.theme.map(|theme| theme.shown()),
        }
    }
}

/// Writes one column with one statement, which touches no other.
macro_rules! write_column {
    ($connection:expr, $id:expr, $change:expr, $column:ident) => {
        if let Some(value) = &$change.settings.$column {
            let now = $change.now.naive_utc();
            let new = (
                user_settings::user_id.eq($id),
                user_settings::$column.eq(value),
                user_settings::updated_at.eq(now),
            );
            let changed = (
                user_settings::$column.eq(value),
                user_settings::updated_at.eq(now),
            );
            run_on!($connection, |connection| {
                let upsert = diesel::insert_into(user_settings::table)
                    .values(new)
                    .on_conflict(user_settings::user_id)
                    .do_update()
                    .set(changed);
                if $change.only_unset {
                    let is_unset = user_settings::$column.is_null();
                    FilterDsl::filter(upsert, is_unset).execute(connection)?
                } else {
                    upsert.execute(connection)?
                }
            });
        }
    };
}

/// Writes the fields that a change has.
pub(super) fn write(
    connection: &mut AnyConnection<'_>,
    id: &UserId,
    change: &SettingsChange,
) -> QueryResult<()> {
    write_column!(connection, id, change, display_name);
    write_column!(connection, id, change, theme);
    Ok(())
}

/// Deletes a user's settings. Where the table refers to the users, the database does this too.
pub(super) fn delete(connection: &mut AnyConnection<'_>, id: &UserId) -> QueryResult<()> {
    let settings = diesel::delete(user_settings::table.find(id));
    run_on!(connection, |connection| settings.execute(connection)?);
    Ok(())
}
