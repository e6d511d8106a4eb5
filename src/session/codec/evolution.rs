//! Rows written by another version of the data's type: unknown fields, former names and retired
//! fields.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Error, Map, Value};

use super::{TypedData, means};

/// Maximum number of times that one row is decoded to find out which fields its type knows. Fields
/// not tried by then count as unknown.
const MAX_TRIES: usize = 256;

/// The start of serde's error message for a field that occurs twice, also under two names.
const DUPLICATE: &str = "duplicate field `";

/// Decodes a row that has a field under both its present and its former name. The present one
/// counts. Returns `None` if the row has no such field. The error is that of the other fields.
pub(in crate::session) fn decode_present_names<D: TypedData>(
    raw: &str,
) -> Option<Result<D, Error>> {
    Some(present_names(raw)?.map(|(data, _)| data))
}

/// Returns the row's JSON. Of a field under both its present and its former name, the present one is
/// left if the type can decode the rest.
///
/// # Errors
/// Fails if the row is not JSON.
pub(super) fn present<D: TypedData>(raw: &str) -> Result<Value, Error> {
    match present_names::<D>(raw) {
        Some(Ok((_, value))) => Ok(value),
        _ => serde_json::from_str(raw),
    }
}

/// Adds to `upgraded`, the JSON of data made from an older row, those fields of the row that the type
/// does not know.
pub(super) fn with_unknown<D: TypedData>(raw: &str, upgraded: &str) -> String {
    let (Ok(raw), Ok(mut root)) = (serde_json::from_str(raw), serde_json::from_str(upgraded))
    else {
        return upgraded.to_owned();
    };
    add_unknown::<D>(&mut root, &mut Vec::new(), &raw, &mut { MAX_TRIES });
    let lifted = root.to_string();
    if means::<D>(&lifted, upgraded) {
        lifted
    } else {
        upgraded.to_owned()
    }
}

/// Adds fields of `raw` to the object of `root` at `path`.
fn add_unknown<D: TypedData>(
    root: &mut Value,
    path: &mut Vec<String>,
    raw: &Value,
    tries: &mut usize,
) {
    for (key, value) in raw.as_object().into_iter().flatten() {
        let Some(Value::Object(object)) = at(root, path) else {
            return;
        };
        let is_present = object.contains_key(key);
        if !is_present {
            object.insert(key.clone(), value.clone());
        }
        path.push(key.clone());
        if is_present {
            add_unknown::<D>(root, path, value, tries);
        } else if !is_unknown::<D>(root, path, tries) {
            path.pop();
            if let Some(Value::Object(object)) = at(root, path) {
                object.remove(key);
            }
            continue;
        }
        path.pop();
    }
}

/// Returns whether the type does not read the field at `path`. Written twice, a field that it reads
/// is an error.
fn is_unknown<D: TypedData>(root: &Value, path: &[String], tries: &mut usize) -> bool {
    let Some(rest) = tries.checked_sub(1) else {
        return false;
    };
    *tries = rest;
    let path: Vec<Step<'_>> = path.iter().map(|key| Step::Field(key)).collect();
    let twice = Twice {
        value: root,
        path: &path,
    };
    serde_json::to_string(&twice).is_ok_and(|json| serde_json::from_str::<D>(&json).is_ok())
}

/// Returns the data, and the row without the former names, or the row's fault without them. Returns
/// `None` if no field has two names.
fn present_names<D: TypedData>(raw: &str) -> Option<Result<(D, Value), Error>> {
    let mut value: Value = match serde_json::from_str::<D>(raw) {
        Err(error) if duplicate(&error).is_some() => serde_json::from_str(raw).ok()?,
        _ => return None,
    };
    let mut tries = MAX_TRIES;
    loop {
        let error = match D::deserialize(&value) {
            Ok(data) => return Some(Ok((data, value))),
            Err(error) => error,
        };
        let removed = duplicate(&error)
            .and_then(|field| remove_former::<D>(&mut value, &mut Vec::new(), &field, &mut tries));
        if removed.is_none() {
            return Some(Err(error));
        }
    }
}

