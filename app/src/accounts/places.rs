//! The places in which passwords are hashed: few at a time, and the most urgent first.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use rocket::tokio::sync::oneshot;

/// Who hashes, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Somebody who signs in, or is signed in.
    SignIn,
    /// Somebody who registers.
    Register,
    /// Somebody whose address has given too many wrong passwords. All of those share one place, and have
    /// it only while no one else waits: they cannot take the places of others.
    OverLimit,
}

const TURNS: [Turn; 3] = [Turn::SignIn, Turn::Register, Turn::OverLimit];

/// A fixed number of places.
pub(crate) struct Places(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// Whether one over its limit has a place.
    is_over_limit: bool,
    /// Those who wait, by [`Turn`].
    waiting: [VecDeque<oneshot::Sender<Place>>; TURNS.len()],
}

/// A place that is taken until this is dropped.
pub(crate) struct Place {
    state: Arc<Mutex<State>>,
    turn: Turn,
}

impl Places {
    pub(crate) fn new(number: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: number,
            is_over_limit: false,
            waiting: Default::default(),
        })))
    }

    /// Waits for a place. A caller that stops waiting is passed over.
    pub(crate) async fn take(&self, turn: Turn) -> Place {
        loop {
            let arrival = {
                let mut state = self.0.lock();
                if state.admits(turn) {
                    return state.enter(&self.0, turn);
                }
                let (sender, arrival) = oneshot::channel();
                state.waiting[turn as usize].push_back(sender);
                arrival
            };
            // A sender is kept until it has sent.
            if let Ok(place) = arrival.await {
                return place;
            }
        }
    }
}

impl State {
    fn admits(&self, turn: Turn) -> bool {
        self.free > 0 && !(turn == Turn::OverLimit && self.is_over_limit)
    }

    fn enter(&mut self, state: &Arc<Mutex<State>>, turn: Turn) -> Place {
        self.free -= 1;
        self.is_over_limit |= turn == Turn::OverLimit;
        let state = Arc::clone(state);
        Place { state, turn }
    }

    /// The most urgent of those who wait and may have a place.
    fn next(&mut self) -> Option<(Turn, oneshot::Sender<Place>)> {
        for turn in TURNS {
            while self.admits(turn) {
                let waiting = &mut self.waiting[turn as usize];
                let next = match turn {
                    // The last to come, so that a flood does not use up the time of all of them.
                    Turn::OverLimit => waiting.pop_back(),
                    Turn::SignIn | Turn::Register => waiting.pop_front(),
                };
                match next {
                    Some(sender) if sender.is_closed() => {}
                    Some(sender) => return Some((turn, sender)),
                    None => break,
                }
            }
        }
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.free += 1;
        if self.turn == Turn::OverLimit {
            state.is_over_limit = false;
        }
        while let Some((turn, sender)) = state.next() {
            let place = state.enter(&self.state, turn);
            // Without a receiver it is dropped, which takes the lock again.
            drop(state);
            drop(sender.send(place));
            state = self.state.lock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rocket::futures::FutureExt;

    /// Begins to wait; `None` where there is a place at once.
    macro_rules! waits {
        ($places:ident, $turn:expr) => {{
            let mut waiting = Box::pin($places.take($turn));
            assert!(waiting.as_mut().now_or_never().is_none());
            waiting
        }};
    }

    #[test]
    fn the_most_urgent_comes_first_and_who_has_gone_is_passed_over() {
        let places = Places::new(1);
        let first = places.take(Turn::Register).now_or_never().unwrap();
        let mut over = waits!(places, Turn::OverLimit);
        let mut register = waits!(places, Turn::Register);
        let gone = waits!(places, Turn::SignIn);
        let mut sign_in = waits!(places, Turn::SignIn);
        drop(gone);
        drop(first);
        assert!(register.as_mut().now_or_never().is_none());
        let place = sign_in.as_mut().now_or_never().unwrap();
        assert!(over.as_mut().now_or_never().is_none());
        drop(place);
        let place = register.as_mut().now_or_never().unwrap();
        assert!(over.as_mut().now_or_never().is_none());
        drop(place);
        assert!(over.as_mut().now_or_never().is_some());
    }

    #[test]
    fn those_over_their_limit_share_one_place() {
        let places = Places::new(3);
        let one = places.take(Turn::OverLimit).now_or_never().unwrap();
        let mut other = waits!(places, Turn::OverLimit);
        let sign_in = places.take(Turn::SignIn).now_or_never().unwrap();
        let register = places.take(Turn::Register).now_or_never().unwrap();
        drop(sign_in);
        assert!(other.as_mut().now_or_never().is_none());
        drop(one);
        assert!(other.as_mut().now_or_never().is_some());
        drop(register);
    }

    #[test]
    fn a_place_that_is_given_to_somebody_who_leaves_is_free_again() {
        let places = Places::new(1);
        let first = places.take(Turn::SignIn).now_or_never().unwrap();
        let given = waits!(places, Turn::SignIn);
        drop(first);
        drop(given);
        assert!(places.take(Turn::OverLimit).now_or_never().is_some());
    }
}
