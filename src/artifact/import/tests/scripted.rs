//! A network that `torch.jit.save` wrote.

use super::*;
use crate::artifact::import::{TorchFile, torchscript::modules};

#[test]
fn the_modules_come_in_order_with_their_classes_and_tensors() {
    let modules = modules(&TorchFile::open(&fixture("network.pt")).unwrap()).unwrap();
    let tree: Vec<_> = modules.iter().map(|m| (m.path.as_str(), m.class.as_str())).collect();
    let expected = [
        ("", "M"),
        ("network", "torch.nn.modules.container.Sequential"),
        ("network.0", "torch.nn.modules.linear.Linear"),
        ("network.1", "torch.nn.modules.activation.Tanh"),
        ("network.2", "torch.nn.modules.linear.Linear"),
    ];
    assert_eq!(tree, expected);
    let tensors = |at: usize| {
        let tensors = modules[at].tensors.iter();
        tensors.map(|(name, tensor)| (name.as_str(), tensor.dims().to_vec())).collect::<Vec<_>>()
    };
    assert_eq!(tensors(0), [("scale", vec![1])]);
    assert_eq!(tensors(2), [("weight", vec![3, 2]), ("bias", vec![3])]);
    assert_eq!(tensors(3), []);
}

#[test]
fn a_file_of_torch_save_is_told() {
    let file = TorchFile::open(&fixture("network.pth")).unwrap();
    assert_says(modules(&file), &["torch.jit.save", "a call of collections.OrderedDict"]);
}

#[test]
fn modules_that_hold_themselves_or_each_other_often_end() {
    let cyclic = b"(c__torch__.a\nA\noq\0}(Va\nh\0ub.".to_vec();
    let file = TorchFile::open(&zips::zipped(&[("m/data.pkl", cyclic)])).unwrap();
    assert_says(modules(&file), &["nested"]);
    // Thirty levels, each of which holds the next one twice.
    let mut doubled = "(c__torch__.a\nA\no".to_string();
    for _ in 0..30 {
        doubled = format!("{doubled}p0\n0(c__torch__.a\nA\no}}(Va\ng0\nVb\ng0\nub");
    }
    let doubled = zips::zipped(&[("m/data.pkl", format!("{doubled}.").into_bytes())]);
    assert_says(modules(&TorchFile::open(&doubled).unwrap()), &["more than 4096 modules"]);
}
