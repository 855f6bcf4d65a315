use std::{io, process::ExitCode};

use carla_rl::{cli::Cli, commands, printable::printable_lines, telemetry::logs};
use clap::Parser;

fn main() -> ExitCode {
    compute_on_one_thread();
    let cli = Cli::parse();
    match commands::run(cli.command, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            logs::last_words(format!("carla-rl: {}", printable_lines(&failure.to_string())));
            ExitCode::from(failure.exit_code())
        }
    }
}

/// The compute core asks for the number of cores at every matrix product, which on Linux means
/// reading /proc/cpuinfo each time; and a batch of a small policy is too little work to share.
fn compute_on_one_thread() {
    // SAFETY: nothing else runs yet; this is the first line of the program.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", "1") };
}
