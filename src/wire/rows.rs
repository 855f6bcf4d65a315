//! A request's observations, checked against the model's space: numbers of the right shape that
//! the space has.

use bytes::Bytes;

use super::{
    dtype::DType,
    error::{Code, WireError},
    numbers::Numbers,
    observations::Observations,
    space::Space,
    tensor::Tensor,
};

/// Checked observations, ready to be batched. `B`: how what is still in the message is held.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows<B = Bytes> {
    pub values: Numbers<B>,
    pub count: usize,
    /// One observation without a row axis: the reply has none either.
    pub single: bool,
}

impl Rows<&[u8]> {
    /// The same, kept with the message that they came in.
    pub fn kept_in(self, message: &Bytes) -> Rows<Bytes> {
        let Self { values, count, single } = self;
        Rows { values: values.kept_in(message), count, single }
    }
}

impl<'a> Rows<&'a [u8]> {
    /// Holds `tensor` against a space that is no dict.
    ///
    /// # Errors
    /// `malformed` (the space is a dict), `invalid_shape`, `invalid_dtype`, `invalid_value` (NaN,
    /// infinity, a choice that the space does not have), `too_large`.
    pub fn from_tensor(
        tensor: &Tensor<'a>,
        space: &Space,
        max_rows: usize,
    ) -> Result<Self, WireError> {
        if let Space::Dict { spaces } = space {
            return Err(WireError::new(Code::Malformed, "this model takes a dict of observations")
                .field("obs")
                .expected(format!("a map of {}", names(spaces)))
                .got(tensor.type_name()));
        }
        let rows = read(tensor, space, "obs")?;
        check_count(rows.count, max_rows, "obs")?;
        Ok(rows)
    }

