//! Storages: flat buffers that tensors are views on.

use std::collections::HashMap;

use crate::artifact::import::{
    Archive, Value,
    element::Element,
    error::{ImportError, Result},
};

/// The archive's storages by key.
#[derive(Debug)]
pub struct Storages {
    bytes: HashMap<String, Vec<u8>>,
}

/// A storage as a pickle refers to it.
#[derive(Debug)]
pub struct Storage<'s> {
    pub element: Element,
    pub bytes: &'s [u8],
}

impl Storages {
    /// Reads all of `<folder>data/`.
    ///
    /// # Errors
    /// One is damaged, or they are larger than the archive's limits.
    pub fn read(archive: &mut Archive<'_>, folder: &str) -> Result<Self> {
        let within = format!("{folder}data/");
        let names: Vec<String> = archive.names().map(str::to_owned).collect();
        let mut bytes = HashMap::new();
        for name in &names {
            if let Some(key) = name.strip_prefix(&within) {
                bytes.insert(key.to_owned(), archive.read(name)?);
            }
        }
        Ok(Self { bytes })
    }

    /// The storage that the persistent id `value` means: a tuple of `storage`, its class, key,
    /// device and number of elements.
    ///
    /// # Errors
    /// It means none, or one that is shorter than it says.
    pub fn find(&self, value: Value<'_>) -> Result<Storage<'_>> {
        let wrong = || ImportError::expected("a storage", value);
        let id = value.persistent().ok_or_else(wrong)?.elements().ok_or_else(wrong)?;
        // Files before PyTorch 1.9 end with a sixth part, None.
        let ([tag, class, key, _device, length] | [tag, class, key, _device, length, _]) =
            id.as_slice()
        else {
            return Err(wrong());
        };
        let key = key.as_str().filter(|_| tag.as_str() == Some("storage")).ok_or_else(wrong)?;
        let element = element_of(*class)?;
        let claimed = length.as_usize().and_then(|length| length.checked_mul(element.size()));
        match self.bytes.get(key) {
            Some(bytes) if claimed.is_some_and(|claimed| claimed <= bytes.len()) => {
                Ok(Storage { element, bytes })
            }
            Some(bytes) => Err(ImportError::new(format!(
                "the storage {key} has {} bytes, it should be {} of type {}",
                bytes.len(),
                length.describe(),
                element.code()
            ))),
            None => Err(ImportError::new(format!("the storage {key} is missing"))),
        }
    }
}

fn element_of(class: Value<'_>) -> Result<Element> {
    let known = match class.global() {
        Some(("torch" | "torch.storage" | "torch.cuda", name)) => Element::of_storage(name),
        _ => None,
    };
    known.ok_or_else(|| ImportError::expected("the class of a storage of plain numbers", class))
}
