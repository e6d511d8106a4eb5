//! `sessions revoke` and `sessions clear`.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use clap::Args;
use rocket::serde::json::json;
use rocket_diesel_sessions::store::{
    EventRecord, Revocation, RevokeScope, ScanSessions, SessionRecord, SessionScope, SessionStore,
    StoreError,
};
use rocket_diesel_sessions::{DieselStore, EndReason, SessionHandle};
use rocket_diesel_sessions_app::accounts::administration::{
    ADDRESS_ENDED, SESSIONS_CLEARED, SIGNED_OUT_EVERYWHERE, sessions as in_words,
};
use rocket_diesel_sessions_app::monitoring::audit::{Entry, Event};

use crate::cli::database::{Access, Database, admin};
use crate::cli::record::Record;
use crate::cli::terminal::ask;
use crate::cli::terminal::output::{COMMAND_LINE, audit, count, note, say_json};
use crate::cli::terminal::progress;
use crate::cli::terminal::table::printable;
use crate::cli::{Failure, say, users};

/// How many handles a statement has.
const BATCH: usize = 1000;

#[derive(Args)]
#[command(
    override_usage = "rocket_diesel_sessions sessions revoke [OPTIONS] <HANDLES>...\n       \
                      rocket_diesel_sessions sessions revoke [OPTIONS] --user <NAME>\n       \
                      rocket_diesel_sessions sessions revoke [OPTIONS] --ip <ADDRESS>",
    after_help = "\
Examples:
  rocket_diesel_sessions sessions revoke nd27q0bhx0j4aoj3t1e8pcvf
  rocket_diesel_sessions sessions revoke --user ada --dry-run
  rocket_diesel_sessions sessions revoke --ip 203.0.113.7"
)]
pub(in crate::cli) struct Revoke {
    /// The handles of the sessions.
    #[arg(required_unless_present_any = ["user", "ip"], conflicts_with_all = ["user", "ip"])]
    handles: Vec<SessionHandle>,
    /// Ends all sessions of this user, by name or id.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Ends all sessions that were last used from this address.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "user")]
    ip: Option<IpAddr>,
    /// Reports what would end, and ends nothing.
    #[arg(long)]
    dry_run: bool,
    /// Prints JSON: `deleted`, the number of sessions that ended; with `--dry-run`, `wouldDelete`.
    #[arg(long)]
    json: bool,
}

impl Revoke {
    pub(in crate::cli) fn access(&self) -> Access {
        access(self.dry_run)
    }
}

#[derive(Args)]
pub(in crate::cli) struct Clear {
    /// Ends them without asking.
    #[arg(long)]
    yes: bool,
    /// Reports how many sessions would end, and ends none.
    #[arg(long)]
    dry_run: bool,
    /// Prints JSON: `deleted`, the number of sessions that ended; with `--dry-run`, `wouldDelete`.
    #[arg(long)]
    json: bool,
}

impl Clear {
    pub(in crate::cli) fn access(&self) -> Access {
        access(self.dry_run)
    }
}

fn access(dry_run: bool) -> Access {
    if dry_run { Access::Read } else { Access::Write }
}

pub(in crate::cli) fn revoke(
    arguments: &Revoke,
    database: &Database,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    match (&arguments.user, arguments.ip) {
        (Some(name), _) => revoke_all_of(name, arguments, database, now),
        (None, Some(ip)) => revoke_all_at(ip, arguments, database, now),
        (None, None) => revoke_some(arguments, database, now),
    }
}

