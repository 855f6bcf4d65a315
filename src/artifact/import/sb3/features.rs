//! The features extractors of Stable-Baselines3: flattened, NatureCNN, or both over a dict.

use super::settings::Settings;
use crate::{
    artifact::import::{
        error::{ImportError, Result},
        state_dict::StateDict,
    },
    policy::spec::{Convolution, Features, IMAGE, ImageNetwork},
    wire::Space,
};

/// Kernel and stride of NatureCNN's convolutions (Mnih et al. 2015).
const NATURE: [(usize, usize); 3] = [(8, 4), (4, 2), (3, 1)];

/// # Errors
/// The extractor is a class of somebody's own; its keys are named.
pub fn check_class(settings: &Settings, state_dict: &StateDict) -> Result<()> {
    let Some(class) = &settings.own_extractor else { return Ok(()) };
    let keys = state_dict.names().into_iter().filter(|name| name.contains("features_extractor."));
    let keys = keys.take(8).collect::<Vec<_>>().join(", ");
    let keys = if keys.is_empty() { "it has no weights" } else { &keys };
    Err(ImportError::new(format!(
        "the features extractor is a class of your own ({class}), which can't be rebuilt from its weights: {keys}. docs/import.md says how to bring such a policy"
    )))
}

/// Takes the image networks of the extractor `from` as `to`; what they look like, and how many
/// features come out of the whole extractor.
///
/// # Errors
/// They are not NatureCNN's.
pub fn take(
    state_dict: &mut StateDict,
    (from, to): (&str, &str),
    space: &Space,
    settings: &Settings,
) -> Result<(Features, usize)> {
    let mut features = Features::flat();
    features.scale_images = settings.normalize_images.unwrap_or(true);
    let mut width = 0;
    for (key, piece) in space.pieces() {
        let (from, to) = match key {
            Some(key) => (format!("{from}.extractors.{key}"), format!("{to}.{key}")),
            None => (from.to_owned(), to.to_owned()),
        };
        match state_dict.has_below(&format!("{from}.cnn")) {
            true => {
                let network = nature_cnn(state_dict, (&from, &to), piece)?;
                width += network.width;
                features.images.insert(key.unwrap_or(IMAGE).to_owned(), network);
            }
            false => width += encoded_size(piece),
        }
    }
    Ok((features, width))
}

/// Columns of a space that is flattened, choices being one-hot.
pub fn encoded_size(space: &Space) -> usize {
    match space {
        Space::Discrete { n, .. } => *n as usize,
        Space::MultiDiscrete { nvec } => nvec.iter().map(|n| *n as usize).sum(),
        space => space.size(),
    }
}

/// Takes the three convolutions and the layer behind them.
///
/// # Errors
/// They are others.
pub fn nature_cnn(
    state_dict: &mut StateDict,
    (from, to): (&str, &str),
    space: &Space,
) -> Result<ImageNetwork> {
    let convolutions = format!("{from}.cnn");
    nature_layers(state_dict, (&convolutions, &format!("{from}.linear.0"), to), space)
}

/// The same for networks that name them otherwise: the convolutions' `nn.Sequential` and the layer.
///
/// # Errors
/// They are others.
pub fn nature_layers(
    state_dict: &mut StateDict,
    (convolutions, linear, to): (&str, &str, &str),
    space: &Space,
) -> Result<ImageNetwork> {
    let shape = space.shape();
    let image = <[usize; 3]>::try_from(shape).map_err(|shape| {
        ImportError::new(format!("{convolutions} expects an image, the space has shape {shape:?}"))
    })?;
    let mut network = ImageNetwork { convolutions: vec![], width: 0 };
    let mut inputs = image[0];
    for (i, (kernel, stride)) in NATURE.into_iter().enumerate() {
        let from = format!("{convolutions}.{}", 2 * i);
        let shape = state_dict.shape(&format!("{from}.weight")).map(<[usize]>::to_vec);
        let channels = match shape.as_deref() {
            Some([channels, got, k, l]) if (*got, *k, *l) == (inputs, kernel, kernel) => *channels,
            _ => return Err(not_nature(&from, shape)),
        };
        let to = format!("{to}.conv.{i}");
        state_dict.rename_one(&format!("{from}.weight"), &format!("{to}.weight"))?;
        state_dict.rename_one(&format!("{from}.bias"), &format!("{to}.bias"))?;
        network.convolutions.push(Convolution { channels, kernel, stride, padding: 0 });
        inputs = channels;
    }
    let shapes = network.shapes(image).map_err(ImportError::new)?;
    let flat = shapes.last().map_or(0, |shape| shape.iter().product());
    network.width = state_dict.linear(linear, &format!("{to}.linear"), flat)?;
    Ok(network)
}

fn not_nature(name: &str, shape: Option<Vec<usize>>) -> ImportError {
    let got = shape.map_or("nothing".to_owned(), |shape| format!("a weight of shape {shape:?}"));
    ImportError::new(format!(
        "{name}: got {got}, expected NatureCNN (kernels 8, 4, 3 with strides 4, 2, 1): an image network of your own can't be rebuilt"
    ))
}
