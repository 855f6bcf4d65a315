//! What Python itself writes in each protocol.

use super::*;

#[test]
fn the_same_values_come_out_of_every_protocol() {
    for protocol in 0..=5 {
        let pickle = pickle(&format!("values.p{protocol}.pkl"));
        let value = |name: &str| pickle.root().get(name).unwrap();
        assert_eq!(value("text").as_str(), Some("\u{e9}\u{20ac}\u{1f697}"));
        let bytes =
            ["bytes", "empty", "array", "noarray"].map(|name| value(name).as_bytes().unwrap());
        assert_eq!(bytes.each_ref().map(|b| &b[..]), [&b"\x00\xff"[..], b"", b"ab", b""]);
        assert_eq!(shown(value("set")), "<the integer 1>");
        assert_eq!(shown(value("frozen")), "<the integer 2>");
        assert_eq!((value("big").as_i64(), value("minus").as_i64()), (None, Some(-(1 << 40))));
        assert_eq!((value("float").as_f64(), value("yes").as_bool()), (Some(-0.5), Some(true)));
        assert!(value("none").is_none());
        assert_eq!(value("tuple").elements().unwrap().len(), 4);
        assert_eq!(shown(value("list")), "[the integer 1, [the integer 2]]");
        assert_eq!(shown(value("deque")), "<the integer 1>");
        let order = value("order").entries().unwrap();
        assert_eq!(
            order.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(),
            [Some("b"), Some("a")]
        );
    }
}
