//! Claims about what is on the screen.

use std::time::Duration;

use ratatui::{Terminal, backend::TestBackend, style::Color};

use super::*;
use crate::{
    said,
    view::browser::Key,
    wire::{Health, Snapshot},
};

fn at(second: u64) -> Moment {
    Duration::from_secs(second)
}

/// A pool of one worker for each of `healths`, heard at second 0.
fn watch(healths: &[Health]) -> Watch {
    let mut watch = Watch::new("nats://broker:4222".into(), "policy".into(), "*".into());
    watch.broker.found();
    for health in healths {
        watch.pool.hear_health(&said::health_body(health), at(0));
    }
    watch
}

fn drawn(watch: &Watch, (width, height): (u16, u16), now: Moment) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, watch, now)).unwrap();
    terminal
}

/// The screen's lines.
fn lines(watch: &Watch, size: (u16, u16), now: Moment) -> Vec<String> {
    let terminal = drawn(watch, size, now);
    let cells: Vec<_> = terminal.backend().buffer().content.iter().map(|c| c.symbol()).collect();
    cells.chunks(size.0.into()).map(|line| line.concat().trim_end().to_owned()).collect()
}

fn text(watch: &Watch, size: (u16, u16), now: Moment) -> String {
    lines(watch, size, now).join("\n")
}

/// The colour of the first character of `word`.
fn colour(watch: &Watch, word: &str, now: Moment) -> Color {
    let (width, height) = (120, 10);
    let terminal = drawn(watch, (width, height), now);
    for (y, line) in lines(watch, (width, height), now).iter().enumerate().skip(2) {
        if let Some(bytes) = line.find(word) {
            let x = line[..bytes].chars().count();
            return terminal.backend().buffer()[(x as u16, y as u16)].fg;
        }
    }
    panic!("{word} is not on the screen")
}

fn press(watch: &mut Watch, keys: &[Key]) {
    for key in keys {
        assert!(!watch.browser.press(*key, &watch.pool, at(0)));
    }
}

#[test]
fn a_wide_screen_shows_every_column_of_a_worker() {
    let mut watch = watch(&[said::health("9e4aedac")]);
    for (cpu, second) in [(1.0, 0), (3.0, 5)] {
        let body = said::snapshot_body(&said::snapshot("9e4aedac", cpu));
        watch.pool.hear_metrics(&body, at(second));
    }
    let lines = lines(&watch, (200, 10), at(5));
    for column in Column::ALL {
        assert!(lines[2].contains(column.title()), "{}", lines[2]);
    }
    let row = &lines[3];
    let figures = ["ready", "lane-keeping", "0.1.0", "9e4aedac", "sim-1", "1234", "0.5", "0.21"];
    let further = ["1.62", "12/4096", "19%", "40%", "128M", "3h04m", "█"];
    for figure in figures.into_iter().chain(further) {
        assert!(row.contains(figure), "{figure}: {row}");
    }
}

#[test]
fn eighty_by_twenty_four_shows_who_how_fast_what_is_wrong_and_the_curve() {
    let watch = watch(&[said::health("9e4aedac")]);
    let lines = lines(&watch, (80, 24), at(0));
    for title in ["STATE", "MODEL", "WORKER", "REQ/S", "ERR/S", "P99 MS", "QUEUE"] {
        assert!(lines[2].contains(title), "{}", lines[2]);
    }
    assert!(lines[3].contains("12/4096") && lines[3].contains('█'), "{}", lines[3]);
    assert!(lines[23].contains("q quit"), "{}", lines[23]);
}

#[test]
fn no_size_of_the_terminal_breaks_the_screen() {
    let mut watch = watch(&[said::health("a"), said::health("b")]);
    press(&mut watch, &[Key::Enter]);
    for width in (1..30).chain([79, 80, 81, 300]) {
        for height in (1..30).chain([60]) {
            lines(&watch, (width, height), at(0));
        }
    }
}

#[test]
fn the_head_sums_the_pool_up() {
    let mut watch = watch(&[
        Health { rate: 100.0, ..said::health("a") },
        Health { rate: 50.0, state: State::Saturated, ..said::health("b") },
    ]);
    watch.pool.hear_metrics(b"?", at(0));
    let lines = lines(&watch, (100, 10), at(0));
    let first = "all models of policy at nats://broker:4222; 1 messages not understood";
    let second = "150 requests/s, 1.0 errors/s, 2 workers: 1 saturated, 1 ready";
    assert_eq!((lines[0].as_str(), lines[1].as_str()), (first, second));
}

#[test]
fn a_lost_broker_is_told_in_the_head_and_the_last_figures_stay() {
    let mut watch = watch(&[said::health("a")]);
    watch.broker.lost(at(2));
    let lines = lines(&watch, (100, 10), at(5));
    assert!(lines[0].ends_with("nats://broker:4222 lost 3 s ago, looking for it"), "{}", lines[0]);
    assert!(lines[3].contains("1234"), "{}", lines[3]);
}

