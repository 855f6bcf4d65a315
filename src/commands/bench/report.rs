//! `--report DIR`: a page for people, and its figures for a later comparison.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    failure::Failure,
    loadgen::{Results, page},
};

const PAGE: &str = "bench.html";
const FIGURES: &str = "bench.json";

/// # Errors
/// The folder can't be made.
pub fn prepare(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| wrong(folder, error))
}

/// The files that were written.
///
/// # Errors
/// One can't be written.
pub fn write(folder: &Path, results: &Results) -> Result<[PathBuf; 2], Failure> {
    let page = page::html(results).map_err(Failure::Defect)?;
    let figures = format!("{:#}\n", serde_json::json!(results));
    let files = [folder.join(PAGE), folder.join(FIGURES)];
    for (file, text) in files.iter().zip([page, figures]) {
        fs::write(file, text).map_err(|error| wrong(file, error))?;
    }
    Ok(files)
}

fn wrong(path: &Path, error: std::io::Error) -> Failure {
    Failure::Configuration(format!("--report: {}: {error}", path.display()))
}
