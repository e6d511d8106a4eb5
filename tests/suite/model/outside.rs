//! Changes that no visitor's request makes: sweeps, and changes of users' rights.

use rocket_diesel_sessions::store::LastAdmin;

use super::op::USERS;
use super::order::{Possible, Touch};
use super::play::{Changes, Play};
use super::world::{Row, Standing};

impl Play<'_> {
    pub(super) async fn sweep(&mut self, instance: usize) -> Result<Changes, String> {
        let from = self.now();
        let swept = self.app.sweep(instance).await;
        if let Err(error) = &swept
            && !self.app.has_faults
        {
            return Err(format!("I10: a sweep fails: {error}"));
        }
        let expired = self
            .world
            .rows
            .iter()
            .filter(|(_, row)| row.seen.is_expired(from));
        let possible = |row: &Row| match swept {
            Ok(()) => vec![Possible::gone()],
            Err(_) => vec![Possible::gone(), Possible::unchanged(&row.seen)],
        };
        Ok(expired
            .map(|(id, row)| (id.clone(), (possible(row), Touch::Not)))
            .collect())
    }

    /// Changes a user's rights in the store, past both instances. Returns the sessions that end
    /// with it.
    pub(super) fn stand(&mut self, user: usize, standing: Standing) -> Changes {
        let (id, now) = (USERS[user], self.now());
        let ground = &self.app.ground;
        match standing {
            Standing::Active => {
                if !ground.enable_user(&id.into(), now).unwrap() {
                    let user = super::user(id);
                    assert!(ground.add_user(&user).unwrap());
                }
            }
            Standing::Disabled => drop(
                ground
                    .disable_user(&id.into(), now, LastAdmin::MayGo)
                    .unwrap(),
            ),
            Standing::Deleted => drop(
                ground
                    .delete_user(&id.into(), None, LastAdmin::MayGo)
                    .unwrap(),
            ),
        }
        // A deleted user cannot be disabled.
        let was = self.world.users[user];
        if !(was == Standing::Deleted && standing == Standing::Disabled) {
            self.world.users[user] = standing;
        }
        let rows = self.world.rows.iter();
        rows.filter(|(_, row)| standing != Standing::Active && row.seen.user.as_deref() == Some(id))
            .map(|(id, _)| (id.clone(), (vec![Possible::gone()], Touch::Not)))
            .collect()
    }
}
