//! Each example of the library, built and used as its reader would.

mod from_express;
mod restarts;
mod servers;
mod socket;

use crate::support::example::run_tests_of;

#[test]
fn the_tests_in_the_examples_pass() {
    for example in ["testing", "custom_store", "from_express"] {
        run_tests_of(example);
    }
}
