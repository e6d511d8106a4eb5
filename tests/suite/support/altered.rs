//! Values that the library makes, with something else in them.

/// A value, altered.
pub(crate) fn altered<T>(mut value: T, alter: impl FnOnce(&mut T)) -> T {
    alter(&mut value);
    value
}
