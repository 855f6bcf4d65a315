//! Whether the parts of a spec fit each other, so that what is built of it needs no further look.

use super::{Head, ImageNetwork, Normalize, PolicySpec, Postprocess, network::IMAGE};
use crate::wire::{Space, Tensor, space::Bound};

/// In one observation or action: more than any camera gives.
const MAX_ELEMENTS: usize = 1 << 24;
/// Choices of a discrete space; one-hot features and heads have as many columns.
const MAX_CHOICES: u64 = 0xffff;
/// Of any layer.
const MAX_WIDTH: usize = 1 << 16;
const MAX_LAYERS: usize = 64;

impl PolicySpec {
    /// Whether this program can run the policy, and the spec is one.
    ///
    /// # Errors
    /// A sentence that names the key to change.
    pub fn check(&self) -> Result<(), String> {
        check_space(&self.observation_space, "policy.observation_space")?;
        self.check_actions()?;
        self.check_layers()?;
        self.check_images()?;
        self.check_normalize()
    }

    fn check_actions(&self) -> Result<(), String> {
        let space = &self.action_space;
        check_space(space, "policy.action_space")?;
        let fits = match (space, &self.head) {
            (
                Space::Box { dtype, .. },
                Head::DiagonalGaussian { .. } | Head::Gsde { .. } | Head::Deterministic { .. },
            ) => dtype.is_float(),
            (Space::Discrete { .. }, Head::Categorical { .. } | Head::QValues { .. })
            | (Space::MultiDiscrete { .. }, Head::MultiCategorical { .. })
            | (Space::MultiBinary { .. }, Head::Bernoulli | Head::MultiCategorical { .. }) => true,
            _ => false,
        };
        if !fits {
            return Err(format!(
                "policy.head: {} does not fit {} actions; a box of floats has diagonal_gaussian, gsde or deterministic, discrete has categorical or q_values, multi_discrete has multi_categorical, multi_binary has bernoulli or multi_categorical",
                self.head.name(),
                space.name()
            ));
        }
        self.check_head()?;
        self.check_rescale()
    }

    fn check_head(&self) -> Result<(), String> {
        match &self.head {
            Head::QValues { quantiles, .. } if !(1..=MAX_WIDTH).contains(quantiles) => {
                Err(format!("policy.head.quantiles: {quantiles}, expected 1 to {MAX_WIDTH}"))
            }
            Head::QValues { exploration_rate: rate, .. } if !(0.0..=1.0).contains(rate) => {
                Err(format!("policy.head.exploration_rate: {rate}, expected 0 to 1"))
            }
            Head::DiagonalGaussian { log_std: Some(range), .. }
                if !(range.low <= range.high && range.high.is_finite()) =>
            {
                Err(format!("policy.head.log_std: from {} to {}", range.low, range.high))
            }
            Head::Gsde { clip_mean: Some(clip), .. } if *clip <= 0.0 || clip.is_nan() => {
                Err(format!("policy.head.clip_mean: {clip}, expected more than 0"))
            }
            _ => Ok(()),
        }
    }

    /// Rescaling to an unbounded space gives no number.
    fn check_rescale(&self) -> Result<(), String> {
        let (Postprocess::Rescale, Space::Box { low, high, .. }) =
            (self.postprocess, &self.action_space)
        else {
            return Ok(());
        };
        let expand = |bound: &Bound| bound.expand(self.action_space.size()).unwrap_or_default();
        let widths = expand(high).into_iter().zip(expand(low)).map(|(high, low)| high - low);
        match widths.map(|width| width as f32).position(|width| !width.is_finite()) {
            Some(at) => Err(format!(
                "policy.postprocess: rescale needs finite bounds, element {at} of action_space has none"
            )),
            None => Ok(()),
        }
    }

    fn check_layers(&self) -> Result<(), String> {
        let network = &self.network;
        let value = network.value.as_deref().unwrap_or(&[]);
        for (key, widths) in
            [("shared", &network.shared[..]), ("policy", &network.policy), ("value", value)]
        {
            check_widths(widths).map_err(|problem| format!("policy.network.{key}: {problem}"))?;
        }
        if let Some(lstm) = &network.lstm {
            check_widths(&vec![lstm.size; lstm.layers.clamp(1, MAX_LAYERS + 1)])
                .map_err(|problem| format!("policy.network.lstm: {problem}"))?;
            if lstm.layers == 0 {
                return Err("policy.network.lstm: layers is 0".into());
            }
        }
        match network.batch_renorm {
            Some(epsilon) if epsilon <= 0.0 || epsilon.is_nan() => {
                Err(format!("policy.network.batch_renorm: epsilon {epsilon} must be positive"))
            }
            _ => Ok(()),
        }
    }

    fn check_images(&self) -> Result<(), String> {
        for (key, network) in &self.network.features.images {
            let space = match &self.observation_space {
                Space::Dict { spaces } => {
                    spaces.iter().find(|(name, _)| name == key).map(|(_, space)| space)
                }
                space => (key == IMAGE).then_some(space),
            };
            check_image(space, network)
                .map_err(|problem| format!("policy.network.features.images.{key}: {problem}"))?;
        }
        Ok(())
    }

