//! Reads the environment: `POLYPEER_SECTION__KEY`, upper case, `-` written `_`.

/// One variable that is meant for the configuration.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    /// Its whole name.
    pub(super) name: String,
    /// The section in upper case; `NETWORKS__NAME` for an own network.
    pub(super) section: String,
    /// The key in upper case.
    pub(super) key: String,
    /// The value.
    pub(super) value: String,
}

/// The variables that are meant for the configuration, by name. One without a section, such as `POLYPEER_LOG_DIR`, is
/// somebody else's.
pub(super) fn read(environment: impl IntoIterator<Item = (String, String)>) -> Vec<Variable> {
    let mut variables: Vec<Variable> = environment.into_iter().filter_map(variable).collect();
    variables.sort_by(|a, b| a.name.cmp(&b.name));
    variables
}

fn variable((name, value): (String, String)) -> Option<Variable> {
    let (section, key) = name.strip_prefix("POLYPEER_")?.rsplit_once("__")?;
    let (section, key) = (section.to_owned(), key.to_owned());
    Some(Variable { name, section, key, value })
}

/// A section's name as a variable has it.
pub(super) fn upper(section: &str) -> String {
    section.replacen('.', "__", 1).replace('-', "_").to_ascii_uppercase()
}

/// The process's own variables; one that is not Unicode cannot be meant.
pub fn process_environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
