//! What a simulator asks for.

use super::{
    encoding::Encoding,
    error::{Code, WireError},
    named, native,
    node::{Key, Map, Node},
    rows::Rows,
    scalar::Scalar,
    space::Space,
    tensor::Tensor,
};

/// A request's body, read but not yet held against a model.
#[derive(Debug, PartialEq)]
pub struct Request<'a> {
    pub input: Input<'a>,
    pub deterministic: bool,
    pub seed: Option<u64>,
    pub wants: Wants,
    pub id: Option<Scalar>,
    pub(super) alongside: Option<Box<Alongside<'a>>>,
}

/// What may come with the observations, and mostly doesn't.
#[derive(Debug, PartialEq)]
pub(super) struct Alongside<'a> {
    pub state: Option<Node<'a>>,
    pub mask: Option<Node<'a>>,
    pub episode_start: Option<Node<'a>>,
}

/// The observations, by position or by name.
#[derive(Debug, PartialEq)]
pub enum Input<'a> {
    Tensor(Tensor<'a>),
    /// Names to tensors, for a Dict space.
    Dict(Vec<(String, Tensor<'a>)>),
    /// The CarlaRL form.
    Named(Node<'a>),
}

/// The extra fields that a request may want in its reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    pub value: bool,
    pub log_prob: bool,
    pub raw_action: bool,
    pub probs: bool,
    pub q_values: bool,
}

/// A request that can't be served, with what is needed to say so.
#[derive(Debug)]
pub struct Rejection {
    pub error: WireError,
    pub id: Option<Scalar>,
}

impl Wants {
    pub const NAMES: [&'static str; 5] = ["value", "log_prob", "raw_action", "probs", "q_values"];

    /// The names of what is wanted, in the order of [`Wants::NAMES`].
    pub fn names(self) -> Vec<&'static str> {
        let Self { value, log_prob, raw_action, probs, q_values } = self;
        let flags = [value, log_prob, raw_action, probs, q_values];
        Self::NAMES.into_iter().zip(flags).filter_map(|(name, on)| on.then_some(name)).collect()
    }

    /// What either of the two wants.
    pub fn union(self, other: Self) -> Self {
        Self {
            value: self.value | other.value,
            log_prob: self.log_prob | other.log_prob,
            raw_action: self.raw_action | other.raw_action,
            probs: self.probs | other.probs,
            q_values: self.q_values | other.q_values,
        }
    }

    fn add(&mut self, name: &str) -> bool {
        match name {
            "value" => self.value = true,
            "log_prob" => self.log_prob = true,
            "raw_action" => self.raw_action = true,
            "probs" => self.probs = true,
            "q_values" => self.q_values = true,
            _ => return false,
        }
        true
    }
}

impl<'a> Alongside<'a> {
    fn new(
        state: Option<Node<'a>>,
        mask: Option<Node<'a>>,
        episode_start: Option<Node<'a>>,
    ) -> Option<Box<Self>> {
        let some = state.is_some() || mask.is_some() || episode_start.is_some();
        some.then(|| Box::new(Self { state, mask, episode_start }))
    }
}

impl<'a> Request<'a> {
    /// Reads a body. What the model must have is asked in [`Request::rows`].
    ///
    /// # Errors
    /// `malformed`, `invalid_dtype`, `invalid_shape`, or `unsupported` for an unknown want. The
    /// `id` is found wherever the body can be read at all.
    pub fn read(body: &'a [u8]) -> Result<Self, Box<Rejection>> {
        native::read(body).map_or_else(|| Self::read_any(body), Ok)
    }

    /// The observations alone.
    pub(super) fn of(input: Input<'a>) -> Self {
        let wants = Wants::default();
        Self { input, deterministic: false, seed: None, wants, id: None, alongside: None }
    }

    pub(super) fn read_any(body: &'a [u8]) -> Result<Self, Box<Rejection>> {
        let without_id = |error| Box::new(Rejection { error, id: None });
        let map = Encoding::of(body).read(body, &Fields::KEYS).map_err(without_id)?;
        let fields = Fields::sort(map);
        let id = match fields.id.as_ref().map(Scalar::from_node) {
            Some(None) => return Err(without_id(wrong_type("id", "a scalar", fields.id.as_ref()))),
            known => known.flatten(),
        };
        Self::from_fields(fields, id.clone()).map_err(|error| Box::new(Rejection { error, id }))
    }

    fn from_fields(fields: Fields<'a>, id: Option<Scalar>) -> Result<Self, WireError> {
        Ok(Self {
            input: read_input(fields.obs, fields.observations)?,
            deterministic: read_bool(fields.deterministic)?,
            seed: read_seed(fields.seed)?,
            wants: read_wants(fields.want)?,
            id,
            alongside: Alongside::new(fields.state, fields.mask, fields.episode_start),
        })
    }

    /// Holds the observations against the model's space and, for the CarlaRL form, the card's
    /// feature names (`None` where it names none).
    ///
    /// # Errors
    /// Those of [`Rows::from_tensor`], [`Rows::from_dict`] and [`named::rows`]; `unsupported` for a
    /// dict where the space is none, or for named features of a model that names none.
    pub fn rows(
        &mut self,
        space: &Space,
        features: Option<&[String]>,
        max_rows: usize,
    ) -> Result<Rows<&'a [u8]>, WireError> {
        match (std::mem::replace(&mut self.input, Input::Dict(vec![])), features, space) {
            (Input::Tensor(tensor), ..) => Rows::from_tensor(&tensor, space, max_rows),
            (Input::Named(node), Some(features), _) => named::rows(node, features, space, max_rows),
            (Input::Named(_), None, _) => Err(no_features()),
            (Input::Dict(tensors), _, Space::Dict { spaces }) => {
                Rows::from_dict(&tensors, spaces, space, max_rows)
            }
            (Input::Dict(_), ..) => Err(no_dict(space)),
        }
    }
}

/// The known keys of a body; the last of a repeated key counts, as in most readers.
#[derive(Default)]
struct Fields<'a> {
    obs: Option<Node<'a>>,
    observations: Option<Node<'a>>,
    deterministic: Option<Node<'a>>,
    seed: Option<Node<'a>>,
    want: Option<Node<'a>>,
    state: Option<Node<'a>>,
    episode_start: Option<Node<'a>>,
    mask: Option<Node<'a>>,
    id: Option<Node<'a>>,
}

