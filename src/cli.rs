//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Inference worker for reinforcement-learning driving policies: observations in over NATS,
/// batches through candle, actions out.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a policy: the main job
    Worker(WorkerArgs),
    /// Drive simulated vehicles against a pool of workers
    Fleet(FleetArgs),
    /// Start a broker, a worker and a fleet, and show what happens
    Demo(DemoArgs),
    /// Watch the workers of a pool: state, rate, latency, queue
    Top(TopArgs),
    /// Ask a pool for actions, and show how long each takes and where
    Ping(PingArgs),
    /// Measure: the forward pass, a worker in process, and one behind a broker beside a bare echo
    Bench(BenchArgs),
    /// What a bench holds its worker against
    #[command(hide = true)]
    BenchEcho(BenchEchoArgs),
    /// Ask whether one worker is well, for container health checks: exit code 0 if so, 1 if not
    Probe(ProbeArgs),
    /// Create, verify and list trained policies
    #[command(subcommand)]
    Artifacts(ArtifactsCommand),
    /// Show and check settings
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// Where settings come from, for every command that has settings.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsArgs {
    /// Settings file, on top of config/default.yaml
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    pub config: Option<PathBuf>,
    /// Settings file config/NAME.yaml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Broker, like nats://127.0.0.1:4222 (environment: NATS_URL)
    #[arg(long, value_name = "URL")]
    pub nats_url: Option<String>,
    /// Model: an artifact's folder, or a name below the artifacts root (environment: MODEL_PATH, MODEL_NAME)
    #[arg(long, value_name = "DIR|NAME")]
    pub model: Option<String>,
    /// Version: latest, latest-stable, 0.1.0, ^0.1 (environment: MODEL_VERSION)
    #[arg(long, value_name = "VERSION")]
    pub model_version: Option<String>,
    /// Artifacts root (environment: MODEL_ARTIFACTS)
    #[arg(long, value_name = "DIR")]
    pub artifacts: Option<PathBuf>,
    /// Device: auto, cpu, metal, cuda, cuda:N (environment: MODEL_DEVICE)
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Threads that share a batch on a CPU: auto, or a number (environment: MODEL_THREADS)
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,
}

#[derive(Args, Debug)]
pub struct WorkerArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Load the settings, verify the artifact, and exit
    #[arg(long)]
    pub check: bool,
}

/// Where a pool is, for commands that talk to one from outside.
#[derive(Args, Debug)]
pub struct PoolArgs {
    /// Broker, like nats://127.0.0.1:4222 (environment: NATS_URL)
    #[arg(long, value_name = "URL")]
    pub nats_url: Option<String>,
    /// Subject prefix of the pool (environment: NATS_PREFIX)
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
}

#[derive(Args, Debug)]
pub struct FleetArgs {
    #[command(flatten)]
    pub pool: PoolArgs,
    /// Name of the model that the pool serves (environment: MODEL_NAME)
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    #[command(flatten)]
    pub drive: DriveArgs,
    /// Form of the observations on the wire
    #[arg(long, value_enum, default_value_t = FormArg::Native)]
    pub form: FormArg,
}

