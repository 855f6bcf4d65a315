//! As much of PromQL as it takes to see which series and labels a query uses. Its grammar is
//! promtool's business: deploy/prometheus/check.

/// Words before a list of labels.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const OPERATORS: [&str; 6] = ["and", "or", "unless", "offset", "bool", "atan2"];

#[derive(Debug, Default)]
pub struct Query {
    pub selectors: Vec<Selector>,
    /// Labels that it groups or joins by.
    pub grouping: Vec<String>,
}

#[derive(Debug, PartialEq)]
pub struct Selector {
    pub series: String,
    pub matchers: Vec<Matcher>,
}

#[derive(Debug, PartialEq)]
pub struct Matcher {
    pub label: String,
    /// One, or those between the bars of a regular expression.
    pub values: Vec<String>,
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Symbol(char),
}

impl Query {
    pub fn parse(text: &str) -> Self {
        let mut tokens = tokens(text).into_iter().peekable();
        let mut query = Self::default();
        while let Some(token) = tokens.next() {
            let Token::Word(word) = token else { continue };
            match tokens.peek() {
                _ if OPERATORS.contains(&word.as_str()) => {}
                Some(Token::Symbol('(')) if GROUPING.contains(&word.as_str()) => {
                    let labels = tokens.by_ref().take_while(|token| *token != Token::Symbol(')'));
                    query.grouping.extend(labels.filter_map(Token::word));
                }
                // A function, or an aggregation with its labels first.
                Some(Token::Symbol('(')) => {}
                Some(Token::Word(next)) if GROUPING[..2].contains(&next.as_str()) => {}
                Some(Token::Symbol('{')) => {
                    let inside = tokens.by_ref().skip(1);
                    let inside = inside.take_while(|token| *token != Token::Symbol('}'));
                    let matchers = matchers(inside.collect());
                    query.selectors.push(Selector { series: word, matchers });
                }
                _ => query.selectors.push(Selector { series: word, matchers: Vec::new() }),
            }
        }
        query
    }
}

impl Token {
    fn word(self) -> Option<String> {
        match self {
            Token::Word(word) => Some(word),
            Token::Text(_) | Token::Symbol(_) => None,
        }
    }
}

fn matchers(tokens: Vec<Token>) -> Vec<Matcher> {
    let one = |tokens: &[Token]| match tokens {
        [Token::Word(label), operator @ .., Token::Text(value)] => {
            let values = match operator.contains(&Token::Symbol('~')) {
                true => value.split('|').map(str::to_owned).collect(),
                false => vec![value.clone()],
            };
            Matcher { label: label.clone(), values }
        }
        other => panic!("no label with a value: {other:?}"),
    };
    let groups = tokens.split(|token| *token == Token::Symbol(','));
    groups.filter(|group| !group.is_empty()).map(one).collect()
}

/// Without numbers, comments, and the ranges in brackets.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let end = rest[1..].find('"').expect("a text ends") + 1;
                tokens.push(Token::Text(rest[1..end].to_owned()));
                end + 1
            }
            '[' => rest.find(']').expect("a range ends") + 1,
            '#' => rest.find('\n').unwrap_or(rest.len()),
            _ if is_word(first) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                if !first.is_ascii_digit() {
                    tokens.push(Token::Word(rest[..end].to_owned()));
                }
                end
            }
            _ => {
                tokens.push(Token::Symbol(first));
                first.len_utf8()
            }
        };
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Whether a name, a figure's name or a number may hold it.
pub fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

#[test]
fn a_query_is_read_for_its_series_labels_and_groups() {
    let query = Query::parse(
        r#"sum by (job, le) (rate(a_total{x="1",y=~"2|3"}[5m])) > 0.5 * 1e3
           unless on (job) job:b:sum offset 5m and time() - c{} > 7  # not d"#,
    );
    let names: Vec<_> = query.selectors.iter().map(|s| s.series.as_str()).collect();
    assert_eq!(names, ["a_total", "job:b:sum", "c"]);
    let [x, y] = query.selectors[0].matchers.as_slice() else { panic!("{query:?}") };
    assert_eq!((x.label.as_str(), x.values.as_slice()), ("x", ["1".to_owned()].as_slice()));
    assert_eq!((y.label.as_str(), y.values.len()), ("y", 2));
    assert_eq!(query.grouping, ["job", "le", "job"]);
}
