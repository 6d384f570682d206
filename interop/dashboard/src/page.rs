//! Looks at a page and uses it, in a browser.

use crate::browser::Browser;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value as Json, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// A pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Loads the page.
pub(crate) async fn open(browser: &mut Browser, url: &str) -> Result<()> {
    let opened = browser.call("Page.navigate", json!({ "url": url })).await?;
    ensure!(opened.get("errorText").is_none(), "{url}: {}", opened["errorText"]);
    Ok(())
}

/// What an expression of the page's own language gives. Promises are waited for.
pub(crate) async fn evaluate(browser: &mut Browser, expression: &str) -> Result<Json> {
    let parameters =
        json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
    let answer = browser.call("Runtime.evaluate", parameters).await?;
    ensure!(answer.get("exceptionDetails").is_none(), "{expression}: {}", answer["exceptionDetails"]);
    Ok(answer["result"]["value"].clone())
}

/// Looks again and again until the expression is true.
pub(crate) async fn until(browser: &mut Browser, what: &str, expression: &str) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while evaluate(browser, expression).await? != json!(true) {
        if Instant::now() > end {
            let text = evaluate(browser, "document.body.innerText.slice(0, 3000)").await?;
            bail!("never: {what}\n{}\ncomplaints: {:?}", text.as_str().unwrap_or_default(), browser.complaints);
        }
        sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// The number that an expression gives.
pub(crate) async fn number(browser: &mut Browser, expression: &str) -> Result<i64> {
    evaluate(browser, expression).await?.as_i64().with_context(|| format!("{expression} is no number"))
}

/// Makes the page so wide, as a phone or as a screen, in this colour scheme.
pub(crate) async fn resize(browser: &mut Browser, width: u32, scheme: &str) -> Result<()> {
    let height = if width < 600 { 844 } else { 900 };
    let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
    browser.call("Emulation.setDeviceMetricsOverride", size).await?;
    let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
    browser.call("Emulation.setEmulatedMedia", scheme).await?;
    Ok(())
}

/// Writes a picture of the whole page.
pub(crate) async fn picture(browser: &mut Browser, file: &Path) -> Result<()> {
    let picture = json!({ "format": "png", "captureBeyondViewport": true });
    let picture = browser.call("Page.captureScreenshot", picture).await?;
    let bytes = data_encoding::BASE64.decode(picture["data"].as_str().context("no picture")?.as_bytes())?;
    tokio::fs::write(file, bytes).await.with_context(|| format!("cannot write {}", file.display()))
}
