//! The places in which passwords are hashed: a few at a time, the most urgent first.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use rocket::tokio::sync::oneshot;

/// Who needs a place, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Someone who signs in or is signed in.
    SignIn,
    /// Someone who registers.
    Register,
    /// Someone whose address has sent too many wrong passwords. All of these share one place, and get
    /// it only while no one else waits, so that they cannot take the places of others.
    OverLimit,
}

const URGENCIES: [Urgency; 3] = [Urgency::SignIn, Urgency::Register, Urgency::OverLimit];

/// A fixed number of places.
pub(crate) struct Places(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// Whether someone over the limit has a place.
    is_over_limit: bool,
    /// Those who wait, by [`Urgency`]. Each gets a place through its sender.
    waiting: [VecDeque<oneshot::Sender<Place>>; URGENCIES.len()],
}

/// A place that is taken until it is dropped.
pub(crate) struct Place {
    state: Arc<Mutex<State>>,
    urgency: Urgency,
}

impl Places {
    /// Makes `number` places, all of them free.
    pub(crate) fn new(number: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: number,
            is_over_limit: false,
            waiting: Default::default(),
        })))
    }

    /// Waits for a place. A caller that stops waiting is passed over.
    pub(crate) async fn take(&self, urgency: Urgency) -> Place {
        loop {
            let arrival = {
                let mut state = self.0.lock();
                if state.admits(urgency) {
                    return state.enter(&self.0, urgency);
                }
                let (sender, arrival) = oneshot::channel();
                state.waiting[urgency as usize].push_back(sender);
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
    fn admits(&self, urgency: Urgency) -> bool {
        self.free > 0 && !(urgency == Urgency::OverLimit && self.is_over_limit)
    }

    fn enter(&mut self, state: &Arc<Mutex<State>>, urgency: Urgency) -> Place {
        self.free -= 1;
        self.is_over_limit |= urgency == Urgency::OverLimit;
        let state = Arc::clone(state);
        Place { state, urgency }
    }

    /// Takes out the most urgent of those who wait and may have a place.
    fn next(&mut self) -> Option<(Urgency, oneshot::Sender<Place>)> {
        for urgency in URGENCIES {
            while self.admits(urgency) {
                let waiting = &mut self.waiting[urgency as usize];
                let next = match urgency {
                    // The newest first: in a flood, the oldest would all be out of time.
                    Urgency::OverLimit => waiting.pop_back(),
                    Urgency::SignIn | Urgency::Register => waiting.pop_front(),
                };
                match next {
                    Some(sender) if sender.is_closed() => {}
                    Some(sender) => return Some((urgency, sender)),
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
        if self.urgency == Urgency::OverLimit {
            state.is_over_limit = false;
        }
        while let Some((urgency, sender)) = state.next() {
            let place = state.enter(&self.state, urgency);
            // If the receiver has gone, the place is dropped, which takes the lock again.
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

    /// Begins to wait for a place, of which none is free.
    macro_rules! waits {
        ($places:ident, $urgency:expr) => {{
            let mut waiting = Box::pin($places.take($urgency));
            assert!(waiting.as_mut().now_or_never().is_none());
            waiting
        }};
    }

    #[test]
    fn the_most_urgent_is_first_and_callers_that_left_are_passed_over() {
        let places = Places::new(1);
        let first = places.take(Urgency::Register).now_or_never().unwrap();
        let mut over = waits!(places, Urgency::OverLimit);
        let mut register = waits!(places, Urgency::Register);
        let gone = waits!(places, Urgency::SignIn);
        let mut sign_in = waits!(places, Urgency::SignIn);
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
        let one = places.take(Urgency::OverLimit).now_or_never().unwrap();
        let mut other = waits!(places, Urgency::OverLimit);
        let sign_in = places.take(Urgency::SignIn).now_or_never().unwrap();
        let register = places.take(Urgency::Register).now_or_never().unwrap();
        drop(sign_in);
        assert!(other.as_mut().now_or_never().is_none());
        drop(one);
        assert!(other.as_mut().now_or_never().is_some());
        drop(register);
    }

    #[test]
    fn a_place_given_to_a_caller_that_leaves_is_free_again() {
        let places = Places::new(1);
        let first = places.take(Urgency::SignIn).now_or_never().unwrap();
        let given = waits!(places, Urgency::SignIn);
        drop(first);
        drop(given);
        assert!(places.take(Urgency::OverLimit).now_or_never().is_some());
    }
}
