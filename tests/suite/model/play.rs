//! Runs a sequence of steps and compares each answer, and the stored rows, with the model.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use rocket::tokio;
use rocket_diesel_sessions::Clock;
use uuid::Uuid;

use super::app::{Instances, Reply};
use super::judge::{Asked, expect, fresh_session};
use super::op::{Action, Op, Step, USERS, Which};
use super::order::{LoadedFirst, Possible, Result as Outcome, Touch, after, after_expiry};
use super::world::{Row, Seen, Standing, Time, World, forge};

pub(super) type Checked = Result<(), String>;

/// The possible states of the rows that a step concerns, by handle.
pub(super) type Changes = BTreeMap<String, (Vec<Possible>, Touch)>;

/// A running sequence.
pub(super) struct Play<'a> {
    pub(super) app: &'a Instances,
    pub(super) world: World,
    /// Tokens that this step's answers issued.
    pub(super) issued: Vec<(Uuid, String)>,
}

/// Runs the steps. The error names the violated invariant.
pub(super) async fn play(app: &Instances, steps: &[Step]) -> Checked {
    let mut play = Play {
        app,
        world: World::new(),
        issued: Vec::new(),
    };
    app.settle().await?;
    for user in 0..USERS.len() {
        play.stand(user, Standing::Active);
    }
    for (number, step) in steps.iter().enumerate() {
        let [one, other] = &step.faults;
        app.plan([one, other]);
        let checked = Box::pin(play.step(step.op)).await;
        checked.map_err(|error| format!("step {number}, {:?}: {error}", step.op))?;
    }
    play.replay_the_dead().await
}

