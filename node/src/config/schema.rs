//! Describes the configuration as a JSON Schema, for editors and checkers.

use super::{Key, Kind, LIMITS, NODE, TRACKER, network_keys};
use crate::networks;
use serde_json::{Map, Value as Json, json};

/// The schema of the configuration file.
pub fn schema() -> Json {
    let mut sections = Map::new();
    sections.insert("node".into(), section(&[NODE], &[]));
    sections.insert("limits".into(), section(&[LIMITS], &[]));
    sections.insert("tracker".into(), section(&[TRACKER], &[]));
    for (entry, preset) in networks::presets() {
        sections.insert(preset.name.into(), section(&network_keys(entry, &[]), &[]));
    }
    let own: Vec<Json> = networks::ENTRIES.iter().map(own_network).collect();
    sections.insert("networks".into(), json!({ "type": "object", "additionalProperties": { "oneOf": own } }));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Polypeer's configuration",
        "type": "object",
        "properties": sections,
        "additionalProperties": false,
    })
}

fn own_network(entry: &networks::Entry) -> Json {
    let mut schema = section(&network_keys(entry, entry.own_keys), &["protocol"]);
    schema["properties"]["protocol"] = json!({ "const": entry.protocol });
    schema
}

fn section(keys: &[&'static [Key]], required: &[&str]) -> Json {
    let property = |key: &Key| (key.name.to_owned(), property(key));
    let properties: Map<String, Json> = keys.iter().copied().flatten().map(property).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn property(key: &Key) -> Json {
    let mut schema = match key.kind {
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Span => json!({ "type": "string", "pattern": "^[0-9]+ ?[a-z]+( ?[0-9]+ ?[a-z]+)*$" }),
        Kind::Targets | Kind::Names => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Text(max) => json!({ "type": "string", "maxLength": max }),
        Kind::Compact => json!({ "type": ["string", "integer"] }),
        Kind::Accounts => json!({ "type": ["object", "array"] }),
        Kind::Socket | Kind::Listen | Kind::Path => json!({ "type": "string" }),
    };
    schema["description"] = json!(key.doc);
    if let Some(default) = key.default.and_then(|text| key.kind.parse(text).ok()) {
        schema["default"] = json!(default.to_toml());
    }
    schema
}
