//! What the deployment files must agree on: among themselves, and with the program's settings.
//!
//! deploy/check holds each of them against its own schema; this needs no tool but the crate.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use carla_rl::settings::{Loaded, Settings, Sources, key};
use serde_json::Value;

/// Variables that others read: the NVIDIA driver and container toolkit.
const OF_OTHERS: [&str; 3] =
    ["CUDA_CACHE_PATH", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"];
const PROFILES: [&str; 3] = ["default", "production", "mac-m4-max"];

const COMPOSE: &str = "docker-compose.yml";
const COMPOSE_CUDA: &str = "deploy/docker/compose.cuda.yml";
const DOCKERFILES: [&str; 2] = ["Dockerfile", "deploy/docker/cuda.Dockerfile"];
const KUBERNETES: &str = "deploy/kubernetes";
const UNIT: &str = "deploy/systemd/carla-rl@.service";
const PLIST: &str = "deploy/launchd/org.carla-rl.worker.plist";

#[test]
fn whoever_stops_a_worker_waits_longer_than_it_drains() {
    let seconds = |text: &str| text.trim_end_matches('s').parse().unwrap();
    let waits: [(&str, u64); 4] = [
        (COMPOSE, seconds(text_at(&yaml(COMPOSE), "/services/worker/stop_grace_period"))),
        (KUBERNETES, pod("/spec/terminationGracePeriodSeconds").as_u64().unwrap()),
        (UNIT, seconds(unit("TimeoutStopSec")[0])),
        (PLIST, seconds(after_key("ExitTimeOut", "integer"))),
    ];
    for profile in PROFILES {
        let drain = load(profile, Variables::new()).settings.worker.drain_timeout;
        for (file, wait) in waits {
            assert!(Duration::from_secs(wait) > drain, "{file} with the profile {profile}");
        }
    }
}

#[test]
fn every_variable_is_a_settings_and_its_value_is_valid() {
    let environments = environments();
    let known = environments.iter().map(|(_, variables)| variables.len()).sum::<usize>();
    assert!(known > 30, "the variables are where this test looks for them");
    for (file, variables) in environments {
        let (of_others, ours): (Variables, _) =
            variables.into_iter().partition(|(name, _)| OF_OTHERS.contains(&name.as_str()));
        for name in ours.keys() {
            assert!(key::all().any(|key| &key.variable() == name), "{file}: {name}");
        }
        assert!(of_others.is_empty() || file.contains("cuda"), "{file}: {of_others:?}");
        load("production", ours);
    }
}

#[test]
fn workers_under_compose_can_be_many() {
    let compose = yaml(COMPOSE);
    let worker = &compose["services"]["worker"];
    for exists_once in ["container_name", "ports", "hostname"] {
        assert!(worker[exists_once].is_null(), "{exists_once}");
    }
    assert!(worker["environment"]["WORKER_NAME"].is_null(), "replicas would share the name");
    assert!(worker["environment"]["SERVER_PORT"].is_null(), "Prometheus asks the default port");
}

#[test]
fn compose_publishes_on_loopback_alone_and_takes_rights_away_from_all() {
    let compose = yaml(COMPOSE);
    for (name, service) in compose["services"].as_object().unwrap() {
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {port}");
        }
        assert_eq!(service["cap_drop"][0], "ALL", "{name}");
        assert_eq!(service["security_opt"][0], "no-new-privileges:true", "{name}");
    }
}

#[test]
fn kubernetes_probes_the_paths_and_the_port_of_the_program() {
    let container = pod("/spec/containers/0");
    for (probe, path) in
        [("startupProbe", "/startupz"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(container[probe]["httpGet"]["port"], container["ports"][0]["name"]);
    }
    let variables = listed(&container["env"]);
    let port = container["ports"][0]["containerPort"].as_u64().unwrap();
    assert_eq!(variables["SERVER_PORT"], port.to_string());
    let policy = yaml(&format!("{KUBERNETES}/base/network-policy.yaml"));
    assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], port);
}