/// Returns the present name of the field that an error reports as a duplicate.
fn duplicate(error: &Error) -> Option<String> {
    let message = error.to_string();
    let (_, rest) = message.split_once(DUPLICATE)?;
    rest.split_once('`').map(|(field, _)| field.to_owned())
}

/// Removes from `root` the former name of `field` in an object at or below `path` that has both
/// names. It is the key without which no error names `field`, and if possible without which there is
/// none.
fn remove_former<D: TypedData>(
    root: &mut Value,
    path: &mut Vec<String>,
    field: &str,
    tries: &mut usize,
) -> Option<()> {
    let object = at(root, path)?.as_object()?;
    let keys: Vec<String> = object.keys().cloned().collect();
    let mut doubtful = None;
    if object.contains_key(field) {
        for key in keys.iter().filter(|key| *key != field) {
            *tries = tries.checked_sub(1)?;
            let taken = at(root, path)?.as_object_mut()?.remove(key)?;
            let Err(error) = D::deserialize(&*root) else {
                return Some(());
            };
            match duplicate(&error) {
                Some(other) if other != field => return Some(()),
                Some(_) => {}
                // Either the row has another fault too, or the key is one that is read before the
                // field, such as the tag of an enum.
                None => doubtful = doubtful.or_else(|| Some(key.clone())),
            }
            at(root, path)?.as_object_mut()?.insert(key.clone(), taken);
        }
    }
    for key in keys {
        path.push(key);
        if at(root, path).is_some_and(|value| value.is_object())
            && remove_former::<D>(root, path, field, tries).is_some()
        {
            return Some(());
        }
        path.pop();
    }
    at(root, path)?.as_object_mut()?.remove(&doubtful?)?;
    Some(())
}

fn at<'v>(root: &'v mut Value, path: &[String]) -> Option<&'v mut Value> {
    path.iter().try_fold(root, |value, key| value.get_mut(key))
}

/// Applies the changes between `before` and `after` to the row `raw`, field by field. Fields that
/// exist only in `raw` are kept if the type does not know them.
///
/// # Errors
/// Fails if one of the texts is not JSON.
pub(in crate::session) fn keep_unknown<D: TypedData>(
    raw: &str,
    before: &str,
    after: &str,
) -> Result<String, Error> {
    let root = present::<D>(raw)?;
    let (before, after) = (serde_json::from_str(before)?, serde_json::from_str(after)?);
    let mut merge = Merge::<D> {
        root: &root,
        path: Vec::new(),
        tries: MAX_TRIES,
        unknown: HashSet::new(),
        marker: std::marker::PhantomData,
    };
    serde_json::to_string(&merge.apply(&root, &before, after))
}

/// A step from a value to one in it.
#[derive(Clone, Copy)]
enum Step<'v> {
    Field(&'v str),
    Element(usize),
}

/// Returns a path without the places of elements. It is a JSON text, so that no two paths look alike.
fn shape(path: &[Step<'_>]) -> String {
    let names = path.iter().map(|step| match step {
        Step::Field(name) => Value::from(*name),
        Step::Element(_) => Value::Null,
    });
    Value::Array(names.collect()).to_string()
}

/// Returns whether an element of a list, as it is in the row, may be the one that the type has read
/// as another. The elements of a set are read in any order.
fn is_read_as((raw, read): (&Value, &Value)) -> bool {
    match (raw, read) {
        (Value::Object(raw), Value::Object(read)) => read
            .iter()
            .all(|(key, read)| raw.get(key).is_none_or(|raw| is_read_as((raw, read)))),
        (Value::Array(raw), Value::Array(read)) => {
            raw.len() == read.len() && raw.iter().zip(read).all(is_read_as)
        }
        (raw, read) => raw == read,
    }
}

struct Merge<'v, D> {
    root: &'v Value,
    /// The current position in `root`.
    path: Vec<Step<'v>>,
    tries: usize,
    /// The shapes of the fields that the type does not read, so that a list costs one try.
    unknown: HashSet<String>,
    marker: std::marker::PhantomData<fn() -> D>,
}