fn revoke_some(arguments: &Revoke, database: &Database, now: DateTime<Utc>) -> Result<(), Failure> {
    let Revoke { dry_run, json, .. } = *arguments;
    let (store, record) = (&database.store, Record::new(database, now));
    let mut seen = HashSet::new();
    let mut handles = arguments.handles.clone();
    handles.retain(|handle| seen.insert(handle.clone()));
    let mut there = HashSet::new();
    for handles in handles.chunks(BATCH) {
        let found = found(handles, store)?;
        if dry_run {
            there.extend(found.into_keys());
            continue;
        }
        let ended = store.delete(handles)?;
        admin(store).note_ended(EndReason::Revoked, ended.len(), now);
        let mut events = Vec::new();
        for handle in &ended {
            let session = found.get(handle).and_then(Option::as_ref);
            let user = session.and_then(|session| session.user_id.as_ref());
            audit(Event::SessionRevoked, user, Some(handle));
            events.extend(session.and_then(|session| record.ended_session(session, None)));
        }
        record.keep(&events);
        there.extend(ended);
    }
    let (ended, missing): (Vec<&SessionHandle>, Vec<&SessionHandle>) =
        handles.iter().partition(|handle| there.contains(*handle));
    let (verb, key) = verb(dry_run);
    if json {
        say_json(&json!({
            "dryRun": dry_run, key: ended.len(), "ids": ended, "notFound": missing
        }))?;
    } else {
        for handle in &ended {
            say(format_args!("{verb} {}", printable(handle.as_str())))?;
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    for handle in &missing {
        note(&format!("not found: {}", printable(handle.as_str())));
    }
    Err(format!(
        "{verb} {}, {} not found; `sessions list` shows the live ones",
        ended.len(),
        missing.len()
    )
    .into())
}

/// Returns those of the sessions that exist, by handle. One that cannot be read can be ended.
fn found(
    handles: &[SessionHandle],
    store: &DieselStore,
) -> Result<HashMap<SessionHandle, Option<SessionRecord>>, StoreError> {
    let mut found = HashMap::with_capacity(handles.len());
    for handle in handles {
        match store.find(handle) {
            Ok(session) => {
                found.extend(session.map(|session| (session.id.clone(), Some(session))));
            }
            Err(StoreError::Corrupt { id, .. }) => {
                found.insert(id, None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn revoke_all_of(
    name: &str,
    arguments: &Revoke,
    database: &Database,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let Revoke { dry_run, json, .. } = *arguments;
    let store = &database.store;
    let user = users::find(store, name)?;
    let (verb, key) = verb(dry_run);
    let ended = if dry_run {
        store.count_of_user(&user.id, None)?
    } else {
        let revocation = Revocation::new(user.id.clone(), RevokeScope::All);
        let ended = store.revoke(&revocation)?.unwrap_or_default();
        admin(store).note_ended(EndReason::Revoked, ended.len(), now);
        if !ended.is_empty() {
            audit(Event::SessionRevoked, Some(&user.id), None);
            let record = Record::new(database, now);
            let of_session = |id| record.ended(id, &user.id, Some(SIGNED_OUT_EVERYWHERE));
            let mut events: Vec<EventRecord> = ended.iter().map(of_session).collect();
            let mut act = record.event(SIGNED_OUT_EVERYWHERE, &user.id);
            act.reason = Some(in_words(ended.len()));
            events.push(act);
            record.keep(&events);
        }
        ended.len() as u64
    };
    if json {
        return say_json(&json!({"dryRun": dry_run, key: ended, "userId": user.id}));
    }
    say(format_args!(
        "{verb} {} of {}",
        count(ended, "session"),
        printable(&user.username)
    ))
}

/// Ends the live sessions of an address, in batches.
fn revoke_all_at(
    ip: IpAddr,
    arguments: &Revoke,
    database: &Database,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let Revoke { dry_run, json, .. } = *arguments;
    let (store, record) = (&database.store, Record::new(database, now));
    let (verb, key) = verb(dry_run);
    let mut ended = 0;
    if dry_run {
        ended = number_at(ip, store, now)?;
    } else {
        let bar = progress::bar(|| number_at(ip, store, now), "ended")?;
        let revoked = admin(store).revoke_address(ip, now, |batch| {
            ended += batch.len() as u64;
            bar.set_position(ended);
            let of_session = |session| record.ended_session(session, Some(ADDRESS_ENDED));
            let events: Vec<EventRecord> = batch.iter().filter_map(of_session).collect();
            record.keep(&events);
        });
        bar.finish_and_clear();
        if ended > 0 {
            let entry = Entry::new(Event::SessionRevoked).address(ip);
            let number = usize::try_from(ended).unwrap_or(usize::MAX);
            entry.by(COMMAND_LINE).deleted(number).write();
            let mut act = record.event(ADDRESS_ENDED, None);
            act.reason = Some(format!("{} of {ip}", in_words(number)));
            record.keep(&[act]);
        }
        revoked
            .map_err(|error| format!("{error} ({} ended before that)", count(ended, "session")))?;
    }
    if json {
        return say_json(&json!({"dryRun": dry_run, key: ended, "ip": ip}));
    }
    say(format_args!("{verb} {} of {ip}", count(ended, "session")))
}

/// Returns the number of live sessions of an address.
fn number_at(ip: IpAddr, store: &DieselStore, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let mut scan = ScanSessions::new(now, 5000);
    scan.scope = SessionScope::Address(ip);
    let mut number = 0;
    loop {
        let step = store.scan(&scan)?;
        number += step.sessions.len() as u64;
        match step.next {
            Some(next) => scan.after = Some(next),
            None => return Ok(number),
        }
    }
}

/// Returns the verb for sessions that end, and the name of their number in JSON.
fn verb(dry_run: bool) -> (&'static str, &'static str) {
    if dry_run {
        ("would end", "wouldDelete")
    } else {
        ("ended", "deleted")
    }
}

pub(in crate::cli) fn clear(
    arguments: &Clear,
    database: &Database,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let Database { url, store, .. } = database;
    let Clear { yes, dry_run, json } = *arguments;
    let (verb, key) = verb(dry_run);
    let report = |ended: u64| {
        if json {
            return say_json(&json!({"dryRun": dry_run, key: ended}));
        }
        say(format_args!("{url}: {verb} {}", count(ended, "session")))
    };
    if dry_run {
        return report(store.count_created(now)?);
    }
    let question = format!("End all sessions in {url}? Everyone is signed out.");
    let otherwise = "this ends all sessions and cannot be undone; give --yes to do it";
    if !yes && !ask::agrees(&question, otherwise)? {
        return Err("not confirmed; nothing was changed".into());
    }
    let bar = progress::bar(|| store.count_created(now), "ended")?;
    let mut ended = 0;
    let cleared = admin(store).clear(now, |batch| {
        ended += batch.len() as u64;
        bar.set_position(ended);
    });
    bar.finish_and_clear();
    if ended > 0 || cleared.is_ok() {
        audit(Event::SessionsCleared, None, None);
        let record = Record::new(database, now);
        let mut act = record.event(SESSIONS_CLEARED, None);
        act.reason = Some(in_words(usize::try_from(ended).unwrap_or(usize::MAX)));
        record.keep(&[act]);
    }
    match cleared {
        Ok(()) => report(ended),
        Err(error) => {
            Err(format!("{error} ({} ended before that)", count(ended, "session")).into())
        }
    }
}
