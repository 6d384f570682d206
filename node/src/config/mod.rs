//! Reads the configuration: one table of keys, five layers, and where each value came from.
//!
//! ```text
//! command line  >  POLYPEER_SECTION__KEY  >  file  >  the network's preset  >  default
//! ```

mod environment;
mod error;
mod file;
mod key;
mod schema;
mod section;
mod sections;

pub use environment::process_environment;
pub use error::{ConfigError, nearest};
pub use key::{Key, Kind, Value, target};
pub use schema::schema;
pub use section::{Origin, Section, Setting};
pub use sections::{LIMITS, NETWORK, NODE, TRACKER};

use crate::networks::{self, Entry};
use std::collections::BTreeMap;
use std::path::Path;

/// A value that the command line gives.
#[derive(Clone, Debug)]
pub struct Given {
    /// The section as the file names it.
    pub section: String,
    /// The key.
    pub key: &'static str,
    /// The value, as text.
    pub text: String,
    /// The flag, for the origin.
    pub flag: &'static str,
}

/// The whole configuration, merged and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[node]`.
    pub node: Section,
    /// `[limits]`.
    pub limits: Section,
    /// `[tracker]`.
    pub tracker: Section,
    /// Every built-in network, then the own ones, by name.
    pub networks: BTreeMap<String, NetworkSection>,
}

/// One network's section.
#[derive(Clone, Debug)]
pub struct NetworkSection {
    /// What runs it.
    pub entry: &'static Entry,
    /// Whether it is one of the operator's own.
    pub is_own: bool,
    /// Its values.
    pub section: Section,
}