#[derive(Args, Debug)]
pub struct TopArgs {
    #[command(flatten)]
    pub pool: PoolArgs,
    /// Name of the model whose workers to show, * for all
    #[arg(long, value_name = "NAME", default_value = "*")]
    pub model: String,
    /// Listen for 2.5 seconds, print a table, and exit
    #[arg(long)]
    pub once: bool,
    /// Print one object and nothing else on standard output
    #[arg(long, requires = "once")]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct PingArgs {
    #[command(flatten)]
    pub pool: PoolArgs,
    /// Name of the model that the pool serves (environment: MODEL_NAME)
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Requests to send
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub count: u32,
    /// Time from one request to the next, like 1s, 200ms
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub interval: Duration,
    /// How long to wait for each answer; sent along as its deadline
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub timeout: Duration,
    /// Print one object and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("question").required(true))]
pub struct ProbeArgs {
    /// Is the process alive? (GET /livez)
    #[arg(long, group = "question")]
    pub live: bool,
    /// Is it a member of the pool that takes requests? (GET /readyz)
    #[arg(long, group = "question")]
    pub ready: bool,
    /// Has it loaded and warmed up its model? (GET /startupz)
    #[arg(long, group = "question")]
    pub started: bool,
    /// Does its pool answer a request? (one request over the broker, as ping sends them)
    #[arg(long, group = "question", conflicts_with = "url")]
    pub answers: bool,
    /// Where the worker answers, if not on its server.host and server.port
    #[arg(long, value_name = "http://HOST:PORT")]
    pub url: Option<String>,
    #[command(flatten)]
    pub settings: SettingsArgs,
}

#[derive(Args, Debug)]
#[command(mut_arg("nats_url", |arg| arg.visible_alias("nats")))]
pub struct BenchArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Layers to measure: all if none is named
    #[arg(long = "layer", value_enum, value_name = "LAYER", value_delimiter = ',')]
    pub layers: Vec<LayerArg>,
    /// Batch sizes of the forward pass, and requests that come together of the worker in process
    #[arg(long, value_name = "ROWS", value_delimiter = ',', default_value = "1,4,8,16,32", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub batch_sizes: Vec<u32>,
    /// How long each figure is measured, each round anew, like 1500ms, 10s
    #[arg(long, value_name = "TIME", default_value = "1500ms", value_parser = duration)]
    pub duration: Duration,
    /// Turns of echo and worker
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Connections that ask: with this, --in-flight or --rows one load in place of the usual four
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: Option<u32>,
    /// Unanswered requests of each connection; with --rate, its simulators
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub in_flight: Option<u32>,
    /// Observations of each request
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub rows: Option<u32>,
    /// When requests are sent: closed, unless --rate is given
    #[arg(long, value_enum, value_name = "PROCESS")]
    pub arrivals: Option<ArrivalsArg>,
    /// Requests a second of all connections together, whether they are answered or not
    #[arg(long, value_name = "N", value_parser = rate)]
    pub rate: Option<f64>,
    /// Print one object and nothing else on standard output
    #[arg(long)]
    pub json: bool,
    /// Write a page with plots, bench.html, and the object, bench.json; measures rising rates, too
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Compare with an earlier run's object: exit code 1 if something is worse
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// By what share something may be worse
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, requires = "compare", value_parser = share)]
    pub threshold: f64,
    /// nats-server 2.10 or newer, if --nats-url names no broker
    #[arg(long, value_name = "FILE", env = "NATS_SERVER_BIN")]
    pub nats_server: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LayerArg {
    /// The policy, batch after batch, without anything around it
    Forward,
    /// A worker without a broker: requests that come together, to their encoded replies
    InProcess,
    /// Requests over a broker to a worker and back, beside a bare echo
    EndToEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ArrivalsArg {
    /// All simulators at the same tick
    Lockstep,
    /// Each at a moment of its own
    Poisson,
    /// Whoever is answered asks again
    Closed,
}

#[derive(Args, Debug)]
pub struct BenchEchoArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    #[arg(long)]
    pub subject: String,
}

#[derive(Args, Debug)]
#[command(mut_arg("vehicles", |arg| arg
    .help("Vehicles on the road; with --gym processes, 8 if nothing is said")
    .default_value_if("gym", "true", "8")))]
#[command(mut_arg("hz", |arg| arg
    .help("Observations of each vehicle per second: 20, with --gym as many as it can, if nothing is said")))]
pub struct DemoArgs {
    #[command(flatten)]
    pub drive: DriveArgs,
    /// Drive Python processes, each with an environment of highway-env, in place of our own vehicles
    #[arg(long, conflicts_with = "plot")]
    pub gym: bool,
    /// Python that has highway-env and carla-rl-client: `make demo-gym` makes one
    #[arg(long, value_name = "FILE", default_value = "python3", requires = "gym")]
    pub python: PathBuf,
    /// Python program that drives them and reports as this one does
    #[arg(
        long,
        value_name = "FILE",
        default_value = "clients/python/examples/highway_fleet.py",
        requires = "gym"
    )]
    pub fleet_program: PathBuf,
    /// nats-server 2.10 or newer
    #[arg(long, value_name = "FILE", env = "NATS_SERVER_BIN")]
    pub nats_server: Option<PathBuf>,
    /// Artifacts root
    #[arg(long, value_name = "DIR", default_value = "artifacts")]
    pub artifacts: PathBuf,
}

