use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Outer {
    #[serde(skip_serializing)]
    retired: u8,
    #[serde(alias = "was")]
    kind: Kind,
    list: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
enum Kind {
    A {
        #[serde(alias = "old", default)]
        new: u8,
    },
}

impl Default for Kind {
    fn default() -> Self {
        Self::A { new: 0 }
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Flat {
    #[serde(skip_serializing)]
    retired: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

fn kept<D: TypedData>(raw: &Value) -> Value {
    let raw = raw.to_string();
    let data: D = crate::session::codec::decode(&raw).unwrap();
    let before = serde_json::to_string(&data).unwrap();
    let merged = keep_unknown::<D>(&raw, &before, &before).unwrap();
    serde_json::from_str(&merged).unwrap()
}

#[test]
fn only_fields_that_the_type_does_not_read_are_kept() {
    assert_eq!(
        kept::<Outer>(&json!({"list": [], "retired": 1, "unknown": {"retired": 1}})),
        json!({"list": [], "kind": {"type": "A", "new": 0}, "unknown": {"retired": 1}})
    );
    // An internally tagged enum, beside an unknown field.
    assert_eq!(
        kept::<Outer>(&json!({"kind": {"type": "A", "old": 3, "new": 1, "more": 2}, "a": 1})),
        json!({"list": [], "kind": {"type": "A", "new": 1, "more": 2}, "a": 1})
    );
    assert_eq!(
        kept::<Outer>(&json!({"was": {"type": "A"}, "kind": {"type": "A", "old": 4}})),
        json!({"list": [], "kind": {"type": "A", "new": 4}})
    );
    // A type that collects unknown fields itself.
    assert_eq!(
        kept::<Flat>(&json!({"retired": 1, "x": {"retired": 2}})),
        json!({"x": {"retired": 2}})
    );
}

/// Its tag comes before its fields in the order of names.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    A {
        #[serde(alias = "old", default)]
        total: u8,
    },
}

impl Default for Tagged {
    fn default() -> Self {
        Self::A { total: 0 }
    }
}

#[test]
fn the_tag_of_an_enum_is_no_former_name() {
    assert_eq!(
        kept::<Tagged>(&json!({"kind": "A", "old": 3, "total": 1, "unknown": 2})),
        json!({"kind": "A", "total": 1, "unknown": 2})
    );
    assert_eq!(
        kept::<Vec<Tagged>>(&json!([{"kind": "A", "total": 1}])),
        json!([{"kind": "A", "total": 1}])
    );
}

#[test]
fn a_fault_beside_a_former_name_is_the_one_reported() {
    let raw = r#"{"kind":{"type":"A"},"was":{"type":"A"},"list":1}"#;
    let fault = crate::session::codec::decode::<Outer>(raw).map(|_| ());
    let reason = fault.unwrap_err().to_string();
    assert!(reason.starts_with("invalid type"), "{reason}");
}

#[test]
fn rows_with_other_faults_are_still_refused() {
    for raw in ["", "{", r#"{"list":1}"#, r#"{"list":1,"kind":0,"was":0}"#] {
        assert!(
            crate::session::codec::decode::<Outer>(raw).is_err(),
            "{raw}"
        );
    }
    let many: Map<String, Value> = (0..MAX_TRIES + 10)
        .map(|n| (format!("key {n}"), Value::Null))
        .chain([
            ("kind".to_owned(), json!({"type": "A"})),
            ("was".to_owned(), json!({"type": "A"})),
        ])
        .collect();
    let raw = Value::Object(many).to_string();
    assert!(crate::session::codec::decode::<Outer>(&raw).is_err());
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Cart {
    lines: Vec<Line>,
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Line {
    item: String,
    #[serde(skip_serializing)]
    retired: u8,
}

#[test]
fn elements_of_a_list_that_stay_keep_what_the_type_does_not_know() {
    let changed = |change: fn(&mut Vec<Line>)| {
        let raw = json!({"lines": [
            {"item": "tea", "retired": 1, "new": {"x": [1]}},
            {"item": "milk", "new": 2},
            {"item": "tea", "new": 3},
        ], "note": "a"});
        let raw = raw.to_string();
        let mut data: Cart = crate::session::codec::decode(&raw).unwrap();
        let before = serde_json::to_string(&data).unwrap();
        change(&mut data.lines);
        let after = serde_json::to_string(&data).unwrap();
        let merged = crate::session::codec::merged::<Cart>(&raw, &before, after).unwrap();
        let merged: Value = serde_json::from_str(&merged).unwrap();
        assert_eq!(merged["note"], "a");
        merged["lines"].clone()
    };
    let tea = json!({"item": "tea", "new": {"x": [1]}});
    let milk = json!({"item": "milk", "new": 2});
    let other_tea = json!({"item": "tea", "new": 3});
    assert_eq!(
        changed(|lines| lines.push(Line::default())),
        json!([tea, milk, other_tea, {"item": ""}])
    );
    assert_eq!(
        changed(|lines| drop(lines.remove(1))),
        json!([tea, other_tea])
    );
    assert_eq!(
        changed(|lines| drop(lines.remove(0))),
        json!([milk, other_tea])
    );
    assert_eq!(
        changed(|lines| lines.rotate_right(1)),
        json!([tea, other_tea, milk])
    );
    assert_eq!(
        changed(|lines| lines[1].item = "cream".to_owned()),
        json!([tea, {"item": "cream"}, other_tea])
    );
    assert_eq!(changed(Vec::clear), json!([]));
}