#[test]
fn kubernetes_looks_at_a_worker_long_enough_before_it_gives_up() {
    let startup = pod("/spec/containers/0/startupProbe");
    let patience =
        startup["periodSeconds"].as_u64().unwrap() * startup["failureThreshold"].as_u64().unwrap();
    let broker = load("production", Variables::new()).settings.nats.connect_timeout.unwrap();
    assert!(Duration::from_secs(patience) > 2 * broker, "{patience} s");
}

#[test]
fn disruption_budget_and_network_policy_select_the_workers() {
    let labels = pod("/metadata/labels");
    assert!(labels.is_object());
    for (file, selector) in [
        ("deployment", "/spec/selector/matchLabels"),
        ("disruption-budget", "/spec/selector/matchLabels"),
        ("network-policy", "/spec/podSelector/matchLabels"),
    ] {
        let object = yaml(&format!("{KUBERNETES}/base/{file}.yaml"));
        assert_eq!(object.pointer(selector), Some(&labels), "{file}");
    }
}

#[test]
fn containers_listen_where_probes_and_prometheus_ask() {
    let port = load("default", Variables::new()).settings.server.port;
    for file in DOCKERFILES {
        let text = read(file);
        assert!(text.contains(&format!("\nEXPOSE {port}\n")), "{file}");
        assert!(text.contains("SERVER_HOST=0.0.0.0"), "{file}");
        assert!(text.contains("\nSTOPSIGNAL SIGTERM\n"), "{file}");
        assert!(text.contains(r#"CMD ["/carla-rl", "probe", "--ready"]"#), "{file}");
        assert!(text.contains("\nUSER 65532:65532\n"), "{file}");
    }
}

#[test]
fn systemd_does_not_repeat_a_start_that_fails_the_same_way_each_time() {
    assert!(unit("RestartPreventExitStatus")[0].split(' ').any(|code| code == "78"));
    assert_eq!(unit("Type"), ["notify"]);
    assert!(unit("RestrictAddressFamilies")[0].contains("AF_UNIX"), "the way to tell systemd");
}

#[test]
fn workers_of_one_machine_have_ports_of_their_own() {
    let files = environments().into_iter().filter(|(file, _)| file.ends_with(".env"));
    let mut ports: Vec<_> = files.map(|(_, variables)| variables["SERVER_PORT"].clone()).collect();
    let workers = ports.len();
    ports.sort_unstable();
    ports.dedup();
    assert!(workers > 1 && ports.len() == workers, "{ports:?}");
}

#[test]
fn profiles_that_deployment_files_name_are_there() {
    for file in [DOCKERFILES[0], DOCKERFILES[1], UNIT, PLIST] {
        let text = read(file);
        let behind = text.split_once("--profile").unwrap().1;
        // In a list of a Dockerfile, a command line, or an element of its own.
        let behind =
            behind.trim_start_matches("</string>").trim_start_matches(['"', ',']).trim_start();
        let behind = behind.trim_start_matches("<string>").trim_start_matches('"');
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let profile = behind.split(|c| !is_name(c)).next().unwrap();
        assert!(root().join(format!("config/{profile}.yaml")).exists(), "{file}: {profile}");
    }
}

type Variables = BTreeMap<String, String>;

/// Of every deployment file that sets variables for the program: its name, and what it sets.
fn environments() -> Vec<(String, Variables)> {
    [in_compose(), in_dockerfiles(), in_kubernetes(), in_systemd(), vec![in_launchd()]].concat()
}

fn in_compose() -> Vec<(String, Variables)> {
    [(COMPOSE, "worker"), (COMPOSE, "fleet"), (COMPOSE_CUDA, "worker")]
        .map(|(file, service)| {
            let variables = mapped(&yaml(file)["services"][service]["environment"]);
            (format!("{file}, {service}"), variables)
        })
        .into()
}

/// Those of the last stage: of the others nothing stays.
fn in_dockerfiles() -> Vec<(String, Variables)> {
    DOCKERFILES
        .map(|file| {
            let text = read(file).replace("\\\n", " ");
            let stage = text.rsplit_once("\nFROM ").unwrap().1;
            let lines = stage.lines().filter_map(|line| line.strip_prefix("ENV "));
            let pairs: Vec<_> = lines.flat_map(str::split_whitespace).collect();
            (file.to_owned(), assignments(&pairs))
        })
        .into()
}

fn in_kubernetes() -> Vec<(String, Variables)> {
    let maps = ["base", "overlays/cuda"].map(|folder| {
        let file = format!("{KUBERNETES}/{folder}/kustomization.yaml");
        let literals = yaml(&file)["configMapGenerator"][0]["literals"].clone();
        let lines: Vec<_> = literals.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        (file, assignments(&lines))
    });
    let pods = ["base/deployment", "components/nats-credentials/credentials"].map(|name| {
        let file = format!("{KUBERNETES}/{name}.yaml");
        let env = yaml(&file).pointer("/spec/template/spec/containers/0/env").unwrap().clone();
        (file, listed(&env))
    });
    [maps, pods].concat()
}

fn in_systemd() -> Vec<(String, Variables)> {
    let examples = fs::read_dir(root().join("deploy/systemd/examples")).unwrap();
    let paths = examples.map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let lines = match path.extension().unwrap() == "env" {
                true => text.lines().filter(|line| !line.starts_with('#')).collect(),
                false => values(&text, "Environment"),
            };
            (path.display().to_string(), assignments(&lines))
        })
        .collect();
    found.push((UNIT.to_owned(), assignments(&unit("Environment"))));
    found
}