impl<'a> Fields<'a> {
    const KEYS: [&'static str; 9] = [
        "obs",
        "observations",
        "deterministic",
        "seed",
        "want",
        "state",
        "episode_start",
        "mask",
        "id",
    ];

    /// Nil stands for a key that is absent: clients with optional arguments write it so.
    fn sort(map: Map<'a>) -> Self {
        let mut fields = Self::default();
        for (key, value) in map {
            if let Some(place) = fields.place(&key) {
                *place = (value != Node::Nil).then_some(value);
            }
        }
        fields
    }

    fn place(&mut self, key: &Key<'_>) -> Option<&mut Option<Node<'a>>> {
        Some(match key.bytes() {
            b"obs" => &mut self.obs,
            b"observations" => &mut self.observations,
            b"deterministic" => &mut self.deterministic,
            b"seed" => &mut self.seed,
            b"want" => &mut self.want,
            b"state" => &mut self.state,
            b"episode_start" => &mut self.episode_start,
            b"mask" => &mut self.mask,
            b"id" => &mut self.id,
            _ => return None,
        })
    }
}

fn read_input<'a>(
    obs: Option<Node<'a>>,
    observations: Option<Node<'a>>,
) -> Result<Input<'a>, WireError> {
    match (obs, observations) {
        (Some(Node::Map(map)), None) if !Tensor::is_form(&map) => read_dict(map),
        (Some(node), None) => Ok(Input::Tensor(Tensor::from_node(node, "obs")?)),
        (None, Some(node)) => Ok(Input::Named(node)),
        (None, None) => Err(WireError::new(Code::Malformed, "the request has no observation")
            .field("obs")
            .expected("a tensor in obs, or a list of maps in observations")),
        (Some(_), Some(_)) => {
            Err(WireError::new(Code::Malformed, "the request has obs and observations")
                .field("obs")
                .expected("one of the two"))
        }
    }
}