    /// Holds the tensors against the spaces of a dict, by name.
    ///
    /// # Errors
    /// Those of [`Rows::from_tensor`]; `malformed` for a name that is missing, or that the space
    /// does not have; `invalid_shape` for different numbers of rows.
    pub fn from_dict(
        tensors: &[(String, Tensor<'a>)],
        spaces: &[(String, Space)],
        whole: &Space,
        max_rows: usize,
    ) -> Result<Self, WireError> {
        let unknown = tensors.iter().find(|(name, _)| !spaces.iter().any(|(key, _)| key == name));
        if let Some((name, _)) = unknown {
            return Err(WireError::new(Code::Malformed, "the observation space has no such name")
                .field("obs")
                .expected(format!("a map of {}", names(spaces)))
                .got(name.chars().take(64).collect::<String>()));
        }
        let mut pieces = Vec::with_capacity(spaces.len());
        for (name, space) in spaces {
            let field = format!("obs.{name}");
            // The last of a repeated key counts, as everywhere in a request.
            let Some((_, tensor)) = tensors.iter().rev().find(|(key, _)| key == name) else {
                return Err(WireError::new(Code::Malformed, "the observation lacks a space")
                    .field(field)
                    .expected(format!("a map of {}", names(spaces))));
            };
            let rows = read(tensor, space, &field)?;
            check_count(rows.count, max_rows, &field)?;
            pieces.push((field, rows));
        }
        side_by_side(&pieces, whole)
    }
}

/// Rows of all pieces of a dict.
fn side_by_side<'a>(
    pieces: &[(String, Rows<&'a [u8]>)],
    whole: &Space,
) -> Result<Rows<&'a [u8]>, WireError> {
    let Some((first_field, first)) = pieces.first() else {
        return Err(WireError::new(Code::Malformed, "the dict is empty").field("obs"));
    };
    let describe = |rows: &Rows<_>| match rows.single {
        true => "one observation without a row axis".to_owned(),
        false => format!("{} rows", rows.count),
    };
    let differs =
        |(_, rows): &&(String, Rows<_>)| (rows.count, rows.single) != (first.count, first.single);
    if let Some((field, rows)) = pieces.iter().find(differs) {
        return Err(WireError::new(Code::InvalidShape, "parts of the observation differ in rows")
            .field(field)
            .expected(format!("{}, as in {first_field}", describe(first)))
            .got(describe(rows)));
    }
    let mut values = Observations::empty(whole);
    for row in 0..first.count {
        for (_, piece) in pieces {
            let size = piece.values.len() / piece.count;
            piece.values.append_to(&mut values, row * size..(row + 1) * size);
        }
    }
    Ok(Rows { values: Numbers::Read(values), count: first.count, single: first.single })
}

fn names(spaces: &[(String, Space)]) -> String {
    spaces.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// One tensor against one space.
fn read<'a>(tensor: &Tensor<'a>, space: &Space, field: &str) -> Result<Rows<&'a [u8]>, WireError> {
    let layout = Layout::of(&tensor.shape, space, field)?;
    if tensor.is_bool() && !takes_bools(space) {
        return Err(WireError::new(Code::InvalidDtype, "bools are no measurements")
            .field(field)
            .expected("f4, f2, f8, u1, i4 or i8")
            .got(tensor.type_name()));
    }
    let values = match (Observations::empty(space), tensor.in_message()) {
        (Observations::U8(_), Some((DType::U1, bytes))) => Numbers::U8(bytes),
        (Observations::F32(_), Some((DType::F4, bytes))) if is_measured(space) => {
            Numbers::F32(bytes)
        }
        (Observations::F32(_), _) if is_measured(space) => {
            Numbers::Read(Observations::F32(tensor.to_f32()))
        }
        _ => {
            let numbers = tensor.to_f64();
            check_choices(&numbers, space, (field, layout.single))?;
            Numbers::Read(Observations::of(space, numbers))
        }
    };
    check_finite(&values, space, (field, layout.single))?;
    let values = match layout.channels_last {
        Some(image) => Numbers::Read(values.to_observations().channels_first(image)),
        None => values,
    };
    Ok(Rows { values, count: layout.count, single: layout.single })
}

/// Whether any finite number is one of the space's.
fn is_measured(space: &Space) -> bool {
    matches!(space, Space::Box { dtype, .. } if dtype.is_float())
}

fn takes_bools(space: &Space) -> bool {
    match space {
        Space::Box { dtype, .. } => *dtype == super::DType::B1,
        space => matches!(space, Space::MultiBinary { .. }),
    }
}

/// How a tensor's shape fits a space.
struct Layout {
    count: usize,
    single: bool,
    /// The shape of images that come with their channels last.
    channels_last: Option<[usize; 3]>,
}

impl Layout {
    /// As Stable-Baselines3's `predict`: the space's own shape is one observation, one more leading
    /// axis is rows; images may also have their channels last.
    fn of(got: &[usize], space: &Space, field: &str) -> Result<Self, WireError> {
        let shape = space.axes();
        let fits = |shape: &[usize]| match got {
            _ if got == shape => Some((1, true)),
            [rows, inner @ ..] if inner == shape => Some((*rows, false)),
            _ => None,
        };
        if let Some((count, single)) = fits(&shape) {
            return Ok(Self { count, single, channels_last: None });
        }
        if let ([channels, height, width], true) = (&shape[..], space.is_image()) {
            let last = [*height, *width, *channels];
            if let Some((count, single)) = fits(&last) {
                return Ok(Self { count, single, channels_last: Some(last) });
            }
        }
        let inner: Vec<_> = shape.iter().map(ToString::to_string).collect();
        let rows = [vec!["n".to_string()], inner].concat().join(", ");
        Err(WireError::new(Code::InvalidShape, "the observation has another shape")
            .field(field)
            .expected(format!("{shape:?} for one observation, or [{rows}] for n rows"))
            .got(format!("{got:?}")))
    }
}

/// # Errors
/// `invalid_shape` for no rows, `too_large` for more than `max_rows`.
pub(super) fn check_count(count: usize, max_rows: usize, field: &str) -> Result<(), WireError> {
    match count {
        0 => Err(WireError::new(Code::InvalidShape, "the request holds no rows")
            .field(field)
            .expected(format!("1 to {max_rows} rows"))
            .got("0 rows")),
        _ if count > max_rows => {
            Err(WireError::new(Code::TooLarge, "too many rows in one request")
                .field(field)
                .expected(format!("at most {max_rows} rows (limits.request_rows)"))
                .got(format!("{count} rows")))
        }
        _ => Ok(()),
    }
}

fn check_finite(
    values: &Numbers<&[u8]>,
    space: &Space,
    (field, single): (&str, bool),
) -> Result<(), WireError> {
    let Some((at, value)) = values.first_not_finite() else { return Ok(()) };
    Err(WireError::new(Code::InvalidValue, "the observation is not finite")
        .field(place(field, single, at, space))
        .expected("finite numbers that fit an f32")
        .got(value.to_string()))
}

/// Whether each number is one of a space's that has only some.
fn check_choices(
    values: &[f64],
    space: &Space,
    (field, single): (&str, bool),
) -> Result<(), WireError> {
    let size = space.size().max(1);
    for (at, value) in values.iter().copied().enumerate() {
        let Some((low, high)) = space.choices(at % size) else { continue };
        // Written so that NaN fails it.
        let fits = value >= low && value <= high && value.fract() == 0.0;
        if !fits {
            return Err(WireError::new(
                Code::InvalidValue,
                format!("the {} space has no such value", space.name()),
            )
            .field(place(field, single, at, space))
            .expected(format!("an integer from {low} to {high}"))
            .got(value.to_string()));
        }
    }
    Ok(())
}

/// Where in the request: the row, and the element of a space that has several, flat in C order.
fn place(field: &str, single: bool, at: usize, space: &Space) -> String {
    let size = space.size().max(1);
    let (row, element) = (at / size, at % size);
    match (single, space.shape().is_empty()) {
        (true, true) => field.to_owned(),
        (false, true) => format!("{field}[{row}]"),
        (true, false) => format!("{field}[{element}]"),
        (false, false) => format!("{field}[{row}][{element}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DType, space::Bound};

    fn space(dtype: DType, shape: &[usize]) -> Space {
        let (low, high) = (Bound::Uniform(-1.0), Bound::Uniform(1.0));
        Space::Box { dtype, shape: shape.to_vec(), low, high }
    }

    fn image(shape: &[usize]) -> Space {
        let (low, high) = (Bound::Uniform(0.0), Bound::Uniform(255.0));
        Space::Box { dtype: DType::U1, shape: shape.to_vec(), low, high }
    }

    fn tensor(json: &str) -> Result<Tensor<'_>, WireError> {
        Tensor::from_node(serde_json::from_str(json).unwrap(), "obs")
    }

    fn rows(json: &str, space: &Space) -> Result<Rows, WireError> {
        Ok(Rows::from_tensor(&tensor(json)?, space, 3)?.kept_in(&Bytes::new()))
    }

    fn dict(parts: &[(&str, &str)]) -> Result<Rows, WireError> {
        let spaces = vec![
            ("view".to_string(), image(&[1, 1, 2])),
            ("gear".to_string(), Space::Discrete { n: 5, start: 0 }),
            ("at".to_string(), space(DType::F4, &[2])),
        ];
        let whole = Space::Dict { spaces: spaces.clone() };
        let parts: Result<Vec<_>, _> =
            parts.iter().map(|(key, json)| Ok((key.to_string(), tensor(json)?))).collect();
        Ok(Rows::from_dict(&parts?, &spaces, &whole, 3)?.kept_in(&Bytes::new()))
    }

    #[test]
    fn the_shape_tells_one_observation_from_rows() {
        let space = space(DType::F4, &[2]);
        let one = rows("[1, 2]", &space).unwrap();
        assert_eq!((one.count, one.single), (1, true));
        let two = rows("[[1, 2], [3, 4]]", &space).unwrap();
        assert_eq!((two.count, two.single), (2, false));
        assert_eq!(two.values.to_observations(), Observations::F32(vec![1.0, 2.0, 3.0, 4.0]));
    }

    #[test]
    fn a_wrong_shape_is_told_with_both_shapes() {
        let error = rows("[1, 2, 3]", &space(DType::F4, &[2, 2])).unwrap_err();
        assert_eq!(error.code, Code::InvalidShape);
        assert_eq!(error.expected.unwrap(), "[2, 2] for one observation, or [n, 2, 2] for n rows");
        assert_eq!(error.got.unwrap(), "[3]");
    }

    #[test]
    fn no_rows_and_too_many_rows_are_refused() {
        let space = space(DType::F4, &[1]);
        assert_eq!(rows("[]", &space).unwrap_err().code, Code::InvalidShape);
        assert_eq!(rows("[[1],[2],[3],[4]]", &space).unwrap_err().code, Code::TooLarge);
        assert!(rows("[[1],[2],[3]]", &space).is_ok());
    }

    #[test]
    fn what_overflows_the_space_is_not_finite() {
        let error = rows("[[0, 0], [0, 1e60]]", &space(DType::F4, &[2])).unwrap_err();
        assert_eq!(error.code, Code::InvalidValue);
        assert_eq!(error.field.unwrap(), "obs[1][1]");
        assert!(rows("[0, 1e38]", &space(DType::F8, &[2])).is_ok());
        let error = rows("[0, 1e60]", &space(DType::F8, &[2])).unwrap_err();
        assert_eq!(error.code, Code::InvalidValue, "the network computes in f32");
    }

    #[test]
    fn bools_are_observations_of_bits_and_of_nothing_else() {
        let error = rows("[true, false]", &space(DType::F4, &[2])).unwrap_err();
        assert_eq!(error.code, Code::InvalidDtype);
        let bits = rows("[true, false]", &Space::MultiBinary { shape: vec![2] }).unwrap();
        assert_eq!(bits.values.to_observations(), Observations::F32(vec![1.0, 0.0]));
    }

    #[test]
    fn images_are_bytes_with_channels_first_or_last() {
        let first = rows("[[[1, 2, 3]], [[4, 5, 6]]]", &image(&[2, 1, 3])).unwrap();
        let last = rows("[[[1, 4], [2, 5], [3, 6]]]", &image(&[2, 1, 3])).unwrap();
        assert_eq!(first.values.to_observations(), Observations::U8(vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(last, first);
        let several = rows("[[[[1, 4], [2, 5], [3, 6]]]]", &image(&[2, 1, 3])).unwrap();
        assert_eq!((several.count, several.single), (1, false));
        for pixel in ["0.5", "256", "-1"] {
            let error = rows(&format!("[[[{pixel}]]]"), &image(&[1, 1, 1])).unwrap_err();
            assert_eq!(error.code, Code::InvalidValue, "{pixel}");
        }
    }

    #[test]
    fn choices_are_those_that_the_space_has() {
        let gears = Space::Discrete { n: 5, start: 0 };
        assert_eq!(
            rows("4", &gears).unwrap().values.to_observations(),
            Observations::F32(vec![4.0])
        );
        assert_eq!(rows("[4, 0]", &gears).unwrap().count, 2);
        let pair = Space::MultiDiscrete { nvec: vec![3, 2] };
        assert_eq!(
            rows("[[2, 1]]", &pair).unwrap().values.to_observations(),
            Observations::F32(vec![2.0, 1.0])
        );
        for (wrong, space, field) in [
            ("5", &gears, "obs"),
            ("1.5", &gears, "obs"),
            ("[1, 9]", &gears, "obs[1]"),
            ("[[0, 2]]", &pair, "obs[0][1]"),
        ] {
            let error = rows(wrong, space).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), (Code::InvalidValue, Some(field)));
        }
    }

    #[test]
    fn a_dict_becomes_rows_in_the_spaces_order() {
        let one = dict(&[("at", "[0.5, -1]"), ("gear", "3"), ("view", "[[[7, 9]]]")]).unwrap();
        assert_eq!(one.values.to_observations(), Observations::F32(vec![7.0, 9.0, 3.0, 0.5, -1.0]));
        assert!(one.single);
        let two =
            [("at", "[[1, 2], [3, 4]]"), ("gear", "[0, 1]"), ("view", "[[[[5, 6]]], [[[7, 8]]]]")];
        let two = dict(&two).unwrap();
        assert_eq!(
            two.values.to_observations(),
            Observations::F32(vec![5.0, 6.0, 0.0, 1.0, 2.0, 7.0, 8.0, 1.0, 3.0, 4.0])
        );
    }

    #[test]
    fn a_dict_that_does_not_fit_is_told_where() {
        let (at, gear, view) = (("at", "[1, 2]"), ("gear", "1"), ("view", "[[[7, 9]]]"));
        for (parts, code, field) in [
            (vec![at, gear], Code::Malformed, "obs.view"),
            (vec![at, gear, view, ("speed", "1")], Code::Malformed, "obs"),
            (vec![at, ("gear", "[1]"), view], Code::InvalidShape, "obs.gear"),
            (vec![at, ("gear", "9"), view], Code::InvalidValue, "obs.gear"),
            (vec![("at", "[1]"), gear, view], Code::InvalidShape, "obs.at"),
        ] {
            let error = dict(&parts).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), (code, Some(field)));
        }
    }
}
