//! `config print`: every setting at its default, with its comment, as TOML that loads to the same.
//!
//! Nothing is written twice: the comments are the doc comments of the settings (by their JSON schema), the values
//! are the defaults, serialised.

use std::fmt::Write;

use schemars::generate::SchemaSettings;
use serde_json::Value as Json;

use super::Config;

/// The complete default configuration.
pub fn defaults() -> String {
    let schema = SchemaSettings::draft2020_12()
        .with(|s| s.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<Config>();
    let values = serde_json::to_value(Config::default()).expect("settings are plain data");
    let mut out = String::from("# The Meshlive gateway: every setting at its default.\n");
    table(&mut out, "", schema.as_value(), &values);
    out
}

/// The plain keys of a table, then its sub-tables.
fn table(out: &mut String, path: &str, schema: &Json, values: &Json) {
    let properties = || schema["properties"].as_object().into_iter().flatten();
    let is_table = |key: &String| values[key].is_object();
    for (key, property) in properties().filter(|(key, _)| !is_table(key)) {
        out.push('\n');
        comment(out, property);
        let value = toml::Value::try_from(&values[key]).expect("no setting is without a value");
        writeln!(out, "{key} = {value}").expect("strings take all");
    }
    for (key, property) in properties().filter(|(key, _)| is_table(key)) {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        out.push('\n');
        comment(out, property);
        writeln!(out, "[{path}]").expect("strings take all");
        table(out, &path, property, &values[key]);
    }
}

fn comment(out: &mut String, property: &Json) {
    for line in property["description"].as_str().unwrap_or("").lines() {
        writeln!(out, "# {line}").expect("strings take all");
    }
}
