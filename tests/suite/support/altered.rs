//! Values of the library with changed fields.

/// Returns a value after a change.
pub(crate) fn altered<T>(mut value: T, alter: impl FnOnce(&mut T)) -> T {
    alter(&mut value);
    value
}
