//! Looking through the sessions, and ending those of an address, on each database. What a scan meets is
//! part of `conformance`.

use chrono::{TimeDelta, Utc};
use rocket_diesel_sessions::admin::StoreAdmin;
use rocket_diesel_sessions::store::{NewSession, ScanSessions, SessionRecord, SessionStore};

use crate::support::Database;
use crate::support::altered;
use crate::support::sessions::new_session;

/// Returns sessions of one address.
fn sessions_at(ip: &str, number: usize) -> Vec<NewSession> {
    let new = |_| altered(new_session(None), |new| new.ip = Some(ip.to_owned()));
    (0..number).map(new).collect()
}

on_each_database! {
    fn a_scan_reads_no_data(database: &Database) {
        let store = database.store();
        let new = altered(new_session(None), |new| new.data = "[1]".into());
        store.create(&[new]).unwrap();
        let step = store.scan(&ScanSessions::new(Utc::now(), 10)).unwrap();
        assert_eq!(step.sessions.len(), 1);
        assert_eq!(step.sessions[0].session.data, "");
    }

    fn a_step_reads_no_more_rows_than_its_limit(database: &Database) {
        let store = database.store();
        let mut made = sessions_at("192.0.2.1", 10);
        // The newest ones have expired, and are not passed over in search of live ones.
        for new in &mut made[5..] {
            new.expires_at = Utc::now() - TimeDelta::minutes(1);
        }
        store.create(&made).unwrap();
        let mut scan = ScanSessions::new(Utc::now(), 4);
        let mut met = Vec::new();
        loop {
            let step = store.scan(&scan).unwrap();
            met.push(step.sessions.len());
            scan.after = step.next;
            if scan.after.is_none() {
                break;
            }
        }
        assert_eq!(met, [0, 3, 2]);
    }

    fn all_sessions_of_an_address_end_and_no_others(database: &Database) {
        let store = database.store();
        let here = sessions_at("192.0.2.7", 2_500);
        let mapped = sessions_at("::ffff:192.0.2.7", 3);
        let others = sessions_at("192.0.2.70", 3);
        for made in [&here, &mapped, &others] {
            store.create(made).unwrap();
        }
        let mut batches = Vec::new();
        let ip = "192.0.2.7".parse().unwrap();
        let admin = StoreAdmin::new(&*store).statistics(&*store);
        admin
            .revoke_address(ip, Utc::now(), |ended: &[SessionRecord]| batches.push(ended.len()))
            .unwrap();
        assert_eq!(batches.iter().sum::<usize>(), 2_503);
        assert!(batches.len() > 1, "{batches:?}");
        assert_eq!(database.sessions(), 3);
        let noted = "SELECT ended_revoked AS n FROM session_stats";
        assert_eq!(database.number(noted), 2_503);
    }
}