impl<'v, D: TypedData> Merge<'v, D> {
    fn apply(&mut self, raw: &'v Value, before: &Value, after: Value) -> Value {
        match (raw, before, after) {
            (Value::Object(raw), Value::Object(before), Value::Object(after)) => {
                Value::Object(self.apply_fields(raw, before, after))
            }
            (raw, before, after) if *before == after => raw.clone(),
            (Value::Array(raw), Value::Array(before), Value::Array(after))
                if raw.len() == before.len() && raw.iter().zip(before).all(is_read_as) =>
            {
                Value::Array(self.apply_elements(raw, before, after))
            }
            (_, _, after) => after,
        }
    }

    fn apply_fields(
        &mut self,
        raw: &'v Map<String, Value>,
        before: &Map<String, Value>,
        after: Map<String, Value>,
    ) -> Map<String, Value> {
        let mut merged = Map::new();
        for (key, value) in raw.iter().filter(|(key, _)| !before.contains_key(*key)) {
            self.path.push(Step::Field(key));
            if !self.knows() {
                merged.insert(key.clone(), value.clone());
            }
            self.path.pop();
        }
        for (key, value) in after {
            let value = match (raw.get_key_value(&key), before.get(&key)) {
                (Some((key, raw)), Some(before)) => {
                    self.path.push(Step::Field(key));
                    let value = self.apply(raw, before, value);
                    self.path.pop();
                    value
                }
                _ => value,
            };
            merged.insert(key, value);
        }
        merged
    }

    /// An element that has changed has no unknown fields: whether it is still the same one cannot be
    /// known.
    fn apply_elements(
        &mut self,
        raw: &'v [Value],
        before: &[Value],
        after: Vec<Value>,
    ) -> Vec<Value> {
        let mut places: HashMap<String, VecDeque<usize>> = HashMap::new();
        for (place, element) in before.iter().enumerate() {
            places
                .entry(element.to_string())
                .or_default()
                .push_back(place);
        }
        let mut merged = Vec::with_capacity(after.len());
        let mut next = 0;
        for element in after {
            // Of equal ones, the first that keeps the order.
            let place = places.get_mut(&element.to_string()).and_then(|places| {
                let kept = places.iter().position(|place| *place >= next);
                places.remove(kept.unwrap_or(0))
            });
            merged.push(match place {
                Some(place) => {
                    next = place + 1;
                    self.path.push(Step::Element(place));
                    let element = self.apply(&raw[place], &before[place], element);
                    self.path.pop();
                    element
                }
                None => element,
            });
        }
        merged
    }

    /// Returns whether the type reads the field at `path`. A duplicate field is an error only if it
    /// is read.
    fn knows(&mut self) -> bool {
        let shape = shape(&self.path);
        if self.unknown.contains(&shape) {
            return false;
        }
        let is_known = self.reads();
        if !is_known {
            self.unknown.insert(shape);
        }
        is_known
    }

    fn reads(&mut self) -> bool {
        let Some(tries) = self.tries.checked_sub(1) else {
            return false;
        };
        self.tries = tries;
        let twice = Twice {
            value: self.root,
            path: &self.path,
        };
        serde_json::to_string(&twice)
            .and_then(|json| serde_json::from_str::<D>(&json))
            .is_err_and(|error| duplicate(&error).is_some())
    }
}

/// Serializes a value with its field at `path` written twice.
struct Twice<'v> {
    value: &'v Value,
    path: &'v [Step<'v>],
}

impl Serialize for Twice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (fields, name, path) = match (self.value, self.path) {
            (Value::Object(fields), [Step::Field(name), path @ ..]) => (fields, name, path),
            (Value::Array(elements), [Step::Element(place), path @ ..]) => {
                return serializer.collect_seq(elements.iter().enumerate().map(|(at, value)| {
                    let path = if at == *place { path } else { &[] };
                    Twice { value, path }
                }));
            }
            (value, _) => return value.serialize(serializer),
        };
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in fields {
            if key != name {
                map.serialize_entry(key, value)?;
                continue;
            }
            map.serialize_entry(key, &Twice { value, path })?;
            if path.is_empty() {
                map.serialize_entry(key, value)?;
            }
        }
        map.end()
    }
}
