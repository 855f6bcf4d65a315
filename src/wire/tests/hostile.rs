//! Whatever arrives, it is a request or a typed error.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

use super::*;
use crate::wire::{Code, Observations, named::SENSORS};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_a_request_or_a_typed_error(
        start in prop_oneof![
            Just(&b""[..]),
            Just(&b"\x81\xa3obs"[..]),
            Just(&b"\x82\xacobservations\x91\x83"[..]),
            Just(&b"\x81\xa3obs\x83\xa5dtype\xa2f4\xa5shape\x91"[..]),
            Just(&b"{\"obs\":"[..]),
            Just(&b"{\"observations\":[{\"speed\":"[..]),
        ],
        rest in vec(any::<u8>(), 0..200),
    ) {
        assert_told(&[start, &rest].concat());
    }

    #[test]
    fn a_mutated_request_is_a_request_or_a_typed_error(
        (encoding, request) in requests(),
        mutations in vec(mutation(), 1..4),
    ) {
        let mut body = body(encoding, &request);
        prop_assert!(Request::read(&body).is_ok(), "{:?}", Request::read(&body));
        for mutation in &mutations {
            mutation.apply(&mut body);
        }
        assert_told(&body);
    }

    #[test]
    fn a_well_formed_but_odd_request_is_a_request_or_a_typed_error(
        obs in prop_oneof![
            odd_tensor().prop_map(|obs| ("obs", obs)),
            odd_list().prop_map(|obs| ("obs", obs)),
            odd_observations().prop_map(|obs| ("observations", obs)),
        ],
    ) {
        let request = map([obs]);
        for encoding in [Encoding::MessagePack, Encoding::Json] {
            assert_told(&body(encoding, &request));
        }
    }
}

#[test]
fn an_error_does_not_repeat_a_long_shape() {
    for size in [0, 1] {
        let axes = sizes(&vec![size; 100_000]);
        let obs = map([
            ("dtype", Item::Text("f4")),
            ("shape", axes),
            ("data", Item::Bytes(vec![0; 4 * size])),
        ]);
        let error = assert_told(&body(Encoding::MessagePack, &map([("obs", obs)]))).unwrap();
        assert_eq!((error.code, error.field.as_deref()), (Code::InvalidShape, Some("obs.shape")));
    }
}

/// Reads `body` for several models. Returns the first one's error.
fn assert_told(body: &[u8]) -> Option<WireError> {
    let features = ["speed", "steering", SENSORS].map(String::from);
    let results = [
        check(body, &space(DType::F4, &[4]), Some(&features)),
        check(body, &space(DType::F8, &[2, 2]), None),
        check(body, &space(DType::F4, &[]), None),
    ];
    let [first, ..] = results;
    first
}

fn check(body: &[u8], space: &Space, features: Option<&[String]>) -> Option<WireError> {
    match read_rows(body, space, features) {
        Ok(rows) => {
            assert!((1..=MAX_ROWS).contains(&rows.count), "{rows:?}");
            assert_eq!(rows.values.len(), rows.count * space.size());
            assert!(all_finite(&rows.values.to_observations()), "{rows:?}");
            None
        }
        Err(rejection) => {
            assert!(EXPECTED.contains(&rejection.error.code), "{:?}", rejection.error);
            let told = serde_json::to_string(&rejection.error).unwrap();
            assert!(told.len() < 2000, "an error of {} bytes", told.len());
            Some(rejection.error)
        }
    }
}

/// What a request alone can be refused for.
const EXPECTED: [Code; 6] = [
    Code::Malformed,
    Code::InvalidShape,
    Code::InvalidDtype,
    Code::InvalidValue,
    Code::Unsupported,
    Code::TooLarge,
];

