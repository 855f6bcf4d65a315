//! Files of `torch.jit.save`: the modules of a network, with their classes and tensors. What their
//! `forward` does is code beside them, which nobody reads here.

use candle_core::Tensor;

use super::{
    TorchFile, Value,
    error::{ImportError, Result},
};

/// Modules of one file: a policy has some dozens.
const MAX_MODULES: usize = 1 << 12;
const MAX_ATTRIBUTES: usize = 1 << 17;
/// Modules inside modules.
const MAX_DEPTH: usize = 32;

/// One module of the tree.
#[derive(Debug)]
pub struct Module {
    /// Like `network.0`; empty for the whole.
    pub path: String,
    /// Like `torch.nn.modules.linear.Linear`.
    pub class: String,
    /// Parameters and buffers by name, in order.
    pub tensors: Vec<(String, Tensor)>,
}

/// The modules of `file`, each before those inside it, in the order in which they were made.
///
/// # Errors
/// What was saved is no module, a tensor of it is broken, or there are too many.
pub fn modules(file: &TorchFile) -> Result<Vec<Module>> {
    let root = file.root();
    let wrong = || ImportError::expected("a module by torch.jit.save", root);
    let class = class_of(root).ok_or_else(wrong)?;
    let mut tree = Tree { file, modules: vec![], attributes: 0 };
    tree.add(root, String::new(), class, 0)?;
    Ok(tree.modules)
}

struct Tree<'f> {
    file: &'f TorchFile,
    modules: Vec<Module>,
    /// Of all modules so far.
    attributes: usize,
}

impl Tree<'_> {
    fn add(&mut self, value: Value<'_>, path: String, class: String, depth: usize) -> Result<()> {
        let attributes = attributes(value)?;
        self.count(attributes.len(), depth)?;
        let tensors = self.tensors(&attributes, &path)?;
        self.modules.push(Module { path: path.clone(), class, tensors });
        for (name, value) in attributes {
            if let Some(class) = class_of(value) {
                self.add(value, joined(&path, name), class, depth + 1)?;
            }
        }
        Ok(())
    }

    /// A module may be referred to from many places, so the pickle's own limits don't bound this.
    fn count(&mut self, attributes: usize, depth: usize) -> Result<()> {
        self.attributes = self.attributes.saturating_add(attributes);
        let small = self.modules.len() < MAX_MODULES && self.attributes <= MAX_ATTRIBUTES;
        match small && depth <= MAX_DEPTH {
            true => Ok(()),
            false => Err(ImportError::new(format!(
                "more than {MAX_MODULES} modules or {MAX_ATTRIBUTES} attributes, or modules nested \
                 more than {MAX_DEPTH} deep"
            ))),
        }
    }

    fn tensors(
        &self,
        attributes: &[(&str, Value<'_>)],
        path: &str,
    ) -> Result<Vec<(String, Tensor)>> {
        let mut tensors = Vec::new();
        for (name, value) in attributes {
            let place = |error: ImportError| error.within(joined(path, name));
            if let Some(tensor) = self.file.tensor(*value).map_err(place)? {
                tensors.push(((*name).to_owned(), tensor));
            }
        }
        Ok(tensors)
    }
}

/// The attributes of a module, by name.
fn attributes<'a>(module: Value<'a>) -> Result<Vec<(&'a str, Value<'a>)>> {
    let state = module.call().and_then(|call| call.state);
    let entries = state.and_then(Value::entries).unwrap_or_default();
    let wrong =
        || ImportError::new(format!("an attribute without a name in {}", module.describe()));
    let named = |(key, value): (Value<'a>, Value<'a>)| Ok((key.as_str().ok_or_else(wrong)?, value));
    entries.into_iter().map(named).collect()
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The class of a scripted module as it was in Python, without what makes its name unique.
fn class_of(value: Value<'_>) -> Option<String> {
    let (module, name) = value.class()?;
    let module = module.strip_prefix("__torch__")?;
    let is_of_python = |part: &&str| !part.is_empty() && !part.starts_with("___torch_mangle_");
    let parts: Vec<_> = module.split('.').chain([name]).filter(is_of_python).collect();
    Some(parts.join("."))
}
