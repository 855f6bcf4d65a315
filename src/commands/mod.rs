//! What each subcommand does. Results go to standard output, all else to standard error.

pub mod artifacts;
pub mod bench;
pub mod check;
mod child;
pub mod config;
pub mod create;
pub mod demo;
pub mod fleet;
pub mod import;
pub mod ping;
pub mod probe;
mod sources;
pub mod top;
pub mod worker;

pub use sources::load_settings;

use std::io::Write;

use crate::{
    cli::{ArtifactsCommand, Command, ConfigCommand, ConfigShowArgs},
    failure::Failure,
};

/// Runs one subcommand.
///
/// # Errors
/// What the person at the terminal needs to know, with the exit code.
pub fn run(command: Command, out: &mut impl Write) -> Result<(), Failure> {
    match command {
        Command::Worker(arguments) => worker::run(&arguments, out),
        Command::Artifacts(ArtifactsCommand::Verify(arguments)) => {
            artifacts::verify(&arguments, out)
        }
        Command::Artifacts(ArtifactsCommand::List(arguments)) => artifacts::list(&arguments, out),
        Command::Artifacts(ArtifactsCommand::Show(arguments)) => artifacts::show(&arguments, out),
        Command::Config(ConfigCommand::Show(arguments)) => show_config(&arguments, out),
        Command::Config(ConfigCommand::Check(arguments)) => {
            match config::check(&arguments.file, arguments.json, out) {
                Ok(true) => Ok(()),
                Ok(false) => Err(Failure::Configuration("the settings are not valid".into())),
                error => artifacts::written(error.map(|_| ())),
            }
        }
        Command::Config(ConfigCommand::Reference) => artifacts::written(config::reference(out)),
        Command::Fleet(arguments) => fleet::run(&arguments, out),
        Command::Demo(arguments) => demo::run(&arguments, out),
        Command::Bench(arguments) => bench::run(&arguments, out),
        Command::BenchEcho(arguments) => bench::echo(&arguments),
        Command::Top(arguments) => top::run(&arguments, out),
        Command::Ping(arguments) => ping::run(&arguments, out),
        Command::Probe(arguments) => probe::run(&arguments),
        Command::Artifacts(ArtifactsCommand::Create(arguments)) => create::run(&arguments, out),
        Command::Artifacts(ArtifactsCommand::Import(arguments)) => import::run(&arguments, out),
        Command::Artifacts(ArtifactsCommand::Check(arguments)) => check::run(&arguments, out),
    }
}

fn show_config(arguments: &ConfigShowArgs, out: &mut impl Write) -> Result<(), Failure> {
    let loaded = load_settings(&arguments.settings)?;
    let layout = match (arguments.origin, arguments.json) {
        (_, true) => config::Layout::Json,
        (true, false) => config::Layout::YamlWithOrigins,
        (false, false) => config::Layout::Yaml,
    };
    artifacts::written(config::show(&loaded, layout, out))
}