    fn check_normalize(&self) -> Result<(), String> {
        let Some(Normalize { epsilon, clip, keys, clip_inputs }) = &self.normalize else {
            return Ok(());
        };
        if !(*epsilon >= 0.0 && *clip > 0.0) {
            return Err(format!(
                "policy.normalize: epsilon {epsilon} and clip {clip} must be positive"
            ));
        }
        match (&self.observation_space, keys) {
            (Space::Dict { .. }, _) if *clip_inputs => {
                Err("policy.normalize.clip_inputs: there is none for a dict".into())
            }
            (Space::Dict { spaces }, Some(keys)) => {
                let unknown = keys.iter().find(|key| !spaces.iter().any(|(name, _)| name == *key));
                unknown.map_or(Ok(()), |key| {
                    Err(format!("policy.normalize.keys: the observation has no {key}"))
                })
            }
            (_, Some(_)) => Err("policy.normalize.keys: the observation is no dict".into()),
            (_, None) => Ok(()),
        }
    }
}

fn check_widths(widths: &[usize]) -> Result<(), String> {
    if widths.len() > MAX_LAYERS {
        return Err(format!("more than {MAX_LAYERS} layers"));
    }
    match widths.iter().find(|width| !(1..=MAX_WIDTH).contains(*width)) {
        Some(width) => Err(format!("a hidden layer of width {width}, expected 1 to {MAX_WIDTH}")),
        None => Ok(()),
    }
}

fn check_image(space: Option<&Space>, network: &ImageNetwork) -> Result<(), String> {
    let shape = space.and_then(|space| <[usize; 3]>::try_from(space.shape()).ok());
    let (Some(shape), Some(Space::Box { .. })) = (shape, space) else {
        return Err("the observation has no box of three axes of that name".into());
    };
    if network.convolutions.is_empty() || network.convolutions.len() > MAX_LAYERS {
        return Err(format!("convolutions: expected 1 to {MAX_LAYERS}"));
    }
    check_widths(&[network.width])?;
    let shapes = network.shapes(shape)?;
    match shapes.iter().find(|shape| size(*shape) > MAX_ELEMENTS) {
        Some(shape) => Err(format!("a convolution makes {shape:?} of the image")),
        None => Ok(()),
    }
}

fn size(shape: &[usize]) -> usize {
    shape.iter().copied().fold(1, usize::saturating_mul)
}

fn check_space(space: &Space, key: &str) -> Result<(), String> {
    match space {
        Space::Box { .. } => check_box(space, key),
        Space::Discrete { n, .. } => check_choices(&[*n], key),
        Space::MultiDiscrete { nvec } => check_choices(nvec, key),
        Space::MultiBinary { shape } => check_size(size(shape), shape, key),
        Space::Dict { spaces } => check_dict(spaces, key),
    }
}

fn check_dict(spaces: &[(String, Space)], key: &str) -> Result<(), String> {
    if spaces.is_empty() {
        return Err(format!("{key}: a dict without spaces"));
    }
    let names: Vec<&str> = spaces.iter().map(|(name, _)| name.as_str()).collect();
    if Tensor::is_form_of(&names) {
        return Err(format!(
            "{key}: with the names {} a request's dict is taken for a tensor; call them otherwise",
            names.join(", ")
        ));
    }
    for (at, (name, space)) in spaces.iter().enumerate() {
        if spaces[..at].iter().any(|(other, _)| other == name) {
            return Err(format!("{key}: {name} is there twice"));
        }
        match space {
            Space::Dict { .. } => return Err(format!("{key}.{name}: a dict within a dict")),
            space => check_space(space, &format!("{key}.{name}"))?,
        }
    }
    let whole = spaces.iter().fold(0usize, |sum, (_, space)| sum.saturating_add(space.size()));
    check_size(whole, &[whole], key)
}

fn check_choices(nvec: &[u64], key: &str) -> Result<(), String> {
    check_size(nvec.len(), &[nvec.len()], key)?;
    let sum: u64 = nvec.iter().fold(0, |sum, n| sum.saturating_add(*n));
    match nvec.iter().find(|n| !(1..=MAX_CHOICES).contains(*n)) {
        Some(n) => Err(format!("{key}: n is {n}, expected 1 to {MAX_CHOICES}")),
        None if sum > MAX_CHOICES => {
            Err(format!("{key}: {sum} choices together, expected at most {MAX_CHOICES}"))
        }
        None => Ok(()),
    }
}

fn check_size(size: usize, shape: &[usize], key: &str) -> Result<(), String> {
    match size {
        1..=MAX_ELEMENTS => Ok(()),
        _ => Err(format!("{key}: shape {shape:?} has not 1 to {MAX_ELEMENTS} elements")),
    }
}

fn check_box(space: &Space, key: &str) -> Result<(), String> {
    let Space::Box { low, high, .. } = space else { return Ok(()) };
    let size = space.size();
    check_size(size, &space.shape(), key)?;
    let expand = |bound: &Bound, name| {
        bound
            .expand(size)
            .ok_or_else(|| format!("{key}: {name} must be a number or {size} of them"))
    };
    let (low, high) = (expand(low, "low")?, expand(high, "high")?);
    match low.iter().zip(&high).position(|(low, high)| low.is_nan() || high.is_nan() || low > high)
    {
        Some(at) => Err(format!("{key}: low[{at}] is above high[{at}]")),
        None => Ok(()),
    }
}
