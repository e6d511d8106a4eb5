//! Three PostgreSQL nodes under Patroni, which end with this process.

use std::process::{Command, Stdio};

use super::script::Script;

/// Three nodes for a single test, numbered from 0.
pub(crate) struct Patroni {
    script: Script,
    url: String,
}

impl Patroni {
    /// Starts the nodes, and waits until two follow the third. Returns `None` if PostgreSQL is to
    /// be skipped, or if Patroni is missing.
    pub(crate) fn start() -> Option<Self> {
        if std::env::var("SKIP_POSTGRES").is_ok_and(|skip| skip == "1") {
            eprintln!("SKIP_POSTGRES=1: the tests of Patroni are skipped");
            return None;
        }
        if !is_installed() {
            eprintln!(
                "Patroni is missing, and its tests are skipped: run tests/run, which installs it, \
                 or: apt-get install patroni python3-pysyncobj"
            );
            return None;
        }
        let (script, url) = Script::start("patroni-cluster", &[]);
        assert!(!url.is_empty(), "Patroni's nodes did not start");
        Some(Self { script, url })
    }

    /// Returns the URL of all nodes, without a database. It begins with the node `first`.
    pub(crate) fn url_from(&self, first: usize) -> String {
        let (user, hosts) = self.url.split_once('@').expect("a user and hosts");
        let mut hosts: Vec<&str> = hosts.split(',').collect();
        hosts.rotate_left(first);
        format!("{user}@{}", hosts.join(","))
    }

    /// Returns the URL of each node, without a database, in their order.
    pub(crate) fn nodes(&self) -> Vec<String> {
        let (user, hosts) = self.url.split_once('@').expect("a user and hosts");
        let node = |host| format!("{user}@{host}");
        hosts.split(',').map(node).collect()
    }

    /// Waits until a primary runs and both other nodes follow it, one of them synchronously.
    /// Returns the primary's number.
    pub(crate) fn settle(&mut self) -> usize {
        self.number("settle")
    }

    /// Moves the primary to another node in good order, and returns that node's number.
    pub(crate) fn switchover(&mut self) -> usize {
        self.number("switchover")
    }

    fn number(&mut self, command: &str) -> usize {
        let answer = self.script.tell(command);
        answer.parse().expect("the number of a node")
    }

    /// Kills, starts, freezes or thaws a node.
    pub(crate) fn tell(&mut self, command: &str, node: usize) {
        let command = format!("{command} {node}");
        assert_eq!(self.script.tell(&command), command);
    }
}

/// Returns whether Patroni can be run, with the module that keeps its state among the nodes.
fn is_installed() -> bool {
    Command::new("/usr/bin/python3")
        .args(["-c", "import patroni, pysyncobj"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
