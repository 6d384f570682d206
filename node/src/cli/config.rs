//! Shows, checks and describes the configuration.

use super::args::Config as Act;
use super::exit::Failure;
use super::{put, put_json, put_line};
use crate::as_map;
use crate::config::{self, Config, Section};
use serde_json::{Map, Value as Json, json};
use std::fmt::Write;
use std::path::Path;

/// `polypeer config`.
pub(super) fn config(act: &Act, json: bool) -> Result<(), Failure> {
    match act {
        Act::Show { origin, network, config } => show(&load(config.as_deref())?, network.as_deref(), *origin, json),
        Act::Check { config, file } => {
            check(&load(config.as_deref().or(file.as_deref()))?)?;
            if json { put_json(&json!({ "ok": true })) } else { put_line("the configuration is good") }
        }
        Act::Schema => {
            let schema =
                serde_json::to_string_pretty(&config::schema()).map_err(|error| Failure::new(error.to_string()))?;
            put_line(&schema)
        }
    }
}

fn load(file: Option<&Path>) -> Result<Config, Failure> {
    Ok(Config::load(file, crate::config::process_environment(), &[])?)
}

// What a start would refuse beside the configuration itself: the file that it names and a start reads.
fn check(config: &Config) -> Result<(), Failure> {
    let Some(path) = config.limits.text("asmap") else { return Ok(()) };
    as_map::read(path.as_ref()).map(drop).map_err(|error| Failure::new(error.to_string()))
}

fn show(config: &Config, network: Option<&str>, origin: bool, json: bool) -> Result<(), Failure> {
    let only = network.map(|name| config.network(name)).transpose()?.map(|network| &network.section);
    let sections: Vec<&Section> = match only {
        Some(section) => vec![section],
        None => config.sections().collect(),
    };
    if json {
        let all: Map<String, Json> =
            sections.iter().map(|section| (section.name.clone(), as_json(section, origin))).collect();
        return put_json(&all);
    }
    let mut text = String::new();
    for section in sections {
        // Writing to a string never fails.
        let _ = writeln!(text, "[{}]", section.name);
        for key in &section.keys {
            let _ = match section.get(key.name) {
                Some(setting) if origin => {
                    writeln!(text, "{} = {} # {}", key.name, setting.value.to_toml(), setting.origin)
                }
                Some(setting) => writeln!(text, "{} = {}", key.name, setting.value.to_toml()),
                None if origin => writeln!(text, "# {} is unset", key.name),
                None => Ok(()),
            };
        }
        text.push('\n');
    }
    put(text.trim_end().as_bytes())?;
    put(b"\n")
}

fn as_json(section: &Section, origin: bool) -> Json {
    let value = |key: &str| match section.get(key) {
        Some(setting) if origin => json!({ "value": setting.value.to_toml(), "origin": setting.origin.to_string() }),
        Some(setting) => json!(setting.value.to_toml()),
        None => Json::Null,
    };
    section.keys.iter().map(|key| (key.name.to_owned(), value(key.name))).collect::<Map<_, _>>().into()
}