fn read_dict(map: Map<'_>) -> Result<Input<'_>, WireError> {
    let mut tensors = Vec::with_capacity(map.len());
    for (key, node) in map {
        let name = String::from_utf8_lossy(key.bytes()).into_owned();
        let field = format!("obs.{}", name.chars().take(64).collect::<String>());
        tensors.push((name, Tensor::from_node(node, &field)?));
    }
    Ok(Input::Dict(tensors))
}

fn read_bool(node: Option<Node<'_>>) -> Result<bool, WireError> {
    match node {
        None => Ok(false),
        Some(Node::Bool(value)) => Ok(value),
        other => Err(wrong_type("deterministic", "a bool", other.as_ref())),
    }
}

fn read_seed(node: Option<Node<'_>>) -> Result<Option<u64>, WireError> {
    match node {
        None => Ok(None),
        Some(Node::Int(value)) if value >= 0 => Ok(Some(value.unsigned_abs())),
        Some(Node::UInt(value)) => Ok(Some(value)),
        other => Err(wrong_type("seed", "an integer from 0 to 2^64 - 1", other.as_ref())),
    }
}

fn read_wants(node: Option<Node<'_>>) -> Result<Wants, WireError> {
    let mut wants = Wants::default();
    let items = match node {
        None => return Ok(wants),
        Some(Node::Array(array)) if array.shape == [0] => return Ok(wants),
        Some(Node::List(items)) => items,
        other => return Err(wrong_type("want", "a list of names", other.as_ref())),
    };
    for (i, item) in items.into_iter().enumerate() {
        let Node::Text(name) = &item else {
            return Err(wrong_type(&format!("want[{i}]"), "a name", Some(&item)));
        };
        if !wants.add(name) {
            return Err(WireError::new(Code::Unsupported, "the reply has no such field")
                .field(format!("want[{i}]"))
                .expected(Wants::NAMES.join(", "))
                .got(name.chars().take(32).collect::<String>()));
        }
    }
    Ok(wants)
}

pub(super) fn wrong_type(field: &str, expected: &str, got: Option<&Node<'_>>) -> WireError {
    let error = WireError::new(Code::Malformed, "wrong type").field(field).expected(expected);
    match got {
        Some(node) => error.got(node.kind()),
        None => error,
    }
}

fn no_features() -> WireError {
    WireError::new(
        Code::Unsupported,
        "this model's card does not name its observation features and actions",
    )
    .field("observations")
    .expected("a tensor in obs")
}

fn no_dict(space: &Space) -> WireError {
    WireError::new(Code::Unsupported, "this model takes no dict of observations")
        .field("obs")
        .expected(format!("a tensor for the {} space", space.name()))
        .got("a map of names")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Request<'_>, Box<Rejection>> {
        Request::read(json.as_bytes())
    }

    #[test]
    fn absent_and_nil_keys_have_their_defaults_and_unknown_keys_are_ignored() {
        let request =
            read(r#"{"obs": [1], "seed": null, "want": [], "frame": {"a": ["b"]}}"#).unwrap();
        assert!(!request.deterministic);
        assert_eq!((request.seed, request.wants, request.id), (None, Wants::default(), None));
    }

    #[test]
    fn every_seed_of_64_bits_is_taken() {
        let seed = |text: &str| read(&format!("{{\"obs\":[1],\"seed\":{text}}}")).map(|r| r.seed);
        assert_eq!(seed("18446744073709551615").unwrap(), Some(u64::MAX));
        assert_eq!(seed("0").unwrap(), Some(0));
        for wrong in ["-1", "1.5", "\"7\"", "true", "[1]"] {
            assert_eq!(seed(wrong).unwrap_err().error.code, Code::Malformed, "{wrong}");
        }
    }

    #[test]
    fn wants_are_read_by_name() {
        let wants = read(r#"{"obs": [1], "want": ["value", "raw_action"]}"#).unwrap().wants;
        assert_eq!(wants.names(), ["value", "raw_action"]);
        let unknown = read(r#"{"obs": [1], "want": ["advantage"]}"#).unwrap_err();
        assert_eq!(unknown.error.code, Code::Unsupported);
        assert_eq!(unknown.error.field.as_deref(), Some("want[0]"));
    }

    #[test]
    fn an_error_still_carries_the_id() {
        let rejection = read(r#"{"obs": "x", "id": "car-7"}"#).unwrap_err();
        assert_eq!(rejection.error.code, Code::Malformed);
        assert_eq!(rejection.id, Some(Scalar::Text("car-7".into())));
        assert_eq!(read(r#"{"obs": [1], "id": [1]}"#).unwrap_err().error.code, Code::Malformed);
    }

    #[test]
    fn exactly_one_form_of_observation_is_asked_for() {
        for text in ["{}", r#"{"obs": [1], "observations": [{}]}"#] {
            assert_eq!(read(text).unwrap_err().error.code, Code::Malformed, "{text}");
        }
        assert!(matches!(read(r#"{"obs": {"speed": [1]}}"#).unwrap().input, Input::Dict(_)));
    }
}
