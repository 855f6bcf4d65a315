//! Stacked LSTMs of PyTorch.

use candle_core::{DType, Device, Tensor};

use crate::artifact::import::{
    error::{ImportError, Result},
    state_dict::StateDict,
};

/// Takes `from.weight_ih_l0`, … as `to.0.input.weight`, …; their size and how many layers.
///
/// # Errors
/// They run both ways, project their output, or have other shapes.
pub fn take(
    state_dict: &mut StateDict,
    (from, to): (&str, &str),
    inputs: usize,
) -> Result<(usize, usize)> {
    for (part, what) in [("weight_hr_l0", "proj_size"), ("weight_ih_l0_reverse", "bidirectional")] {
        if state_dict.has(&format!("{from}.{part}")) {
            return Err(ImportError::new(format!("{from} was made with {what}: not supported")));
        }
    }
    let (mut layers, mut size) = (0, 0);
    while state_dict.has(&format!("{from}.weight_ih_l{layers}")) {
        let inputs = if layers == 0 { inputs } else { size };
        size = take_layer(state_dict, (from, to), layers, inputs)?;
        layers += 1;
    }
    match layers {
        0 => Err(ImportError::new(format!("there is no LSTM {from}.weight_ih_l0"))),
        _ => Ok((size, layers)),
    }
}

fn take_layer(
    state_dict: &mut StateDict,
    (from, to): (&str, &str),
    layer: usize,
    inputs: usize,
) -> Result<usize> {
    let name = |part: &str| format!("{from}.{part}_l{layer}");
    let (input, hidden) =
        (state_dict.take(&name("weight_ih"))?, state_dict.take(&name("weight_hh"))?);
    let size = hidden.dims().last().copied().unwrap_or(0);
    if input.dims() != [4 * size, inputs] || hidden.dims() != [4 * size, size] {
        return Err(ImportError::new(format!(
            "{from}, layer {layer}: weights of shapes {:?} and {:?} for {inputs} inputs",
            input.dims(),
            hidden.dims()
        )));
    }
    for (part, weight) in [("ih", input), ("hh", hidden)] {
        let bias = name(&format!("bias_{part}"));
        let bias = match state_dict.has(&bias) {
            true => state_dict.take(&bias)?,
            // Made with bias=False.
            false => Tensor::zeros(4 * size, DType::F32, &Device::Cpu)?,
        };
        let ours = if part == "ih" { "input" } else { "hidden" };
        state_dict.put(&format!("{to}.{layer}.{ours}.weight"), &weight)?;
        state_dict.put(&format!("{to}.{layer}.{ours}.bias"), &bias)?;
    }
    Ok(size)
}
