//! What operators copy must work: the example configurations and the first bridge of the README, walked with the real
//! `talkbridge`. Off the data path; opens no port.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use client::UnitConfig;

const TALKBRIDGE: &str = env!("CARGO_BIN_EXE_talkbridge");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The fenced blocks of a page in one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).expect(page);
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// Runs lines of a shell in a folder, with `talkbridge` on the path.
fn shell(folder: &Path, lines: &str) {
    fs::create_dir_all(folder).expect("a scratch folder");
    let mut path = std::ffi::OsString::from(Path::new(TALKBRIDGE).parent().expect("a file in a folder"));
    path.push(":/usr/local/bin:/usr/bin:/bin");
    let output = Command::new("sh").args(["-euc", lines]).current_dir(folder).env("PATH", path).output().expect("sh");
    assert!(output.status.success(), "{lines}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn check(config: &Path) -> Output {
    Command::new(TALKBRIDGE).arg("check").arg("--config").arg(config).output().expect("talkbridge")
}

/// What `check` explains about a file that it accepts without a warning.
fn explained(config: &Path) -> String {
    let output = check(config);
    let (out, err) = (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned());
    assert_eq!(output.status.code(), Some(0), "{}: {err}", config.display());
    assert_eq!(err, "", "{}", config.display());
    out
}

fn files(folder: &Path, start: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("its entry").path()).collect();
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(start) && name.ends_with(".toml")
    });
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a folder")).expect("a scratch folder");
    fs::copy(from, to).unwrap_or_else(|why| panic!("{}: {why}", from.display()));
}

#[test]
fn the_examples_pass_check_with_the_certificates_their_readme_makes() {
    let scratch = tempfile::tempdir().unwrap();
    for file in files(&root().join("configs"), "") {
        copy(&file, &scratch.path().join(file.file_name().unwrap()));
    }
    shell(scratch.path(), blocks("configs/README.md", "sh").first().expect("a block that makes the certificates"));
    let gateways = files(scratch.path(), "gateway-");
    assert_eq!(gateways.len(), 3, "{gateways:?}");
    for (code, agreements, onward) in [
        ("nl", vec!["EMR-2026-01", "EMR-2026-02"], vec!["de", "be"]),
        ("be", vec!["EMR-2026-01"], vec!["de"]),
        ("de", vec!["EMR-2026-02"], vec!["be"]),
    ] {
        let explained = explained(&scratch.path().join(format!("gateway-{code}.toml")));
        assert!(agreements.iter().all(|agreement| explained.contains(agreement)), "{code}: {explained}");
        let passed_on: Vec<&str> =
            explained.lines().filter(|line| line.contains("passed on to")).filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(passed_on, onward, "{code}");
    }
    let units = files(scratch.path(), "unit-");
    assert_eq!(units.len(), 3, "{units:?}");
    for unit in units {
        UnitConfig::load(&unit).unwrap_or_else(|why| panic!("{why}"));
    }
}

#[test]
fn the_first_bridge_of_the_readme_passes_check_on_both_sides() {
    let scratch = tempfile::tempdir().unwrap();
    let (commands, configs) = (blocks("README.md", "sh"), blocks("README.md", "toml"));
    let [nl_commands, be_commands] = commands.as_slice() else { panic!("{} blocks of commands", commands.len()) };
    let [nl_config, be_config, unit_config] = configs.as_slice() else { panic!("{} configurations", configs.len()) };
    let sides = [("nl", nl_commands, nl_config), ("be", be_commands, be_config)];
    for (side, commands, _) in sides {
        shell(&scratch.path().join("office").join(side), commands);
    }
    for (side, _, config) in sides {
        let folder = scratch.path().join("gateway").join(side);
        let office = |side: &str| scratch.path().join("office").join(side);
        for file in ["gw-1.pem", "gw-1.key"] {
            copy(&office(side).join("gateway").join(file), &folder.join(file));
        }
        for authority in ["nl", "be"] {
            for file in ["root.pem", "revoked.pem"] {
                copy(&office(authority).join("authority").join(file), &folder.join(authority).join(file));
            }
        }
        fs::write(folder.join("gateway.toml"), config).unwrap();
        assert!(explained(&folder.join("gateway.toml")).contains("EMR-2026-01"), "{side}");
    }
    let unit = scratch.path().join("unit");
    for file in ["units/maas-12.pem", "units/maas-12.key", "authority/root.pem"] {
        let from = scratch.path().join("office/nl").join(file);
        copy(&from, &unit.join(from.file_name().unwrap()));
    }
    fs::write(unit.join("unit.toml"), unit_config).unwrap();
    UnitConfig::load(&unit.join("unit.toml")).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn an_example_without_its_certificates_is_refused_by_name() {
    let scratch = tempfile::tempdir().unwrap();
    let copied = scratch.path().join("gateway-nl.toml");
    copy(&root().join("configs/gateway-nl.toml"), &copied);
    let output = check(&copied);
    assert_eq!(output.status.code(), Some(2));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("gateway-nl.toml:") && err.contains("does not exist") && err.lines().count() == 1, "{err}");
}