/// Sound requests with every key, in both encodings.
fn requests() -> impl Strategy<Value = (Encoding, Item)> {
    let packed = prop_oneof![
        Just(("obs", native("f4", &[2, 4], le_bytes(&[0.5; 8])))),
        Just(("obs", native("f2", &[2, 2], vec![0; 8]))),
    ];
    let listed = prop_oneof![
        Just(("obs", nested(&[2, 4], &[0.5; 8]))),
        Just(("observations", Item::List(vec![named_observation(); 2]))),
    ];
    let written = prop_oneof![
        packed.prop_map(|obs| (Encoding::MessagePack, obs)),
        listed.clone().prop_map(|obs| (Encoding::MessagePack, obs)),
        listed.prop_map(|obs| (Encoding::Json, obs)),
    ];
    (written, any::<bool>(), any::<u32>()).prop_map(|((encoding, obs), deterministic, seed)| {
        let request = map([
            obs,
            ("deterministic", Item::Bool(deterministic)),
            ("seed", Item::Int(i64::from(seed))),
            ("want", Item::List(vec![Item::Text("value"), Item::Text("log_prob")])),
            ("episode_start", Item::List(vec![Item::Bool(true), Item::Bool(false)])),
            ("id", Item::Text("car-7")),
        ]);
        (encoding, request)
    })
}

fn named_observation() -> Item {
    named_observation_with(vec![Item::Float(0.5), Item::Int(2)])
}

fn named_observation_with(sensors: Vec<Item>) -> Item {
    let sensors = Item::List(sensors);
    map([("speed", Item::Float(25.5)), ("steering", Item::Int(0)), (SENSORS, sensors)])
}

/// Known and unknown types, shapes that nearly fit, data that is nearly as long as they say, and
/// numbers next to infinity or none at all.
fn odd_tensor() -> impl Strategy<Value = Item> {
    let dtypes = ["f2", "f4", "f8", "u1", "i4", "i8", "b1", "<f4", "|u1", ">f4", "c8"];
    let shape = prop_oneof![
        (0..12usize).prop_map(|rows| vec![rows, 4]),
        (0..12usize).prop_map(|rows| vec![rows, 2, 2]),
        vec(0..6usize, 0..4),
    ];
    let element = select(vec![1usize, 2, 4, 4, 8]);
    (
        select(dtypes.to_vec()),
        shape,
        element,
        select(vec![0, 0, 0, 1, 4]),
        select(vec![0, 0x7f, 0xff]),
    )
        .prop_map(|(dtype, shape, size, less, byte)| {
            let length = size * shape.iter().product::<usize>();
            native(dtype, &shape, vec![byte; length.saturating_sub(less)])
        })
}

/// Lists of lists, even and uneven, of numbers and of other things.
fn odd_list() -> impl Strategy<Value = Item> {
    let number = prop_oneof![
        any::<i64>().prop_map(Item::Int),
        select(vec![0.5, -0.0, 1e39, 1e300]).prop_map(Item::Float),
    ];
    let leaf = prop_oneof![
        8 => number,
        1 => any::<bool>().prop_map(Item::Bool),
        1 => Just(Item::Text("4")),
    ];
    let uneven = vec(vec(Just(Item::Int(1)), 3..5).prop_map(Item::List), 1..4);
    prop_oneof![
        leaf.prop_recursive(3, 16, 4, |inner| vec(inner, 0..5).prop_map(Item::List)),
        uneven.prop_map(Item::List),
    ]
}

fn odd_observations() -> impl Strategy<Value = Item> {
    let sensor = select(vec![0.5, 1000.0, 1001.0]).prop_map(Item::Float);
    vec(vec(sensor, 1..4).prop_map(named_observation_with), 0..10).prop_map(Item::List)
}

#[derive(Clone, Debug)]
enum Mutation {
    Flip(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Remove(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        at().prop_map(Mutation::Cut),
        (at(), vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        at().prop_map(Mutation::Remove),
    ]
}

impl Mutation {
    fn apply(&self, body: &mut Vec<u8>) {
        if body.is_empty() {
            return;
        }
        let at = |index: &Index| index.index(body.len());
        match self {
            Mutation::Flip(index, bit) => {
                let at = at(index);
                body[at] ^= 1 << bit;
            }
            Mutation::Cut(index) => body.truncate(at(index)),
            Mutation::Insert(index, bytes) => {
                let at = at(index);
                body.splice(at..at, bytes.iter().copied());
            }
            Mutation::Remove(index) => {
                body.remove(at(index));
            }
        }
    }
}

fn all_finite(values: &Observations) -> bool {
    match values {
        Observations::U8(_) => true,
        Observations::F32(values) => values.iter().all(|x| x.is_finite()),
        Observations::F64(values) => values.iter().all(|x| x.is_finite()),
    }
}