impl Play<'_> {
    pub(super) fn now(&self) -> Time {
        self.app.clock.now()
    }

    async fn step(&mut self, op: Op) -> Checked {
        self.issued.clear();
        let from = self.now();
        let changes = match op {
            Op::Request(client, instance, action) => {
                let cookie = self.world.jars[client].clone();
                let reply = self.ask(instance, action, cookie.as_deref()).await?;
                if reply.set_cookie.is_some() {
                    self.world.jars[client].clone_from(&reply.cookie);
                }
                self.judge(
                    cookie.as_deref(),
                    from,
                    &[(action, reply)],
                    LoadedFirst::Perhaps,
                )?
            }
            Op::Race(client, one, other) => self.race(client, one, other).await?,
            Op::Slow(client, instance, slow, seconds, quick) => {
                Box::pin(self.slow(client, instance, (slow, seconds, quick))).await?
            }
            Op::Revoke(client, instance, which) => self.revoke(client, instance, which).await?,
            Op::Advance(seconds) => {
                self.app.clock.advance(TimeDelta::seconds(seconds));
                Changes::new()
            }
            Op::Sweep(instance) => self.sweep(instance).await?,
            Op::Disable(user) => self.stand(user, Standing::Disabled),
            Op::Enable(user) => self.stand(user, Standing::Active),
            Op::Delete(user) => self.stand(user, Standing::Deleted),
            Op::Replay(which, instance, action) => {
                let dead = &self.world.dead;
                let cookie = (!dead.is_empty()).then(|| dead[which % dead.len()].0.clone());
                self.stranger(instance, action, cookie).await?
            }
            Op::Forge(which, instance, action) => {
                let cookies: Vec<&Row> = self.world.rows.values().collect();
                let good = (!cookies.is_empty()).then(|| &cookies[which % cookies.len()].cookie);
                let cookie = good.map(|good| forge(good, which));
                self.stranger(instance, action, cookie).await?
            }
        };
        if matches!(op, Op::Race(..) | Op::Slow(..) | Op::Revoke(..)) {
            self.app.write_out().await?;
        }
        self.app.settle().await?;
        self.reconcile(&changes, (from, self.now())).await
    }

    async fn ask(
        &self,
        instance: usize,
        action: Action,
        cookie: Option<&str>,
    ) -> Result<Reply, String> {
        let reply = self.app.get(instance, &action.path(), cookie).await;
        if reply.status >= 500 {
            // Everything in progress is done before anything is concluded.
            self.app.settle().await?;
        }
        Ok(reply)
    }

    /// Sends a request without keeping a cookie.
    async fn stranger(
        &mut self,
        instance: usize,
        action: Action,
        cookie: Option<String>,
    ) -> Result<Changes, String> {
        let from = self.now();
        let reply = self.ask(instance, action, cookie.as_deref()).await?;
        self.judge(
            cookie.as_deref(),
            from,
            &[(action, reply)],
            LoadedFirst::Perhaps,
        )
    }

    async fn race(&mut self, client: usize, one: Action, other: Action) -> Result<Changes, String> {
        let from = self.now();
        let cookie = self.world.jars[client].clone();
        let paths = [one.path(), other.path()];
        let (first, second) = tokio::join!(
            self.app.get(0, &paths[0], cookie.as_deref()),
            self.app.get(1, &paths[1], cookie.as_deref()),
        );
        let replies = [(one, first), (other, second)];
        self.both(client, from, replies, LoadedFirst::Perhaps).await
    }

    async fn slow(
        &mut self,
        client: usize,
        instance: usize,
        (slow, seconds, quick): (Action, i64, Action),
    ) -> Result<Changes, String> {
        let from = self.now();
        let cookie = self.world.jars[client].clone();
        let meanwhile = async {
            // The touch caused by the load is written long before this much time has passed.
            self.wait_for_touch(cookie.as_deref(), from).await;
            self.app.clock.advance(TimeDelta::seconds(seconds));
            let path = quick.path();
            self.app.get(1 - instance, &path, cookie.as_deref()).await
        };
        let path = slow.path();
        let slowly = self
            .app
            .get_slowly(instance, &path, cookie.as_deref(), meanwhile);
        let (late, early) = Box::pin(slowly).await;
        let replies = [(slow, late), (quick, early)];
        self.both(client, from, replies, LoadedFirst::Yes).await
    }

    /// Evaluates the answers to two requests of a client. `first` is about the first of them.
    async fn both(
        &mut self,
        client: usize,
        from: Time,
        replies: [(Action, Reply); 2],
        first: LoadedFirst,
    ) -> Result<Changes, String> {
        self.app.settle().await?;
        let cookie = self.world.jars[client].clone();
        let changes = self.judge(cookie.as_deref(), from, &replies, first)?;
        for (_, reply) in &replies {
            if reply.set_cookie.is_some() {
                self.world.jars[client].clone_from(&reply.cookie);
            }
        }
        Ok(changes)
    }

    /// Evaluates the answers to requests with this cookie. `first` says whether the first of them
    /// loaded its session before the other one wrote.
    fn judge(
        &mut self,
        cookie: Option<&str>,
        from: Time,
        replies: &[(Action, Reply)],
        first: LoadedFirst,
    ) -> Result<Changes, String> {
        let row = self.world.by_cookie(cookie);
        let was_live = row.as_ref().is_some_and(|(_, row)| row.seen.is_live(from));
        // Loads see touches that are not yet written, unless writing them fails.
        let is_live = was_live
            && row.as_ref().is_some_and(|(_, row)| {
                let before = &row.seen;
                let after = before.touched(from);
                let seen = if self.app.has_faults { before } else { &after };
                seen.is_live(self.now())
            });
        let id = row.as_ref().filter(|_| was_live).map(|(id, _)| id.as_str());
        let mut results = Vec::new();
        for (action, reply) in replies {
            let result = Outcome::of(reply, id, *action);
            let asked = Asked {
                world: &self.world,
                action: *action,
                has_cookie: cookie.is_some(),
                before: row.as_ref().filter(|_| was_live).map(|(_, row)| &row.seen),
                is_alone: replies.len() == 1,
                has_faults: self.app.has_faults,
            };
            expect(&asked, reply, &result).map_err(|error| format!("{error}: {reply:?}"))?;
            if let (Some(view), Some(cookie)) = (&reply.view, &reply.cookie) {
                let (_, session_id) = view.session.as_ref().expect("checked");
                self.issued.push((*session_id, cookie.clone()));
            }
            results.push((*action, result));
        }
        let mut changes = Changes::new();
        if let Some((id, row)) = row {
            if !was_live {
                let ends = after_expiry(&row.seen, &results);
                changes.extend(ends.map(|ends| (id, (ends, Touch::Not))));
                return self.note_all_new(replies, from).map(|()| changes);
            }
            let start = || Possible::unchanged(&row.seen);
            let may_be_over = self.app.has_faults && !is_live;
            let mut possible = after(start(), &results, LoadedFirst::Perhaps, may_be_over);
            if results.len() > 1 {
                results.reverse();
                possible.extend(after(start(), &results, first, may_be_over));
            }
            if !is_live {
                // The deadline has passed, so the session may have been found expired.
                let writes = |(action, result): &(Action, Outcome)| {
                    let is_done = matches!(result, Outcome::Done(_));
                    is_done && !matches!(action, Action::Read | Action::Destroy)
                };
                if !self.app.has_faults && results.iter().any(writes) {
                    return Err(format!("I4: it is written after its deadline: {replies:?}"));
                }
                possible.extend([start(), Possible::gone()]);
            }
            if possible.is_empty() {
                return Err(format!(
                    "no order gives these answers: {replies:?} for {row:?}"
                ));
            }
            // A touch is skipped if it would have to wait for another transaction.
            let must = is_live && !self.app.has_faults && replies.len() == 1;
            let touch = if must { Touch::Must } else { Touch::May };
            changes.insert(id, (possible, touch));
        }
        self.note_all_new(replies, from)?;
        Ok(changes)
    }

    fn note_all_new(&mut self, replies: &[(Action, Reply)], from: Time) -> Checked {
        for (action, reply) in replies {
            self.note_new(*action, reply, from)?;
        }
        Ok(())
    }

    /// Adds a session that an answer created.
    fn note_new(&mut self, action: Action, reply: &Reply, from: Time) -> Checked {
        let Some((id, cookie, session_id)) = fresh_session(&self.world, reply) else {
            return Ok(());
        };
        let stored = self
            .app
            .ground
            .find(&(&id).into())
            .map_err(|error| error.to_string())?;
        let seen = stored.as_ref().map(Seen::from);
        let seen = seen.ok_or("I13: a session that was acknowledged is not stored")?;
        let (user, count) = match action {
            Action::Login(user) => (Some(USERS[user].to_owned()), 0),
            Action::Set(count) => (None, count),
            _ => (None, 1),
        };
        if (seen.session_id, &seen.user, seen.count) != (session_id, &user, count)
            || !seen.is_fresh((from, self.now()))
        {
            return Err(format!("a new session is stored as {seen:?}"));
        }
        self.world.rows.insert(id, Row { cookie, seen });
        Ok(())
    }

    async fn revoke(
        &mut self,
        client: usize,
        instance: usize,
        which: Which,
    ) -> Result<Changes, String> {
        let from = self.now();
        let cookie = self.world.jars[client].clone();
        let ids: Vec<String> = self.world.rows.keys().cloned().collect();
        let target = match which {
            Which::One(number) if ids.is_empty() => number.to_string(),
            Which::One(number) => ids[number % ids.len()].clone(),
            Which::Others => "others".to_owned(),
            Which::All => "all".to_owned(),
        };
        let path = format!("revoke/{target}");
        let reply = self.app.get(instance, &path, cookie.as_deref()).await;
        self.app.settle().await?;
        if reply.set_cookie.is_some() || ![200, 409, 500, 503].contains(&reply.status) {
            return Err(format!("{reply:?}"));
        }
        if reply.status != 200 && !self.app.has_faults {
            return Err(format!("a revocation fails: {reply:?}"));
        }
        let mut changes = Changes::new();
        let Some((own, row)) = self.world.by_cookie(cookie.as_deref()) else {
            return Ok(changes);
        };
        if !row.seen.is_live(from) {
            return Ok(changes);
        }
        let is_sure = reply.status == 200 && row.seen.is_live(self.now());
        for (id, other) in &self.world.rows {
            let is_meant = match which {
                Which::One(_) => *id == target,
                Which::Others => *id != own,
                Which::All => true,
            } && row.seen.user.is_some()
                && other.seen.user == row.seen.user;
            let unchanged = Possible::unchanged(&other.seen);
            let possible = match (is_meant, is_sure) {
                (true, true) => vec![Possible::gone()],
                (true, false) => vec![Possible::gone(), unchanged],
                (false, _) => vec![unchanged],
            };
            if is_meant || *id == own {
                changes.insert(id.clone(), (possible, Touch::May));
            }
        }
        Ok(changes)
    }
}
