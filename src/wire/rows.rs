//! A request's observations, checked against the model's space: finite rows of the right shape.

use super::{
    dtype::DType,
    error::{Code, WireError},
    space::Space,
    tensor::Tensor,
};

/// Checked observations, ready to be batched.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    pub values: Observations,
    pub count: usize,
    /// One observation without a row axis: the reply has none either.
    pub single: bool,
}

/// Row-major values of one or more observations, in the space's own precision: what the
/// simulator's environment would hand to the policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Observations {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Observations {
    /// Empty, of the type in which observations of `space` are kept.
    pub fn empty(space: &Space) -> Self {
        match space {
            Space::Box { dtype: DType::F8, .. } => Observations::F64(Vec::new()),
            _ => Observations::F32(Vec::new()),
        }
    }

    /// Appends elements `range` of `other`. Both are of one model, so of one type.
    pub fn extend(&mut self, other: &Observations, range: std::ops::Range<usize>) {
        match (self, other) {
            (Observations::F32(to), Observations::F32(from)) => to.extend_from_slice(&from[range]),
            (Observations::F64(to), Observations::F64(from)) => to.extend_from_slice(&from[range]),
            (Observations::F32(to), Observations::F64(from)) => {
                to.extend(from[range].iter().map(|x| *x as f32));
            }
            (Observations::F64(to), Observations::F32(from)) => {
                to.extend(from[range].iter().map(|x| f64::from(*x)));
            }
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Observations::F32(values) => values.len(),
            Observations::F64(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn first_not_finite(&self) -> Option<(usize, f64)> {
        match self {
            Observations::F32(values) => {
                let at = values.iter().position(|x| !x.is_finite())?;
                Some((at, f64::from(values[at])))
            }
            Observations::F64(values) => {
                // Networks compute in f32, so what does not fit one is as good as infinite.
                let at = values.iter().position(|x| !(*x as f32).is_finite())?;
                Some((at, values[at]))
            }
        }
    }
}

impl Rows {
    /// Holds `tensor` against `space`.
    ///
    /// # Errors
    /// `invalid_shape`, `invalid_dtype`, `invalid_value` (NaN, infinity), `too_large`.
    pub fn from_tensor(tensor: &Tensor, space: &Space, max_rows: usize) -> Result<Self, WireError> {
        if tensor.is_bool() {
            return Err(WireError::new(Code::InvalidDtype, "bools are no measurements")
                .field("obs")
                .expected("f4, f2, f8, u1, i4 or i8")
                .got(tensor.type_name()));
        }
        let (count, single) = count_rows(&tensor.shape, space)?;
        check_count(count, max_rows, "obs")?;
        let values = match Observations::empty(space) {
            Observations::F32(_) => Observations::F32(tensor.to_f32()),
            Observations::F64(_) => Observations::F64(tensor.to_f64()),
        };
        check_finite(&values, space, single)?;
        Ok(Self { values, count, single })
    }
}

/// As Stable-Baselines3's `predict`: the space's own shape is one observation, one more leading
/// axis is rows.
fn count_rows(got: &[usize], space: &Space) -> Result<(usize, bool), WireError> {
    let shape = space.shape();
    match got {
        _ if got == shape => Ok((1, true)),
        [rows, inner @ ..] if inner == shape => Ok((*rows, false)),
        _ => {
            let inner: Vec<_> = shape.iter().map(ToString::to_string).collect();
            let rows = [vec!["n".to_string()], inner].concat().join(", ");
            Err(WireError::new(Code::InvalidShape, "the observation has another shape")
                .field("obs")
                .expected(format!("{shape:?} for one observation, or [{rows}] for n rows"))
                .got(format!("{got:?}")))
        }
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

fn check_finite(values: &Observations, space: &Space, single: bool) -> Result<(), WireError> {
    let Some((at, value)) = values.first_not_finite() else { return Ok(()) };
    let (row, element) = (at / space.size().max(1), at % space.size().max(1));
    let field = if single { format!("obs[{element}]") } else { format!("obs[{row}][{element}]") };
    Err(WireError::new(Code::InvalidValue, "the observation is not finite")
        .field(field)
        .expected("finite numbers that fit an f32")
        .got(value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::space::Bound;

    fn space(dtype: DType, shape: &[usize]) -> Space {
        let (low, high) = (Bound::Uniform(-1.0), Bound::Uniform(1.0));
        Space::Box { dtype, shape: shape.to_vec(), low, high }
    }

    fn rows(json: &str, space: &Space) -> Result<Rows, WireError> {
        let tensor = Tensor::from_node(serde_json::from_str(json).unwrap(), "obs")?;
        Rows::from_tensor(&tensor, space, 3)
    }

    #[test]
    fn the_shape_tells_one_observation_from_rows() {
        let space = space(DType::F4, &[2]);
        let one = rows("[1, 2]", &space).unwrap();
        assert_eq!((one.count, one.single), (1, true));
        let two = rows("[[1, 2], [3, 4]]", &space).unwrap();
        assert_eq!((two.count, two.single), (2, false));
        assert_eq!(two.values, Observations::F32(vec![1.0, 2.0, 3.0, 4.0]));
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
    fn bools_are_no_observations_of_a_box() {
        let error = rows("[true, false]", &space(DType::F4, &[2])).unwrap_err();
        assert_eq!(error.code, Code::InvalidDtype);
    }
}
