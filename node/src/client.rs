//! Asks a running node over its API.

use crate::api::Problem;
use crate::data::{self, API_ADDRESS, TOKEN};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use ureq::http::StatusCode;
use ureq::{Agent, Body, SendBody};

/// Where a node's API is when nobody says.
pub const API_DEFAULT: &str = "127.0.0.1:7330";
/// A node on this machine answers at once; a busy ledger takes a second or two.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Reaching a listener takes a round trip.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer in bytes: 10,000 entries of a listing, or a block of 3 MB in hex.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Why a node's answer is not there.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nobody answers.
    #[error("no node answers at {base}: {what}; start one with `polypeer run`, or name its API with --api")]
    NoNode {
        /// Where.
        base: String,
        /// Why.
        what: String,
    },
    /// It answered with a problem.
    #[error("{0}")]
    Problem(String, Box<Problem>),
    /// It answered something else.
    #[error("{base} answers what no node would: {what}")]
    NotANode {
        /// Where.
        base: String,
        /// What is odd.
        what: String,
    },
    /// Acting needs the token.
    #[error("no token: {0}; name the node's data folder with --data-dir, or the file with --token-file")]
    NoToken(String),
}

/// A node's API.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    base: String,
    token: Result<String, String>,
}

/// Where to find a node and its token.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The API's address.
    pub api: Option<String>,
    /// The data folder.
    pub data_dir: Option<PathBuf>,
    /// The file with the token.
    pub token_file: Option<PathBuf>,
}

impl Client {
    /// The node at that place. Nothing is asked yet.
    pub fn new(place: &Place) -> Self {
        let folder = place.data_dir.clone().or_else(|| data::default_folder().ok());
        let named = || read_line(&folder.as_ref()?.join(API_ADDRESS)).ok();
        let address = place.api.clone().or_else(named).unwrap_or_else(|| API_DEFAULT.to_owned());
        let address = address.trim_end_matches('/');
        let base = if address.starts_with("http://") { address.to_owned() } else { format!("http://{address}") };
        let file = place.token_file.clone().or_else(|| Some(folder?.join(TOKEN)));
        let token = file
            .ok_or_else(|| "no data folder".to_owned())
            .and_then(|file| read_line(&file).map_err(|error| format!("cannot read {}: {error}", file.display())));
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build()
            .new_agent();
        Self { agent, base, token }
    }

    /// Where the API is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Reads a document.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        self.get_page(path).map(|(document, _)| document)
    }

    /// Reads a listing to its end, page after page.
    pub fn get_all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, AskError> {
        let (mut all, mut next) = self.get_page::<Vec<T>>(path)?;
        while let Some(path) = next {
            let (more, after) = self.get_page::<Vec<T>>(&path)?;
            // A page without entries would go on for ever.
            next = after.filter(|_| !more.is_empty());
            all.extend(more);
        }
        Ok(all)
    }

    /// Sends a document.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, AskError> {
        let request = self.agent.post(self.url(path)).header("authorization", self.bearer()?);
        self.read(request.send_json(body))
    }

    /// Acts; the answer says nothing more.
    pub fn act(&self, method: &str, path: &str, body: Option<&impl Serialize>) -> Result<(), AskError> {
        let body = body.map(serde_json::to_vec).transpose().map_err(|error| self.odd(error))?.unwrap_or_default();
        let request = ureq::http::Request::builder().method(method).uri(self.url(path));
        let request = request.header("authorization", self.bearer()?).header("content-type", "application/json");
        let request = request.body(SendBody::from_owned_reader(std::io::Cursor::new(body)));
        let answer = self.agent.run(request.map_err(|error| self.odd(error))?);
        self.check(answer).map(drop)
    }

    /// Opens the stream of events.
    pub fn stream(&self, path: &str) -> Result<BufReader<impl Read + use<>>, AskError> {
        let request = self.agent.get(self.url(path)).config().timeout_global(None).build();
        let answer = self.check(request.call())?;
        Ok(BufReader::new(answer.into_body().into_reader()))
    }

    fn get_page<T: DeserializeOwned>(&self, path: &str) -> Result<(T, Option<String>), AskError> {
        let answer = self.check(self.agent.get(self.url(path)).call())?;
        let link = answer.headers().get("link").and_then(|link| link.to_str().ok()).and_then(next_page);
        Ok((self.parse(answer)?, link))
    }

    fn read<T: DeserializeOwned>(
        &self,
        answer: Result<ureq::http::Response<Body>, ureq::Error>,
    ) -> Result<T, AskError> {
        let answer = self.check(answer)?;
        self.parse(answer)
    }

    fn parse<T: DeserializeOwned>(&self, mut answer: ureq::http::Response<Body>) -> Result<T, AskError> {
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        body.read_json().map_err(|error| self.odd(error))
    }

    fn check(
        &self,
        answer: Result<ureq::http::Response<Body>, ureq::Error>,
    ) -> Result<ureq::http::Response<Body>, AskError> {
        let answer = answer.map_err(|error| AskError::NoNode { base: self.base.clone(), what: error.to_string() })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let problem = self.parse::<Problem>(answer).map_err(|_| self.odd(format!("status {status}")))?;
        let text = match status {
            StatusCode::UNAUTHORIZED => {
                format!("{} does not take this token; name its data folder with --data-dir", self.base)
            }
            _ => problem.detail.clone(),
        };
        Err(AskError::Problem(text, Box::new(problem)))
    }

    fn bearer(&self) -> Result<String, AskError> {
        let token = self.token.as_ref().map_err(|why| AskError::NoToken(why.clone()))?;
        Ok(format!("Bearer {token}"))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn odd(&self, what: impl ToString) -> AskError {
        AskError::NotANode { base: self.base.clone(), what: what.to_string() }
    }
}

fn next_page(link: &str) -> Option<String> {
    let (path, rest) = link.strip_prefix('<')?.split_once('>')?;
    (rest.contains("rel=\"next\"") && path.starts_with('/')).then(|| path.to_owned())
}

fn read_line(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    // A token or an address; what is longer is neither.
    std::fs::File::open(path)?.take(1024).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}
