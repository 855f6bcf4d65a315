//! The CarlaRL form: observations and actions by name instead of by position.

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    error::{Code, WireError},
    node::{Array, Kind, Map, Node},
    numbers::Numbers,
    observations::Observations,
    rows::{Rows, check_count},
    scalar::Scalar,
    space::Space,
};

/// The one feature that is a list: it takes what the other features leave of the vector.
pub const SENSORS: &str = "sensors";
/// Observations in one request, as in the service from which the form comes.
const MAX_OBSERVATIONS: usize = 1000;
/// Its bounds: km/h, the share of full lock, and whatever unit the sensors have.
const BOUNDS: [(&str, f64, f64); 3] =
    [("speed", 0.0, 200.0), ("steering", -1.0, 1.0), (SENSORS, -1000.0, 1000.0)];

/// Turns named observations into rows in the order of the card's `features`.
///
/// # Errors
/// `malformed` (no list of maps, a feature missing), `invalid_shape` (another number of sensors),
/// `invalid_value` (out of bounds), `too_large`.
pub fn rows(
    node: Node<'_>,
    features: &[String],
    space: &Space,
    max_rows: usize,
) -> Result<Rows<&'static [u8]>, WireError> {
    let observations = match node {
        Node::List(items) => items,
        Node::Array(Array { shape, .. }) if shape == [0] => vec![],
        other => return Err(wrong_type("observations", "a list of maps", &other)),
    };
    if observations.len() <= MAX_OBSERVATIONS {
        check_count(observations.len(), max_rows.min(MAX_OBSERVATIONS), "observations")?;
    } else {
        return Err(WireError::new(Code::TooLarge, "too many observations in one request")
            .field("observations")
            .expected(format!("at most {MAX_OBSERVATIONS} observations"))
            .got(format!("{} observations", observations.len())));
    }
    let reader = Reader { features, sensors: (space.size() + 1).saturating_sub(features.len()) };
    let mut values = Vec::with_capacity(observations.len() * space.size());
    for (row, observation) in observations.iter().enumerate() {
        reader.read(observation, &format!("observations[{row}]"), &mut values)?;
    }
    let count = observations.len();
    let values = Numbers::Read(Observations::of(space, values));
    Ok(Rows { values, count, single: false })
}

struct Reader<'a> {
    features: &'a [String],
    sensors: usize,
}

impl Reader<'_> {
    fn read(&self, node: &Node, path: &str, values: &mut Vec<f64>) -> Result<(), WireError> {
        let Node::Map(map) = node else { return Err(wrong_type(path, "a map of features", node)) };
        for feature in self.features {
            let field = format!("{path}.{feature}");
            let value = find(map, feature).ok_or_else(|| missing(&field, self.features))?;
            if feature == SENSORS {
                self.read_sensors(value, &field, values)?;
            } else {
                values.push(read_number(value, feature, &field)?);
            }
        }
        Ok(())
    }

    fn read_sensors(
        &self,
        node: &Node,
        field: &str,
        values: &mut Vec<f64>,
    ) -> Result<(), WireError> {
        let Node::Array(Array { shape, values: sensors, kind: Kind::Int | Kind::Float }) = node
        else {
            return Err(wrong_type(field, "a list of numbers", node));
        };
        if *shape != [self.sensors] {
            return Err(WireError::new(Code::InvalidShape, "another number of sensors")
                .field(field)
                .expected(format!("{} numbers", self.sensors))
                .got(format!("a list of shape {shape:?}")));
        }
        for (i, value) in sensors.iter().enumerate() {
            check_bounds(*value, SENSORS, || format!("{field}[{i}]"))?;
            values.push(*value);
        }
        Ok(())
    }
}

/// The last of a repeated key counts, as everywhere in a request.
fn find<'a, 'b>(map: &'b Map<'a>, name: &str) -> Option<&'b Node<'a>> {
    map.iter().rev().find(|(key, _)| key.bytes() == name.as_bytes()).map(|(_, value)| value)
}

fn read_number(node: &Node, feature: &str, field: &str) -> Result<f64, WireError> {
    let value = match node {
        Node::Int(value) => *value as f64,
        Node::UInt(value) => *value as f64,
        Node::Float(value) => *value,
        other => return Err(wrong_type(field, "a number", other)),
    };
    check_bounds(value, feature, || field.to_string())?;
    Ok(value)
}

/// What the feature `name` may be, both ends included.
pub fn bounds(name: &str) -> (f64, f64) {
    let known = BOUNDS.iter().find(|(known, ..)| *known == name);
    known.map_or((f64::from(f32::MIN), f64::from(f32::MAX)), |(_, low, high)| (*low, *high))
}

