//! What the pages say exists: other pages, their headings, commands, flags and settings.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use carla_rl::{
    cli::Cli,
    settings::key::{self, Key},
};
use clap::{Parser, error::ErrorKind};

/// Folders without pages of ours.
const FOREIGN: [&str; 4] = ["target", ".git", ".tools", "node_modules"];

#[test]
fn the_page_of_all_settings_is_what_the_program_prints() {
    let program = env!("CARGO_BIN_EXE_carla-rl");
    let printed = Command::new(program).args(["config", "reference"]).output().unwrap().stdout;
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    assert!(
        page.as_bytes() == printed,
        "renew it: carla-rl config reference > docs/configuration.md"
    );
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading_that_are_there() {
    let pages = pages(root());
    assert!(pages.len() > 10, "the pages are where this test looks for them");
    let broken: Vec<_> = pages.iter().flat_map(|page| broken_links(page)).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_command_in_the_pages_is_one_that_the_program_takes() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for page in pages(root()) {
        for command in commands(&fs::read_to_string(&page).unwrap()) {
            seen += 1;
            wrong.extend(complaint(&command).map(|why| format!("{}: {why}", page.display())));
        }
    }
    assert!(seen > 20, "the commands are where this test looks for them: {seen}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_ours = |path: &PathBuf| !FOREIGN.iter().any(|name| path.ends_with(name));
    let (folders, files): (Vec<_>, Vec<_>) = entries.filter(is_ours).partition(|p| p.is_dir());
    let below = folders.iter().flat_map(|folder| pages(folder));
    files.into_iter().chain(below).filter(|path| path.extension() == Some("md".as_ref())).collect()
}

fn broken_links(page: &Path) -> Vec<String> {
    // Its links are relative to the page that is made of it.
    if page.ends_with("src/settings/layers.md") {
        return vec![];
    }
    let text = prose(&fs::read_to_string(page).unwrap());
    let links = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    let relative = links.filter(|link| !link.contains("://") && !link.starts_with("mailto:"));
    let is_broken = |link: &&str| !leads_somewhere(page, link);
    relative.filter(is_broken).map(|link| format!("{}: {link}", page.display())).collect()
}

fn leads_somewhere(page: &Path, link: &str) -> bool {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.to_owned(),
        file => page.parent().unwrap().join(file),
    };
    match anchor {
        "" => target.exists(),
        anchor => fs::read_to_string(target).is_ok_and(|text| anchors(&text).contains_key(anchor)),
    }
}

/// The names by which GitHub knows the headings, with how often each has come so far.
fn anchors(text: &str) -> HashMap<String, usize> {
    let mut anchors = HashMap::new();
    let text = without_code_blocks(text);
    for heading in text.lines().filter(|line| line.starts_with('#')) {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let name: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = anchors.entry(name.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            let name = format!("{name}-{}", *count - 1);
            anchors.insert(name, 1);
        }
    }
    anchors
}

/// The text without code, in which brackets mean something else.
fn prose(text: &str) -> String {
    without_code_blocks(text).split('`').step_by(2).collect()
}

fn without_code_blocks(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The words of each call of the program in the shell blocks of a page.
fn commands(text: &str) -> Vec<Vec<String>> {
    let blocks = text.split("```").skip(1).step_by(2);
    let shell = blocks.filter_map(|block| {
        block.strip_prefix("sh\n").or_else(|| block.strip_prefix("bash\n")).map(String::from)
    });
    let lines = shell
        .flat_map(|block| block.replace("\\\n", " ").lines().map(String::from).collect::<Vec<_>>());
    let steps = lines.flat_map(|line| steps(&words(&line)));
    steps
        .filter(|step| step.iter().any(|word| is_program(word)))
        .filter(|step| starts(step))
        .collect()
}

/// Parts of a line between the shell's operators.
fn steps(words: &[String]) -> Vec<Vec<String>> {
    let is_operator = |word: &String| ["|", "||", "&", "&&", ";"].contains(&word.as_str());
    words.split(is_operator).map(<[String]>::to_vec).collect()
}

/// Whether the program is what the step runs, not an argument of something else.
fn starts(step: &[String]) -> bool {
    step.iter().find(|word| assignment(word).is_none()).is_some_and(|word| is_program(word))
}

fn is_program(word: &str) -> bool {
    word == "carla-rl" || word.ends_with("/carla-rl")
}

fn assignment(word: &str) -> Option<&str> {
    let (name, _) = word.split_once('=')?;
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    name.chars().all(is_name).then_some(name)
}

/// As a shell would split them: quotes hold together, a number sign begins a comment.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        let last = words.len() - 1;
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '#') if words[last].is_empty() => break,
            (None, ' ') => words.push(String::new()),
            (_, c) => words[last].push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What is wrong with a call of the program.
fn complaint(step: &[String]) -> Option<String> {
    let at = step.iter().position(|word| is_program(word))?;
    let known = |name: &str| key::all().any(|key: &Key| key.variable() == name);
    let is_setting = |name: &&str| {
        key::sections()
            .iter()
            .any(|section| name.starts_with(&format!("{}_", section.to_uppercase())))
    };
    let assigned = step[..at].iter().filter_map(|word| assignment(word));
    if let Some(name) = assigned.filter(is_setting).find(|name| !known(name)) {
        return Some(format!("there is no setting {name}"));
    }
    let call: Vec<_> = step[at..].iter().take_while(|word| !word.contains(['>', '<'])).collect();
    let error = Cli::try_parse_from(&call).err()?;
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    (!is_help).then(|| format!("{call:?}: {error}"))
}

#[test]
fn commands_are_found_with_their_variables_and_checked() {
    let page = "```sh\nMODEL_NAM=x ./carla-rl worker --chek \\\n  | carla-rl fleet &\ndocker run carla-rl\n```\n";
    let found = commands(page);
    assert_eq!(
        found,
        [vec!["MODEL_NAM=x", "./carla-rl", "worker", "--chek"], vec!["carla-rl", "fleet"]]
    );
    assert!(complaint(&found[0]).unwrap().contains("MODEL_NAM"));
    assert!(complaint(&found[0][1..]).unwrap().contains("--chek"));
    assert_eq!(complaint(&found[1]), None);
}

#[test]
fn headings_have_the_anchors_that_links_use() {
    let anchors = anchors("# One `two.three_four`\n## A & b\n## A & b\n```sh\n# no heading\n```\n");
    let mut names: Vec<_> = anchors.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["a--b", "a--b-1", "one-twothree_four"]);
}