impl Config {
    /// Reads all layers. `environment` are the process's variables, handed in so that tests need not set their own.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        given: &[Given],
    ) -> Result<Self, ConfigError> {
        let file = file.map(file::read).transpose()?.unwrap_or_default();
        Self::merge(file, &environment::read(environment), given)
    }

    /// Reads text that stands, or could stand, in the file `path`, and nothing else.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        Self::merge(file::parse(path, text)?, &environment::read([]), &[])
    }

    fn merge(file: file::File, variables: &[environment::Variable], given: &[Given]) -> Result<Self, ConfigError> {
        let mut config = Self::defaults();
        config.name_own_networks(&file, variables)?;
        config.apply_file(file)?;
        config.apply_environment(variables)?;
        for given in given {
            let origin = Origin::CommandLine(given.flag);
            if !matches!(given.section.as_str(), "node" | "limits" | "tracker") {
                config.network(&given.section)?;
            }
            config.section_mut(&given.section, &origin)?.set_text(given.key, &given.text, origin)?;
        }
        for (name, network) in config.networks.iter().filter(|(_, network)| network.is_own) {
            let wrong = |what| ConfigError::Network { name: name.clone(), what: format!("{what:#}") };
            (network.entry.check)(name, network).map_err(wrong)?;
        }
        Ok(config)
    }

    /// The configuration of a node that was told nothing.
    pub fn defaults() -> Self {
        let networks = networks::presets().map(|(entry, preset)| {
            let mut section = Section::new(preset.name.to_owned(), &network_keys(entry, &[]));
            section.preset(preset);
            (preset.name.to_owned(), NetworkSection { entry, is_own: false, section })
        });
        Self {
            node: Section::new("node".into(), &[NODE]),
            limits: Section::new("limits".into(), &[LIMITS]),
            tracker: Section::new("tracker".into(), &[TRACKER]),
            networks: networks.collect(),
        }
    }

    /// The section of a network that someone asked for.
    pub fn network(&self, name: &str) -> Result<&NetworkSection, ConfigError> {
        self.networks.get(name).ok_or_else(|| {
            let hint = match nearest(name, self.networks.keys().map(String::as_str)) {
                hint if hint.is_empty() => {
                    format!("; there are {}", self.networks.keys().cloned().collect::<Vec<_>>().join(", "))
                }
                hint => hint,
            };
            ConfigError::UnknownNetwork { name: name.to_owned(), hint }
        })
    }

    /// Every section, in the order that people read them.
    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        [&self.node, &self.limits, &self.tracker].into_iter().chain(self.networks.values().map(|own| &own.section))
    }

    fn section_mut(&mut self, name: &str, origin: &Origin) -> Result<&mut Section, ConfigError> {
        let bare = name.strip_prefix("networks.").unwrap_or(name);
        let known: Vec<String> = self.sections().map(|section| section.name.clone()).collect();
        match name {
            "node" => Ok(&mut self.node),
            "limits" => Ok(&mut self.limits),
            "tracker" => Ok(&mut self.tracker),
            _ => self.networks.get_mut(bare).map(|network| &mut network.section).ok_or_else(|| {
                let hint = nearest(name, known.iter().map(String::as_str));
                ConfigError::UnknownSection { origin: origin.clone(), section: name.to_owned(), hint }
            }),
        }
    }

    // Own networks first: their protocol decides which keys their section has.
    fn name_own_networks(&mut self, file: &file::File, variables: &[environment::Variable]) -> Result<(), ConfigError> {
        let mut protocols: BTreeMap<String, Option<String>> = BTreeMap::new();
        for line in &file.lines {
            let Some(name) = line.section.strip_prefix("networks.") else { continue };
            let protocol = protocols.entry(name.to_owned()).or_default();
            if line.key == "protocol" {
                *protocol = line.value.as_str().map(str::to_owned);
            }
        }
        for name in file.sections.keys().filter_map(|section| section.strip_prefix("networks.")) {
            protocols.entry(name.to_owned()).or_default();
        }
        for variable in variables {
            let Some(upper) = variable.section.strip_prefix("NETWORKS__") else { continue };
            let name = protocols.keys().find(|name| environment::upper(name) == upper).cloned();
            let name = name.unwrap_or_else(|| upper.to_ascii_lowercase().replace('_', "-"));
            let protocol = protocols.entry(name).or_default();
            if variable.key == "PROTOCOL" {
                *protocol = Some(variable.value.clone());
            }
        }
        for (name, protocol) in protocols {
            self.add_own_network(name, protocol)?;
        }
        Ok(())
    }

    fn add_own_network(&mut self, name: String, protocol: Option<String>) -> Result<(), ConfigError> {
        let wrong = |what: String| ConfigError::Network { name: name.clone(), what };
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(is_name) || name.contains("__") {
            return Err(wrong("a network's name is 1 to 32 of a-z, 0-9, `-` and single `_`".into()));
        }
        let same = |other: &String| environment::upper(other) == environment::upper(&name);
        if let Some(other) = self.networks.keys().find(|other| same(other)) {
            return Err(wrong(format!("its name cannot be told from that of the network `{other}`")));
        }
        let known = || networks::ENTRIES.iter().map(|entry| entry.protocol);
        let Some(protocol) = protocol else {
            let list = known().collect::<Vec<_>>().join(", ");
            return Err(wrong(format!("`protocol` is missing; it is one of {list}")));
        };
        let Some(entry) = networks::ENTRIES.iter().find(|entry| entry.protocol == protocol) else {
            let list = known().collect::<Vec<_>>().join(", ");
            return Err(wrong(format!("unknown protocol `{protocol}`; it is one of {list}")));
        };
        let section = Section::new(format!("networks.{name}"), &network_keys(entry, entry.own_keys));
        self.networks.insert(name, NetworkSection { entry, is_own: true, section });
        Ok(())
    }

    fn apply_file(&mut self, file: file::File) -> Result<(), ConfigError> {
        for (name, origin) in &file.sections {
            self.section_mut(name, origin)?;
        }
        for line in file.lines {
            self.section_mut(&line.section, &line.origin)?.set(&line.key, line.value, line.origin)?;
        }
        Ok(())
    }

    fn apply_environment(&mut self, variables: &[environment::Variable]) -> Result<(), ConfigError> {
        for variable in variables {
            let origin = Origin::Environment(variable.name.clone());
            let upper: Vec<(String, String)> =
                self.sections().map(|section| (environment::upper(&section.name), section.name.clone())).collect();
            let Some((_, name)) = upper.iter().find(|(upper, _)| *upper == variable.section) else {
                let hint = nearest(&variable.section, upper.iter().map(|(upper, _)| upper.as_str()));
                return Err(ConfigError::UnknownSection { origin, section: variable.section.clone(), hint });
            };
            let section = self.section_mut(&name.clone(), &origin)?;
            section.set_text(&variable.key.to_ascii_lowercase(), &variable.value, origin)?;
        }
        Ok(())
    }
}

/// The keys of a network's section, those that every network has first.
fn network_keys(entry: &Entry, own: &'static [Key]) -> Vec<&'static [Key]> {
    [NETWORK].into_iter().chain(entry.keys.iter().copied()).chain([own]).collect()
}

#[cfg(test)]
mod tests;