fn check_bounds(value: f64, name: &str, field: impl Fn() -> String) -> Result<(), WireError> {
    let (low, high) = bounds(name);
    // Written so that NaN fails it.
    if value >= low && value <= high {
        return Ok(());
    }
    Err(WireError::new(Code::InvalidValue, format!("{name} is out of bounds"))
        .field(field())
        .expected(format!("{low} to {high}"))
        .got(value.to_string()))
}

fn missing(field: &str, features: &[String]) -> WireError {
    WireError::new(Code::Malformed, "the observation lacks a feature")
        .field(field)
        .expected(format!("a map of {}", features.join(", ")))
}

fn wrong_type(field: &str, expected: &str, got: &Node<'_>) -> WireError {
    WireError::new(Code::Malformed, "wrong type").field(field).expected(expected).got(got.kind())
}

/// The CarlaRL form's reply: one map of named action values for each observation.
#[derive(Debug, Serialize)]
pub struct NamedReply<'a> {
    pub actions: Vec<NamedAction<'a>>,
    /// The model's version with a leading `v`.
    pub version: String,
    /// Milliseconds from arrival to the end of the forward pass.
    #[serde(rename = "timingMs")]
    pub timing_ms: f64,
    pub deterministic: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a Scalar>,
}

/// The values of one action by the card's names.
#[derive(Debug)]
pub struct NamedAction<'a> {
    pub names: &'a [String],
    pub values: &'a [f32],
}

impl Serialize for NamedAction<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.names.len()))?;
        for (name, value) in self.names.iter().zip(self.values) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DType, space::Bound};

    fn read(json: &str) -> Result<Rows<&'static [u8]>, WireError> {
        let features = ["speed", "steering", "sensors"].map(String::from);
        let (low, high) = (Bound::Uniform(-1000.0), Bound::Uniform(1000.0));
        let space = Space::Box { dtype: DType::F4, shape: vec![4], low, high };
        rows(serde_json::from_str(json).unwrap(), &features, &space, 1024)
    }

    #[test]
    fn features_become_a_row_in_the_cards_order() {
        let got = read(r#"[{"sensors": [0.5, 7], "steering": 0.25, "speed": 25}]"#).unwrap();
        assert_eq!(got.values.to_observations(), Observations::F32(vec![25.0, 0.25, 0.5, 7.0]));
        assert_eq!((got.count, got.single), (1, false));
    }

    #[test]
    fn the_original_bounds_hold_at_their_edges() {
        for (speed, steering, sensor, ok) in [
            (0.0, -1.0, -1000.0, true),
            (200.0, 1.0, 1000.0, true),
            (200.1, 0.0, 0.0, false),
            (-0.1, 0.0, 0.0, false),
            (1.0, 1.01, 0.0, false),
            (1.0, 0.0, 1000.5, false),
        ] {
            let text = format!(
                r#"[{{"speed": {speed}, "steering": {steering}, "sensors": [0, {sensor}]}}]"#
            );
            let code = read(&text).map(|_| ()).map_err(|error| error.code);
            assert_eq!(code, if ok { Ok(()) } else { Err(Code::InvalidValue) }, "{text}");
        }
    }

    #[test]
    fn errors_name_the_place() {
        let cases = [
            (r#"[{"speed": 1, "steering": 0}]"#, Code::Malformed, "observations[0].sensors"),
            (
                r#"[{"speed": 1, "steering": 0, "sensors": [1]}]"#,
                Code::InvalidShape,
                "observations[0].sensors",
            ),
            (
                r#"[{"speed": "fast", "steering": 0, "sensors": [1, 2]}]"#,
                Code::Malformed,
                "observations[0].speed",
            ),
            (
                r#"[{"speed": 1, "steering": 0, "sensors": [1, 1e4]}]"#,
                Code::InvalidValue,
                "observations[0].sensors[1]",
            ),
            ("[]", Code::InvalidShape, "observations"),
            ("[7]", Code::Malformed, "observations"),
        ];
        for (text, code, field) in cases {
            let error = read(text).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), (code, Some(field)), "{text}");
        }
    }

    #[test]
    fn a_thousand_observations_are_the_limit() {
        let one = r#"{"speed": 1, "steering": 0, "sensors": [1, 2]}"#;
        let list = |n: usize| format!("[{}]", vec![one; n].join(","));
        assert_eq!(read(&list(1000)).unwrap().count, 1000);
        assert_eq!(read(&list(1001)).unwrap_err().code, Code::TooLarge);
    }
}
