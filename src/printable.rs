//! Text of others, on a terminal and in pages.

/// Without characters that would move a terminal's cursor: whoever may publish can write them.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The same for text of several lines.
pub fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// Text as it stands in SVG and HTML.
pub fn markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_steer_a_terminal() {
        assert_eq!(printable("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(printable_lines("a\r\x1bb\nc"), "a\u{fffd}\u{fffd}b\nc");
    }

    #[test]
    fn no_text_can_be_an_element_of_a_page() {
        assert_eq!(markup("<b> &lt;"), "&lt;b&gt; &amp;lt;");
    }
}
