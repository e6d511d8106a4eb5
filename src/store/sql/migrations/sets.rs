//! Selects the embedded migrations for the tables that the options ask for.
//!
//! `migrations/<database>` is the whole history, for a database in which the library keeps the
//! users and for `diesel migration run`. `migrations/external/<database>` has the first migration
//! in the form for a database in which the application keeps the users. `portable` stands for all
//! engines that speak PostgreSQL's language and lack parts of it.

use diesel::backend::Backend;
use diesel::migration::{Migration, MigrationSource, Result as MigrationResult};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use crate::store::sql::migrations::history::FIRST;
use crate::store::{StoreOptions, UserSource};

/// Migrations of the table `users` and its triggers from before names began with their set.
const OF_USERS: [&str; 3] = [FIRST, "20261124000001", "20261125000000"];

/// The migration that creates the tables of the statistics.
const OF_STATISTICS: &str = "20261124000002";

/// The migrations of one database: the history, and those that replace parts of it if the
/// application keeps the users.
pub(super) struct Sets {
    own: EmbeddedMigrations,
    external: EmbeddedMigrations,
}

#[cfg(feature = "sqlite")]
pub(super) const SQLITE: Sets = Sets {
    own: embed_migrations!("migrations/sqlite"),
    external: embed_migrations!("migrations/external/sqlite"),
};

#[cfg(feature = "postgres")]
pub(super) const POSTGRES: Sets = Sets {
    own: embed_migrations!("migrations/postgres"),
    external: embed_migrations!("migrations/external/postgres"),
};

#[cfg(feature = "postgres")]
pub(super) const PORTABLE: Sets = Sets {
    own: embed_migrations!("migrations/portable"),
    external: embed_migrations!("migrations/external/portable"),
};

/// A migration with its version and its name, such as `2026-11-24-000000_create_sessions`.
pub(super) struct Named<DB: Backend> {
    pub(super) version: String,
    pub(super) name: String,
    pub(super) migration: Box<dyn Migration<DB>>,
}

impl Sets {
    /// Returns the migrations that a database with these options needs, in order.
    pub(super) fn wanted<DB: Backend>(
        &self,
        options: &StoreOptions,
    ) -> MigrationResult<Vec<Named<DB>>>
    where
        EmbeddedMigrations: MigrationSource<DB>,
    {
        let is_external = options.users == UserSource::External;
        let mut wanted = named(&self.own)?;
        if is_external {
            wanted.retain(|migration| !migration.is_of_users());
            wanted.extend(named(&self.external)?);
        }
        if !options.statistics {
            wanted.retain(|migration| !migration.is_of_statistics());
        }
        wanted.sort_unstable_by(|a, b| a.version.cmp(&b.version));
        Ok(wanted)
    }
}

fn named<DB: Backend>(source: &EmbeddedMigrations) -> MigrationResult<Vec<Named<DB>>>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    let migrations = source.migrations()?;
    let named = migrations.into_iter().map(|migration| Named {
        version: migration.name().version().to_string(),
        name: migration.name().to_string(),
        migration,
    });
    Ok(named.collect())
}

impl<DB: Backend> Named<DB> {
    fn is_of_users(&self) -> bool {
        let title = self.title();
        OF_USERS.contains(&self.version.as_str())
            || title.starts_with("users_")
            || title.starts_with("user_")
    }

    fn is_of_statistics(&self) -> bool {
        self.version == OF_STATISTICS || self.title().starts_with("statistics_")
    }

    /// Returns the name without its version.
    fn title(&self) -> &str {
        self.name.split_once('_').map_or("", |(_, title)| title)
    }
}