#[derive(Args, Clone, Debug)]
pub struct DriveArgs {
    /// Vehicles on the road
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub vehicles: u32,
    /// Observations of each vehicle per second: 20 if nothing is said
    #[arg(long, value_name = "F", value_parser = hz)]
    pub hz: Option<f64>,
    /// How long to drive, like 60s, 2m, 500ms
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub duration: Duration,
    /// Write a picture of the road and the vehicles' paths (SVG)
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Print one summary object and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormArg {
    /// MessagePack tensors
    Native,
    /// CarlaRL's named observations
    Carla,
}

#[derive(Debug, Subcommand)]
pub enum ArtifactsCommand {
    /// Train the example lane-keeping policy and write its artifact
    Create(CreateArgs),
    /// Make an artifact of a trained policy: Stable-Baselines3, CleanRL, RLlib, a state dict
    Import(ImportArgs),
    /// Hold a policy against outputs of the program that trained it: exit code 1 if they differ
    Check(CheckArgs),
    /// Hold an artifact against its card: digests, shapes, numbers, golden outputs
    Verify(VerifyArgs),
    /// List the artifacts below a root
    List(ListArgs),
    /// Show an artifact's card
    Show(ShowArgs),
}

#[derive(Args, Debug)]
pub struct CreateArgs {
    /// Artifacts root to write to
    #[arg(long, value_name = "DIR", default_value = "artifacts")]
    pub artifacts: PathBuf,
    /// Version of the new artifact
    #[arg(long, default_value = "0.1.0", value_parser = semver::Version::parse)]
    pub version: semver::Version,
    /// Seed of everything random: the same seed gives the same weights
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one summary object and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct ImportArgs {
    /// A .zip of model.save, a bare policy, a state dict (.pth, .safetensors, .cleanrl_model), RLlib's
    /// module_state.pkl, a folder of the CarlaRL service
    #[arg(value_name = "SOURCE")]
    pub source: PathBuf,
    /// Name of the new artifact: letters, digits, - and _
    #[arg(long)]
    pub name: String,
    /// Version of the new artifact, like 0.1.0
    #[arg(long, value_parser = semver::Version::parse)]
    pub version: semver::Version,
    /// The statistics of VecNormalize, vec_normalize.pkl
    #[arg(long, value_name = "FILE")]
    pub vec_normalize: Option<PathBuf>,
    /// What the source does not say of itself (YAML): spaces, activation, description
    #[arg(long, value_name = "FILE")]
    pub spec: Option<PathBuf>,
    /// Observations to record golden outputs for (safetensors: obs, or obs.KEY), in place of
    /// random ones
    #[arg(long, value_name = "FILE")]
    pub observations: Option<PathBuf>,
    /// Artifacts root to write to
    #[arg(long, value_name = "DIR", default_value = "artifacts")]
    pub out: PathBuf,
    /// Print one object and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Artifact folder
    #[arg(value_name = "ARTIFACT")]
    pub folder: PathBuf,
    /// Observations with their outputs (safetensors: obs, or obs.KEY, and action, raw_action,
    /// value, log_prob, q_values; episode_start and mask where the policy takes them)
    #[arg(long, value_name = "FILE")]
    pub reference: PathBuf,
    /// Print one object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Artifact folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Device to run the golden observations on
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Precision: float32, float16, bfloat16
    #[arg(long, default_value = "float32")]
    pub precision: String,
    /// Print one object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct ListArgs {
    /// Artifacts root
    #[arg(long, value_name = "DIR", default_value = "artifacts")]
    pub artifacts: PathBuf,
    /// Print an array of {name, version, path, weights}
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct ShowArgs {
    /// Artifact folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Print the card as JSON instead of YAML
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the settings in force
    Show(ConfigShowArgs),
    /// Check a settings file
    Check(ConfigCheckArgs),
    /// Print the page about all settings, in Markdown
    Reference,
}

#[derive(Args, Debug)]
pub struct ConfigShowArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Say where each value was set
    #[arg(long)]
    pub origin: bool,
    /// Print an object {key: {value, origin}}
    #[arg(long, conflicts_with = "origin")]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct ConfigCheckArgs {
    /// Settings file
    pub file: PathBuf,
    /// Print an object {ok, problems}
    #[arg(long)]
    pub json: bool,
}

/// A number with one of the units ms, s, m, h; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time like 60s, 2m or 500ms".to_string();
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let seconds = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * seconds)
        .ok()
        .filter(|duration| !duration.is_zero() && *duration <= Duration::from_secs(86_400))
        .ok_or_else(|| format!("{}, of more than nothing and at most a day", wrong()))
}

fn hz(text: &str) -> Result<f64, String> {
    let wrong = || "expected a number from 1 to 1000".to_string();
    text.parse().ok().filter(|hz| (1.0..=1000.0).contains(hz)).ok_or_else(wrong)
}

fn rate(text: &str) -> Result<f64, String> {
    let wrong = || "expected a number of requests a second, from 1 to 10000000".to_string();
    text.parse().ok().filter(|rate| (1.0..=1e7).contains(rate)).ok_or_else(wrong)
}

fn share(text: &str) -> Result<f64, String> {
    let wrong = || "expected a share like 0.1, from 0 to 10".to_string();
    text.parse().ok().filter(|share| (0.0..=10.0).contains(share)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_demonstration_with_processes_has_fewer_and_draws_nothing() {
        let vehicles = |arguments: &[&str]| {
            let line = ["carla-rl", "demo"].iter().chain(arguments);
            match Cli::try_parse_from(line).map(|cli| cli.command) {
                Ok(Command::Demo(demo)) => Ok(demo.drive.vehicles),
                other => Err(other.unwrap_err().to_string()),
            }
        };
        assert_eq!(vehicles(&[]), Ok(64));
        assert_eq!(vehicles(&["--gym"]), Ok(8));
        assert_eq!(vehicles(&["--vehicles", "3", "--gym"]), Ok(3));
        for wrong in [["--gym", "--plot=x.svg"].as_slice(), &["--python", "python3"]] {
            assert!(vehicles(wrong).unwrap_err().contains("--gym"), "{wrong:?}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, milliseconds) in
            [("60s", 60_000), ("2m", 120_000), ("500ms", 500), ("1.5", 1_500)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for wrong in ["", "s", "-1s", "0", "1 day", "nan", "1e99h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