#[test]
fn gone_and_stopped_workers_are_grey_and_their_figures_no_longer_shown() {
    let stopped = Health { state: State::Stopped, ..said::health("told") };
    let watch = watch(&[said::health("silent"), stopped]);
    assert_eq!(colour(&watch, "silent", at(9)), Color::Reset);
    assert_eq!(colour(&watch, "told", at(0)), Color::DarkGray);
    assert_eq!(colour(&watch, "silent", at(10)), Color::DarkGray);
    let lines = lines(&watch, (120, 10), at(10));
    assert!(lines[3].contains("gone") && !lines[3].contains("1234"), "{}", lines[3]);
    assert!(lines[4].contains("stopped"), "{}", lines[4]);
}

#[test]
fn the_sorted_column_is_marked_with_its_direction() {
    let mut watch = watch(&[said::health("a")]);
    let head = |watch: &Watch| lines(watch, (120, 10), at(0))[2].clone();
    assert!(head(&watch).contains("WORKER▲"), "{}", head(&watch));
    press(&mut watch, &[Key::Character('s'), Key::Character('s')]);
    assert!(head(&watch).contains("REQ/S▼"), "{}", head(&watch));
    press(&mut watch, &[Key::Character('r')]);
    assert!(head(&watch).contains("REQ/S▲"), "{}", head(&watch));
}

#[test]
fn the_selected_row_is_marked_and_stays_in_sight_of_a_long_table() {
    let healths: Vec<_> = (0..50).map(|i| said::health(&format!("w{i:02}"))).collect();
    let mut watch = watch(&healths);
    press(&mut watch, &[Key::End]);
    let lines = lines(&watch, (80, 12), at(0));
    let marked: Vec<_> = lines.iter().filter(|line| line.starts_with(MARK)).collect();
    assert!(marked.len() == 1 && marked[0].contains("w49"), "{lines:#?}");
}

#[test]
fn the_pane_tells_what_the_table_has_no_room_for() {
    let health = Health {
        state: State::Degraded,
        reasons: vec!["the broker was lost twice".into(), "slow".into()],
        ..said::health("a")
    };
    let mut watch = watch(&[health]);
    watch.pool.hear_metrics(&said::snapshot_body(&said::snapshot("a", 1.0)), at(0));
    assert!(!text(&watch, (80, 24), at(0)).contains("outcomes"));
    press(&mut watch, &[Key::Character(' ')]);
    for (size, further) in [((80, 24), ""), ((120, 24), "boot b0071d, 0 restarts"), ((200, 50), "")]
    {
        let text = text(&watch, size, at(1));
        for told in [
            "a of lane-keeping",
            "degraded, heard 1 s ago: the broker was lost twice; slow",
            "weights 9d1914cf, cpu float32",
            "127.0.0.1:8080",
            "broker-1, there and back 0.15 ms, 2 reconnects, 7 messages dropped",
            "12 of 4096 rows in 3 requests",
            "mean 12.2 rows, 19% full, p50 8, p90 16, p99 32, max 64",
            "ok 5 000, overloaded 12",
            "p99 ms, 0 to 1.62",
            further,
        ] {
            assert!(text.contains(told), "{told}:\n{text}");
        }
        assert!(!text.contains("internal"), "what never happened takes no room");
    }
}

#[test]
fn an_empty_table_says_why() {
    let mut watch = watch(&[]);
    assert!(text(&watch, (100, 10), at(0)).contains("no worker heard yet"));
    watch.pool.hear_health(&said::health_body(&said::health("a")), at(0));
    press(&mut watch, &[Key::Character('/'), Key::Character('z')]);
    let text = text(&watch, (100, 10), at(0));
    assert!(text.contains("no worker passes the filter") && text.contains("filter: z_"), "{text}");
}

#[test]
fn what_a_publisher_writes_cannot_steer_the_terminal() {
    let odd = "\x1b[31m\n\u{7}";
    let health = Health { reasons: vec![odd.into()], host: odd.into(), ..said::health(odd) };
    let snapshot = Snapshot {
        counters: [(format!("carla_rl_requests_total{{outcome=\"{odd}\"}}"), 1.0)].into(),
        ..said::snapshot(odd, 1.0)
    };
    let mut watch = watch(&[health]);
    watch.pool.hear_metrics(&said::snapshot_body(&snapshot), at(0));
    press(&mut watch, &[Key::Enter]);
    let text = text(&watch, (200, 50), at(0));
    assert!(text.contains("\u{fffd}[31m") && !text.contains('\x1b'), "{text}");
}
