//! The operations of the model and their mixture.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::faulty::{Failure, Fault};

pub(super) const CLIENTS: usize = 3;
pub(super) const USERS: [&str; 2] = ["ada", "bob"];

/// The action of a request on its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Read,
    Count,
    Set(u64),
    Login(usize),
    Rotate,
    /// Also stands for a logout.
    Destroy,
}

impl Action {
    pub(super) fn path(self) -> String {
        match self {
            Self::Read => "read".to_owned(),
            Self::Count => "count".to_owned(),
            Self::Set(count) => format!("set/{count}"),
            Self::Login(user) => format!("login/{}", USERS[user]),
            Self::Rotate => "rotate".to_owned(),
            Self::Destroy => "destroy".to_owned(),
        }
    }
}

/// The sessions that a user ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    /// One of the sessions that the model knows, of any client.
    One(usize),
    Others,
    All,
}

/// An operation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// A client's request to an instance.
    Request(usize, usize, Action),
    /// Two requests of a client at the same time, one to each instance.
    Race(usize, Action, Action),
    /// A client's request to an instance. After it has loaded its session, it waits this many
    /// seconds before the first action. In the meantime, the client sends the second action to the
    /// other instance.
    Slow(usize, usize, Action, i64, Action),
    Revoke(usize, usize, Which),
    /// The clock advances by this many seconds.
    Advance(i64),
    Sweep(usize),
    Disable(usize),
    /// Enables a user, or registers a deleted one again.
    Enable(usize),
    Delete(usize),
    /// A stranger sends a dead cookie.
    Replay(usize, usize, Action),
    /// A stranger sends a cookie forged after a valid one.
    Forge(usize, usize, Action),
}

/// An operation, and the faults of the store's next calls.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) op: Op,
    /// The faults for each instance.
    pub(super) faults: [Vec<Fault>; 2],
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => Just(Action::Read),
        5 => Just(Action::Count),
        3 => (1..100_u64).prop_map(Action::Set),
        3 => (0..USERS.len()).prop_map(Action::Login),
        2 => Just(Action::Rotate),
        1 => Just(Action::Destroy),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    // Around the touch interval and the two idle timeouts, up to the absolute timeout.
    let seconds = || {
        prop_oneof![
            3 => prop::sample::select(vec![1, 299, 300, 301]),
            2 => prop::sample::select(vec![1_799, 1_800, 1_801]),
            1 => prop::sample::select(vec![3_599, 3_600, 7_200]),
        ]
    };
    let (client, instance, user) = (0..CLIENTS, 0..2_usize, 0..USERS.len());
    let which = prop_oneof![
        any::<usize>().prop_map(Which::One),
        Just(Which::Others),
        Just(Which::All)
    ];
    let stranger = || prop_oneof![Just(Action::Read), action()];
    prop_oneof![
        20 => (client.clone(), instance.clone(), action()).prop_map(|(c, i, a)| Op::Request(c, i, a)),
        6 => (client.clone(), action(), action()).prop_map(|(c, a, b)| Op::Race(c, a, b)),
        4 => (client.clone(), instance.clone(), action(), seconds(), action())
            .prop_map(|(c, i, a, s, b)| Op::Slow(c, i, a, s, b)),
        2 => (client, instance.clone(), which).prop_map(|(c, i, w)| Op::Revoke(c, i, w)),
        5 => seconds().prop_map(Op::Advance),
        2 => instance.clone().prop_map(Op::Sweep),
        1 => user.clone().prop_map(Op::Disable),
        2 => user.clone().prop_map(Op::Enable),
        1 => user.prop_map(Op::Delete),
        3 => (any::<usize>(), instance.clone(), stranger()).prop_map(|(n, i, a)| Op::Replay(n, i, a)),
        2 => (any::<usize>(), instance, stranger()).prop_map(|(n, i, a)| Op::Forge(n, i, a)),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        6 => prop::sample::select(Failure::ALL.to_vec()).prop_map(Fault::Fail),
        2 => prop::sample::select(vec![Failure::Broken, Failure::Other])
            .prop_map(Fault::DoneThenFail),
        1 => Just(Fault::DoneThenPanic),
        2 => Just(Fault::DoneThenLate),
        2 => Just(Fault::Late),
        1 => Just(Fault::Hang),
        2 => Just(Fault::DoneThenHang),
        1 => Just(Fault::Panic),
        1 => prop::sample::select(vec![1, 301, 1_801]).prop_map(Fault::Step),
    ]
}

/// Sequences of steps. Without faults, their plans are empty.
pub(super) fn steps(has_faults: bool) -> impl Strategy<Value = Vec<Step>> {
    let planned = if has_faults { 0..4 } else { 0..1 };
    let faults = move || vec(fault(), planned.clone());
    let step = (op(), faults(), faults());
    let step = step.prop_map(|(op, one, other)| Step {
        op,
        faults: [one, other],
    });
    vec(step, 1..40)
}
