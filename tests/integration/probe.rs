//! `probe` against a listener that answers as a worker does, or does not.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::Output,
    sync::mpsc,
};

use crate::command_line::{here, program, run, stderr, stdout};

/// Answers each request with `answer`, and tells the request's first line.
fn worker(answer: &'static str) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, asked) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            // Up to the empty line: closing on unread bytes would reset the connection.
            lines.find(|line| line.as_ref().unwrap().is_empty());
            stream.write_all(answer.as_bytes()).unwrap();
            if sender.send(first).is_err() {
                break;
            }
        }
    });
    (port, asked)
}

fn probe(port: u16, question: &str) -> Output {
    run(here(), &["probe", question, "--url", &format!("http://127.0.0.1:{port}")])
}

#[test]
fn each_question_has_its_path_and_200_is_exit_code_0() {
    let (port, asked) = worker("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n");
    for (question, path) in
        [("--live", "/livez"), ("--ready", "/readyz"), ("--started", "/startupz")]
    {
        let output = probe(port, question);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!((stdout(&output), stderr(&output)), (String::new(), String::new()));
        assert_eq!(asked.recv().unwrap(), format!("GET {path} HTTP/1.0"));
    }
}

#[test]
fn any_other_answer_is_exit_code_1_with_what_the_worker_says() {
    for (answer, told) in [
        ("HTTP/1.1 503 Service Unavailable\r\n\r\nthe broker is lost\n", "503 the broker is lost"),
        ("HTTP/1.1 204 No Content\r\n\r\n", "204"),
        ("+OK\r\n", "what came is no HTTP"),
        ("", "what came is no HTTP"),
    ] {
        let output = probe(worker(answer).0, "--ready");
        assert_eq!(output.status.code(), Some(1), "{answer}");
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
}

#[test]
fn no_answer_is_exit_code_1_whether_nobody_listens_or_nobody_speaks() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = probe(port, "--live");
    assert_eq!(silent.status.code(), Some(1));
    assert!(stderr(&silent).contains("no answer within 2s"), "{}", stderr(&silent));
    drop(listener);
    let absent = probe(port, "--live");
    assert_eq!(absent.status.code(), Some(1));
    assert!(stderr(&absent).contains("refused"), "{}", stderr(&absent));
}

#[test]
fn the_workers_own_settings_say_where_it_answers() {
    let (port, asked) = worker("HTTP/1.1 200 OK\r\n\r\n");
    for host in ["127.0.0.1", "0.0.0.0", "localhost"] {
        let mut command = program(here(), &["probe", "--live"]);
        let output = command.env("SERVER_HOST", host).env("SERVER_PORT", port.to_string()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{host}: {}", stderr(&output));
        asked.recv().unwrap();
    }
}

#[test]
fn a_question_that_makes_no_sense_is_told_before_it_is_asked() {
    for (variable, value, told) in [
        ("SERVER_PORT", "0", "server.port is 0"),
        ("MONITORING_ENABLED", "false", "monitoring.enabled is false"),
        ("SERVER_PORT", "x", "server.port: expected an integer"),
    ] {
        let output = program(here(), &["probe", "--live"]).env(variable, value).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{value}");
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
    let wrong = run(here(), &["probe", "--live", "--url", "127.0.0.1:8080"]);
    assert_eq!(wrong.status.code(), Some(78));
    for arguments in [&["probe"][..], &["probe", "--live", "--ready"]] {
        assert_eq!(run(here(), arguments).status.code(), Some(2), "{arguments:?}");
    }
}