fn in_launchd() -> (String, Variables) {
    let text = read(PLIST);
    let dict = text.split_once("<key>EnvironmentVariables</key>").unwrap().1;
    let dict = dict.split_once("</dict>").unwrap().0;
    let names = dict.split("<key>").skip(1).map(|rest| rest.split_once('<').unwrap().0);
    let pairs = names.map(|name| (name.to_owned(), after_key(name, "string").to_owned()));
    (PLIST.to_owned(), pairs.collect())
}

/// The settings with these variables on top of a profile; that they are valid is the claim.
fn load(profile: &str, variables: Variables) -> Loaded {
    let sources = Sources {
        profile: (profile != "default").then(|| profile.to_owned()),
        file: None,
        flags: Vec::new(),
        root: root().to_owned(),
        environment: Box::new(move |name| variables.get(name).map(Into::into)),
    };
    Settings::load(&sources).unwrap()
}

/// The value at a JSON pointer below the pod template of the Deployment.
fn pod(pointer: &str) -> Value {
    let deployment = yaml(&format!("{KUBERNETES}/base/deployment.yaml"));
    deployment.pointer(&format!("/spec/template{pointer}")).unwrap().clone()
}

/// What systemd's unit says for a key.
fn unit(key: &str) -> Vec<&'static str> {
    values(include_str!("../../deploy/systemd/carla-rl@.service"), key)
}

fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// The text of the element that follows a key in launchd's file.
fn after_key(key: &str, element: &str) -> &'static str {
    let text = include_str!("../../deploy/launchd/org.carla-rl.worker.plist");
    let rest = text.split_once(&format!("<key>{key}</key>")).unwrap().1;
    let value = rest.trim_start().strip_prefix(&format!("<{element}>")).unwrap();
    value.split_once('<').unwrap().0
}

/// `NAME=value`, one each; systemd's specifiers stand for letters and paths.
fn assignments(lines: &[&str]) -> Variables {
    let pairs = lines.iter().map(|line| line.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.replace('%', ""))).collect()
}

/// A mapping, where `${NAME:-default}` stands for its default.
fn mapped(value: &Value) -> Variables {
    let text = |value: &Value| {
        let value = value.as_str().unwrap();
        let default = value.strip_prefix("${").and_then(|rest| rest.split_once(":-"));
        default.map_or(value, |(_, default)| default.trim_end_matches('}')).to_owned()
    };
    value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// A list of `name` and `value`; a name for a pod is like `worker-7d9f-x2x`.
fn listed(value: &Value) -> Variables {
    let value_of = |entry: &Value| entry["value"].as_str().unwrap_or("worker-7d9f-x2x").to_owned();
    let entries = value.as_array().unwrap().iter();
    entries.map(|entry| (entry["name"].as_str().unwrap().to_owned(), value_of(entry))).collect()
}

fn text_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).unwrap().as_str().unwrap()
}

fn yaml(file: &str) -> Value {
    serde_saphyr::from_str(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
